"""Learning curves whose points can be compared: the same pipelines and folds at every size."""

from __future__ import annotations

from collections import Counter

import pandas as pd

ALL = -1  # training epochs of a point: all that a fold has
_MOST = 0.75  # share of the folds that must have a size for it to be shown


def _scored(table: pd.DataFrame) -> pd.Series:
    """What each row is a score of: who, which seed, and what was tested."""
    return pd.Series(
        list(zip(table["subject"], table["seed"], table["tested"], strict=True)), table.index
    )


def incomplete(table: pd.DataFrame) -> list[str]:
    """Pipelines that lack a score which another one has: they failed there."""
    scored = _scored(table).groupby(table["pipeline"], sort=False)
    found = {name: Counter(keys) for name, keys in scored}
    every: Counter = Counter()
    for one in found.values():
        every |= one
    return [name for name, one in found.items() if one != every]


def comparable(curve: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The curve of what is there at all sizes, and notes on what was left out.

    Parameters
    ----------
    curve : DataFrame
        Rows of `compare` with ``seed``, ``tested`` and ``n_trials``, which is `ALL` for all
        training epochs of a fold.

    Returns
    -------
    curve : DataFrame
        Of pipelines that never failed, at sizes that most folds have, of folds that have all of
        these. `ALL` has become the mean over folds. It may be empty.
    notes : list of str
    """
    there = set(curve["pipeline"])
    failed = {name for _, part in curve.groupby("n_trials") for name in incomplete(part)}
    failed |= there - set(curve["pipeline"][curve["n_trials"] == ALL])
    curve = curve[~curve["pipeline"].isin(failed)]
    if curve.empty:
        return curve, []
    keys = _scored(curve)
    having = {size: set(keys[rows.index]) for size, rows in curve.groupby("n_trials")}
    n_folds = len(having[ALL])
    rare = [size for size, folds in having.items() if len(folds) < _MOST * n_folds]
    kept = set.intersection(*(folds for size, folds in having.items() if size not in rare))
    curve = curve[~curve["n_trials"].isin(rare) & keys.isin(kept)]
    notes = []
    if rare:
        sizes = ", ".join(map(str, rare))
        notes.append(f"The learning curve leaves out {sizes} trials, which too few folds have.")
    if len(kept) < n_folds:
        notes.append(
            f"The learning curve is of {len(kept)} of {n_folds} folds: the others have fewer "
            "training trials."
        )
    mean = round(float(curve["n_train"][curve["n_trials"] == ALL].mean()))
    return curve.assign(n_trials=curve["n_trials"].replace(ALL, mean)), notes
