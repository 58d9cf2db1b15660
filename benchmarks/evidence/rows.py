"""The pipelines that are compared: readings of an encoder, and the field's own of a task's kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmarks.tasks import Task
from dare_sklearn import DAREClassifier
from dare_sklearn.evaluation import rival
from dare_sklearn.transformers.classical import BEST, classical_pipelines

READINGS = {
    "joint": {"views": "joint", "pooling": "flatten"},
    "electrodes": {"views": "electrodes", "pooling": "flatten"},
    "covariance": {"views": "electrodes", "pooling": "covariance"},
    "power": {"views": "electrodes", "pooling": "power"},
}
KINDS = ("default", "classical", "readings", "probe", "networks")
NETWORKS = ("EEGNet", "ShallowFBCSPNet")
GRID = {"C": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]}


def pipelines_of(
    task: Task, encoders: dict[str, str | None], kinds: tuple[str, ...] = KINDS
) -> tuple[dict[str, Any], dict[str, dict]]:
    """Pipelines by name, and the grids of those that are searched.

    "default" is what ``adaptation="linear"`` does when nothing else is said, "readings" are those
    that it weighs, alone, and "probe" is the conv-linear one, of every encoder. "networks" are
    trained from scratch.
    """
    rows, grids = {}, {}
    if "default" in kinds:
        rows |= {f"default, {name}": linear(encoder) for name, encoder in encoders.items()}
    if "classical" in kinds:
        known = classical_pipelines("all", frequencies=task.frequencies or None)
        rows |= {name: known[name] for name in BEST[task.kind]}
    for name, encoder in encoders.items():
        if "readings" in kinds:
            alone = {f"{what}, {name}": linear(encoder, **how) for what, how in READINGS.items()}
            rows |= alone
            grids |= dict.fromkeys(alone, GRID)
        if "probe" in kinds:
            rows[f"conv-linear, {name}"] = classifier(encoder)
    if "networks" in kinds:
        rows |= {f"{name}, from scratch": rival(name, random_state=0) for name in NETWORKS}
    return rows, grids


def classifier(encoder: Any, **params: Any) -> DAREClassifier:
    """A classifier on an encoder; "seed1": on an untrained one of that seed."""
    seed = 0
    if isinstance(encoder, str) and encoder.startswith("seed"):
        encoder, seed = None, int(encoder.removeprefix("seed"))
    return DAREClassifier(encoder, random_state=seed, **params)


def linear(encoder: Any, **reading: str) -> DAREClassifier:
    """The default reading as the evidence measures it, or a single one."""
    return classifier(encoder, adaptation="linear", cache="memory", cache_mb=2000, **reading)


def metric_of(task: Task) -> dict[str, Any]:
    """The task's metric by the name of its column."""
    return {"roc_auc_of_people": _of_people} if task.per_person else {task.scoring: task.scoring}


def _of_people(estimator: Any, X: Any, y: np.ndarray) -> float:
    """ROC AUC of one score per person."""
    said = estimator.predict_proba(X)[:, 1]
    people = pd.DataFrame({"score": said, "y": y}).groupby(X.metadata["subject"].to_numpy()).mean()
    return float(roc_auc_score(people["y"], people["score"]))
