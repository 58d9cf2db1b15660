"""The classical pipelines of the field, as they are published."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest, mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler

from ...signals.covariance import MOTOR_BAND, without_empty
from .features import BandPower, DownsampledSignals, FlickerCCA, SignalArray

KINDS = ("rhythm", "erp", "flicker", "all")
# The best of the field for each kind of task: oscillations during a task such as imagery, evoked
# potentials, flicker (its frequencies are known), a state that lasts, and whose EEG it is.
BEST: dict[str, tuple[str, ...]] = {
    "rhythm": (
        "CSP + LDA", "filter-bank CSP + LDA", "tangent space + LR",
        "filter-bank tangent space + LR", "band power + LR", "narrow-band power + LR",
    ),
    "erp": ("Xdawn + tangent space + LR", "downsampled + LDA"),
    "flicker": ("CCA + LR", "narrow-band power + LR", "filter-bank tangent space + LR"),
    "state": ("band power + LR", "tangent space + LR", "filter-bank tangent space + LR"),
    "person": ("band power + LR", "tangent space + LR"),
}  # fmt: skip
# Ang et al. (2008): nine bands of 4 Hz from 4 to 40 Hz
FILTER_BANK = tuple((float(low), float(low + 4)) for low in range(4, 40, 4))
WIDE_BANK = ((4.0, 8.0), (8.0, 12.0), (12.0, 18.0), (18.0, 26.0), (26.0, 36.0))


def classical_pipelines(
    kind: str = "all",
    *,
    ch_names: Any = None,
    sfreq: float | None = None,
    unit: str = "auto",
    frequencies: Any = None,
) -> dict[str, Pipeline]:
    """Unfitted pipelines from signals to labels, by name.

    Parameters
    ----------
    kind : {"rhythm", "erp", "flicker", "all"}, default="all"
        "rhythm" are those for power and covariance of ongoing EEG: band power, power in bands of
        2 Hz (for flicker; both with logistic regression), CSP + LDA [1]_, filter-bank CSP [2]_,
        tangent space + logistic regression and MDM [3]_, tangent space in five bands, and the
        augmented covariance method [4]_. "erp" are those for evoked potentials: downsampled samples
        + shrinkage LDA [5]_, and Xdawn covariances + tangent space + logistic regression [6]_.
        "flicker" is the canonical correlation with each frequency + logistic regression [7]_.
        `BEST` names the best for each kind of task.
    ch_names, sfreq, unit
        What arrays do not carry (see `SignalArray`); mne.Epochs need none of them.
    frequencies : sequence of float or None, default=None
        Of the flicker in Hz; without them, "flicker" is a ValueError, and left out of "all".

    Returns
    -------
    dict of str to Pipeline
        Each takes any input of the library, can be cloned, searched and pickled.

    Notes
    -----
    Rhythms are filtered epoch by epoch: 8 to 30 Hz for CSP, tangent space, MDM and ACM, nine bands
    of 4 Hz from 4 to 40 Hz for the filter bank (which needs a rate above 80 Hz). Change it in a
    grid: ``{"signals__band": [(8, 30), (7, 35)]}``. Evoked potentials are taken as they come. Every
    covariance is shrunk ("oas"): none is singular after an average reference, say.

    The filter bank selects among nine spatial filters: with many channels and few epochs (64 and
    40) it overfits, and single-band CSP is far better. ACM stacks each channel with itself two and
    four samples earlier, at 80 Hz; its cost rises with the third power of the channels.

    References
    ----------
    .. [1] Blankertz et al. (2008). IEEE Signal Processing Magazine 25(1).
    .. [2] Ang et al. (2008). Filter bank common spatial pattern. IJCNN.
    .. [3] Barachant et al. (2012). IEEE Transactions on Biomedical Engineering 59(4).
    .. [4] Carrara, Papadopoulo (2024). IEEE Transactions on Biomedical Engineering 71(9).
    .. [5] Blankertz et al. (2011). NeuroImage 56(2).
    .. [6] Barachant, Congedo (2014). A plug and play P300 BCI. arXiv:1409.0107.
    .. [7] Lin et al. (2006). IEEE Transactions on Biomedical Engineering 53(12).

    Examples
    --------
    >>> from dare_sklearn.transformers.classical import classical_pipelines
    >>> list(classical_pipelines("erp"))
    ['downsampled + LDA', 'Xdawn + tangent space + LR']
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.")
    if kind == "flicker" and frequencies is None:
        raise ValueError("The pipelines for flicker need frequencies=, in Hz.")
    layout = {"ch_names": ch_names, "sfreq": sfreq, "unit": unit}
    found = _rhythm(layout) if kind in ("rhythm", "all") else {}
    if kind in ("erp", "all"):
        found |= _erp(layout)
    if kind in ("flicker", "all") and frequencies is not None:
        found["CCA + LR"] = [("cca", FlickerCCA(frequencies, **layout)), *_scaled_lr()]
    # the same step may stand in several
    return {name: clone(Pipeline(steps)) for name, steps in found.items()}


