"""EuclideanAligner and SpectralAligner: people or sessions made alike, without labels."""

import copy
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from math import ceil
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from scipy.signal import oaconvolve, welch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..base.input import SignalInputMixin, SignalOutputMixin, read_groups, whole_or_not_at_all
from ..signals.covariance import covariances, inverse_root, mean_at_one_power
from ..signals.errors import SignalError, tell
from ..signals.objects import in_kind_of, settle
from ..signals.readers import ONE_MONTAGE, read_as_stored

# Microvolts and volts are a million times apart; people and amplifiers never are.
UNITS_APART = 1e4
# An epoch makes up 1 / n of the mean that aligns it, and loses as much of what is its own: CSP on
# simulated imagery of new people, whitened, has 0.88 with all epochs, 0.83 with five, 0.77 with
# three, 0.41 with one, and 0.80 without alignment.
MIN_EPOCHS = 5
WIDEST = 2.0  # Hz that a filter may not tell apart: theta and alpha are two
FLOOR = 1e-3  # of the strongest frequency: below, a filter would raise noise
# MOABB's names, and the share of an unseen group's epochs that each lets align them
CS_MODES = {
    "train": 0.0, "train_trialwise": 0.0, "train_and_target_unlabeled_20p": 0.2,
    "train_and_target_unlabeled_50p": 0.5, "train_and_target_unlabeled_full": 1.0,
}  # fmt: skip


