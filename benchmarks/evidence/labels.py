"""Label efficiency: the score against the number of labelled training trials."""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from benchmarks.evidence.models import models_of, signals
from benchmarks.tasks import TASKS
from dare_sklearn.evaluation import compare, summarize
from dare_sklearn.evaluation.folds import InnerFolds

N_TRIALS = (8, 16, 32, 64, None)


def fewer(y: np.ndarray, train: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """`n` of the training trials, as even over the classes as `n` and the trials allow."""
    turn = np.empty(len(train), dtype=int)  # place of each trial in its class, in random order
    for label in np.unique(y[train]):
        mine = np.flatnonzero(y[train] == label)
        turn[mine] = rng.permutation(len(mine))
    return np.sort(train[np.lexsort((rng.random(len(train)), turn))[:n]])


def run(args: argparse.Namespace) -> None:
    rows = []
    for name in args.tasks:
        task = TASKS[name](args.data)
        X, layout = signals(task)
        models, grids = models_of(task, args.encoders, layout)
        folds = list(task.cv.split(X, task.y, task.groups))
        n_classes = len(np.unique(task.y))
        for n in N_TRIALS:
            # 3 inner folds need 3 trials of every class
            if n is not None and (n < 3 * n_classes or n >= min(len(f[0]) for f in folds)):
                continue
            rng = np.random.default_rng(0)
            cut = folds if n is None else [(fewer(task.y, a, n, rng), b) for a, b in folds]
            table = compare(
                models,
                X,
                task.y,
                groups=task.groups,
                cv=cut,
                inner_cv=InnerFolds(),
                scoring=[task.scoring],
                param_grids=grids,
                n_jobs=args.jobs,
                random_state=0,
                dataset=task.name,
                cache_dir=args.out / "cells",
            )
            count = int(np.mean([len(train) for train, _ in cut]))
            # where far more trials are tested than trained on, the interval for folds that share
            # training data says nothing: the spread over folds stays
            summary = summarize(table, task.scoring)[["dataset", "pipeline", "mean", "std", "n"]]
            summary = summary.assign(n_trials=count, metric=task.scoring)
            rows.append(summary)
            print(summary.to_string(index=False, float_format="%.3f"), flush=True)
    pd.concat(rows).to_csv(args.out / "label_efficiency.csv", index=False)
