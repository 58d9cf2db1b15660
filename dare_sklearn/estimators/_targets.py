"""Targets as they come, to one array without gaps."""

from __future__ import annotations

from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import column_or_1d


def read_targets(y: Any, owner: str) -> np.ndarray:
    """One target per epoch, of the kind that was passed (pandas' nullable and categorical too).

    Parameters
    ----------
    y : array-like, shape (n_epochs,) or (n_epochs, 1)
    owner : str
        Who asks, for messages.

    Returns
    -------
    ndarray, shape (n_epochs,)

    Raises
    ------
    ValueError, TypeError
        If `y` is not one-dimensional, or holds missing or infinite values.
    """
    if isinstance(y, dict | str | bytes | Number) or getattr(y, "shape", None) == ():
        raise ValueError(f"y of {owner} must hold one target per epoch, got a {type(y).__name__}.")
    if isinstance(getattr(y, "dtype", None), pd.api.extensions.ExtensionDtype):
        _refuse_missing(pd.isna(y), owner)
        y = np.array(y.tolist())  # as the plain type below, not as objects or floats
    y = column_or_1d(y, warn=True)
    if y.dtype == object:
        _refuse_missing(pd.isna(y), owner)
        if all(isinstance(value, Number | np.bool_) for value in y):  # a column of a mixed table
            y = np.array(y.tolist())
    if y.dtype.kind in "fc":
        assert_all_finite(y, input_name="y", estimator_name=owner)
    return y


def _refuse_missing(missing: Any, owner: str) -> None:
    if np.any(missing):
        raise ValueError(
            f"Input y of {owner} contains NaN or None for {int(np.sum(missing))} epochs: drop the "
            "epochs without a target."
        )
