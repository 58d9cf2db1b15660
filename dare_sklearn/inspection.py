"""What encoders and fitted estimators attend to, and what they do not mind."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import is_regressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import check_scoring
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, validate_params
from torch.nn import functional as F

from .base.embed import SHARED_CONSTRAINTS
from .base.encoder import resolve_encoder
from .estimators.base import ProbeEstimator
from .signals.electrodes import ELECTRODES, electrode_name
from .signals.errors import SignalError, about
from .signals.grid import Windows
from .signals.objects import eeg_picks, is_epochs, replace_data
from .signals.readers import read_signals
from .training.device import compute_threads, n_threads_to_embed, run_in_batches
from .transformers import DAREEmbedder
from .transformers.aligner import GroupAligner

__all__ = ["channel_importance", "gradient_relevance", "mask_invariance"]

STEP = 0.01  # of the gain of a channel, where gradients are taken by differences


def _from(low: int, high: int | None = None) -> list:
    return [Interval(Integral, low, high, closed="left" if high is None else "both")]


@validate_params(
    {"n_repeats": _from(1), "scoring": [str, callable, None]}, prefer_skip_nested_validation=False
)
def channel_importance(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    scoring: str | Callable | None = None,
    n_repeats: int = 5,
    random_state: Any = None,
) -> Bunch:
    """How much the score falls when one channel is shuffled across epochs.

    Permutation importance [1]_ of signals, which leaves the amplitude and spectrum of a channel as
    they are. Score epochs that ``fit`` has not seen.

    Parameters
    ----------
    estimator : fitted estimator or pipeline
    X : ndarray, shape (n_epochs, n_chans, n_times), or mne.Epochs
        Of mne.Epochs with good EEG channels, only these are shuffled.
    y : array-like, shape (n_epochs,)
    scoring : str, callable or None, default=None
        As in scikit-learn; None takes the estimator's ``score``.
    n_repeats : int, default=5
        Shufflings of each channel.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    Bunch
        ``importances`` (n_chans, n_repeats), ``importances_mean``, ``importances_std``, the
        ``baseline`` score, and ``ch_names`` (None for an array).

    Raises
    ------
    TypeError, ValueError
        If `X` is neither or has a single epoch, or a parameter is wrong.

    References
    ----------
    .. [1] Breiman (2001). Random forests. Machine Learning 45(1).

    Examples
    --------
    >>> from dare_sklearn import DAREClassifier, simulate_epochs
    >>> from dare_sklearn.inspection import channel_importance
    >>> epochs = simulate_epochs("motor", n_subjects=1, n_epochs=20, random_state=0)
    >>> y = epochs.metadata["label"].to_numpy()
    >>> clf = DAREClassifier(None, random_state=0).fit(epochs[::2], y[::2])
    >>> result = channel_importance(clf, epochs[1::2], y[1::2], n_repeats=1, random_state=0)
    >>> result.importances.shape == (len(result.ch_names), 1)
    True
    """
    data, put_back, channels, names = _take_data(X, "channel_importance")
    if len(data) < 2:
        raise ValueError("channel_importance shuffles epochs, so it needs two or more.")
    scorer = check_scoring(estimator, scoring=scoring)
    # a column per channel, of the numbers of the epochs that its signals are taken from
    sources = np.tile(np.arange(len(data))[:, None], len(channels))

    def score(estimator: Any, sources: np.ndarray, y: Any) -> float:
        changed = data.copy()
        changed[:, channels] = data[sources, channels]
        return scorer(estimator, put_back(changed), y)

    found = permutation_importance(
        estimator, sources, y, scoring=score, n_repeats=n_repeats, random_state=random_state
    )
    baseline = scorer(estimator, X, y)
    return Bunch(**found, baseline=baseline, ch_names=names, label="fall of the score")


def gradient_relevance(estimator: Any, X: Any, *, target: Any = None) -> Bunch:
    """How the decision on each epoch depends on the gain of each channel.

    The relevance of a channel is gradient times input, summed over time [1]_: the derivative of the
    decision by the channel's gain. A relevance of 0.5 means that 1 % more amplitude raises the
    decision by 0.005. Torch differentiates probes with a network (``adaptation="conv-linear"`` and
    "finetune"). For all other estimators and pipelines it is the central difference of decisions on
    signals whose channel is 1 % stronger and weaker: two predictions of `X` for each channel.

    It says what this model reads, not where the brain signal comes from, and only locally: a
    saturated model has none. Compare with `channel_importance`, which asks about the score.

    Parameters
    ----------
    estimator : fitted estimator or pipeline
        With ``decision_function``, or a regressor.
    X : ndarray, shape (n_epochs, n_chans, n_times), or mne.Epochs
    target : label or None, default=None
        The class whose score is explained. None: of two classes the second, of more the one with
        the highest score in each epoch. Not used for regressors.

    Returns
    -------
    Bunch
        ``relevance`` (n_epochs, n_chans), of the good EEG channels of mne.Epochs that have any, in
        units of ``decision_function`` (of a regressor: ``predict``); ``importances`` (n_chans,),
        the mean of its absolute values; ``ch_names``, of a probe those that it reads, None where
        they are unknown.

    Raises
    ------
    TypeError, ValueError
        If `X` is neither, the estimator has no decision, or `target` is not one of its classes.

    References
    ----------
    .. [1] Shrikumar, Greenside, Shcherbina, Kundaje (2016). Not just a black box: learning
       important features through propagating activation differences. arXiv:1605.01713.

    Examples
    --------
    >>> from dare_sklearn import DAREClassifier, simulate_epochs
    >>> from dare_sklearn.inspection import gradient_relevance
    >>> epochs = simulate_epochs("motor", n_subjects=1, n_epochs=20, random_state=0)
    >>> y = epochs.metadata["label"].to_numpy()
    >>> clf = DAREClassifier(None, random_state=0).fit(epochs[::2], y[::2])
    >>> result = gradient_relevance(clf, epochs[1::2])
    >>> result.relevance.shape == (10, len(result.ch_names))
    True
    """
    data, put_back, channels, ch_names = _take_data(X, "gradient_relevance")
    estimator = _with_fixed_aligners(estimator, X)
    read = getattr(estimator, "predict" if is_regressor(estimator) else "decision_function", None)
    if read is None:
        raise TypeError(
            "gradient_relevance explains the decision_function of a classifier, or what a "
            f"regressor predicts: {type(estimator).__name__} has neither."
        )
    if isinstance(estimator, ProbeEstimator) and hasattr(estimator, "module_"):
        relevance, ch_names = _by_torch(estimator, X, target)
    else:
        chosen = _chosen(estimator, read(X), target)
        relevance = np.empty((len(data), len(channels)))
        for column, channel in enumerate(channels):
            ends = []
            for gain in (1 - STEP, 1 + STEP):
                changed = data.astype(np.result_type(data, np.float32))
                changed[:, channel] *= gain
                ends.append(_explained(read(put_back(changed)), chosen))
            relevance[:, column] = (ends[1] - ends[0]) / (2 * STEP)
    importances, label = np.abs(relevance).mean(axis=0), "change of the decision"
    return Bunch(relevance=relevance, importances=importances, ch_names=ch_names, label=label)


def _take_data(
    X: Any, asking: str
) -> tuple[np.ndarray, Callable[[np.ndarray], Any], np.ndarray, list[str] | None]:
    """Numbers of `X`, what makes such an object of others, and channels that models may read."""
    if is_epochs(X):
        try:
            picks, _ = eeg_picks(X.info)
        except SignalError:  # models of other signals
            picks = np.arange(len(X.ch_names))
        names = [X.ch_names[i] for i in picks]
        return X.get_data(copy=True), partial(replace_data, X), picks, names
    if isinstance(X, np.ndarray) and X.ndim == 3:
        return X, lambda data: data, np.arange(X.shape[1]), None
    shape = f" of shape {X.shape}" if hasattr(X, "shape") else ""
    raise TypeError(
        f"{asking} takes mne.Epochs or an array (n_epochs, n_chans, n_times), got a "
        f"{type(X).__name__}{shape}."
    )


def _with_fixed_aligners(estimator: Any, X: Any) -> Any:
    """A pipeline whose aligners align as they do in `X`, and undo no change that is made to it."""
    if isinstance(estimator, GroupAligner):
        return estimator._fixed_to(X)
    if not _has_aligner(estimator):
        return estimator
    fixed, steps = copy.copy(estimator), list(estimator.steps)
    for i, (name, step) in enumerate(estimator.steps):
        steps[i] = name, _with_fixed_aligners(step, X)
        if not any(_has_aligner(later) for _, later in estimator.steps[i + 1 :]):
            break
        X = X if step in (None, "passthrough") else step.transform(X)
    fixed.steps = steps
    return fixed


def _has_aligner(step: Any) -> bool:
    inside = [part for _, part in step.steps] if isinstance(step, Pipeline) else []
    return isinstance(step, GroupAligner) or any(map(_has_aligner, inside))


def _chosen(estimator: Any, scores: np.ndarray, target: Any) -> np.ndarray:
    """What is explained of the scores of each epoch: a column of several, the sign of a single."""
    if target is None or is_regressor(estimator):
        return np.ones(len(scores)) if scores.ndim == 1 else scores.argmax(axis=1)
    classes = estimator.classes_.tolist()
    if target not in classes:
        raise ValueError(f"target={target!r} is not one of the classes {classes}.")
    column = classes.index(target)
    return np.full(len(scores), 2 * column - 1 if scores.ndim == 1 else column)


def _explained(scores: Any, chosen: np.ndarray) -> Any:
    """The chosen part ``(n_epochs,)`` of scores, NumPy's or torch's."""
    return scores * chosen if scores.ndim == 1 else scores[np.arange(len(chosen)), chosen]


def _by_torch(estimator: Any, X: Any, target: Any) -> tuple[np.ndarray, list[str] | None]:
    """Gradient times input of a probe's network, and the names of its channels as X has them."""
    with estimator._asking():
        windows = estimator._load(X)
    network = estimator._network(windows)

    def relevance(start: int, stop: int) -> np.ndarray:
        x = torch.from_numpy(windows[start:stop]).requires_grad_()
        scores = network(x)
        if is_regressor(estimator):
            scores = scores[:, 0] * estimator.y_scale_
        elif scores.shape[1] == 2:  # as in decision_function
            scores = scores[:, 1] - scores[:, 0]
        chosen = _chosen(estimator, scores.detach().numpy(), target)
        explained = _explained(scores, torch.from_numpy(chosen))
        (gradient,) = torch.autograd.grad(explained.sum(), x)
        return (x.detach() * gradient).sum(dim=-1).double().numpy()

    found = run_in_batches(relevance, len(windows), estimator.batch_size)
    names, given = windows.signals.ch_names, getattr(X, "ch_names", ())
    spelled = {electrode_name(name): name for name in given}
    names = None if names is None else [spelled.get(name, name) for name in names]
    return np.concatenate(found), names


