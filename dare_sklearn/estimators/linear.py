"""The linear mode: closed-form readings of frozen embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..base.embed import electrodes_of, embed_signals, features_of, fit_features
from ..base.pooling import AllBlocks, Reading
from ..signals.container import Signals
from ..signals.resampling import resampled_length
from ..training.net import history_frame
from ..training.threads import compute_threads, n_threads_of


def fit_linear(
    estimator: Any,
    signals: Signals,
    targets: np.ndarray,
    weight: np.ndarray,
    groups: np.ndarray | None,
) -> None:
    """Fit ``linear_`` of a classifier or regressor, and what the reading learns before it."""
    estimator._forget("net_", "module_", "blocks_", "space_")
    Reading.of(estimator).check(estimator.encoder_.config)
    estimator.electrodes_ = electrodes_of(estimator, signals)
    with compute_threads(n_threads_of(estimator.encoder_.config)):
        if estimator.pooling == "auto":
            rows = embed_signals(estimator, signals)
            estimator.blocks_ = _all_blocks(estimator)
            model = estimator.linear_ = estimator._kernel_model(targets, weight)
            blocks = estimator.blocks_.fit_transform(rows)
            model.fit(blocks, targets, sample_weight=weight, groups=groups)
        else:
            features = fit_features(estimator, signals).astype(np.float64)
            # class weights shape the decision, not the scale of the features
            scaler = StandardScaler().fit(features, sample_weight=weight / weight.max())
            model = estimator._linear_model()
            weight = estimator._epoch_weights(targets, weight)
            model.fit(scaler.transform(features), targets, sample_weight=weight)
            estimator.linear_ = make_pipeline(scaler, model)
    estimator.n_iter_ = int(np.max(getattr(model, "n_iter_", None) or 1))
    estimator.history_ = history_frame([], {"train_loss": "loss"})


def linear_features(estimator: Any, signals: Signals) -> Any:
    """What ``linear_`` reads: features, or with ``pooling="auto"`` blocks of them."""
    if estimator.pooling == "auto":
        return estimator.blocks_.transform(embed_signals(estimator, signals))
    return features_of(estimator, signals).astype(np.float64)


def _all_blocks(estimator: Any) -> AllBlocks:
    config = estimator.encoder_.config
    n_times = resampled_length(estimator.n_times_in_, estimator.sfreq_in_, config.sfreq)
    n_dims = config.embed_num * config.embed_dim
    return AllBlocks((len(estimator.electrodes_), n_times // config.patch_size, n_dims))
