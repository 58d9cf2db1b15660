"""Mask invariance of every encoder on real trials that none of them saw."""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from benchmarks.tasks import TASKS
from dare_sklearn.inspection import mask_invariance
from dare_sklearn.signals.interpolation import template_positions


def run(args: argparse.Namespace) -> None:
    epochs = TASKS["person"](args.data).epochs
    tables = [
        mask_invariance(source, epochs, n_draws=20, random_state=0).assign(encoder=name)
        for name, source in args.encoders.items()
    ]
    table = pd.concat(tables)
    table.to_csv(args.out / "mask_invariance_draws.csv", index=False)
    columns = ["positive_cosine", "negative_cosine", "retrieval"]
    summary = table.groupby(["encoder", "overlap"])[columns].agg(["mean", "std"])
    summary.columns = ["_".join(column) for column in summary.columns]
    summary.reset_index().to_csv(args.out / "mask_invariance.csv", index=False)
    print(summary.to_string(float_format="%.3f"), flush=True)
    distance = by_distance(table[table["overlap"] == 0])
    distance.to_csv(args.out / "mask_invariance_distance.csv", index=False)
    print(distance.to_string(index=False, float_format="%.3f"), flush=True)


def by_distance(table: pd.DataFrame) -> pd.DataFrame:
    """Retrieval in the half of the draws whose views lie closer on the scalp, and in the other.

    The distance is that of the mean positions of the two views' electrodes.
    """
    places = template_positions()  # metres

    def center(view: str) -> np.ndarray:
        return 1000 * np.mean([places[name] for name in view.split()], axis=0)

    pairs = zip(table["first_view"], table["second_view"], strict=True)
    table = table.assign(mm=[np.linalg.norm(center(a) - center(b)) for a, b in pairs])
    rows = []
    for encoder, part in table.groupby("encoder", sort=False):
        near = part["mm"] <= part["mm"].median()
        rows.append(
            {
                "encoder": encoder,
                "draws": len(part),
                "median_distance_mm": part["mm"].median(),
                "retrieval_near": part.loc[near, "retrieval"].mean(),
                "retrieval_far": part.loc[~near, "retrieval"].mean(),
                "correlation": part["mm"].corr(part["retrieval"]),
            }
        )
    return pd.DataFrame(rows)
