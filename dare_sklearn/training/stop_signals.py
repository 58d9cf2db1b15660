"""SIGTERM and Ctrl-C between two steps of a training, not within one."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def unwinding() -> Iterator[None]:
    """Let SIGTERM raise `SystemExit` (code 143), so that temporary files are removed.

    By default it ends the process on the spot. A handler of the caller stays.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class StopSignals:
    """Hold SIGTERM and Ctrl-C back until the step that runs is done, so that it can be saved.

    SIGTERM then ends the process (exit code 143), and Ctrl-C the training; a second Ctrl-C does so
    at once. Only the main thread may do this: in others, signals are left as they are. `received`
    is the signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def check(self) -> None:
        """End the training if a signal came; skorch takes `KeyboardInterrupt` as its end."""
        if self.received is not None:
            raise KeyboardInterrupt

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.getsignal(number)
            # a user who ignores a signal, or handles Ctrl-C otherwise, means it
            ours = (signal.default_int_handler,) if number == signal.SIGINT else (before,)
            if before in ours and before not in (None, signal.SIG_IGN):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        before, self._before = self._before, {}
        for number, handler in before.items():
            signal.signal(number, handler)
        if self.received == signal.SIGTERM:
            if callable(before[signal.SIGTERM]):
                signal.raise_signal(signal.SIGTERM)
            raise SystemExit(128 + signal.SIGTERM)

    def _receive(self, number: int, frame: object) -> None:
        if number == signal.SIGINT and self.received is not None:
            raise KeyboardInterrupt
        self.received = number
