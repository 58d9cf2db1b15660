"""The models that are compared: encoders frozen and probed, next to the field's own features."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.tasks import Task
from dare_sklearn import DAREClassifier, DAREEmbedder
from dare_sklearn.transformers.classical import BEST, DownsampledSignals, classical_pipelines

C_GRID = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]


def signals(task: Task) -> tuple[np.ndarray, dict[str, Any]]:
    """Microvolts ``(n_epochs, n_chans, n_times)``, and the layout that estimators are told."""
    info = task.epochs.info
    layout = {"ch_names": list(info["ch_names"]), "sfreq": info["sfreq"], "unit": "uV"}
    return task.epochs.get_data(units="uV"), layout


def logistic_regression():
    return StandardScaler(), LogisticRegression(max_iter=5_000)


def embeddings(encoder: str | None, layout: dict) -> tuple[Any, dict]:
    """Frozen embeddings + logistic regression, and the grid of its inner search."""
    model = make_pipeline(
        DAREEmbedder(encoder, cache="memory", random_state=0, **layout), *logistic_regression()
    )
    grid = {"dareembedder__pooling": ["flatten", "mean_std"], "logisticregression__C": C_GRID}
    return model, grid


def samples(layout: dict) -> tuple[Any, dict]:
    """Downsampled samples + the same logistic regression: the plain baseline."""
    model = make_pipeline(DownsampledSignals(**layout), *logistic_regression())
    return model, {"logisticregression__C": C_GRID}


def probe(encoder: str | None, layout: dict) -> DAREClassifier:
    """The conv-linear probe."""
    return DAREClassifier(encoder, random_state=0, **layout)


def models_of(
    task: Task,
    encoders: dict[str, str | None],
    layout: dict,
    *,
    probes: Collection[str] = (),
) -> tuple[dict[str, Any], dict[str, dict]]:
    """All models of a task by name, and the grids of those that have one.

    Every encoder is embedded with; those named in `probes` get a conv-linear probe too.
    """
    models, grids = {}, {}
    for name, encoder in encoders.items():
        models[f"embeddings, {name}"], grids[f"embeddings, {name}"] = embeddings(encoder, layout)
        if name in probes:
            models[f"probe, {name}"] = probe(encoder, layout)
    models["samples + LR"], grids["samples + LR"] = samples(layout)
    classical = classical_pipelines("all", frequencies=task.frequencies or None, **layout)
    models |= {name: classical[name] for name in BEST[task.kind]}
    return models, grids
