"""Finished cells on disk: one small JSON file each, written in one step."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """What JSON can hold; anything else as its text."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def cell_path(folder: Path, dataset: str, pipeline: str, key: str) -> Path:
    """The file of a cell: names for people, the key of the content for the program."""
    names = re.sub(r"[^\w-]+", "-", f"{dataset}_{pipeline}")[:80]
    return folder / f"{names}_{key}.json"


def read_cell(path: Path) -> dict[str, Any] | None:
    """The row of a finished cell, or None where there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["row"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_cell(path: Path, row: dict[str, Any], about: dict[str, Any]) -> None:
    """Write a row and what it is about; a killed process leaves no half a file under this name."""
    from ..weights.files import in_place_of

    path.parent.mkdir(parents=True, exist_ok=True)
    with in_place_of(path) as part:
        part.write_text(json.dumps({"row": row, "about": about}, indent=1), encoding="utf-8")
