"""Targets and groups as they come."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dare_sklearn.base.input import read_column, read_groups

Y = np.arange(8.0)
GAPS = np.isin(Y, [2, 5])


@pytest.mark.parametrize(
    "y",
    [
        np.where(GAPS, np.nan, Y),
        np.where(GAPS, np.nan, Y).tolist(),
        np.where(GAPS, None, "left"),
        np.where(GAPS, None, Y).tolist(),
        np.where(GAPS, np.nan, Y)[:, None],
        np.ma.masked_array(Y, GAPS),
        pd.Series(Y).mask(GAPS).astype("Float64"),
        pd.Series(pd.date_range("2026-01-01", periods=8)).mask(GAPS),
        np.where(GAPS, None, "left").astype(np.dtypes.StringDType(na_object=None)),
    ],
    ids=["float", "list", "strings", "None", "column", "masked", "nullable", "dates", "text"],
)
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_missing_targets_are_named(y):
    with pytest.raises(ValueError, match=r"^y has missing values .* at epochs 2, 5 \(counted"):
        read_column(y, "y")


def test_infinite_targets_are_named():
    with pytest.raises(ValueError, match="y has infinite values at epochs 2, 5 "):
        read_column(np.where(GAPS, -np.inf, Y), "y")


def test_a_few_of_many_are_named():
    with pytest.raises(ValueError, match="at epochs 0, 1, 2, 3, 4, ... .8 in all. "):
        read_groups([np.nan] * 8, 8)
