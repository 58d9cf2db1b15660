"""EuclideanAligner: per-group whitening of raw signals."""

import math
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, Options
from sklearn.utils.validation import check_is_fitted

from ..base.input import SignalInputMixin, read_groups, whole_or_not_at_all
from ..signals.container import LazyEpochs
from ..signals.covariance import covariances, inverse_root, mean_at_one_power
from ..signals.errors import SignalError, tell
from ..signals.objects import eeg_picks, is_epochs, replace_data, settle
from ..signals.readers import Defaults, find_sources
from ..signals.validation import check_values, summarize

# Microvolts and volts are a million times apart; people and amplifiers never are.
UNITS_APART = 1e4
_ONE_MONTAGE = "pick the same channels in all, or restore bad ones with interpolate_bads()"
# An epoch makes up 1 / n of the mean covariance that whitens it, and loses as much of what is its
# own: CSP on simulated imagery of new people has 0.88 with all epochs, 0.83 with five, 0.77 with
# three, 0.41 with one, and 0.80 without alignment.
MIN_EPOCHS = 5
MIN_SAMPLES = 5  # per channel
# MOABB's names, and the share of an unseen group's epochs that each lets whiten them
CS_MODES = {
    "train": 0.0, "train_trialwise": 0.0, "train_and_target_unlabeled_20p": 0.2,
    "train_and_target_unlabeled_50p": 0.5, "train_and_target_unlabeled_full": 1.0,
}  # fmt: skip


