"""How alike an encoder sees two views of a sample that share few channels, or none."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params
from torch.nn import functional as F

from ..base.encoder import resolve_encoder
from ..signals.electrodes import ELECTRODES
from ..signals.errors import about
from ..signals.grid import Windows
from ..signals.readers import read_signals
from ..training.device import compute_threads, n_threads_to_embed
from ..transformers import DAREEmbedder


def _from(low: int, high: int | None = None) -> list:
    return [Interval(Integral, low, high, closed="left" if high is None else "both")]


@validate_params(
    {"n_chans": _from(1, 62), "n_trials": _from(2), "n_draws": _from(1)},
    prefer_skip_nested_validation=False,
)
def mask_invariance(
    encoder: Any,
    X: Any,
    *,
    overlaps: Sequence[float] = (0.0, 0.2, 0.4, 0.6, 0.8),
    n_chans: int = 12,
    n_trials: int = 256,
    n_draws: int = 20,
    ch_names: Sequence[str] | None = None,
    sfreq: float | None = None,
    unit: str = "auto",
    unknown_channels: str = "drop",
    random_state: Any = None,
) -> pd.DataFrame:
    """Measure mask invariance: do two views of a trial look alike, and unlike other trials?

    A view is a random choice of channels with all patches visible; its embedding is the mean of
    the summary tokens over patches. Positive pairs are two views of one trial, negative pairs
    those of two trials. Retrieval@1 is the share of trials whose nearest second view (cosine) in
    the draw is their own (chance is 1 / `n_trials`), which DARE's mask alignment trains [1]_.

    Parameters
    ----------
    encoder : str, path, DAREPretrainer, DAREEmbedder or None
        As in `DAREEmbedder`, or one of these, which gives its own encoder.
    X : array, mne.Epochs or braindecode data set, shape (n_epochs, n_chans, n_times)
        Signals, in any of the library's input types.
    overlaps : sequence of float, default=(0.0, 0.2, 0.4, 0.6, 0.8)
        Overlaps of the two views: channels in common over channels in either.
    n_chans : int, default=12
        Channels of a view.
    n_trials : int, default=256
        Trials of a draw; all where `X` has fewer.
    n_draws : int, default=20
        Draws of trials and channels per overlap, the same for every encoder.
    ch_names, sfreq, unit
        Of arrays, as in `DAREEmbedder`.
    unknown_channels : {"drop", "interpolate"}, default="drop"
        Channels that are not among the encoder's 62 electrodes. Interpolated ones are mixtures of
        others, so that views without common channels are not independent.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    pandas.DataFrame
        One row per overlap and draw: ``overlap`` (as asked for), ``draw, n_shared`` (channels in
        common), ``positive_cosine, negative_cosine`` (means), ``retrieval``, ``first_view`` and
        ``second_view`` (names of their channels, separated by spaces).

    Raises
    ------
    ValueError
        If `X` has too few channels for two views, or a parameter is out of range.

    References
    ----------
    .. [1] Shao, Gong, Dai, Zhang (2026). DARE-EEG. arXiv:2605.18298.

    Examples
    --------
    >>> from dare_sklearn import simulate_epochs
    >>> from dare_sklearn.inspection import mask_invariance
    >>> epochs = simulate_epochs("motor", n_subjects=1, n_epochs=8, random_state=0)
    >>> table = mask_invariance(None, epochs, overlaps=[0.0], n_draws=2, random_state=0)
    >>> table["n_shared"].tolist()
    [0, 0]
    """
    overlaps = np.atleast_1d(overlaps).tolist()
    if not all(isinstance(o, Real) and 0 <= o <= 1 for o in overlaps):
        raise ValueError(f"overlaps must be numbers from 0 to 1, got {overlaps}.")
    if isinstance(encoder, DAREEmbedder):
        encoder = getattr(encoder, "encoder_", encoder.encoder)
    layout = {"ch_names": ch_names, "sfreq": sfreq, "unit": unit}
    if not isinstance(encoder, torch.nn.Module):
        embedder = DAREEmbedder(encoder, random_state=random_state, **layout)
        embedder._validate_params()
        encoder = resolve_encoder(embedder, X)
    with about("mask_invariance"):
        windows = Windows(read_signals(X, **layout), encoder.config, unknown=unknown_channels)
        data, index = windows.load(), windows.rows
    fewest = min(_n_shared(overlap, n_chans) for overlap in overlaps)
    if 2 * n_chans - fewest > len(index):
        raise ValueError(
            f"Two views of {n_chans} channels with {fewest} in common need "
            f"{2 * n_chans - fewest} channels, and the encoder knows {len(index)} of X: lower "
            "n_chans or raise overlaps."
        )
    n_trials = min(n_trials, len(data))
    if n_trials < 2:
        raise ValueError("Trials are compared, and X holds one: pass more epochs.")
    rng = check_random_state(random_state)
    seeds = rng.randint(2**31 - 1, size=n_draws)
    rows = []
    for overlap in overlaps:
        shared = _n_shared(overlap, n_chans)
        for draw, seed in enumerate(seeds):
            chosen = np.random.default_rng(seed)
            trials = np.sort(chosen.choice(len(data), n_trials, replace=False))
            order = chosen.permutation(len(index))
            views = order[:n_chans], order[n_chans - shared : 2 * n_chans - shared]
            first, second = (_embed(encoder, data[trials], index, view) for view in views)
            cosine = first @ second.T
            own = torch.eye(n_trials, dtype=torch.bool)
            retrieval = (cosine.argmax(1) == torch.arange(n_trials)).float().mean().item()
            means = cosine[own].mean().item(), cosine[~own].mean().item()
            names = (" ".join(ELECTRODES[index[i]] for i in view) for view in views)
            rows.append((overlap, draw, shared, *means, retrieval, *names))
    columns = (
        "overlap draw n_shared positive_cosine negative_cosine retrieval first_view second_view"
    )
    return pd.DataFrame(rows, columns=columns.split())


def _n_shared(overlap: float, n_chans: int) -> int:
    """Channels in common of two sets of `n_chans` with that intersection over union."""
    return round(2 * overlap / (1 + overlap) * n_chans)


@torch.inference_mode()
def _embed(encoder, data: np.ndarray, index: np.ndarray, view: np.ndarray) -> torch.Tensor:
    """Unit vectors ``(n_trials, n_features)``."""
    x = encoder.normalize(torch.from_numpy(data))[:, view]  # as masks do: the reference first
    with compute_threads(n_threads_to_embed()):
        tokens = encoder(x, torch.from_numpy(index[view]))
    return F.normalize(tokens.mean(dim=1).flatten(1), dim=1)