@validate_params(
    {
        "n_chans": _from(1, 62),
        "n_trials": _from(2),
        "n_draws": _from(1),
        "unknown_channels": SHARED_CONSTRAINTS["unknown_channels"],
    },
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

    A view is a random choice of channels with all patches visible; its embedding is the mean of the
    summary tokens over patches. Positive pairs are two views of one trial, negative ones of two.
    Retrieval, which DARE's mask alignment trains [1]_, is the share of trials whose nearest second
    view (cosine) in the draw is their own; chance is 1 / `n_trials`.

    Parameters
    ----------
    encoder : str, path, DAREPretrainer, DAREEmbedder or None
        As in `DAREEmbedder`, or one of these, which gives its own encoder.
    X : array, mne.Epochs or braindecode data set, shape (n_epochs, n_chans, n_times)
        Signals, in any of the library's input types.
    overlaps : sequence of float, default=(0.0, 0.2, 0.4, 0.6, 0.8)
        Overlaps of the two views: channels in common over channels in either.
    n_chans, n_trials : int, default=12 and 256
        Channels of a view, and trials of a draw (all where `X` has fewer).
    n_draws : int, default=20
        Draws of trials and channels per overlap, the same for every encoder.
    ch_names, sfreq, unit
        Of arrays, as in `DAREEmbedder`.
    unknown_channels : {"drop", "interpolate", "error"}, default="drop"
        How to handle channels that the encoder does not know. Interpolated ones mix others, so that
        views without common channels are not independent.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    pandas.DataFrame
        One row per overlap and draw: ``overlap, draw, n_shared`` (channels in common),
        ``positive_cosine, negative_cosine`` (means), ``retrieval, first_view, second_view`` (names
        of channels, separated by spaces).

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
        data, index = windows[:], windows.rows
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
    seeds = check_random_state(random_state).randint(2**31 - 1, size=n_draws)
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
    similar = ["positive_cosine", "negative_cosine", "retrieval"]
    columns = ["overlap", "draw", "n_shared", *similar, "first_view", "second_view"]
    return pd.DataFrame(rows, columns=columns)


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
