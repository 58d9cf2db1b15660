"""The gallery's scripts and their recipes for public data sets are whole; ``make docs`` runs them."""

import ast
import re
import textwrap
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "examples" / "gallery").glob("*.py"))
SHOWN = re.compile(r"^\.\. code-block:: python\n\n((?: {4}.*\n|\n)+)", re.M)
LIBRARIES = ("mne", "moabb", "braindecode", "dare_sklearn", "skorch", "sklearn")


def prose(script: Path) -> str:
    """The text of a script: its docstring and its comments."""
    source = script.read_text("utf-8")
    comments = re.findall(r"^#(?: (.*))?$", source, re.M)
    return ast.get_docstring(ast.parse(source)) + "\n\n" + "\n".join(comments) + "\n"


def shown(script: Path) -> list[str]:
    return [textwrap.dedent(block) for block in SHOWN.findall(prose(script))]


def imported(code: str) -> list[tuple[str, str]]:
    nodes = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.ImportFrom)]
    return [
        (node.module, alias.name)
        for node in nodes
        if node.module.split(".")[0] in LIBRARIES
        for alias in node.names
    ]


def test_gallery_is_there():
    assert len(SCRIPTS) >= 10


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script(script):
    assert "On a public data set" in prose(script)
    assert shown(script), "no code block for a public data set"
    for code in [script.read_text("utf-8"), *shown(script)]:
        for module, name in imported(code):
            if module.startswith("moabb"):
                pytest.importorskip("moabb", reason="MOABB is not installed: pip install moabb")
            assert hasattr(import_module(module), name), f"{module}.{name}"
    for target in re.findall(r":ref:`sphx_glr_gallery_(.+?\.py)`", prose(script)):
        assert script.with_name(target).exists(), target
