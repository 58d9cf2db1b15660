"""The figures of the evidence, from the tables of its parts; what is missing is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from dare_sklearn.viz import plot_curve, plot_mask_invariance

GREY, BLUE, RED = "#777777", "#0b5cad", "#c0392b"


def draw(folder: Path) -> None:
    """One PNG file per table in `folder`."""
    for file, picture in {
        "transfer.csv": transfer,
        "label_efficiency.csv": labels,
        "missing_electrodes.csv": electrodes,
        "mask_invariance_draws.csv": invariance,
    }.items():
        if (folder / file).exists():
            figure = picture(pd.read_csv(folder / file))
            name = file.removesuffix(".csv").removesuffix("_draws")
            figure.savefig(folder / f"{name}.png", dpi=120, bbox_inches="tight")
            plt.close(figure)


def transfer(table: pd.DataFrame) -> plt.Figure:
    """Mean and interval of every model, a panel per task."""
    tasks = list(table["dataset"].unique())
    height = 0.5 + 0.28 * table.groupby("dataset").size().max()
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(3.6 * len(tasks), height), layout="constrained"
    )
    for ax, task in zip(axes if len(tasks) > 1 else [axes], tasks, strict=True):
        part = table[table["dataset"] == task].sort_values("mean")
        for place, row in enumerate(part.itertuples()):
            color = GREY
            if row.pipeline.startswith(("embeddings", "probe")):
                color = RED if "untrained" in row.pipeline else BLUE
            ax.plot([row.low, row.high], [place, place], color=color, lw=2)
            ax.plot(row.mean, place, "o", color=color, ms=6)
        ax.set(title=task, xlabel=f"{part['metric'].iloc[0].replace('_', ' ')}, 95 % interval")
        ax.set_yticks(range(len(part)), part["pipeline"], fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="x", alpha=0.3)
    return figure


def _panels(table: pd.DataFrame, by: str, hue: str, **options: Any) -> plt.Figure:
    tasks = list(table[by].unique())
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(4.6 * len(tasks), 3.8), layout="constrained", squeeze=False
    )
    for ax, task in zip(axes[0], tasks, strict=True):
        # embeddings first: then they have the same colours in every panel
        part = table[table[by] == task].sort_values(
            hue, key=lambda names: ~names.str.startswith("embeddings"), kind="stable"
        )
        plot_curve(part, hue=hue, ax=ax, **options)
        ax.set(title=task, ylabel=part["metric"].iloc[0].replace("_", " "))
    return figure


def labels(table: pd.DataFrame) -> plt.Figure:
    return _panels(table, "dataset", x="n_trials", hue="pipeline", log_x=True)


def electrodes(table: pd.DataFrame) -> plt.Figure:
    return _panels(table, "task", x="share", hue="model")


def invariance(table: pd.DataFrame) -> plt.Figure:
    return plot_mask_invariance(table)
