"""Transfer: every task, every encoder frozen and probed, next to the field's own features."""

from __future__ import annotations

import argparse

import pandas as pd

from benchmarks.evidence.models import models_of, signals
from benchmarks.tasks import TASKS
from dare_sklearn.evaluation import compare, summarize
from dare_sklearn.evaluation.folds import InnerFolds

KEPT = ["dataset", "pipeline", "mean", "low", "high", "std", "n", "unit"]


def gains(table: pd.DataFrame, metric: str, encoders: dict[str, str | None]) -> pd.DataFrame:
    """What pretraining adds: the first encoder minus the untrained one, on the same folds."""
    first = next(iter(encoders))
    rows = []
    for untrained in (name for name, source in encoders.items() if source is None):
        for kind in ("embeddings", "probe"):
            pair = [table[table["pipeline"] == f"{kind}, {name}"] for name in (first, untrained)]
            if pair[0].empty or pair[1].empty:
                continue
            a, b = (part.sort_values("fold").reset_index(drop=True) for part in pair)
            rows.append(a.assign(**{metric: a[metric] - b[metric]}))
    if not rows:
        return pd.DataFrame()
    kept = ["dataset", "pipeline", "mean", "low", "high", "n", "unit"]
    return summarize(pd.concat(rows), metric)[kept].assign(metric=metric)


def run(args: argparse.Namespace) -> None:
    tables, summaries, differences = [], [], []
    for name in args.tasks:
        task = TASKS[name](args.data)
        X, layout = signals(task)
        models, grids = models_of(task, args.encoders, layout, probes=args.probes)
        table = compare(
            models,
            X,
            task.y,
            groups=task.groups,
            cv=task.cv,
            inner_cv=InnerFolds(),
            scoring=[task.scoring],
            param_grids=grids,
            n_jobs=args.jobs,
            random_state=0,
            dataset=task.name,
            cache_dir=args.out / "cells",
        )
        summary = summarize(table, task.scoring)[KEPT].assign(metric=task.scoring)
        gain = gains(table, task.scoring, args.encoders)
        if task.corpus == "muse":  # whose groups are recordings of one person
            for some in (summary, gain):
                some["unit"] = some["unit"].replace("subject", "recording")
        differences.append(gain)
        tables.append(table.rename(columns={task.scoring: "score"}).assign(metric=task.scoring))
        summaries.append(summary)
        print(summary.to_string(index=False, float_format="%.3f"), flush=True)
    pd.concat(tables).to_csv(args.out / "transfer_folds.csv", index=False)
    pd.concat(summaries).to_csv(args.out / "transfer.csv", index=False)
    pd.concat(differences).to_csv(args.out / "transfer_gain.csv", index=False)
