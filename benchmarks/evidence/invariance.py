"""Mask invariance of every encoder on real trials that none of them saw."""

from __future__ import annotations

import argparse

import pandas as pd

from benchmarks.tasks import TASKS
from dare_sklearn.inspection import mask_invariance


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
