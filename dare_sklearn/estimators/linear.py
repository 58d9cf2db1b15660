"""The linear mode: closed-form readings of frozen embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..base.embed import electrodes_of, embed_windows, features_of, fit_features
from ..base.pooling import AllBlocks, Reading
from ..signals.grid import Windows
from ..training.net import history_frame
from ..training.threads import compute_threads, n_threads_of


def fit_linear(
    estimator: Any,
    windows: Windows,
    targets: np.ndarray,
    weight: np.ndarray,
    groups: np.ndarray | None,
) -> None:
    """Fit ``linear_`` of a classifier or regressor, and what the reading learns before it."""
    config = estimator.encoder_.config
    Reading.of(estimator).check(config)
    estimator.electrodes_ = electrodes_of(windows.rows)
    with compute_threads(n_threads_of(config)):
        if estimator.pooling == "auto":
            rows = embed_windows(estimator, windows)
            n_patches = windows.shape[-1] // config.patch_size
            n_dims = config.embed_num * config.embed_dim
            shape = len(windows.rows), n_patches, n_dims
            estimator.blocks_ = AllBlocks(shape, config.embed_dim)
            model = estimator.linear_ = estimator._kernel_model(targets, weight)
            blocks = estimator.blocks_.fit_transform(rows)
            model.fit(blocks, targets, sample_weight=weight, groups=groups)
        else:
            features = fit_features(estimator, windows).astype(np.float64)
            # class weights shape the decision, not the scale of the features
            scaler = StandardScaler().fit(features, sample_weight=weight / weight.max())
            model = estimator._linear_model()
            weight = estimator._epoch_weights(targets, weight)
            model.fit(scaler.transform(features), targets, sample_weight=weight)
            estimator.linear_ = make_pipeline(scaler, model)
    estimator.n_iter_ = int(np.max(getattr(model, "n_iter_", None) or 1))
    estimator.history_ = history_frame([], {"train_loss": "loss"})


def linear_features(estimator: Any, windows: Windows) -> Any:
    """What ``linear_`` reads: features, or with ``pooling="auto"`` blocks of them."""
    if estimator.pooling == "auto":
        return estimator.blocks_.transform(embed_windows(estimator, windows))
    return features_of(estimator, windows).astype(np.float64)
