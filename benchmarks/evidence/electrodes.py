"""Lost electrodes: models fitted on all channels predict from what is left of them.

Embeddings leave the lost ones out. Classical features need all channels: there the lost ones are
interpolated from the others by spherical splines (mne), as is usual.
"""

from __future__ import annotations

import argparse

import mne
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV

from benchmarks.evidence.models import models_of, signals
from benchmarks.tasks import TASKS
from dare_sklearn.evaluation.folds import InnerFolds

SHARES = (0.0, 0.25, 0.5, 0.75)
N_DRAWS = 5
MANY = ("hands_feet", "stimulus", "person")  # tasks with a cap, not a headband


def interpolated(X: np.ndarray, layout: dict, lost: list[int]) -> np.ndarray:
    """Epochs whose lost channels are interpolated from the others (microvolts)."""
    names = layout["ch_names"]
    info = mne.create_info(names, layout["sfreq"], "eeg").set_montage("colin27_1005")
    epochs = mne.EpochsArray(X * 1e-6, info)
    epochs.info["bads"] = [names[i] for i in lost]
    return epochs.interpolate_bads().get_data(units="uV")


def run(args: argparse.Namespace) -> None:
    file = args.out / "missing_electrodes_folds.csv"
    done = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["task", "model", "fold"])
    for name in [name for name in args.tasks if name in MANY]:
        task = TASKS[name](args.data)
        X, layout = signals(task)
        models, grids = models_of(task, args.encoders, layout)
        scorer = get_scorer(task.scoring)
        for fold, (train, test) in enumerate(task.cv.split(X, task.y, task.groups)):
            groups = None if task.groups is None else task.groups[train]
            inner = list(InnerFolds().split(X[train], task.y[train], groups))
            fitted = {}
            for model in models:
                seen = (done["task"] == task.name) & (done["fold"] == fold)
                if (seen & (done["model"] == model)).any():
                    continue
                estimator = clone(models[model])
                if model in grids:
                    estimator = GridSearchCV(
                        estimator, grids[model], cv=inner, scoring=task.scoring
                    )
                fitted[model] = estimator.fit(X[train], task.y[train])
            rows = _score(fitted, scorer, X[test], task.y[test], layout, fold)
            new = pd.DataFrame(rows).assign(task=task.name, fold=fold, metric=task.scoring)
            done = pd.concat([done, new]) if len(done) else new
            done.to_csv(file, index=False)
    columns = ["task", "metric", "model", "share"]
    table = done.groupby(columns)["score"].agg(["mean", "std", "count"]).reset_index()
    table.to_csv(args.out / "missing_electrodes.csv", index=False)
    print(table.to_string(index=False, float_format="%.3f"), flush=True)


def _score(fitted, scorer, X, y, layout, fold) -> list[dict]:
    rows = []
    rng = np.random.default_rng(fold)  # the same electrodes are lost for every model
    names = layout["ch_names"]
    for share in SHARES:
        for draw in range(N_DRAWS if share else 1):
            lost = sorted(rng.choice(len(names), round(share * len(names)), replace=False))
            left = [i for i in range(len(names)) if i not in lost]
            filled = interpolated(X, layout, lost) if lost else X
            for model, estimator in fitted.items():
                if model.startswith("embeddings") and lost:
                    pipeline = getattr(estimator, "best_estimator_", estimator)
                    embedder = pipeline.named_steps["dareembedder"]
                    embedder.set_params(ch_names=[names[i] for i in left])
                    score = scorer(estimator, X[:, left], y)
                    embedder.set_params(ch_names=names)
                else:
                    score = scorer(estimator, filled, y)
                rows.append({"model": model, "share": share, "draw": draw, "score": score})
    return rows
