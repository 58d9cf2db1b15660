"""Transfer: every task, every encoder frozen and probed, next to the field's own features."""

from __future__ import annotations

import argparse

import pandas as pd

from benchmarks.evidence.models import models_of, signals
from benchmarks.tasks import TASKS
from dare_sklearn.evaluation import compare, summarize

FEW = 200
KEPT = ["dataset", "pipeline", "mean", "low", "high", "std", "n", "unit"]


def run(args: argparse.Namespace) -> None:
    tables, summaries = [], []
    for name in args.tasks:
        task = TASKS[name](args.data)
        X, layout = signals(task)
        epochs = 100 if len(task.y) < FEW else args.probe_epochs  # a pass over few is few steps
        models, grids = models_of(
            task, args.encoders, layout, probes=args.probes, max_epochs=epochs
        )
        table = compare(
            models,
            X,
            task.y,
            groups=task.groups,
            cv=task.cv,
            scoring=[task.scoring],
            param_grids=grids,
            n_jobs=args.jobs,
            random_state=0,
            dataset=task.name,
            cache_dir=args.out / "cells",
        )
        summary = summarize(table, task.scoring)[KEPT].assign(metric=task.scoring)
        if task.corpus == "muse":  # whose groups are recordings of one person
            summary["unit"] = summary["unit"].replace("subject", "recording")
        tables.append(table.rename(columns={task.scoring: "score"}).assign(metric=task.scoring))
        summaries.append(summary)
        print(summary.to_string(index=False, float_format="%.3f"), flush=True)
    pd.concat(tables).to_csv(args.out / "transfer_folds.csv", index=False)
    pd.concat(summaries).to_csv(args.out / "transfer.csv", index=False)
