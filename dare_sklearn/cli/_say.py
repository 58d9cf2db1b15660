"""What the command line says while it works, each warning once."""

from __future__ import annotations

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
    sys.stderr.flush()


def doing(text: str) -> None:
    """A line on standard output that says what begins now."""
    print(f"{text} ...", flush=True)


class Warnings:
    """Warnings of this library and of the user's data as lines; deprecations are left out.

    The same text is shown once, with the file that it is about; `finish` lists the other files.
    """

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}
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

    def texts(self) -> list[str]:
        """Everything that was warned of so far."""
        return list(self._files)

    def finish(self) -> None:
        """Say which other files had a warning that was shown already."""
        for text, files in self._files.items():
            others = list(dict.fromkeys(files))[1:]
            if others:
                shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" * (len(others) > 3))
                start = text if len(text) < 60 else text[:57] + "..."
                say(f"warning: the same for {shown}: {start}")

    def _show(self, message, category, filename, lineno, file=None, line=None) -> None:
        text = " ".join(str(message).split())
        if self._file:
            text = text.replace(f"{Path(self._file).name}: ", "")
        files = self._files.setdefault(text, [])
        if not files:
            say(f"warning: {self._file}: {text}" if self._file else f"warning: {text}")
        files.append(self._file)