@dataclass(eq=False, repr=False)  # its __init__ only assigns parameters
class GroupAligner(SignalOutputMixin, SignalInputMixin, TransformerMixin, BaseEstimator):
    """Epochs of every group, aligned by the mean over them of a statistic of each.

    A subclass writes ``_statistics(data)``, that of every epoch; ``_common(means)``, what stands
    for all groups (in "train", for an unseen one); ``_operators(means)``, what aligns signals of
    one or several means, of which ``fit`` keeps those of its groups as `_fitted_attribute`; and
    ``_apply(operators, data)``, by one for all epochs or one each.
    """

    _: KW_ONLY
    group_by: str | bool | None = None
    cs_mode: str = "train_and_target_unlabeled_full"

    _min_samples = 0  # per channel, that a group is aligned by
    _needs_one_rate = False
    _fixed = None  # what aligns the epochs of X, of a copy that `_fixed_to` makes
    __metadata_request__fit = {"groups": True}
    __metadata_request__transform = {"groups": True}

    _parameter_constraints: ClassVar[dict] = {
        "group_by": [str, Options(bool, {False}), None],
        "cs_mode": [StrOptions(set(CS_MODES))],  # MOABB's are an Enum of str
    }

    @whole_or_not_at_all
    def fit(
        self, X: Any, y: Any = None, groups: Any = None, X_target_unlabeled: Any = None
    ) -> Self:
        """Learn what aligns each group.

        Parameters
        ----------
        X : array, mne.Epochs, list of them, or braindecode data set
        y : ignored
        groups : array-like, shape (n_epochs,), or None
            Subject or session of each epoch.
        X_target_unlabeled : array, mne.Epochs, list of them, or None
            Epochs of groups that are predicted later, as MOABB offers them: in modes of that name
            they align those groups, in place of the epochs of the call. Their groups are those of
            `group_by`; without it they are one group.
        """
        self._fit(X, groups, X_target_unlabeled)
        return self

    def transform(self, X: Any, groups: Any = None) -> Any:
        """Align epochs with the channels of ``fit``; `X` and `groups` are as there.

        Gives MNE objects for such objects, whose channels that are not EEG, or marked bad, stay as
        they are, and for all others an array, in the shape of `X`.
        """
        with self._asking():
            X, data, groups = self._read_again(X, groups)
            if groups is None and self.groups_ is not None and None not in self._before:
                tell(
                    f"was fitted with groups, and transform got none: all {len(data)} epochs are "
                    "aligned as one group that fit did not see. Pass groups=, or set group_by to a "
                    "column of the epochs' metadata.",
                    "no groups in transform",
                )
            return self._align(X, data, groups)

    @whole_or_not_at_all
    def update(self, X: Any, groups: Any = None) -> Self:
        """Remember epochs of groups that ``fit`` did not see, as ones that came before.

        `X` and `groups` are as in `transform`. A ValueError if `cs_mode` is not "train_trialwise",
        the only one that looks back, or the groups are of the fit.
        """
        check_is_fitted(self, self._fitted_attribute)
        if self.cs_mode != "train_trialwise":
            raise ValueError(
                "update is for cs_mode='train_trialwise', the only mode that looks back; it is "
                f"{self.cs_mode!r}: choose that mode, or fit on these epochs too."
            )
        self._remember(X, groups, "update")
        return self

    @whole_or_not_at_all
    def fit_transform(
        self, X: Any, y: Any = None, groups: Any = None, X_target_unlabeled: Any = None
    ) -> Any:
        """`fit` and `transform` with the same groups."""
        return self._align(*self._fit(X, groups, X_target_unlabeled))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _fit(self, X: Any, groups: Any, X_target_unlabeled: Any) -> tuple[Any, np.ndarray, Any]:
        """Learn; gives `X`, its values, and the groups."""
        self._validate_params()
        X = settle(X)
        signals = read_as_stored(X, fitted=False, one_rate=self._needs_one_rate)
        data, names = signals.data, signals.ch_names
        groups = self._groups(X, groups, len(data))
        self._volts, self._typical = signals.unit == "V", signals.typical
        self._sfreq = signals.sfreq
        self.ch_names_in_ = None if names is None else list(names)
        _, n_chans, n_times = data.shape
        self.n_chans_in_ = self.n_features_in_ = n_chans
        self._check_table(X, reset=True)
        if groups is None and self.group_by is None:
            tell(
                f"got no groups, so it aligns all {len(data)} epochs as one: pass groups= (in "
                "pipelines by sklearn.set_config(enable_metadata_routing=True)), set group_by to a "
                "column of the epochs' metadata, or group_by=False to confirm.",
                "no groups in fit",
            )
        self.min_epochs_ = max(MIN_EPOCHS, ceil(self._min_samples * n_chans / (n_times - 1)))
        parts = list(_rows(groups, len(data)))
        means = np.stack([self._statistics(data[rows]).mean(axis=0) for _, rows in parts])
        enough = np.array([len(rows) >= self.min_epochs_ for _, rows in parts])
        self._before: dict[Any, tuple[np.ndarray, int]] = {}
        self._mean = self._common(means[enough] if enough.any() else means)
        means[~enough] = self._mean
        self._tell_few([(g, len(rows)) for g, rows in parts if len(rows) < self.min_epochs_])
        self.groups_ = None if groups is None else np.unique(groups)
        setattr(self, self._fitted_attribute, self._operators(means))
        if X_target_unlabeled is not None:
            if "target_unlabeled" not in self.cs_mode:
                raise ValueError(
                    f"X_target_unlabeled is for the modes of that name, and cs_mode is "
                    f"{self.cs_mode!r}: choose one of them, or do not pass these epochs."
                )
            self._remember(X_target_unlabeled, None, "X_target_unlabeled")
        return X, data, groups

    def _remember(self, X: Any, groups: Any, name: str) -> None:
        """Add epochs to the means of groups that ``fit`` did not see."""
        _, data, groups = self._read_again(X, groups)
        before = dict(self._before)
        for group, rows in _rows(groups, len(data)):
            if self._fitted_operator(group) is not None:
                raise ValueError(
                    f"The group {group!r} was in the fit, which aligns it: {name} takes groups "
                    "that fit did not see (pass groups=, or set group_by)."
                )
            total, n_epochs = before.get(group, (0.0, 0))
            new = self._statistics(data[rows])
            before[group] = total + new.sum(axis=0), n_epochs + len(new)
        self._before = before

    def _read_again(self, X: Any, groups: Any) -> tuple[Any, np.ndarray, np.ndarray | None]:
        """What `_fit` gives, of later epochs: with the channels in the order of the fit."""
        check_is_fitted(self, self._fitted_attribute)
        self._validate_params()  # they may have been set since
        self._check_table(X, reset=False)
        X = settle(X)
        signals = read_as_stored(X, fitted=True, one_rate=self._needs_one_rate)
        fitted = self.ch_names_in_
        if (signals.unit == "V") != self._volts:
            raise SignalError(
                f"was fitted on {'MNE objects' if self._volts else 'arrays'}, and X is of another "
                "kind, whose unit may be another one: pass the same kind of X as in fit."
            )
        ratio = signals.typical / self._typical
        if ratio and not 1 / UNITS_APART < ratio < UNITS_APART:
            raise SignalError(
                f"the values of X are {ratio:.1g} times those of fit: pass the same unit."
            )
        if self._needs_one_rate and not np.isclose(signals.sfreq, self._sfreq):
            raise SignalError(
                f"X was sampled at {signals.sfreq:g} Hz, and the epochs of fit at "
                f"{self._sfreq:g} Hz, which its filters are for: resample X."
            )
        named = signals.ch_names is not None and fitted is not None
        odd = sorted(set(signals.ch_names) ^ set(fitted)) if named else []
        if odd or signals.data.shape[1] != self.n_chans_in_:
            differs = f" and differs in {', '.join(odd)} (or in bads)" if odd else ""
            raise SignalError(
                f"X has {signals.data.shape[1]} channels, and the fit had {self.n_chans_in_}"
                f"{differs}: {ONE_MONTAGE}."
            )
        data = (signals.reorder(fitted) if named else signals).data
        groups = self._groups(X, groups, len(data))
        both = [part for part in (self.groups_, groups) if part is not None]
        if len({part.dtype.kind in "OUT" for part in both}) > 1:
            raise ValueError(
                f"groups are {both[0][0]!r}, ... in fit and {both[1][0]!r}, ... here, text and "
                "numbers: pass one kind, so that the same people are found again."
            )
        return X, data, groups

    def _groups(self, X: Any, groups: Any, n_epochs: int) -> np.ndarray | None:
        if groups is None and isinstance(self.group_by, str):
            parts = X if isinstance(X, list | tuple) else [X]
            tables = [getattr(part, "metadata", None) for part in parts]
            if not all(isinstance(t, pd.DataFrame) and self.group_by in t for t in tables):
                raise SignalError(
                    f"group_by={self.group_by!r} needs mne.Epochs whose metadata have that column: "
                    "pass such epochs, or groups= and group_by=None."
                )
            groups = np.concatenate([table[self.group_by].to_numpy() for table in tables])
        return None if groups is None else read_groups(groups, n_epochs)

    def _align(self, X: Any, data: np.ndarray, groups: np.ndarray | None) -> Any:
        aligned = np.empty(data.shape, np.float32 if data.dtype == np.float32 else np.float64)
        for rows, operator in self._fixed or self._operators_of(data, groups):
            aligned[rows] = self._apply(operator, data[rows])
        return in_kind_of(X, aligned, self.ch_names_in_)

    def _operators_of(self, data: np.ndarray, groups: np.ndarray | None) -> Iterator[tuple]:
        """Epochs of each group, and what aligns them; those of an epoch each may be large."""
        few = []
        for group, rows in _rows(groups, len(data)):
            operator = self._fitted_operator(group)
            if operator is None:
                reference, n_epochs = self._reference(data[rows], group)
                if reference is None:
                    few.append((group, n_epochs))
                    reference = self._mean
                operator = self._operators(reference)
            yield rows, operator
        self._tell_few(few)

    def _fixed_to(self, X: Any) -> Self:
        """A copy that aligns these epochs as it does now, whatever is changed in them."""
        fixed = copy.copy(self)
        with self._asking():
            _, data, groups = self._read_again(X, None)
            fixed._fixed = list(self._operators_of(data, groups))
        return fixed

    def _fitted_operator(self, group: Any) -> np.ndarray | None:
        """What ``fit`` learned of `group`, if anything."""
        known = [None] if self.groups_ is None else self.groups_.tolist()
        operators = getattr(self, self._fitted_attribute)
        return operators[known.index(group)] if group in known else None

    def _reference(self, data: np.ndarray, group: Any) -> tuple[np.ndarray | None, int]:
        """The mean (or one each) that aligns an unseen group, None if of too few; of how many."""
        if self.cs_mode == "train":
            return self._mean, len(data)
        own = self._statistics(data)
        if self.cs_mode == "train_trialwise":
            total, n_epochs = self._before.get(group, (0.0, 0))
            sums = self._mean + total + np.cumsum(own, axis=0) - own
            counts = 1 + n_epochs + np.arange(len(data))
            return sums / counts[:, None, None], len(data)
        used = own[: ceil(CS_MODES[self.cs_mode] * len(data))]
        offered = self._before.get(group, self._before.get(None))  # X_target_unlabeled of fit
        total, n_epochs = offered or (used.sum(axis=0), len(used))
        return (total / n_epochs if n_epochs >= self.min_epochs_ else None), n_epochs

    def _tell_few(self, parts: list[tuple[Any, int]]) -> None:
        if not parts:
            return
        said = ", ".join(f"{n}" + ("" if group is None else f" of {group!r}") for group, n in parts)
        tell(
            f"got too few epochs to align them by themselves ({said}; it takes "
            f"{self.min_epochs_}), so it aligns them by the mean of the groups of fit, "
            "as cs_mode='train' does: pass more epochs of a group at once, or choose "
            "cs_mode='train', or 'train_trialwise' and update().",
            "too few epochs",
        )


