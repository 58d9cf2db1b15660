"""The classical pipelines of the field, as they are published."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest, mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler

from .array import SignalArray
from .features import BandPower, DownsampledSignals, HjorthEntropy

KINDS = ("rhythm", "erp", "all")
MOTOR_BAND = (8.0, 30.0)
# Ang et al. (2008): nine bands of 4 Hz from 4 to 40 Hz
FILTER_BANK = tuple((float(low), float(low + 4)) for low in range(4, 40, 4))


def classical_pipelines(
    kind: str = "all",
    *,
    ch_names: Any = None,
    sfreq: float | None = None,
    unit: str = "auto",
) -> dict[str, Pipeline]:
    """Unfitted pipelines from signals to labels, by name.

    Parameters
    ----------
    kind : {"rhythm", "erp", "all"}, default="all"
        "rhythm" are those for power and covariance of ongoing EEG: band power, power in bands of
        2 Hz (for flicker), Hjorth parameters and entropy (with logistic regression), CSP + LDA
        [1]_, filter-bank CSP [2]_, tangent space + logistic regression and MDM [3]_, and the
        augmented covariance method [4]_. "erp" are those for evoked potentials: downsampled samples
        + shrinkage LDA [5]_, and Xdawn covariances + tangent space + logistic regression [6]_.
    ch_names, sfreq, unit
        What arrays do not tell of themselves (see `SignalArray`); mne.Epochs need none of them.

    Returns
    -------
    dict of str to Pipeline
        Each takes any input of the library, can be cloned, searched and pickled.

    Raises
    ------
    ValueError
        If `kind` is none of these.
    ImportError
        If pyriemann is missing.

    Notes
    -----
    **Fewer dimensions than channels** (an average reference, interpolated channels): every
    covariance is shrunk towards a multiple of the identity by the oracle approximating estimator
    ("oas"; CSP, tangent space, MDM, ACM, Xdawn), so that none is singular.

    Rhythms are filtered epoch by epoch: 8 to 30 Hz for CSP, tangent space, MDM and ACM, nine bands
    of 4 Hz from 4 to 40 Hz for the filter bank (which needs a rate above 80 Hz). Change it in a
    grid: ``{"signals__band": [(8, 30), (7, 35)]}``. Evoked potentials are taken as they come:
    filter their continuous recordings, since epochs are too short for slow frequencies.

    The filter bank fits nine spatial filters and selects among them: with many channels and few
    epochs (64 and 40) it learns them by heart, and single-band CSP is far better.

    ACM stacks each channel with itself two and four samples earlier, at 80 Hz: its matrices are
    three times as wide as there are channels, and its cost rises with the third power of that.

    References
    ----------
    .. [1] Blankertz et al. (2008). Optimizing spatial filters for robust EEG single-trial analysis.
       IEEE Signal Processing Magazine 25(1).
    .. [2] Ang et al. (2008). Filter bank common spatial pattern in brain-computer interface. IJCNN.
    .. [3] Barachant et al. (2012). Multiclass brain-computer interface classification by
       Riemannian geometry. IEEE Transactions on Biomedical Engineering 59(4).
    .. [4] Carrara, Papadopoulo (2024). Classification of BCI-EEG based on the augmented covariance
       matrix. IEEE Transactions on Biomedical Engineering 71(9).
    .. [5] Blankertz et al. (2011). Single-trial analysis and classification of ERP components: a
       tutorial. NeuroImage 56(2).
    .. [6] Barachant, Congedo (2014). A plug and play P300 BCI using information geometry.
       arXiv:1409.0107.

    Examples
    --------
    >>> from dare_sklearn.transformers.classical import classical_pipelines
    >>> list(classical_pipelines("erp"))
    ['downsampled + LDA', 'Xdawn + tangent space + LR']
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.")
    layout = {"ch_names": ch_names, "sfreq": sfreq, "unit": unit}
    rhythm = _rhythm(layout) if kind != "erp" else {}
    erp = _erp(layout) if kind != "rhythm" else {}
    return {name: Pipeline(steps) for name, steps in {**rhythm, **erp}.items()}


def mutual_information(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`sklearn.feature_selection.mutual_info_classif` with a fixed seed."""
    return mutual_info_classif(X, y, random_state=0)


def _rhythm(layout: dict) -> dict[str, list]:
    from mne.decoding import CSP

    riemann = _pyriemann()
    covariances, delayed = riemann.estimation.Covariances, riemann.estimation.TimeDelayCovariances
    tangent, mdm = riemann.tangentspace.TangentSpace, riemann.classification.MDM

    def signals(**params):
        return ("signals", SignalArray(MOTOR_BAND, **layout).set_params(**params))

    def csp():
        return ("csp", CSP(4, reg="oas"))

    bank = [
        (
            f"{band[0]:g}-{band[1]:g} Hz",
            Pipeline([("signals", SignalArray(band, **layout)), csp()]),
        )
        for band in FILTER_BANK
    ]
    return {
        "band power + LR": [("power", BandPower(**layout)), _scaler(), _lr()],
        "narrow-band power + LR": [("power", BandPower("narrow", **layout)), _scaler(), _lr()],
        "Hjorth, entropy + LR": [("hjorth", HjorthEntropy(**layout)), _scaler(), _lr()],
        "CSP + LDA": [signals(), csp(), ("lda", LinearDiscriminantAnalysis())],
        "filter-bank CSP + LDA": [
            ("bank", FeatureUnion(bank)),
            ("select", SelectKBest(mutual_information, k=8)),
            _shrinkage_lda(),
        ],
        "tangent space + LR": [
            signals(),
            ("covariances", covariances("oas")),
            ("tangent", tangent()),
            _lr(),
        ],
        "MDM": [signals(), ("covariances", covariances("oas")), ("mdm", mdm())],
        "ACM + tangent space + LR": [
            signals(resample=80.0),
            ("covariances", delayed([2, 4], "oas")),
            ("tangent", tangent()),
            _lr(),
        ],
    }


def _erp(layout: dict) -> dict[str, list]:
    riemann = _pyriemann()
    xdawn = riemann.estimation.XdawnCovariances(4, estimator="oas", xdawn_estimator="oas")
    return {
        "downsampled + LDA": [("samples", DownsampledSignals(**layout)), _shrinkage_lda()],
        "Xdawn + tangent space + LR": [
            ("signals", SignalArray(**layout)),
            ("covariances", xdawn),
            ("tangent", riemann.tangentspace.TangentSpace()),
            _lr(),
        ],
    }


def _scaler() -> tuple[str, StandardScaler]:
    return "scaler", StandardScaler()


def _lr() -> tuple[str, LogisticRegression]:
    return "lr", LogisticRegression(max_iter=5_000)


def _shrinkage_lda() -> tuple[str, LinearDiscriminantAnalysis]:
    return "lda", LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")


def _pyriemann() -> Any:
    try:
        import pyriemann.classification
        import pyriemann.estimation
        import pyriemann.tangentspace
    except ImportError as error:
        raise ImportError(
            "The classical pipelines need pyriemann: pip install pyriemann"
        ) from error
    return pyriemann
