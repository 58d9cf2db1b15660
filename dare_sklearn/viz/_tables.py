"""Tables that figures draw: what they must hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def check_table(table: Any, columns: Sequence[str], numbers: Sequence[str]) -> None:
    """Refuse what is no table, is empty, or lacks a column.

    Columns of `numbers` must hold numbers, of which some may be missing, but not all.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"The table must be a pandas DataFrame, got a {type(table).__name__}.")
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ValueError(
            f"The table needs the columns {', '.join(columns)}; {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing among {', '.join(map(str, table))}."
        )
    if table.empty:
        raise ValueError("The table has no rows: there is nothing to draw.")
    for name in numbers:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise ValueError(f"The column {name} of the table must hold numbers.")
        if np.isinf(table[name].to_numpy(dtype=float)).any():
            raise ValueError(f"The column {name} of the table holds infinite values.")
        if table[name].isna().all():
            raise ValueError(f"The column {name} of the table holds nothing but missing values.")


def choose_dataset(table: pd.DataFrame, dataset: Any) -> pd.DataFrame:
    """Rows of one data set, or all of them for None."""
    if dataset is None:
        return table
    rows = table[table["dataset"] == dataset]
    if rows.empty:
        raise ValueError(
            f"The table has no results of dataset={dataset!r}, only of "
            f"{', '.join(map(str, table['dataset'].unique()))}."
        )
    return rows
