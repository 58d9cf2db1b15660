"""One value per epoch (targets, groups) as it comes, to one array without gaps."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import column_or_1d

from ..signals.errors import listed


def read_column(values: Any, name: str) -> np.ndarray:
    """One value per epoch, ``(n_epochs,)``, of the kind that was passed.

    Pandas' nullable and categorical values are read too, and a single column. A ValueError names
    the parameter, and the epochs of missing, masked or infinite values.
    """
    if isinstance(values, dict | set | str | bytes | Number) or getattr(values, "shape", 0) == ():
        raise ValueError(f"{name} must hold one value per epoch, got a {type(values).__name__}.")
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    if np.ma.isMaskedArray(values) and np.ma.is_masked(values):
        _refuse(np.ma.getmaskarray(values), name)
    if isinstance(values, list | tuple) and all(np.ndim(value) == 0 for value in values):
        # NaN among strings would become the string "nan"
        _refuse(pd.isna(np.array(values, dtype=object)), name)
    if isinstance(getattr(values, "dtype", None), pd.api.extensions.ExtensionDtype):
        _refuse(pd.isna(values), name)
        values = np.array(values.tolist())  # as the plain type below, not as objects or floats
    try:
        values = column_or_1d(values, input_name=name, warn=True)
    except ValueError as error:
        reason = str(error).splitlines()[0].rstrip(".")  # the values may follow
        raise ValueError(f"{reason}. {name} must hold one value per epoch.") from None
    if values.dtype == object:
        _refuse(pd.isna(values), name)
        if all(isinstance(value, Number | np.bool_) for value in values):  # of a mixed table
            values = np.array(values.tolist())
    _refuse(pd.isna(values), name)
    if values.dtype.kind in "fc":
        _refuse(np.isinf(values), name, "infinite values")
    return values


def read_groups(groups: Any, n_epochs: int) -> np.ndarray:
    """Group of each epoch; a ValueError if there is not one for each, or they cannot be sorted."""
    groups = read_column(groups, "groups")
    try:
        np.unique(groups)
    except TypeError:
        raise ValueError(
            "groups cannot be told apart by sorting them: pass numbers or strings, all of one kind."
        ) from None
    if len(groups) != n_epochs:
        raise ValueError(
            f"{len(groups)} groups for {n_epochs} epochs do not fit: pass one group per epoch."
        )
    return groups


def score_of(
    metric: Callable[..., float], y: Any, predicted: np.ndarray, sample_weight: Any
) -> float:
    """A metric of scikit-learn, of targets that are checked as those of ``fit`` are."""
    y = read_column(y, "y of score")
    if len(y) != len(predicted):
        raise ValueError(
            f"score got {len(y)} targets y for {len(predicted)} epochs: pass one per epoch of X."
        )
    try:
        return float(metric(y, predicted, sample_weight=sample_weight))
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            "y (or sample_weight) in score does not fit the predictions, such as "
            f"{predicted[0].item()!r} ({reason}): pass targets of the kind of those of fit."
        ) from None


def _refuse(wrong: Any, name: str, what: str = "missing values (NaN, None, NaT or masked)") -> None:
    """An error that names the first epochs where `wrong` is true."""
    found = np.flatnonzero(wrong)
    if not len(found):
        return
    raise ValueError(
        f"{name} has {what} at epochs {listed(found, 5)} (counted from 0): drop these epochs, or "
        "fill in their values."
    )
