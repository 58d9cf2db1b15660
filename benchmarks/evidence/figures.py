"""The figures of the evidence, from tables of `evaluation.summarize`."""

from __future__ import annotations

from itertools import cycle

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter, ScalarFormatter

WORDS = {
    "EEGBCI hands or feet": "imagined hands or feet, 1 person",
    "EEGBCI left or right, within people": "left or right fist, each of 49 new people",
    "EEGBCI left or right, across people": "left or right fist, 49 new people",
    "EEGBCI left or right, across people, aligned": "left or right fist, 49 new people, aligned",
    "UCI stimulus 1 or 2": "first or second picture of a pair, 10 new people",
    "UCI stimulus 1 or 2, aligned": "first or second picture, 10 new people, aligned",
    "UCI person": "which of 10 people",
    "Muse P300": "target picture or not, headband, 1 person",
    "Muse SSVEP": "flicker of 20 or 30 Hz, headband, 1 person",
    "SSVEP four classes, within people": "three flickers or none, each of 8 people",
    "SSVEP four classes, across people": "three flickers or none, 8 new people",
    "Arithmetic or rest": "arithmetic or rest, 16 new people",
    "Arithmetic or rest, aligned": "arithmetic or rest, 16 new people, aligned",
    "Eyes closed or open": "eyes closed or open, 27 new people",
    "Eyes closed or open, aligned": "eyes closed or open, 27 new people, aligned",
    "Depressed or healthy": "depression or none, 30 new people",
    "Epilepsy or control": "epilepsy or none, 53 new people",
}
CHANCE = {"UCI person": 0.1, "SSVEP four classes": 0.25}  # elsewhere 0.5
METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "roc_auc": "area under the ROC curve",
    "roc_auc_of_people": "area under the ROC curve of people",
}
LOOKS = (
    {"color": "#0b5cad", "marker": "o", "ms": 9, "label": "DARE nano, default reading"},
    {"color": "#c0392b", "marker": "o", "ms": 7, "mfc": "white", "label": "the same, untrained"},
    {"color": "#555555", "marker": "D", "ms": 6, "label": "best classical pipeline of the task"},
)  # fmt: skip
OTHERS = ("#555555", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c6d31", "#000000", "#9467bd")
AXES = {"n_labels": "labelled training epochs", "share": "electrodes lost at prediction"}


def observed(task: str, n: int, unit: str) -> str:
    """How many of what an interval is over; those of the headband are one person's recordings."""
    return f"{n} {'recording' if task.startswith('Muse') else unit}s"


def chance_of(task: str) -> float:
    return next((level for name, level in CHANCE.items() if task.startswith(name)), 0.5)


def overview(summary: pd.DataFrame, ours: list[str], fields: list[str]) -> Figure:
    """One line per task: the default reading, untrained, and the best classical pipeline.

    Tasks are in the order of the default's lead; the best classical pipeline is the one with the
    highest mean over the test folds, which flatters it.
    """
    rows = []
    for task, part in summary.groupby("dataset", sort=False):
        part = part.set_index("pipeline")
        best = part.loc[part.index.isin(fields), "mean"].idxmax()
        rows.append((task, [part.loc[name] for name in (*ours[:2], best)], best))
    rows.sort(key=lambda row: row[1][0]["mean"] - row[1][2]["mean"])
    figure, ax = plt.subplots(figsize=(7, 0.56 * len(rows) + 1.4), layout="constrained")
    for place, (task, shown, _) in enumerate(rows):
        ax.plot([chance_of(task)] * 2, [place - 0.38, place + 0.38], ":", color="#999999", lw=1.5)
        for row, look, shift in zip(shown, LOOKS, (0.22, 0.0, -0.22), strict=True):
            look = {key: value for key, value in look.items() if key != "label" or not place}
            ax.plot([row["low"], row["high"]], [place + shift] * 2, color=look["color"], lw=1.6)
            ax.plot(row["mean"], place + shift, ls="", clip_on=False, **look)
    ax.plot([], [], ":", color="#999999", label="chance")
    names = []
    for task, (row, *_), best in rows:
        many = observed(task, row["n"], row["unit"])
        over = "" if many.endswith("subjects") else f", {many}"
        names.append(f"{WORDS.get(task, task)}\n{METRICS[row['metric']]}{over}\n◆ {best}")
    ax.set_yticks(range(len(rows)), names, fontsize=8.5)
    ax.set(xlim=(0, 1.01), ylim=(-0.6, len(rows) - 0.4))
    what = "score on epochs that were not trained on, with its 95 % interval"
    ax.set_xlabel(
        f"{what}\nover people, or over the folds or recordings that are named", fontsize=9
    )
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    plt.close(figure)
    return figure


def panels(summary: pd.DataFrame, x: str) -> Figure:
    """A curve over `x` per pipeline, a panel per task; a pipeline looks alike in all panels."""
    tasks, names = summary["dataset"].unique(), summary["pipeline"].unique()
    looks = {name: look for name, look in zip(names, LOOKS, strict=False) if ", " in name}
    others = [name for name in names if name not in looks]
    for name, color, marker in zip(others, cycle(OTHERS), cycle("Ds^vPX*ph"), strict=False):
        looks[name] = {"color": color, "marker": marker, "ms": 5, "lw": 1.2, "label": name}
    n_rows = -(-len(tasks) // 3)
    n_columns = -(-len(tasks) // n_rows)
    figure, axes = plt.subplots(
        n_rows,
        n_columns,
        figsize=(12, 4 * n_rows + 1),
        layout="constrained",
        squeeze=False,
        sharey=True,
    )
    for empty in axes.ravel()[len(tasks) :]:
        empty.remove()
    axes = axes.ravel()[: len(tasks)]
    for ax, task in zip(axes, tasks, strict=True):
        part = summary[summary["dataset"] == task].sort_values(x)
        for name, rows in part.groupby("pipeline", sort=False):
            ax.plot(rows[x], rows["mean"], zorder=3 if ", " in name else 2, **looks[name])
        ax.axhline(chance_of(task), ls=":", color="#999999", lw=1.5, label="chance")
        if x == "n_labels":
            ax.set_xscale("log")
            most = part[x].max()  # all epochs; numbers just below have no room
            ax.xaxis.set(
                major_locator=FixedLocator(
                    [n for n in part[x].unique() if n == most or n < most / 1.3]
                ),
                major_formatter=ScalarFormatter(),
                minor_locator=NullLocator(),
            )
        else:
            ax.xaxis.set(
                major_locator=FixedLocator(part[x].unique()),
                major_formatter=PercentFormatter(1.0),
            )
        ax.set_title(WORDS.get(task, task), fontsize=10)
        ax.set(xlabel=AXES[x], ylabel=METRICS[part["metric"].iloc[0]])
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", alpha=0.25)
    shown = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
    figure.legend(
        shown.values(), shown, loc="outside lower center", ncols=4, frameon=False, fontsize=9
    )
    plt.close(figure)
    return figure
