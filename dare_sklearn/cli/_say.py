"""What the command line says while it works, each warning once."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def say(text: str) -> None:
    """A line on standard error, above a progress bar where there is one."""
    bars = sys.modules.get("tqdm")
    if bars is not None:
        bars.tqdm.write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr)


def doing(text: str) -> None:
    """A line on standard output that says what begins now."""
    print(f"{text} ...", flush=True)


class Warnings:
    """Warnings of this library and of the user's data as lines; deprecations are left out.

    The same text is shown once, whatever numbers are in it (folds have many), with the file that it
    is about; `finish` counts the other files.
    """

    def __init__(self) -> None:
        self.files: dict[str, set[str]] = {}  # by text
        self._said: dict[str, str] = {}  # the first text by that without numbers
        self._file = ""

    def install(self) -> None:
        """Take the place of Python's own way to show warnings."""
        warnings.simplefilter("ignore")
        for category in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = self._show

    @contextmanager
    def about(self, file: str) -> Iterator[None]:
        """Warnings inside are about this file."""
        self._file = file
        try:
            yield
        finally:
            self._file = ""

    def finish(self) -> None:
        """Say how many other files had a warning that was shown already."""
        for text, files in self.files.items():
            if len(files) > 1:
                say(f"warning: the same in {len(files) - 1} other file(s): {text:.57}...")

    def _show(self, message, category, filename, lineno, file=None, line=None) -> None:
        text = " ".join(str(message).split())
        if self._file:
            text = text.replace(f"{Path(self._file).name}: ", "")
        text = self._said.setdefault(re.sub(r"\b\d+\b", "", text), text)
        if text not in self.files:
            say(f"warning: {self._file}: {text}" if self._file else f"warning: {text}")
        self.files.setdefault(text, set()).add(self._file)