@dataclass(eq=False, repr=False)  # its __init__ only assigns parameters
class EuclideanAligner(SignalInputMixin, TransformerMixin, BaseEstimator):
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
        Column of the metadata of ``mne.Epochs`` with the group of an epoch, such as "subject". It
        needs no routing, so it is the simplest way through cross-validation. False says that all
        epochs are one group; None assumes so if `groups` are not passed, with a warning.
    cs_mode : str or moabb.evaluations.CrossSubjectMode, \
            default="train_and_target_unlabeled_full"
        What whitens a group that ``fit`` did not see, by the names of MOABB's `CrossSubjectMode`
        (those without labels):

        - "train": the mean covariance of the groups of ``fit``, each at their common power. No
          data of the new group are used.
        - "train_trialwise": for each epoch, the mean over the epochs of its group that came
          before it, in this call and in calls of `update`; the mean of ``fit`` counts as one
          epoch more. Works one epoch at a time.
        - "train_and_target_unlabeled_20p", "..._50p": the mean covariance of the group's epochs in
          `X_target_unlabeled` of ``fit``; without these, of the first 20 or 50 % of its epochs in
          the call.
        - "train_and_target_unlabeled_full": that of all its epochs in the call.

    Attributes
    ----------
    groups_ : ndarray, shape (n_groups,), or None
        Groups of ``fit``; None if it got none, so that all epochs were one group.
    whiteners_ : ndarray, shape (n_groups, n_chans, n_chans)
        Inverse square roots of their mean covariances, in the unit of the values.
    min_epochs_ : int
        Epochs of a group that whiten it: 5, and 5 samples per channel.
    ch_names_in_ : list of str or None
    n_chans_in_, n_features_in_ : int

    Raises
    ------
    ValueError
        If signals hold NaN or a channel without signal, groups do not fit the epochs, or the
        channels are not those of ``fit``.

    Notes
    -----
    A group that ``fit`` saw is aligned with what was learned there. By default, **a group that it
    did not see is aligned with its own data, all epochs of that call at once.** That uses no
    labels, but it uses the test recording as a whole (a transductive setting): a fair comparison
    gives the same to its rivals, or chooses another `cs_mode`.

    **Few epochs cannot be aligned with themselves**: with one epoch, nothing spatial is left. If a
    call or ``fit`` holds fewer than `min_epochs_` epochs of a group, they are whitened as in
    "train", with a warning.

    **Online**, choose "train_trialwise" and pass each epoch to `update` after its prediction:
    predictions are then those of one call with all epochs. ``transform`` itself remembers nothing.

    Without `groups` and `group_by`, ``transform`` takes all epochs as one group: that of ``fit`` if
    that got none either, else a new one (right for one left-out subject), and warns. In a pipeline,
    `groups` are requested by scikit-learn's metadata routing
    (``sklearn.set_config(enable_metadata_routing=True)``).

    Directions without signal (one after an average reference) stay empty.

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
    _: KW_ONLY
    group_by: str | bool | None = None
    cs_mode: str = "train_and_target_unlabeled_full"

    _fitted_attribute = "whiteners_"

    __metadata_request__fit = {"groups": True}
    __metadata_request__transform = {"groups": True}

    _parameter_constraints: ClassVar[dict] = {
        "amplitude": [Interval(Real, 0, None, closed="neither")],
        "group_by": [str, Options(bool, {False}), None],
        "cs_mode": [str],
    }

    @whole_or_not_at_all
    def fit(
        self, X: Any, y: Any = None, groups: Any = None, X_target_unlabeled: Any = None
    ) -> Self:
        """Learn the whitening of each group.

        Parameters
        ----------
        X : array, mne.Epochs, list of them, or braindecode data set
        y : ignored
        groups : array-like, shape (n_epochs,), or None
            Subject or session of each epoch.
        X_target_unlabeled : array, mne.Epochs, list of them, or None
            Epochs of groups that are predicted later, by the name under which MOABB offers them: if
            `cs_mode` has it in its own name, they whiten those groups, in place of the epochs of
            the call. Their groups are those of `group_by`; without it they are one group.

        Returns
        -------
        EuclideanAligner
            Itself.
        """
        self._fit(X, groups, X_target_unlabeled)
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
            Of the shape and kind of `X`; an array for all that are not MNE objects. Channels of MNE
            objects that are not EEG, or marked bad, stay as they are.
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

        Parameters
        ----------
        X : array, mne.Epochs, list of them, or braindecode data set
        groups : array-like, shape (n_epochs,), or None

        Returns
        -------
        EuclideanAligner
            Itself.

        Raises
        ------
        ValueError
            If `cs_mode` is not "train_trialwise", the only one that looks back, or the groups are
            of the fit.
        """
        check_is_fitted(self, "whiteners_")
        if self._mode() != "train_trialwise":
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

    def _fit(
        self, X: Any, groups: Any, X_target_unlabeled: Any
    ) -> tuple[Any, np.ndarray, np.ndarray | None]:
        """Learn; gives `X`, its values, and the groups."""
        self._validate_params()
        self._mode()
        X = settle(X)
        data, names, volts, typical = self._signals(X)
        groups = self._groups(X, groups, len(data))
        self._volts, self._typical = volts, typical
        self.ch_names_in_ = None if names is None else list(names)
        self.n_chans_in_ = self.n_features_in_ = data.shape[1]
        self._check_table(X, reset=True)
        if groups is None and self.group_by is None:
            tell(
                f"got no groups, so it aligns all {len(data)} epochs as one: pass groups= (in "
                "pipelines by sklearn.set_config(enable_metadata_routing=True)), set group_by to a "
                "column of the epochs' metadata, or group_by=False to confirm.",
                "no groups in fit",
            )
        self.min_epochs_ = max(MIN_EPOCHS, -(-MIN_SAMPLES * data.shape[1] // (data.shape[2] - 1)))
        parts = list(_rows(groups, len(data)))
        means = np.stack([covariances(data[rows], typical).mean(axis=0) for _, rows in parts])
        enough = np.array([len(rows) >= self.min_epochs_ for _, rows in parts])
        self._before: dict[Any, tuple[np.ndarray, int]] = {}
        self._mean = mean_at_one_power(means[enough] if enough.any() else means)
        means[~enough] = self._mean
        self._tell_few([(parts[i][0], len(parts[i][1])) for i in np.flatnonzero(~enough)])
        self.groups_ = None if groups is None else np.unique(groups)
        self.whiteners_ = inverse_root(means) / typical
        if X_target_unlabeled is not None:
            if "target_unlabeled" not in self._mode():
                raise ValueError(
                    f"X_target_unlabeled is for the modes of that name, and cs_mode is "
                    f"{self.cs_mode!r}: choose one of them, or do not pass these epochs."
                )
            self._remember(X_target_unlabeled, None, "X_target_unlabeled")
        return X, data, groups

    def _remember(self, X: Any, groups: Any, name: str) -> None:
        """Add epochs to the covariances of groups that ``fit`` did not see."""
        _, data, groups = self._read_again(X, groups)
        before = dict(self._before)
        for group, rows in _rows(groups, len(data)):
            if self._fitted_whitener(group) is not None:
                raise ValueError(
                    f"The group {group!r} was in the fit, which whitens it: {name} takes groups "
                    "that fit did not see (pass groups=, or set group_by)."
                )
            total, n_epochs = before.get(group, (0.0, 0))
            new = covariances(data[rows], self._typical)
            before[group] = total + new.sum(axis=0), n_epochs + len(new)
        self._before = before

    def _read_again(self, X: Any, groups: Any) -> tuple[Any, np.ndarray, np.ndarray | None]:
        """What `_fit` gives, of later epochs: with the channels in the order of the fit."""
        check_is_fitted(self, "whiteners_")
        self._check_table(X, reset=False)
        X = settle(X)
        data, names, volts, typical = self._signals(X)
        owner, fitted = type(self).__name__, self.ch_names_in_
        if volts != self._volts:
            raise ValueError(
                f"{owner} was fitted on {'MNE objects' if self._volts else 'arrays'}, and X is of "
                "another kind, whose unit may be another one: pass the same kind of X as in fit."
            )
        ratio = typical / self._typical
        if ratio and not 1 / UNITS_APART < ratio < UNITS_APART:
            raise ValueError(
                f"The values of X are {ratio:.1g} times those that {owner} was fitted on: pass the "
                "same unit as in fit."
            )
        named = names is not None and fitted is not None
        odd = sorted(set(names) ^ set(fitted)) if named else []
        if odd or data.shape[1] != self.n_chans_in_:
            differs = f" and differs in {', '.join(odd)} (or in bads)" if odd else ""
            raise ValueError(
                f"X has {data.shape[1]} channels, but {owner} was fitted on {self.n_chans_in_}"
                f"{differs}: {_ONE_MONTAGE}."
            )
        if named and list(names) != fitted:
            data = data[:, [names.index(name) for name in fitted]]
        return X, data, self._groups(X, groups, len(data))

    def _signals(self, X: Any) -> tuple[np.ndarray, tuple[str, ...] | None, bool, float]:
        """Values in their own unit, channel names, whether they are volts, and their spread."""
        # any rate will do: alignment does not use it
        sources = list(find_sources(X, Defaults(None, 1.0), continuous=False))
        first = sources[0]
        sets = [set(s.ch_names or ()) for s in sources]
        if odd := set.union(*sets) - set.intersection(*sets):
            raise SignalError(
                f"X has epochs that differ in channels ({', '.join(sorted(odd))} only in some, "
                f"or marked bad in others): {_ONE_MONTAGE}."
            )
        if len({s.data.shape[2] for s in sources}) > 1:
            raise SignalError("X has epochs that differ in length: cut them alike first.")
        names = first.ch_names
        blocks = [(s if names is None else s.reorder(names)).data for s in sources]
        # as they are stored: what lies in files is read
        blocks = [
            its.read(np.arange(len(its))) if isinstance(its, LazyEpochs) else its for its in blocks
        ]
        data = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        summary = summarize(data)
        check_values(summary, names, fitted=hasattr(self, "whiteners_"))
        return data, names, first.unit == "V", summary.typical

    def _groups(self, X: Any, groups: Any, n_epochs: int) -> np.ndarray | None:
        if groups is None and isinstance(self.group_by, str):
            parts = X if isinstance(X, list | tuple) else [X]
            tables = [getattr(part, "metadata", None) for part in parts]
            if not all(isinstance(t, pd.DataFrame) and self.group_by in t for t in tables):
                raise ValueError(
                    f"{type(self).__name__} has group_by={self.group_by!r}, which needs mne.Epochs "
                    "whose metadata have that column: pass such epochs, or groups= and "
                    "group_by=None."
                )
            groups = np.concatenate([table[self.group_by].to_numpy() for table in tables])
        return None if groups is None else read_groups(groups, n_epochs)

    def _align(self, X: Any, data: np.ndarray, groups: np.ndarray | None) -> Any:
        aligned = np.empty(data.shape, np.float32 if data.dtype == np.float32 else np.float64)
        scale, few = self.amplitude * (1e-6 if self._volts else 1.0), []
        for group, rows in _rows(groups, len(data)):
            whitener = self._fitted_whitener(group)
            if whitener is None:
                reference, n_epochs = self._reference(data[rows], group)
                if reference is None:
                    few.append((group, n_epochs))
                    reference = self._mean
                whitener = inverse_root(reference) / self._typical
            aligned[rows] = np.matmul(scale * whitener, data[rows])
        self._tell_few(few)
        return _like(X, aligned, self.ch_names_in_)

    def _fitted_whitener(self, group: Any) -> np.ndarray | None:
        """What ``fit`` learned of `group`, if anything."""
        if self.groups_ is None:
            return self.whiteners_[0] if group is None else None
        found = np.flatnonzero(self.groups_ == group) if group is not None else ()
        return self.whiteners_[found[0]] if len(found) else None

    def _reference(self, data: np.ndarray, group: Any) -> tuple[np.ndarray | None, int]:
        """What whitens the epochs of an unseen group, one for all or one each, and of how many.

        None if these are too few.
        """
        mode = self._mode()
        if mode == "train":
            return self._mean, len(data)
        own = covariances(data, self._typical)
        if mode == "train_trialwise":
            total, n_epochs = self._before.get(group, (0.0, 0))
            sums = self._mean + total + np.cumsum(own, axis=0) - own
            return sums / (1 + n_epochs + np.arange(len(data)))[:, None, None], len(data)
        used = own[: math.ceil(CS_MODES[mode] * len(data))]
        offered = self._before.get(group, self._before.get(None))  # X_target_unlabeled of fit
        total, n_epochs = offered or (used.sum(axis=0), len(used))
        return (total / n_epochs if n_epochs >= self.min_epochs_ else None), n_epochs

    def _mode(self) -> str:
        """`cs_mode` as text; MOABB's are an Enum."""
        mode = getattr(self.cs_mode, "value", self.cs_mode)
        if mode not in CS_MODES:
            raise ValueError(
                f"The 'cs_mode' parameter of {type(self).__name__} must be one of "
                f"{', '.join(CS_MODES)}, got {mode!r}: alignment takes no labels."
            )
        return mode

    def _tell_few(self, parts: list[tuple[Any, int]]) -> None:
        if not parts:
            return
        said = ", ".join(f"{n}" + ("" if group is None else f" of {group!r}") for group, n in parts)
        tell(
            f"got too few epochs to whiten them by themselves ({said}; it takes "
            f"{self.min_epochs_}), so it whitens them by the mean covariance of the groups of fit, "
            "as cs_mode='train' does: pass more epochs of a group at once, or choose "
            "cs_mode='train', or 'train_trialwise' and update().",
            "too few epochs",
        )


