"""The report of a suite: that of `evaluation.report`."""

from __future__ import annotations

from pathlib import Path

from .run import Results

_EXTRA = ["sfreq"]


def write_report(results: Results, out: str | Path) -> Path:
    """Write ``report.html`` and its tables.

    Parameters
    ----------
    results : Results
        Of `run_suite`.
    out : str or path
        Folder.

    Returns
    -------
    Path
        Of the HTML file.

    Examples
    --------
    See `run_suite`.
    """
    from ..evaluation import report

    roles, about = results.roles(), results.about
    curve = results.curve
    return report(
        results.scores.drop(columns=_EXTRA, errors="ignore"),
        out,
        title=results.suite.title,
        candidate=results.suite.candidate,
        rivals=[name for name, role in roles.items() if role == "classical"],
        learning_curve=None
        if curve.empty
        else curve.rename(columns={"n_trials": "n_labels"}).drop(columns=_EXTRA, errors="ignore"),
        context={
            "What": results.suite.description or results.suite.name,
            "Command": about["command"],
            "Started, finished": f"{about['started']}, {about['finished']}",
            "Encoder": f"{about['encoder']['name']}, SHA-256 {about['encoder']['sha256']}",
            "Versions": about["versions"],
            "Failed": results.failures or "nothing",
            "Warnings": results.warnings or "none",
        },
    )
