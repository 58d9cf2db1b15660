"""EuclideanAligner: per-group whitening of raw signals."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, Options
from sklearn.utils.validation import check_is_fitted

from ..base.columns import read_groups
from ..base.input import SignalInputMixin
from ..base.state import whole_or_not_at_all
from ..signals.electrodes import canonical_names
from ..signals.lazy import LazyEpochs
from ..signals.rebuild import replace_data
from ..signals.sources import Defaults, find_sources, settle
from ..signals.validation import check_values, summarize

# Directions with less than this share of the strongest one's power are noise of rounding: an
# average reference or an interpolated channel leaves such a direction empty.
EMPTY = 1e-9
# Microvolts and volts are a million times apart; people and amplifiers never are.
UNITS_APART = 1e4
TINY = 1e-30


class EuclideanAligner(SignalInputMixin, TransformerMixin, BaseEstimator):
    """Align subjects or sessions by whitening their signals (Euclidean alignment).

    The signals of each group are multiplied by the inverse square root of the group's mean
    covariance (that of an epoch: offsets left out, n_times - 1 in the denominator), so that the
    mean covariance of every group becomes the identity [1]_. No label is used.

    Parameters
    ----------
    amplitude : float, default=1.0
        Standard deviation of the aligned signals: in microvolts for MNE objects (which come out
        in volts, as they went in), in the unit that the values shall have for arrays. 1 gives the
        identity of the paper. In front of a DARE estimator take 10, the size of EEG that its
        encoders were pretrained on.
    group_by : str, False or None, default=None
        Column of the metadata of ``mne.Epochs`` that tells the group of an epoch, such as
        "subject". It needs no routing, so it is the simplest way through cross-validation. False
        says that all epochs are one group; None takes them so where `groups` are not passed, with
        a warning.

    Attributes
    ----------
    groups_ : ndarray, shape (n_groups,), or None
        Groups of the ``fit``; None where it was given none, and all epochs were one group.
    whiteners_ : ndarray, shape (n_groups, n_chans, n_chans)
        Inverse square roots of their mean covariances, in the unit of the values.
    ch_names_in_ : list of str or None
    n_chans_in_, n_features_in_ : int

    Raises
    ------
    ValueError
        If signals hold NaN or a channel without signal, groups do not fit the epochs, or the
        channels are not those of ``fit``.

    Notes
    -----
    A group that ``fit`` saw is aligned with what was learned there. **A group that it did not see
    is aligned with its own data, all epochs of that call at once.** That uses no labels, but it
    uses the test recording as a whole (a transductive setting): a fair comparison gives the same
    to its rivals, and an online system has to collect some trials of a new user first, then
    ``fit`` on them, since a single epoch cannot be aligned with itself.

    Without `groups` and `group_by`, ``transform`` takes all epochs as one group: the one of
    ``fit`` where that was given none either, else a new one (right for one left-out subject), and
    warns.

    Directions without signal (one after an average reference) stay empty.

    In a pipeline, `groups` come by scikit-learn's metadata routing
    (``sklearn.set_config(enable_metadata_routing=True)``); they are requested by default.

    References
    ----------
    .. [1] He, Wu (2020). Transfer learning for brain-computer interfaces: a Euclidean space data
       alignment approach. IEEE Transactions on Biomedical Engineering 67(2).

    Examples
    --------
    >>> import numpy as np
    >>> from dare_sklearn import EuclideanAligner
    >>> X = np.random.default_rng(0).normal(size=(20, 3, 100))
    >>> aligned = EuclideanAligner().fit_transform(X, groups=np.repeat(["a", "b"], 10))
    >>> mean_covariance = np.mean([np.cov(epoch) for epoch in aligned[:10]], axis=0)
    >>> np.allclose(mean_covariance, np.eye(3))
    True
    """

    _fitted_attribute = "whiteners_"

    __metadata_request__fit = {"groups": True}
    __metadata_request__transform = {"groups": True}

    _parameter_constraints: dict = {
        "amplitude": [Interval(Real, 0, None, closed="neither")],
        "group_by": [str, Options(bool, {False}), None],
    }

    def __init__(self, amplitude: float = 1.0, *, group_by: str | bool | None = None) -> None:
        self.amplitude = amplitude
        self.group_by = group_by

    @whole_or_not_at_all
    def fit(self, X: Any, y: Any = None, groups: Any = None) -> EuclideanAligner:
        """Learn the whitening of each group.

        Parameters
        ----------
        X : array, mne.Epochs, list of them, or braindecode data set
        y : ignored
        groups : array-like, shape (n_epochs,), or None
            Subject or session of each epoch.

        Returns
        -------
        EuclideanAligner
            Itself.
        """
        self._validate_params()
        X = settle(X)
        data, names, volts, typical = self._signals(X)
        self._learn(X, data, names, volts, typical, groups)
        return self

    def transform(self, X: Any, groups: Any = None) -> Any:
        """Align epochs.

        Parameters
        ----------
        X : array, mne.Epochs, list of them, or braindecode data set
            The channels of ``fit``.
        groups : array-like, shape (n_epochs,), or None

        Returns
        -------
        array, mne.Epochs or list of mne.Epochs
            Of the shape and kind of `X`; an array for everything that is no MNE object. Channels
            of MNE objects that are no EEG, or marked bad, stay as they are.
        """
        check_is_fitted(self, "whiteners_")
        self._check_table(X, reset=False)
        X = settle(X)
        data, names, volts, typical = self._signals(X)
        self._check_scale(typical, volts)
        data = self._in_fitted_order(data, names)
        groups = self._groups(X, data, groups)
        if groups is None and self.groups_ is not None:
            self._warn_no_groups(len(data))
        return self._align(X, data, volts, groups)

    @whole_or_not_at_all
    def fit_transform(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        """`fit` and `transform` with the same groups."""
        self._validate_params()
        X = settle(X)
        data, names, volts, typical = self._signals(X)
        groups = self._learn(X, data, names, volts, typical, groups)
        return self._align(X, data, volts, groups)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _signals(self, X: Any) -> tuple[np.ndarray, tuple[str, ...] | None, bool, float]:
        """Values in their own unit, channel names, whether they are volts, and their spread."""
        owner = type(self).__name__
        # any rate does: alignment never asks for it
        sources = list(find_sources(X, Defaults(None, 1.0, None), owner, continuous=False))
        first = sources[0]
        if len({tuple(s.ch_names or ()) for s in sources}) > 1:
            raise ValueError(
                f"{owner} got epochs that differ in channels: bring them to one montage first."
            )
        if len({s.values.shape[2] for s in sources}) > 1:
            raise ValueError(f"{owner} got epochs that differ in length: cut them alike first.")
        names = None if first.ch_names is None else canonical_names(first.ch_names)
        blocks = [
            s.values.read(np.arange(len(s.values)))
            if isinstance(s.values, LazyEpochs)
            else s.values
            for s in sources
        ]
        data = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        summary = summarize(data, owner)
        check_values(summary, names, owner, fitted=hasattr(self, "whiteners_"))
        return data, names, first.volts, summary.typical

    def _check_scale(self, typical: float, volts: bool) -> None:
        """Refuse values that are in another unit than those of the fit."""
        owner = type(self).__name__
        if volts != self._volts:
            fitted = "MNE objects" if self._volts else "arrays"
            raise ValueError(
                f"{owner} was fitted on {fitted}, and X is of another kind, whose unit may be "
                "another one: pass the same kind of X as in fit."
            )
        ratio = typical / self._typical
        if ratio and not 1 / UNITS_APART < ratio < UNITS_APART:
            raise ValueError(
                f"The values of X are {ratio:.1g} times those that {owner} was fitted on: pass the "
                "same unit as in fit."
            )

    def _learn(
        self, X: Any, data: np.ndarray, names: Any, volts: bool, typical: float, groups: Any
    ) -> np.ndarray | None:
        groups = self._groups(X, data, groups)
        self._volts, self._typical = volts, typical
        self.ch_names_in_ = None if names is None else list(names)
        self.n_chans_in_ = self.n_features_in_ = data.shape[1]
        self._check_table(X, reset=True)
        if not TINY < self._typical < 1 / TINY:
            raise ValueError(
                f"The values of X have a typical standard deviation of {self._typical:.1g}, which "
                f"{type(self).__name__} cannot square: rescale them."
            )
        if groups is None and self.group_by is None:
            warnings.warn(
                f"{type(self).__name__} got no groups, so it aligns all {len(data)} epochs as one: "
                "pass groups= (in pipelines by sklearn.set_config(enable_metadata_routing=True)), "
                "set group_by to a column of the epochs' metadata, or group_by=False to confirm.",
                UserWarning,
                stacklevel=4,
            )
        if groups is None:
            self.groups_ = None
            self.whiteners_ = _whitener(data, typical)[None]
        else:
            self.groups_ = np.unique(groups)
            self.whiteners_ = np.stack(
                [_whitener(data[groups == g], typical) for g in self.groups_]
            )
        return groups

    def _groups(self, X: Any, data: np.ndarray, groups: Any) -> np.ndarray | None:
        owner = type(self).__name__
        if groups is None and isinstance(self.group_by, str):
            groups = _from_metadata(X, self.group_by, owner)
        if groups is None:
            return None
        return read_groups(groups, len(data))

    def _align(
        self,
        X: Any,
        data: np.ndarray,
        volts: bool,
        groups: np.ndarray | None,
    ) -> Any:
        if groups is None:
            fitted = self.groups_ is None
            parts = [
                (slice(None), self.whiteners_[0] if fitted else _whitener(data, self._typical))
            ]
        else:
            known = (
                {}
                if self.groups_ is None
                else dict(zip(self.groups_.tolist(), self.whiteners_, strict=True))
            )
            parts = []
            for group in np.unique(groups):
                rows = groups == group
                whitener = known.get(group.item() if isinstance(group, np.generic) else group)
                parts.append(
                    (rows, _whitener(data[rows], self._typical) if whitener is None else whitener)
                )
        dtype = np.float32 if data.dtype == np.float32 else np.float64
        aligned = np.empty(data.shape, dtype)
        scale = self.amplitude * (1e-6 if volts else 1.0)
        for rows, whitener in parts:
            aligned[rows] = np.matmul(scale * whitener, data[rows])
        return _like(X, aligned, self.ch_names_in_)

    def _in_fitted_order(self, data: np.ndarray, names: tuple[str, ...] | None) -> np.ndarray:
        owner, fitted = type(self).__name__, self.ch_names_in_
        if names is not None and fitted is not None and set(names) != set(fitted):
            odd = ", ".join(sorted(set(names) ^ set(fitted)))
            raise ValueError(
                f"{owner} was fitted on the channels {', '.join(fitted)}; X differs in {odd}: pick "
                "the fitted channels."
            )
        if data.shape[1] != self.n_chans_in_:
            raise ValueError(
                f"X has {data.shape[1]} channels, but {owner} was fitted on {self.n_chans_in_}: "
                "pass the same channels in the same order."
            )
        if names is None or fitted is None or list(names) == fitted:
            return data
        return data[:, [names.index(name) for name in fitted]]

    def _warn_no_groups(self, n_epochs: int) -> None:
        warnings.warn(
            f"EuclideanAligner was fitted with groups, and transform got none: all {n_epochs} "
            "epochs are aligned as one group that fit did not see. Pass groups=, or set group_by "
            "to a column of the epochs' metadata.",
            UserWarning,
            stacklevel=3,
        )


def _whitener(data: np.ndarray, size: float) -> np.ndarray:
    """Inverse square root of the mean covariance of ``(n_epochs, n_chans, n_times)``.

    `size` is about that of the values: squares of volts, or of odder units, stay in range.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # told below
        centred = (data - data.mean(axis=-1, keepdims=True, dtype=np.float64)) / size
        covariance = np.einsum("ect,edt->cd", centred, centred, optimize=True)
    covariance /= len(data) * (data.shape[-1] - 1)
    if not np.isfinite(covariance).all():
        raise ValueError(
            "X holds values of extreme size, which EuclideanAligner cannot square: drop epochs "
            "with artefacts, or rescale them."
        )
    power, directions = np.linalg.eigh(covariance)
    keep = power > EMPTY * power[-1]
    directions = directions[:, keep]
    return directions / np.sqrt(power[keep]) @ directions.T / size


