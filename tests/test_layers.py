"""Who may import whom, and what importing the package costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dare_sklearn

PACKAGE = Path(dare_sklearn.__file__).parent
# A layer may import itself and those before it.
ORDER = "signals simulation modules pretraining weights training base transformers estimators models inspection evaluation viz benchmark cli".split()
TORCH_ONLY = {"modules", "pretraining"}
FORBIDDEN = {"sklearn", "skorch", "mne", "braindecode", "pandas"}
FILES = sorted(
    p for p in PACKAGE.rglob("*.py") if not p.stem.startswith("__") or p.parent != PACKAGE
)


def imports_of(path: Path) -> set[str]:
    """Absolute dotted names of everything that a file imports, at any depth of its code."""
    package = list(path.relative_to(PACKAGE.parent).parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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


def test_every_folder_is_a_layer():
    rooms = {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    rooms |= {p.stem for p in PACKAGE.glob("*.py") if not p.stem.startswith("_")}
    assert rooms == set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_up_only(path):
    layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if layer == "_lazy":
        assert not any("dare_sklearn" in name for name in imports_of(path))
        return
    allowed = set(ORDER[: ORDER.index(layer) + 1])
    for name in imports_of(path):
        top, *rest = name.split(".")
        if top == "dare_sklearn" and rest and rest[0] in ORDER:
            assert rest[0] in allowed, f"{layer} imports {name}"
        if layer in TORCH_ONLY:
            assert top not in FORBIDDEN, f"{layer} imports {name}"
        if layer not in {"training", "transformers", "estimators"}:
            assert top != "skorch", f"{layer} imports {name}"


def test_import_is_lazy():
    code = (
        "import sys, dare_sklearn; "
        "print([m for m in ('torch', 'mne', 'braindecode', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", dare_sklearn.__all__)
def test_public_names_resolve(name):
    assert getattr(dare_sklearn, name).__name__ == name
    assert name in dir(dare_sklearn)


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'DAREBanana'"):
        _ = dare_sklearn.DAREBanana
