"""What is wrong with signals, in one sentence, and whose signals they are.

Code that reads signals raises `SignalError` and calls `tell`. The caller wraps it in `about`, which
puts the caller's name in front.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar


class SignalError(ValueError):
    """Signals that cannot be used."""


class SignalTypeError(TypeError):
    """Something that is not signals."""


# Names to put in front of a message, and what was said already.
_ASKING: ContextVar[tuple[tuple[str, set[str] | None], ...]] = ContextVar("asking", default=())


@contextmanager
def about(name: str, said: set[str] | None = None) -> Iterator[None]:
    """Put `name` (an estimator, a file) in front of errors and warnings on signals.

    `said` holds the causes of warnings that were given before; `tell` does not repeat them.
    """
    token = _ASKING.set((*_ASKING.get(), (name, said)))
    try:
        yield
    except (SignalError, SignalTypeError) as error:
        if name:
            error.args = (f"{name}: {error}",)
        raise
    finally:
        _ASKING.reset(token)


def tell(message: str, cause: str | None = None) -> None:
    """Warn, once per estimator and cause (by default the message itself)."""
    asking = _ASKING.get()
    said = next((said for _, said in reversed(asking) if said is not None), None)
    if said is not None:
        if (cause or message) in said:
            return
        said.add(cause or message)
    names = [name for name, _ in asking if name]
    warnings.warn(": ".join([*names, message]), UserWarning, stacklevel=3)


def listed(values: Sequence, most: int = 10, between: str = ", ") -> str:
    """The first of some names or numbers, and how many there are; "none" of none."""
    shown = between.join(map(str, values[:most])) or "none"
    return shown if len(values) <= most else f"{shown}{between}... ({len(values)} in all)"