@dataclass(eq=False, repr=False)  # its __init__ only assigns parameters
class EuclideanAligner(GroupAligner):
    """Align subjects or sessions by whitening their signals (Euclidean alignment).

    The signals of each group are multiplied by the inverse square root of the group's mean
    covariance (that of an epoch: offsets left out, n_times - 1 in the denominator), so that the
    mean covariance of every group becomes the identity [1]_. No label is used.

    Parameters
    ----------
    amplitude : float, default=10.0
        Standard deviation of the aligned signals: in microvolts for MNE objects (which stay in
        volts), in the wanted unit for arrays. 10 µV is the size of scalp EEG, which DARE's encoders
        expect; 1 gives the identity of the paper.
    group_by : str, False or None, default=None
        Column of the metadata of ``mne.Epochs`` with the group of an epoch, such as "subject": the
        simplest way through cross-validation, since it needs no routing. False says that all epochs
        are one group; None assumes so if `groups` are not passed, with a warning.
    cs_mode : str or moabb.evaluations.CrossSubjectMode, \
            default="train_and_target_unlabeled_full"
        What whitens a group that ``fit`` did not see, by MOABB's names (of modes without labels):

        - "train": the mean covariance of the groups of ``fit``, each at their common power.
        - "train_trialwise": for each epoch, the mean over those of its group that came before it,
          in this call and in calls of `update`; the mean of ``fit`` counts as one epoch more.
        - "train_and_target_unlabeled_20p", "..._50p": the mean over the group's epochs in
          `X_target_unlabeled` of ``fit``; without these, the first 20 or 50 % of those in the call.
        - "train_and_target_unlabeled_full": the mean over all its epochs in the call.

    Attributes
    ----------
    groups_ : ndarray, shape (n_groups,), or None
        Groups of ``fit``; None if it got none.
    whiteners_ : ndarray, shape (n_groups, n_chans, n_chans)
        Inverse square roots of their mean covariances, in the unit of the values.
    min_epochs_ : int
        Epochs of a group that whiten it: 5, and 5 samples per channel.
    ch_names_in_, n_chans_in_, n_features_in_
        The channels of ``fit``.

    Raises
    ------
    ValueError
        If signals hold NaN or a channel without signal, groups do not fit the epochs, or the
        channels are not those of ``fit``.

    Notes
    -----
    By default, **a group that ``fit`` did not see is aligned with its own data, all epochs of that
    call at once**: a transductive setting, without labels. A fair comparison gives the same to its
    rivals, or chooses another `cs_mode`. Without `groups` and `group_by`, all epochs of a call are
    one group: that of ``fit`` if that got none either, else a new one (right for one left-out
    subject), with a warning.

    If a call or ``fit`` holds fewer than `min_epochs_` epochs of a group, they are whitened as in
    "train", with a warning: with one epoch, nothing spatial would be left. Directions without
    signal (one after an average reference) stay empty.

    **Online**, choose "train_trialwise" and pass each epoch to `update` after its prediction:
    predictions are then those of one call with all epochs. ``transform`` itself remembers nothing.

    References
    ----------
    .. [1] He, Wu (2020). Transfer learning for brain-computer interfaces: a Euclidean space data
       alignment approach. IEEE Transactions on Biomedical Engineering 67(2).

    Examples
    --------
    >>> import numpy as np
    >>> from dare_sklearn import EuclideanAligner
    >>> X = np.random.default_rng(0).normal(size=(20, 3, 100))
    >>> aligned = EuclideanAligner(1.0).fit_transform(X, groups=np.repeat(["a", "b"], 10))
    >>> mean_covariance = np.mean([np.cov(epoch) for epoch in aligned[:10]], axis=0)
    >>> np.allclose(mean_covariance, np.eye(3))
    True
    """

    amplitude: float = 10.0

    _fitted_attribute = "whiteners_"
    _min_samples = 5
    _common = staticmethod(mean_at_one_power)
    _parameter_constraints: ClassVar[dict] = {
        **GroupAligner._parameter_constraints,
        "amplitude": [Interval(Real, 0, None, closed="neither")],
    }

    def _statistics(self, data: np.ndarray) -> np.ndarray:
        return covariances(data, self._typical)

    def _operators(self, means: np.ndarray) -> np.ndarray:
        return inverse_root(means) / self._typical

    def _apply(self, operators: np.ndarray, data: np.ndarray) -> np.ndarray:
        scale = self.amplitude * (1e-6 if self._volts else 1.0)
        return np.matmul(scale * operators, data)


