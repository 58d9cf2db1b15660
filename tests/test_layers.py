"""Where a line of code may stand (docs/architecture.md), and what importing the package costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import dare_sklearn

PACKAGE = Path(dare_sklearn.__file__).parent
# A layer may import itself and those before it.
ORDER = "signals simulation modules pretraining weights training base transformers estimators models inspection viz evaluation cli".split()
FILES = sorted(
    p for p in PACKAGE.rglob("*.py") if not p.stem.startswith("__") or p.parent != PACKAGE
)

# "Where does my line go": what only these layers may import.
ONLY = {
    "skorch": {"training", "transformers", "estimators", "evaluation"},
    "accelerate": {"training"},
    "safetensors": {"weights", "base", "training"},
    "matplotlib": {"viz", "evaluation", "cli"},
    "mne": {
        "signals", "simulation", "transformers", "models", "inspection", "evaluation", "viz",
        "cli",
    },
    "braindecode": {"signals", "models", "evaluation"},
    "moabb": {"evaluation", "cli"},
}  # fmt: skip
TORCH_ONLY = {"modules", "pretraining"}
NOT_TORCH = {"sklearn", "skorch", "mne", "braindecode", "pandas", "scipy"}
TRAINER = {"backward", "zero_grad"}  # methods that move weights


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path, *, typing: bool = True) -> set[str]:
    """Absolute dotted names of everything that a file imports, at any depth of its code."""
    package = list(path.relative_to(PACKAGE.parent).parts[:-1])
    skipped = set()
    if not typing:  # what only a type checker imports
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                skipped |= {id(inner) for inner in ast.walk(node)}
    names = set()
    for node in ast.walk(tree_of(path)):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            # "from .. import estimators" names a layer after the import
            names |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            names |= {arg.value.lstrip(".") for arg in node.args if isinstance(arg, ast.Constant)}
    return names


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def own_imports(path: Path) -> set[str]:
    """Modules of the package that a file imports when it runs, hidden in functions or not."""
    found = set()
    for name in imports_of(path, typing=False):
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        if name and name != module_name(path):
            found.add(name)
    return found


MODULES = {module_name(path): path for path in [*FILES, PACKAGE / "__init__.py"]}


def test_every_room_is_a_layer():
    rooms = {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    rooms |= {p.stem for p in PACKAGE.glob("*.py") if not p.stem.startswith("__")}
    assert rooms == set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_up_only(path):
    layer = room(path)
    allowed = set(ORDER[: ORDER.index(layer) + 1])
    for name in imports_of(path):
        top, *rest = name.split(".")
        if top == "dare_sklearn" and rest and rest[0] in ORDER:
            assert rest[0] in allowed, f"{layer} imports {name}"
        if layer in TORCH_ONLY:
            assert top not in NOT_TORCH, f"{layer} imports {name}"
        assert layer in ONLY.get(top, ORDER), f"{layer} imports {name}"


def test_only_training_moves_weights():
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.Attribute):
                continue
            text, rooms = ast.unparse(node), {"training"}
            if text.startswith("torch.optim"):
                rooms.add("evaluation")  # rivals tell braindecode which optimizer theirs is
            elif node.attr not in TRAINER:
                continue
            assert room(path) in rooms, f"{path}: {text}"


def test_no_circles():
    """Not even inside a layer, or hidden in functions."""
    edges = {name: own_imports(path) for name, path in MODULES.items()}
    # the lazy names of a package are no imports of it
    for name, path in MODULES.items():
        if path.name == "__init__.py" and "lazy_loader" in path.read_text(encoding="utf-8"):
            edges[name] = set()
    done, circles = set(), []

    def visit(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            circles.append(" -> ".join([*way[way.index(name) :], name]))
        elif name not in done:
            for other in sorted(edges[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(edges):
        visit(name, ())
    assert not circles


def test_import_is_lazy():
    code = (
        "import sys, dare_sklearn; "
        "print([m for m in ('torch', 'mne', 'braindecode', 'sklearn') if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_embedding_loads_no_trainer():
    code = (
        "import sys; from dare_sklearn import DAREEmbedder; "
        "print([m for m in sys.modules if m == 'skorch' or m.endswith(('.pretrainer', "
        "'training.pretrain', 'training.net', 'training.checkpoint', 'training.processes'))])"
    )
    assert run(code) == "[]"


def test_a_first_embedding_and_a_comparison_load_no_compiler():
    code = (
        "import sys, dare_sklearn.evaluation, dare_sklearn.training.processes; "
        "from dare_sklearn import load_encoder; load_encoder('nano'); "
        "print([m for m in ('torch._dynamo', 'sympy') if m in sys.modules])"
    )
    assert run(code) == "[]"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("name", dare_sklearn.__all__)
def test_public_names_resolve(name):
    assert getattr(dare_sklearn, name).__name__ == name
    assert name in dir(dare_sklearn)


def test_unknown_name():
    with pytest.raises(AttributeError, match="No dare_sklearn attribute DAREBanana"):
        _ = dare_sklearn.DAREBanana
