"""One value per epoch (targets, groups) as it comes, to one array without gaps."""

from __future__ import annotations

from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import column_or_1d


def read_column(values: Any, name: str, owner: str) -> np.ndarray:
    """One value per epoch, of the kind that was passed (pandas' nullable and categorical too).

    Parameters
    ----------
    values : array-like, shape (n_epochs,) or (n_epochs, 1)
    name, owner : str
        Which parameter of whom this is, for messages.

    Returns
    -------
    ndarray, shape (n_epochs,)

    Raises
    ------
    ValueError
        If it is not one-dimensional, or holds missing, masked or infinite values.
    """
    if isinstance(values, dict | set | str | bytes | Number) or getattr(values, "shape", 0) == ():
        raise ValueError(
            f"{name} of {owner} must hold one value per epoch, got a {type(values).__name__}."
        )
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    if np.ma.isMaskedArray(values) and np.ma.is_masked(values):
        _refuse_missing(np.ma.getmaskarray(values), name, owner)
    if isinstance(values, list | tuple) and all(np.ndim(value) == 0 for value in values):
        # NaN among strings would become the string "nan"
        _refuse_missing(pd.isna(np.array(values, dtype=object)), name, owner)
    if isinstance(getattr(values, "dtype", None), pd.api.extensions.ExtensionDtype):
        _refuse_missing(pd.isna(values), name, owner)
        values = np.array(values.tolist())  # as the plain type below, not as objects or floats
    try:
        values = column_or_1d(values, input_name=name, warn=True)
    except ValueError as error:
        reason = str(error).splitlines()[0].rstrip(".")  # the values may follow
        raise ValueError(f"{reason}. {name} of {owner} must hold one value per epoch.") from None
    if values.dtype == object:
        _refuse_missing(pd.isna(values), name, owner)
        if all(isinstance(value, Number | np.bool_) for value in values):  # of a mixed table
            values = np.array(values.tolist())
    if values.dtype.kind in "fc":
        assert_all_finite(values, input_name=name, estimator_name=owner)
    return values


def read_groups(groups: Any, n_epochs: int, owner: str) -> np.ndarray:
    """Group of each epoch.

    Raises
    ------
    ValueError
        As `read_column`, if there is not one per epoch, or if they cannot be sorted.
    """
    groups = read_column(groups, "groups", owner)
    try:
        np.unique(groups)
    except TypeError:
        raise ValueError(
            f"groups of {owner} cannot be told apart by sorting them: pass numbers or strings, "
            "all of one kind."
        ) from None
    if len(groups) != n_epochs:
        raise ValueError(
            f"{owner} got {len(groups)} groups for {n_epochs} epochs: pass one group per epoch."
        )
    return groups


def _refuse_missing(missing: Any, name: str, owner: str) -> None:
    if np.any(missing):
        raise ValueError(
            f"{name} of {owner} has missing values (NaN, None or masked) for "
            f"{int(np.sum(missing))} epochs: drop these epochs, or fill in what is missing."
        )
