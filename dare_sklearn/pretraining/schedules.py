"""Schedules as pure functions of the step, so that a resumed run follows the same course."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence


def one_cycle(step: int, n_steps: int) -> float:
    """Share of the peak learning rate at `step` of `n_steps`: up, then down, by cosines.

    The paper's cycle: from half the peak (2.5e-4) to the peak (5e-4) at 20 % of the steps, and
    down to an eighth of the start.
    """
    last = max(n_steps - 1, 1)
    peak = 0.2 * last
    if step <= peak:
        return _cosine(0.5, 1.0, step / peak)
    return _cosine(1.0, 0.0625, min((step - peak) / (last - peak), 1.0))


def warmup_cosine(step: int, n_steps: int, *, n_warmup: int) -> float:
    """Share of the peak learning rate: linear warm-up, then a half cosine down to zero."""
    n_warmup = min(n_warmup, max(n_steps - 1, 0))
    if step < n_warmup:
        return (step + 1) / n_warmup
    return _cosine(1.0, 0.0, min((step - n_warmup) / max(n_steps - 1 - n_warmup, 1), 1.0))


def linear(step: int, n_steps: int, first: float, last: float) -> float:
    """Straight line from `first` at step 0 to `last` at the final step."""
    return first + (last - first) * min(step / max(n_steps - 1, 1), 1.0)


def restarted(step: int, schedule: Callable[[int, int], float], borders: Sequence[int]) -> float:
    """A schedule, of the step and the number of steps, that begins anew at some steps.

    `borders` are 0, the steps at which it begins anew, and the number of all steps.
    """
    place = min(bisect_right(borders, step), len(borders) - 1)
    begin, end = borders[place - 1], borders[place]
    return schedule(step - begin, end - begin)


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * share))
