"""EuclideanAligner and SpectralAligner: people or sessions made alike, without labels."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from ..base.alignment import MIN_EPOCHS, GroupAligner
from ..signals.covariance import covariances, inverse_root, mean_at_one_power

MIN_SAMPLES = 5  # per channel, of epochs that whiten a group
FLOOR = 1e-3  # of the strongest frequency: below, a filter would raise noise


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
    ch_names_in_, n_chans_in_, n_features_in_
        The channels of ``fit``.

    Raises
    ------
    ValueError
        If signals hold NaN or a channel without signal, groups do not fit the epochs, or the
        channels are not those of ``fit``.

    Notes
    -----
    A group that ``fit`` saw is aligned with what was learned there. By default, **a group that it
    did not see is aligned with its own data, all epochs of that call at once**: a transductive
    setting, without labels. A fair comparison gives the same to its rivals, or chooses another
    `cs_mode`. Without `groups` and `group_by`, all epochs of a call are one group: that of ``fit``
    if that got none either, else a new one (right for one left-out subject), with a warning.

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

    _parameter_constraints: ClassVar[dict] = {
        **GroupAligner._parameter_constraints,
        "amplitude": [Interval(Real, 0, None, closed="neither")],
    }

    def _fewest(self, data: np.ndarray) -> int:
        return max(MIN_EPOCHS, -(-MIN_SAMPLES * data.shape[1] // (data.shape[2] - 1)))

    def _statistics(self, data: np.ndarray) -> np.ndarray:
        return covariances(data, self._typical)

    def _common(self, means: np.ndarray) -> np.ndarray:
        return mean_at_one_power(means)

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
        `n_taps`, 1 Hz at 128 Hz. Epochs must be as long.
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
        As `EuclideanAligner`, and if epochs are shorter than a filter.

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

    _parameter_constraints: ClassVar[dict] = {
        **GroupAligner._parameter_constraints,
        "n_taps": [Interval(Integral, 2, None, closed="left")],
    }

    def _statistics(self, data: np.ndarray) -> np.ndarray:
        from scipy.signal import welch

        if self.n_taps % 2 or data.shape[-1] < self.n_taps:
            raise ValueError(
                f"Epochs have {data.shape[-1]} samples, and n_taps={self.n_taps}: choose an even "
                "number of taps that is not larger, or cut longer epochs."
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
        from scipy.signal import oaconvolve

        half = self.n_taps // 2
        borders = [(0, 0), (0, 0), (half - 1, half)]
        padded = np.pad(data, borders, mode="reflect", reflect_type="odd")
        kernels = operators if operators.ndim == 3 else operators[None]
        return oaconvolve(padded, kernels, mode="valid", axes=-1)