@dataclass(eq=False, repr=False)  # its __init__ only assigns parameters
class SpectralAligner(GroupAligner):
    """Align the spectra of subjects or sessions (convolutional Monge mapping normalisation).

    The signals of each group are filtered, channel by channel and without delay, so that its mean
    power spectrum becomes the common one of the groups of ``fit``: the barycentre of their spectra
    [1]_. What differs between people at every moment, as amplitude and the height of the alpha
    peak do, goes; what changes within a person stays. No label is used.

    Parameters
    ----------
    n_taps : int, default=128
        Samples of a filter, an even number: its resolution is the sampling rate divided by
        `n_taps`, 1 Hz at 128 Hz (coarser than 2 Hz is warned of). Epochs must be as long.
    group_by, cs_mode
        As in `EuclideanAligner`. With "train", groups that ``fit`` did not see stay as they are.

    Attributes
    ----------
    filters_ : ndarray, shape (n_groups, n_chans, n_taps)
        Impulse responses that align the groups of ``fit``.
    groups_, min_epochs_, ch_names_in_, n_chans_in_, n_features_in_
        As of `EuclideanAligner`; a group is aligned by 5 epochs or more.

    Raises
    ------
    ValueError
        As `EuclideanAligner`, and if epochs are shorter than a filter, or of another sampling rate
        than those of ``fit``.

    Notes
    -----
    For states and rhythms in new people; see `EuclideanAligner` on groups that ``fit`` did not see.
    All classes should be among the epochs of a group in about the same shares in every group: if
    one person only rested, the filter takes their rest for their average. Frequencies with less
    than a thousandth of the strongest one's power are hardly changed. Signals are mirrored at the
    borders of an epoch.

    References
    ----------
    .. [1] Gnassounou, Flamary, Gramfort (2023). Convolution Monge mapping normalization for
       learning on sleep data. NeurIPS 36.

    Examples
    --------
    >>> import numpy as np
    >>> from dare_sklearn.transformers import SpectralAligner
    >>> X = np.random.default_rng(0).normal(size=(20, 3, 256))
    >>> X[10:] *= 5  # another person
    >>> aligned = SpectralAligner().fit_transform(X, groups=np.repeat(["a", "b"], 10))
    >>> bool(abs(aligned[:10].std() / aligned[10:].std() - 1) < 0.05)
    True
    """

    n_taps: int = 128

    _fitted_attribute = "filters_"
    _needs_one_rate = True
    _parameter_constraints: ClassVar[dict] = {
        **GroupAligner._parameter_constraints,
        "n_taps": [Interval(Integral, 2, None, closed="left")],
    }

    def _statistics(self, data: np.ndarray) -> np.ndarray:
        if self.n_taps % 2 or data.shape[-1] < self.n_taps:
            raise ValueError(
                f"Epochs have {data.shape[-1]} samples, and n_taps={self.n_taps}: choose an even "
                "number of taps that is not larger, or cut longer epochs."
            )
        if self._sfreq is not None and self._sfreq > WIDEST * self.n_taps:
            tell(
                f"n_taps={self.n_taps} resolves {self._sfreq / self.n_taps:.2g} Hz at "
                f"{self._sfreq:g} Hz, so that a rhythm in which groups differ changes the "
                f"frequencies beside it: pass more (epochs have {data.shape[-1]} samples), or "
                "resample X.",
                "a coarse filter",
            )
        return welch(data / self._typical, nperseg=self.n_taps)[1]

    def _common(self, means: np.ndarray) -> np.ndarray:
        return np.sqrt(means).mean(axis=0) ** 2

    def _operators(self, means: np.ndarray) -> np.ndarray:
        wanted, found = (p + FLOOR * p.max(axis=-1, keepdims=True) for p in (self._mean, means))
        gains = np.sqrt(wanted / found)
        responses = np.fft.fftshift(np.fft.irfft(gains, self.n_taps), axes=-1)
        return responses * np.hanning(self.n_taps + 1)[:-1]

    def _apply(self, operators: np.ndarray, data: np.ndarray) -> np.ndarray:
        half = self.n_taps // 2
        borders = [(0, 0), (0, 0), (half - 1, half)]
        padded = np.pad(data, borders, mode="reflect", reflect_type="odd")
        kernels = operators.reshape(-1, *operators.shape[-2:])  # one, or one per epoch
        return oaconvolve(padded, kernels, mode="valid", axes=-1)


def _rows(groups: np.ndarray | None, n_epochs: int) -> Iterator[tuple[Any, np.ndarray]]:
    """Each group and its epochs; without groups, None and all epochs."""
    if groups is None:
        yield None, np.arange(n_epochs)
        return
    known = np.unique(groups)
    for group, plain in zip(known, known.tolist(), strict=True):
        yield plain, np.flatnonzero(groups == group)