def mutual_information(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`sklearn.feature_selection.mutual_info_classif` with a fixed seed."""
    return mutual_info_classif(X, y, random_state=0)


class _FullRank(TransformerMixin, BaseEstimator):
    """Signals in the directions that are not empty: of a full recording, its channels as they are.

    Xdawn would take the one that an average reference empties for the strongest source.
    """

    def fit(self, X: np.ndarray, y: Any = None) -> Self:
        self.basis_, _ = without_empty(X)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return self.basis_ @ X


def _rhythm(layout: dict) -> dict[str, list]:
    from mne.decoding import CSP
    from pyriemann.classification import MDM
    from pyriemann.estimation import Covariances, TimeDelayCovariances

    def signals(**params):
        return ("signals", SignalArray(MOTOR_BAND, **layout).set_params(**params))

    def bank(bands, *steps):
        return FeatureUnion([
            (f"{low:g}-{high:g} Hz", clone(Pipeline([signals(band=(low, high)), *steps])))
            for low, high in bands
        ])  # fmt: skip

    csp, oas = ("csp", CSP(4, reg="oas")), ("covariances", Covariances("oas"))
    tangent, lr = _tangent_lr()
    delayed = ("covariances", TimeDelayCovariances([2, 4], "oas"))
    return {
        "band power + LR": [("power", BandPower(**layout)), *_scaled_lr()],
        "narrow-band power + LR": [("power", BandPower("narrow", **layout)), *_scaled_lr()],
        "CSP + LDA": [signals(), csp, ("lda", LinearDiscriminantAnalysis())],
        "filter-bank CSP + LDA": [
            ("bank", bank(FILTER_BANK, csp)),
            ("select", SelectKBest(mutual_information, k=8)),
            _shrinkage_lda(),
        ],
        "tangent space + LR": [signals(), oas, tangent, lr],
        "filter-bank tangent space + LR": [
            ("bank", bank(WIDE_BANK, oas, tangent)), *_scaled_lr(C=1e-3),
        ],
        "MDM": [signals(), oas, ("mdm", MDM())],
        "ACM + tangent space + LR": [signals(resample=80.0), delayed, tangent, lr],
    }  # fmt: skip


def _erp(layout: dict) -> dict[str, list]:
    from pyriemann.estimation import XdawnCovariances

    xdawn = ("covariances", XdawnCovariances(4, estimator="oas", xdawn_estimator="oas"))
    return {
        "downsampled + LDA": [("samples", DownsampledSignals(**layout)), _shrinkage_lda()],
        "Xdawn + tangent space + LR": [
            ("signals", SignalArray(**layout)), ("directions", _FullRank()), xdawn, *_tangent_lr()
        ],
    }  # fmt: skip


def _tangent_lr() -> list[tuple[str, Any]]:
    from pyriemann.tangentspace import TangentSpace

    return [("tangent", TangentSpace()), ("lr", LogisticRegression(max_iter=5_000))]


def _scaled_lr(**params: Any) -> list[tuple[str, Any]]:
    return [("scaler", StandardScaler()), ("lr", LogisticRegression(max_iter=5_000, **params))]


def _shrinkage_lda() -> tuple[str, LinearDiscriminantAnalysis]:
    return "lda", LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
