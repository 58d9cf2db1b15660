"""Every public name is on a page of the reference, and every name on a page exists."""

import inspect
import pkgutil
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "api"
WITH_ALL = [
    "dare_sklearn",
    *(
        f"dare_sklearn.{name}"
        for name in (
            "estimators", "evaluation", "inspection", "models", "simulation",
            "transformers", "transformers.classical", "viz", "weights",
        )
    ),
]  # fmt: skip
WITHOUT_ALL = ["modules", "pretraining"]  # there, what a file defines is public


@cache
def documented() -> dict[str, object]:
    """Objects in the tables of the pages, by dotted name."""
    found = {}
    for page in PAGES.glob("*.rst"):
        module = table = None
        for line in page.read_text("utf-8").splitlines():
            if match := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = match[1]
            elif line and not line.startswith(" "):
                table = line.startswith(".. autosummary::")
            elif table and (match := re.fullmatch(r"   (\w+)", line)):
                assert module, f"{page.name}: {match[1]} stands before any currentmodule"
                found[f"{module}.{match[1]}"] = getattr(import_module(module), match[1])
    return found


def test_pages_list_names_once():
    objects = list(map(id, documented().values()))
    assert len(objects) > 50 and len(objects) == len(set(objects))


@pytest.mark.parametrize("name", WITH_ALL)
def test_public_names_are_documented(name):
    module = import_module(name)
    objects = set(map(id, documented().values()))
    assert module.__all__
    assert [n for n in module.__all__ if id(getattr(module, n)) not in objects] == []


@pytest.mark.parametrize("layer", WITHOUT_ALL)
def test_building_blocks_are_documented(layer):
    package = import_module(f"dare_sklearn.{layer}")
    expected = set()
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if "._" in found.name:
            continue
        for name, value in vars(import_module(found.name)).items():
            own = inspect.isclass(value) or inspect.isfunction(value)
            if own and value.__module__ == found.name and not name.startswith("_"):
                expected.add(f"{found.name}.{name}")
    listed = {name for name in documented() if name.startswith(f"{package.__name__}.")}
    assert listed == expected


def test_subpackages_are_covered():
    import dare_sklearn

    known = {name.removeprefix("dare_sklearn.") for name in WITH_ALL} | set(WITHOUT_ALL)
    rooms = {m.name for m in pkgutil.iter_modules(dare_sklearn.__path__)} - {"__main__"}
    # the command line documents itself; what estimators are made of is described in the guide
    assert rooms - known == {"cli", "signals", "training", "base"}


@pytest.mark.parametrize("name", documented())
def test_documented_names_say_something(name):
    assert (inspect.getdoc(documented()[name]) or "").strip()


def test_commands_are_documented():
    from dare_sklearn.cli import COMMANDS

    page = (PAGES / "command_line.rst").read_text("utf-8")
    for command in COMMANDS:
        assert f"cli_{command.__name__.rsplit('.', 1)[-1]}.txt" in page
