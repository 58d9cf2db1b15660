"""Warnings that cross from one process to another."""

from __future__ import annotations

import sys
import warnings

Told = tuple[type[Warning], str, str, int, str | None]


def told(warning: warnings.WarningMessage) -> Told:
    """Kind, text, file, line and module of a caught warning."""
    file = warning.filename
    modules = list(sys.modules.items())
    module = next((name for name, m in modules if getattr(m, "__file__", None) == file), None)
    return warning.category, str(warning.message), file, warning.lineno, module


def tell_again(kind: type[Warning], text: str, file: str, line: int, module: str | None) -> None:
    """Warn as if from where it was first told, so that the caller's filters apply."""
    try:
        message = kind(text)
    except TypeError:  # made from something else than a text
        message = UserWarning(f"{kind.__name__}: {text}")
    warnings.warn_explicit(message, None, file, line, module)
