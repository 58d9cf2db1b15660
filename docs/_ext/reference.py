"""What the reference shows: members that are ours, and the help of the command line."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def skip_foreign(app, what, name, member, skip, options):
    """Leave out what scikit-learn and torch bring: only their own manuals keep it right."""
    ours = str(getattr(member, "__module__", None)).startswith("dare_sklearn")
    routing = name.startswith("set_") and name.endswith("_request")
    return True if routing or not ours else None


def write_help(app) -> None:
    """The help text of each command, as the command prints it."""
    os.environ["COLUMNS"], os.environ["NO_COLOR"] = "88", "1"
    from dare_sklearn.cli import make_parser

    parser = make_parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    for name, command in {"main": parser, **commands}.items():
        (folder / f"cli_{name}.txt").write_text(command.format_help(), encoding="utf-8")


def setup(app) -> dict:
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("builder-inited", write_help)
    return {"parallel_read_safe": True}
