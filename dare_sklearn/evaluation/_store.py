"""Finished cells on disk."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ._identity import versions


def plain(value: Any) -> Any:
    """What JSON can hold; anything else as its text."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


class Finished:
    """The row of a cell in a small JSON file, which is there or not, but never half.

    Its name is `name` for people and `key` for the program; `pipeline` is written beside the row.
    """

    def __init__(self, folder: Path, name: str, key: str, pipeline: str) -> None:
        label = re.sub(r"[^\w-]+", "-", name)[:80]
        self.path = folder / f"{label}_{key}.json"
        self.pipeline = pipeline

    def read(self) -> dict[str, Any] | None:
        """The row, or None where there is none that can be read."""
        try:
            return dict(json.loads(self.path.read_text(encoding="utf-8"))["row"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, row: dict[str, Any]) -> None:
        """Write the row in one step."""
        from ..weights.files import in_place_of

        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"row": row, "about": {"pipeline": self.pipeline, "versions": versions()}}
        with in_place_of(self.path) as part:
            part.write_text(json.dumps(content, indent=1), encoding="utf-8")
