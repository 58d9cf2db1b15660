"""The guide and the README say what is so: their code runs, and the messages they explain exist."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
GUIDE = sorted((ROOT / "docs" / "guide").glob("*.md"))
BLOCK = re.compile(r"^```python[ ]*\n(.*?)^```", re.S | re.M)  # "python notest" is only read


def with_code() -> list:
    pages = [page for page in [ROOT / "README.md", *GUIDE] if BLOCK.search(page.read_text("utf-8"))]
    return [pytest.param(page, id=page.stem) for page in pages]


@pytest.mark.parametrize("page", with_code())
def test_code_runs(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "__main__"}
    for block in BLOCK.findall(page.read_text("utf-8")):
        block = re.sub(r"max_epochs=\d+", "max_epochs=1", block)  # that it runs, not how well
        exec(compile(block, page.name, "exec"), names)


def test_the_first_result_is_the_printed_one(capsys):
    block, *_ = BLOCK.findall((ROOT / "README.md").read_text("utf-8"))
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    numbers = [re.search(r"\[([\d. ]+)\]", text)[1] for text in (capsys.readouterr().out, block)]
    found, said = (np.array(text.split(), float) for text in numbers)
    np.testing.assert_allclose(found, said, atol=0.011)  # two pairs of 400: rounding differs


def messages() -> list[str]:
    """All texts of the package, with "..." where values come in."""
    found = []
    for file in (ROOT / "dare_sklearn").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else "..." for p in node.values]
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def explained() -> list[str]:
    text = (ROOT / "docs" / "guide" / "troubleshooting.md").read_text("utf-8")
    return [quote for quote in re.findall(r'^## "(.+?)"(?! from)', text, re.M)]


def test_explained_messages_exist():
    assert len(explained()) > 8
    known = messages()
    for quote in explained():
        parts = [re.escape(part.strip()) for part in quote.split("...") if part.strip()]
        pattern = re.compile(".*".join(parts), re.S)
        assert any(pattern.search(message) for message in known), quote


def test_links_between_pages():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *GUIDE]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
