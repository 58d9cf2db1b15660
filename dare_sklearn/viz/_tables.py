"""Tables that figures draw: what they must hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def check_table(table: Any, columns: Sequence[str], numbers: Sequence[str]) -> None:
    """Refuse what is not a table, is empty, or lacks a column; `numbers` hold one finite number."""
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
        values = table[name].to_numpy(dtype=float)
        if np.isinf(values).any() or np.isnan(values).all():
            what = "infinite values" if np.isinf(values).any() else "nothing but missing values"
            raise ValueError(f"The column {name} of the table holds {what}.")