def _from_metadata(X: Any, column: str, owner: str) -> np.ndarray:
    objects = X if isinstance(X, list | tuple) else [X]
    tables = [getattr(part, "metadata", None) for part in objects]
    if not all(isinstance(table, pd.DataFrame) and column in table for table in tables):
        raise ValueError(
            f"{owner} has group_by={column!r}, which needs mne.Epochs whose metadata have that "
            "column: pass such epochs, or groups= and group_by=None."
        )
    return np.concatenate([table[column].to_numpy() for table in tables])


def _is_table(X: Any) -> bool:
    """Whether `X` is 2-D: an array, a data frame or a list of lists of numbers."""
    if hasattr(X, "ndim"):
        return X.ndim == 2
    if hasattr(X, "__array__"):
        return np.asarray(X).ndim == 2
    return isinstance(X[0], list | tuple | np.ndarray) and isinstance(X[0][0], Real)


def _like(X: Any, aligned: np.ndarray, fitted: list[str] | None) -> Any:
    """`aligned` in the kind of container that `X` is."""
    import mne

    parts = X if isinstance(X, list | tuple) else [X]
    if not all(isinstance(part, mne.BaseEpochs) for part in parts):
        return aligned[:, 0] if _is_table(X) else aligned
    done, start = [], 0
    for epochs in parts:
        whole = epochs.copy().load_data()
        picks = mne.pick_types(whole.info, eeg=True, exclude="bads")
        own = canonical_names([whole.ch_names[i] for i in picks])
        data = whole.get_data(copy=True)
        block = aligned[start : start + len(whole)]
        data[:, picks] = block if fitted is None else block[:, [fitted.index(n) for n in own]]
        start += len(whole)
        done.append(replace_data(whole, data))
    return done if isinstance(X, list | tuple) else done[0]