def _rows(groups: np.ndarray | None, n_epochs: int) -> Iterator[tuple[Any, np.ndarray]]:
    """Each group and its epochs; without groups, None and all epochs."""
    if groups is None:
        yield None, np.arange(n_epochs)
        return
    for group in np.unique(groups):
        plain = group.item() if isinstance(group, np.generic) else group
        yield plain, np.flatnonzero(groups == group)


def _is_table(X: Any) -> bool:
    """Whether `X` is 2-D: an array, a data frame or a list of lists of numbers."""
    if hasattr(X, "__array__"):
        return len(X.shape if hasattr(X, "shape") else np.asarray(X).shape) == 2
    return isinstance(X[0], list | tuple | np.ndarray) and isinstance(X[0][0], Real)


def _like(X: Any, aligned: np.ndarray, fitted: list[str] | None) -> Any:
    """`aligned` in the kind of container that `X` is."""
    parts = X if isinstance(X, list | tuple) else [X]
    if not all(map(is_epochs, parts)):
        return aligned[:, 0] if _is_table(X) else aligned
    done, start = [], 0
    for epochs in parts:
        picks, known = eeg_picks(epochs.info)
        data = epochs.get_data(copy=True)
        block = aligned[start : start + len(epochs)]
        data[:, picks] = block[:, [fitted.index(name) for name in known["ch_names"]]]
        start += len(epochs)
        done.append(replace_data(epochs, data))
    return done if isinstance(X, list | tuple) else done[0]
