"""Checks of the values in a suite: what is wrong is named, with what was expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

REQUIRED = object()


class SuiteError(ValueError):
    """A suite, a map of recordings, or a choice among them that cannot be used.

    Examples
    --------
    >>> from dare_sklearn.benchmark import SuiteError, read_suite
    >>> try:
    ...     read_suite("unheard of")
    ... except SuiteError as error:
    ...     print(str(error).split(":")[0])
    There is no suite 'unheard of'
    """


class Keys:
    """A mapping of which every key must be asked for: what is left in the end is unknown."""

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise SuiteError(f"{where} must hold keys and values, got {values!r}.")
        self.where = where
        self._left = {str(key): value for key, value in values.items()}
        self._known: list[str] = []

    def take(self, key: str, check: Callable[[Any], Any], default: Any = REQUIRED) -> Any:
        """The checked value of a key; null is a missing one.

        Raises
        ------
        SuiteError
            If it is missing without a default, or wrong.
        """
        self._known.append(key)
        value = self._left.pop(key, None)
        if value is None:
            if default is REQUIRED:
                raise SuiteError(f"{self.where} lacks the key {key!r}.")
            return default
        try:
            return check(value)
        except SuiteError as error:
            raise SuiteError(f"{self.where}: {key} must be {error}, got {value!r}.") from None

    def end(self) -> None:
        """Refuse keys that nobody asked for."""
        for key in self._left:
            raise SuiteError(
                f"{self.where} has the unknown key {key!r}{hint(key, self._known)}. "
                f"Known: {', '.join(sorted(self._known))}."
            )


def hint(name: str, known: Iterable[str]) -> str:
    """What a misspelt name may have meant, as the end of a sentence."""
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SuiteError("text")
    return value.strip()


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise SuiteError("true or false")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def number(value: Any) -> float:
    if not _is_number(value):
        raise SuiteError("a number")
    return float(value)


def positive(value: Any) -> float:
    if not _is_number(value) or value <= 0:
        raise SuiteError("a positive number")
    return float(value)


def share(value: Any) -> float:
    if not _is_number(value) or not 0 < value < 1:
        raise SuiteError("a number between 0 and 1")
    return float(value)


def count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SuiteError("an integer of 0 or more")
    return value


def at_least(low: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise SuiteError(f"an integer of {low} or more")
        return value

    return check


def integers(value: Any) -> list[int]:
    values = value if isinstance(value, list) else [value]
    try:
        return [count(item) for item in values] or count("none")
    except SuiteError:
        raise SuiteError("one or more integers of 0 or more") from None


def names(value: Any) -> list[str]:
    if isinstance(value, str):
        value = value.split() if "," not in value else value.split(",")
    if not isinstance(value, list) or not value or isinstance(value[0], list | dict):
        raise SuiteError("a list of names")
    return [str(item).strip() for item in value]


def mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SuiteError("keys and values")
    return {str(key): item for key, item in value.items()}


def texts(value: Any) -> dict[str, str]:
    return {key: text(item) for key, item in mapping(value).items()}


def span(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)):
        raise SuiteError("two numbers [start, stop] in seconds")
    if value[0] >= value[1]:
        raise SuiteError("two rising numbers [start, stop] in seconds")
    return float(value[0]), float(value[1])


def band(value: Any) -> tuple[float | None, float | None]:
    ends = value if isinstance(value, list) and len(value) == 2 else [0, 0]
    if not all(end is None or (_is_number(end) and end > 0) for end in ends):
        raise SuiteError("two frequencies [low, high] in Hz (null for an open end)")
    low, high = ends
    if low is not None and high is not None and low >= high:
        raise SuiteError("two rising frequencies [low, high] in Hz")
    return low, high


def classes(value: Any) -> dict[str, str]:
    """Labels as they stand in the data, and the names of their classes."""
    pairs = value if isinstance(value, dict) else {item: item for item in names(value)}
    pairs = {str(label): str(name) for label, name in pairs.items()}
    if len(set(pairs.values())) < 2:
        raise SuiteError("two or more classes")
    return pairs


def grid(value: Any) -> dict[str, list]:
    values = mapping(value)
    if not all(isinstance(options, list) and options for options in values.values()):
        raise SuiteError("parameters with lists of values")
    return values


def one_of(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in allowed:
            raise SuiteError(f"one of {', '.join(allowed)}")
        return value

    return check


def metrics(value: Any) -> list[str]:
    """Names of metrics that scikit-learn knows, and Cohen's kappa."""
    from .splits import metric_names

    asked, known = names(value), metric_names()
    for name in asked:
        if name not in known:
            raise SuiteError(
                f"metrics that scikit-learn knows ({name!r} is none{hint(name, known)})"
            )
    return asked
