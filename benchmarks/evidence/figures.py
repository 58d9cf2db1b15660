"""The figures of the evidence, from tables of `evaluation.summarize`."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from dare_sklearn.viz import plot_curve

CHANCE = {"UCI person": 0.1, "SSVEP four classes": 0.25}  # elsewhere 0.5
METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "roc_auc": "ROC AUC",
    "roc_auc_of_people": "ROC AUC, one score per person",
}
LOOKS = (
    {"color": "#0b5cad", "marker": "o", "ms": 9, "label": "DARE nano, default reading"},
    {"color": "#c0392b", "marker": "o", "ms": 7, "mfc": "white", "label": "the same, untrained"},
    {"color": "#555555", "marker": "D", "ms": 6, "label": "best classical pipeline of the task"},
)  # fmt: skip


def observed(task: str, n: int, unit: str) -> str:
    """How many of what an interval is over; those of Muse are recordings of one person."""
    return f"{n} {'recording' if task.startswith('Muse') else unit}s"


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
    figure, ax = plt.subplots(figsize=(10, 0.62 * len(rows) + 1.4), layout="constrained")
    for place, (task, shown, best) in enumerate(rows):
        chance = next((level for name, level in CHANCE.items() if task.startswith(name)), 0.5)
        ax.plot([chance] * 2, [place - 0.38, place + 0.38], ":", color="#999999", lw=1.5)
        for row, look, shift in zip(shown, LOOKS, (0.22, 0.0, -0.22), strict=True):
            look = {key: value for key, value in look.items() if key != "label" or not place}
            ax.plot([row["low"], row["high"]], [place + shift] * 2, color=look["color"], lw=1.6)
            ax.plot(row["mean"], place + shift, ls="", clip_on=False, **look)
        ax.text(1.03, place - 0.22, best, color="#555555", va="center", fontsize=8)
    ax.plot([], [], ":", color="#999999", label="chance")
    names = []
    for task, (row, *_), _ in rows:
        names.append(f"{task}\n{METRICS[row['metric']]}, {observed(task, row['n'], row['unit'])}")
    ax.set_yticks(range(len(rows)), names, fontsize=9)
    ax.set(xlim=(0, 1.01), ylim=(-0.6, len(rows) - 0.4))
    ax.set_xlabel("score on epochs that were not trained on, with its 95 % interval")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    plt.close(figure)
    return figure


def panels(summary: pd.DataFrame, x: str) -> Figure:
    """A curve over `x` per pipeline, a panel per task; DARE's rows have the same colours in all."""
    tasks = list(summary["dataset"].unique())
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(4.6 * len(tasks), 4.2), layout="constrained", squeeze=False
    )
    for ax, task in zip(axes[0], tasks, strict=True):
        part = summary[summary["dataset"] == task]
        part = part.sort_values(
            "pipeline", key=lambda names: ~names.str.contains(", "), kind="stable"
        )
        plot_curve(part.drop(columns=["low", "high"]), x, log_x=x == "n_labels", ax=ax)
        ax.set(title=task, ylabel=METRICS[part["metric"].iloc[0]])
    plt.close(figure)
    return figure
