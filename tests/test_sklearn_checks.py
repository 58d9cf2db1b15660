"""scikit-learn's own battery, in full: 2-D input is one channel, so no check is left out."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from dare_sklearn import (
    DAREClassifier,
    DAREEmbedder,
    DAREPretrainer,
    DARERegressor,
    EuclideanAligner,
    SpectralAligner,
)

# toy problems are no EEG, of which estimators warn
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*X was sampled at 8 Hz"),
    pytest.mark.filterwarnings("ignore:.*pretrained on scalp EEG"),
    # they set alpha where there is one, whatever the mode
    pytest.mark.filterwarnings("ignore:.*alpha=0.01 .read only with"),
]

# Two samples at 8 Hz are one patch of 250 ms: scikit-learn's tables have two columns and more.
TABLE = {"sfreq": 8.0, "unit": "uV", "ch_names": ["Cz"]}
# Enough for its toy problems; one patch and one target electrode keep the battery fast.
PROBE = {
    "spatial_init": "spline",
    "max_epochs": 30,
    "lr": 1e-2,
    "dropout": 0.0,
    "target_channels": ["Cz"],
    "random_state": 0,
}

ESTIMATORS = [
    EuclideanAligner(group_by=False),
    SpectralAligner(2, group_by=False),
    DAREEmbedder(None, **TABLE),
    DAREPretrainer(max_epochs=1, window_s=0.25, **TABLE),
    DAREClassifier(None, **TABLE, **PROBE),
    DARERegressor(None, **TABLE, **PROBE),
    DAREClassifier(None, target_channels=["Cz"], **TABLE),
    DARERegressor(None, target_channels=["Cz"], **TABLE),
    DAREClassifier(None, adaptation="linear", **TABLE),
    DARERegressor(None, adaptation="linear", **TABLE),
    DAREClassifier(None, adaptation="linear", pooling="flatten", **TABLE),
    DARERegressor(None, adaptation="linear", pooling="flatten", **TABLE),
]

ROUNDING = (
    "float32 matrix products round differently for one epoch and for many, by about 1e-6 of the "
    "typical value, and the check wants 1e-7 (1e-4 relative, also of values near zero)"
)
FOLDS = (
    "readings are weighed by predictions of held-out folds, where copies of an epoch may stand on "
    "both sides (pass groups); one pooling, without folds, passes"
)
OFFSETS = (
    "the encoder's input is centred, as EEG amplifiers leave offsets arbitrary: of the two columns "
    "of this problem only their difference is seen, and the classes overlap in it"
)


def expected_failures(estimator) -> dict[str, str]:
    """Checks that cannot pass, with the reason."""
    reasons = {}
    linear = getattr(estimator, "adaptation", None) == "linear"
    virtual = not linear and getattr(estimator, "spatial_init", None) == "auto"
    if not isinstance(estimator, EuclideanAligner | SpectralAligner):
        reasons["check_methods_subset_invariance"] = ROUNDING
    if isinstance(estimator, DAREEmbedder) and estimator.pooling == "auto":
        reasons["check_methods_sample_order_invariance"] = ROUNDING
    if isinstance(estimator, DAREClassifier | DARERegressor) and not linear:
        reasons["check_sample_weight_equivalence_on_dense_data"] = ROUNDING
    if virtual or (linear and estimator.pooling == "auto"):
        reasons["check_sample_weight_equivalence_on_dense_data"] = FOLDS
        reasons["check_methods_sample_order_invariance"] = ROUNDING
    if isinstance(estimator, DAREClassifier):
        reasons["check_classifiers_train"] = OFFSETS
    return reasons


# scikit-learn's tables hold rows of equal numbers, which are flat signals to us
@pytest.mark.filterwarnings("ignore:.*epochs with a constant signal:UserWarning")
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learns_checks(estimator, check):
    reason = expected_failures(estimator).get(check.func.__name__)
    if reason is None:
        check(estimator)
        return
    try:
        check(estimator)
    except AssertionError:
        pytest.xfail(reason)
    # rounding may agree by chance on some machine; everything else must still fail
    assert reason is ROUNDING, "this check passes now: take it off the expected failures"


def test_the_battery_is_not_cut_short():
    from sklearn.utils.estimator_checks import estimator_checks_generator

    names = [check.func.__name__ for _, check in estimator_checks_generator(ESTIMATORS[4])]
    assert len(names) > 50  # an estimator that refuses 2-D input gets a single check
