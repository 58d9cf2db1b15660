"""Our estimators inside scikit-learn's: pipelines, searches, ensembles, calibration, routing."""

from __future__ import annotations

from pathlib import Path

import joblib
import mne
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFECV, SelectKBest, SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    get_scorer,
    log_loss,
    make_scorer,
    roc_auc_score,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    LeaveOneGroupOut,
    RandomizedSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer, DARERegressor

NAMES = ["C3", "Cz", "C4"]
SFREQ = 64.0
PARAMS = {"ch_names": NAMES, "sfreq": SFREQ, "unit": "uV", "random_state": 0}
# what scikit-learn says wherever it insists on a table of features
REFUSED = "Found array with dim 3, while dim <= 2 is required"


@pytest.fixture(scope="module")
def data():
    """24 epochs of 1 s from three people, with a slow wave at C3 in one of two classes."""
    rng = np.random.default_rng(1)
    X = rng.normal(scale=10, size=(24, 3, 64))
    y = np.tile(["left", "right"], 12)
    X[y == "right", 0] += 60 * np.sin(2 * np.pi * 2 * np.arange(64) / SFREQ)
    return X, y, np.repeat(["S1", "S2", "S3"], 8)


@pytest.fixture(scope="module")
def epochs(data):
    X, y, groups = data
    events = np.column_stack([np.arange(24) * 64, np.zeros(24, int), np.where(y == "left", 1, 2)])
    metadata = pd.DataFrame({"label": y, "subject": groups})
    return mne.EpochsArray(
        X * 1e-6,
        mne.create_info(NAMES, SFREQ, "eeg"),
        events=events,
        event_id={"left": 1, "right": 2},
        metadata=metadata,
        verbose="error",
    )


@pytest.fixture(scope="module")
def pretrainer(data):
    return DAREPretrainer(max_epochs=1, batch_size=8, **PARAMS).fit(data[0])


def conv(encoder=None, **params):
    return DAREClassifier(
        encoder, **{**PARAMS, "spatial_init": "spline", "max_epochs": 1, "batch_size": 8, **params}
    )


def virtual(encoder=None, **params):
    return DAREClassifier(encoder, **{**PARAMS, "batch_size": 8, **params})


def linear(encoder=None, **params):
    return DAREClassifier(encoder, **{**PARAMS, "adaptation": "linear", **params})


def embedder(encoder=None, **params):
    return DAREEmbedder(encoder, **{**PARAMS, "pooling": "flatten", **params})


def logistic(**params):
    return LogisticRegression(max_iter=1000, **params)


def piped(encoder=None, **params):
    return make_pipeline(embedder(encoder, **params), StandardScaler(), logistic())


def on_epochs(estimator):
    """The same estimator, which takes names and rate from ``mne.Epochs``."""
    free = {"ch_names": None, "sfreq": None, "unit": "auto"}
    names = [n for n in estimator.get_params() if n.rsplit("__")[-1] in free]
    return clone(estimator).set_params(**{n: free[n.rsplit("__")[-1]] for n in names})


MODELS = {"conv-linear": conv, "virtual": virtual, "linear": linear, "embedder": piped}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


@pytest.fixture(params=["array", "epochs"])
def container(request, data, epochs):
    """(adapt an estimator to it, X)."""
    return (
        (lambda estimator: estimator, data[0]) if request.param == "array" else (on_epochs, epochs)
    )


def folds(cv, X, y, groups):
    return list(cv.split(np.zeros(len(y)), y, groups))


# pipelines and unions -----------------------------------------------------------------------------


def test_a_pipeline_of_one_step_is_the_step(data):
    X, y, _ = data
    alone = conv().fit(X, y)
    piped_alone = make_pipeline(conv()).fit(X, y)
    np.testing.assert_array_equal(piped_alone.predict_proba(X), alone.predict_proba(X))
    np.testing.assert_array_equal(piped_alone.decision_function(X), alone.decision_function(X))
    assert list(piped_alone.classes_) == ["left", "right"]
    assert piped_alone.score(X, y) == alone.score(X, y)


def n_cached(folder):
    return len(list(Path(folder).rglob("output.pkl")))


def test_memory_embeds_once(container, data, tmp_path):
    adapt, X = container
    y = data[1]
    plain = adapt(make_pipeline(embedder(), logistic())).fit(X, y)
    for expected, pooling in [(1, "flatten"), (1, "flatten"), (2, "mean"), (2, "flatten")]:
        cached = make_pipeline(adapt(embedder(pooling=pooling)), logistic(), memory=str(tmp_path))
        cached.fit(X, y)
        assert n_cached(tmp_path) == expected
    np.testing.assert_array_equal(cached.predict_proba(X), plain.predict_proba(X))


def test_memory_sees_other_weights_and_other_signals(data, epochs, pretrainer, tmp_path):
    """Two pretrainers with the same parameters are not the same encoder."""
    X, y, _ = data
    other = clone(pretrainer).fit(X[:, ::-1])
    assert other.get_params() == pretrainer.get_params()
    for encoder in (pretrainer, other, clone(pretrainer)):
        make_pipeline(embedder(encoder), logistic(), memory=str(tmp_path)).fit(X, y)
    assert n_cached(tmp_path) == 2
    for signals in (epochs, epochs.copy().apply_function(np.negative, verbose="error")):
        make_pipeline(on_epochs(embedder()), logistic(), memory=str(tmp_path)).fit(signals, y)
    assert n_cached(tmp_path) == 4


def log_power(X):
    """Log variance of each channel, from an array or from (lists of) Epochs."""
    if isinstance(X, list):  # what scikit-learn's splitters make of Epochs
        X = np.concatenate([one.get_data(copy=False) for one in X])
    X = X if isinstance(X, np.ndarray) else X.get_data(copy=False)
    return np.log(X.var(axis=-1))


def power_names(transformer, input_features):
    return [f"power_{name}" for name in NAMES]


def power():
    return FunctionTransformer(log_power, feature_names_out=power_names)


def test_union_with_classical_features(container, data):
    adapt, X = container
    _, y, groups = data
    union = adapt(FeatureUnion([("dare", embedder()), ("power", power())]))
    Z = union.fit_transform(X, y)
    np.testing.assert_array_equal(Z[:, :-3], adapt(embedder()).fit_transform(X))
    np.testing.assert_allclose(Z[:, -3:], log_power(X))
    names = list(union.get_feature_names_out())
    assert names[0] == "dare__dare_p00_s0_d000" and names[-3:] == [
        f"power__power_{n}" for n in NAMES
    ]
    scores = cross_val_score(
        make_pipeline(union, StandardScaler(), logistic()), X, y, groups=groups,
        cv=LeaveOneGroupOut(), error_score="raise",
    )  # fmt: skip
    assert scores.mean() > 0.75


def test_union_with_riemannian_features(data):
    X, y, _ = data
    tangent = make_pipeline(Covariances("oas"), TangentSpace())
    union = FeatureUnion(
        [("dare", embedder()), ("tangent", tangent)], transformer_weights={"dare": 0.5}
    )
    Z = union.fit_transform(X, y)
    assert Z.shape == (24, 4 * 64 + 6)
    np.testing.assert_allclose(Z[:, :-6], 0.5 * embedder().fit_transform(X), rtol=1e-6)
    assert cross_val_score(make_pipeline(union, StandardScaler(), logistic()), X, y).mean() > 0.75


def test_union_of_channels(data):
    """What ColumnTransformer does for tables: an embedder per group of channels."""
    X, y, _ = data

    def region(picks):
        names = [NAMES[i] for i in picks]
        pick = FunctionTransformer(np.take, kw_args={"indices": picks, "axis": 1})
        return make_pipeline(pick, embedder(ch_names=names))

    union = FeatureUnion([("left", region([0])), ("rest", region([1, 2]))])
    expected = [embedder(ch_names=NAMES[:1]).fit_transform(X[:, :1]),
                embedder(ch_names=NAMES[1:]).fit_transform(X[:, 1:])]  # fmt: skip
    np.testing.assert_array_equal(union.fit_transform(X, y), np.hstack(expected))


def test_column_transformer_takes_tables_of_one_channel(data):
    X, y, _ = data
    samples = [f"t{i}" for i in range(64)]
    table = pd.DataFrame(X[:, 0], columns=samples, index=np.arange(100, 124))
    table["age"] = np.linspace(20, 60, 24)
    columns = ColumnTransformer(
        [("eeg", embedder(ch_names=["C3"]), samples), ("age", "passthrough", ["age"])]
    )
    frame = clone(columns).set_output(transform="pandas").fit_transform(table)
    assert frame.shape == (24, 257) and frame.columns[-1] == "age__age"
    np.testing.assert_array_equal(frame.index, table.index)
    model = make_pipeline(columns, StandardScaler(), logistic())
    assert cross_val_score(model, table, y).mean() > 0.75
    with pytest.raises(ValueError, match="should be a 2D NumPy array"):
        ColumnTransformer([("eeg", embedder(), [0, 1, 2])]).fit(X)


@pytest.mark.parametrize(
    "last",
    {
        "SelectKBest": make_pipeline(SelectKBest(k=20), logistic()),
        "RFECV": RFECV(logistic(), step=64, cv=2),
        "PCA": make_pipeline(PCA(8), logistic()),
        "SVC": SVC(),
        "Bagging": BaggingClassifier(logistic(), n_estimators=3, random_state=0),
        "OneVsOne": OneVsOneClassifier(logistic()),
        "SequentialFeatureSelector": make_pipeline(
            PCA(8),
            SequentialFeatureSelector(logistic(), n_features_to_select=1, cv=2),
            logistic(),
        ),
    }.items(),
    ids=lambda item: item[0],
)
def test_after_the_embedder(data, last):
    X, y, _ = data
    model = make_pipeline(embedder(), StandardScaler(), last[1])
    assert cross_val_score(model, X, y, cv=3, error_score="raise").mean() > 0.75


def test_permutation_importance_of_embeddings(data):
    X, y, _ = data
    model = make_pipeline(embedder(pooling="mean"), logistic()).fit(X, y)
    with pytest.raises(ValueError, match=REFUSED):
        permutation_importance(model, X, y)
    found = permutation_importance(model[-1], model[:-1].transform(X), y, n_repeats=2)
    assert found.importances.shape == (64, 2)


def test_pandas_output(container, data):
    adapt, X = container
    y = data[1]
    model = adapt(piped()).fit(X, y)
    framed = adapt(piped()).set_output(transform="pandas").fit(X, y)
    Z = framed[:-1].transform(X)
    assert isinstance(Z, pd.DataFrame) and Z.columns[0] == "dare_p00_s0_d000"
    assert list(framed[-1].feature_names_in_) == list(framed[0].get_feature_names_out())
    np.testing.assert_allclose(framed.predict_proba(X), model.predict_proba(X), rtol=1e-6)


def test_pandas_output_of_everything(data, model, pretrainer):
    X, y, _ = data
    expected = cross_val_predict(model, X, y, cv=3, method="predict_proba")
    with sklearn.config_context(transform_output="pandas"):
        got = cross_val_predict(model, X, y, cv=3, method="predict_proba")
        assert isinstance(pretrainer.transform(X), pd.DataFrame)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


# cross-validation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cv", [GroupKFold(2), LeaveOneGroupOut()], ids=["GroupKFold", "LOGO"])
@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_cross_val_predict(container, data, cv, method):
    adapt, X = container
    _, y, groups = data
    got = cross_val_predict(adapt(conv()), X, y, groups=groups, cv=cv, method=method)
    for train, test in folds(cv, X, y, groups):
        fitted = adapt(conv()).fit(X[train], y[train])
        np.testing.assert_array_equal(got[test], getattr(fitted, method)(X[test]))


def test_cross_validate_returns_what_it_fitted(container, data, model):
    adapt, X = container
    _, y, groups = data
    found = cross_validate(
        adapt(model), X, y, groups=groups, cv=GroupKFold(3), return_estimator=True,
        return_indices=True, return_train_score=True, scoring=["accuracy", "roc_auc"],
        error_score="raise",
    )  # fmt: skip
    trains, tests = found["indices"]["train"], found["indices"]["test"]
    for i, (fitted, train, test) in enumerate(zip(found["estimator"], trains, tests, strict=True)):
        assert not set(groups[train]) & set(groups[test])
        assert fitted.score(X[test], y[test]) == found["test_accuracy"][i]
        assert get_scorer("roc_auc")(fitted, X[train], y[train]) == found["train_roc_auc"][i]


def weights_of(encoder):
    return torch.cat([p.flatten() for p in encoder.parameters()])


def test_pretraining_in_and_outside_folds(data, pretrainer):
    X, y, groups = data
    for encoder, same in (
        (pretrainer, True),
        (DAREPretrainer(max_epochs=1, batch_size=8, random_state=0), False),
    ):
        for model in (conv(encoder), make_pipeline(embedder(encoder), logistic())):
            found = cross_validate(
                model, X, y, groups=groups, cv=LeaveOneGroupOut(), return_estimator=True,
                error_score="raise",
            )["estimator"]  # fmt: skip
            encoders = [getattr(e, "steps", [(0, e)])[0][1].encoder_ for e in found]
            first, second = weights_of(encoders[0]), weights_of(encoders[1])
            assert torch.equal(first, second) == same
            assert torch.equal(first, weights_of(pretrainer.encoder_)) == same


def test_learning_curve(container, data):
    adapt, X = container
    sizes, train, test = learning_curve(
        adapt(linear()), X, data[1], cv=StratifiedKFold(3), train_sizes=[6, 16],
        error_score="raise",
    )  # fmt: skip
    assert sizes.tolist() == [6, 16] and train.shape == test.shape == (2, 3)
    assert test[-1].mean() > 0.75


def test_validation_curve(data):
    X, y, _ = data
    train, test = validation_curve(
        make_pipeline(linear(pooling="flatten")), X, y, param_name="dareclassifier__C", param_range=[1e-9, 1.0],
        cv=3, scoring="neg_log_loss", error_score="raise",
    )  # fmt: skip
    np.testing.assert_allclose(train[0], -np.log(2), atol=1e-3)  # all weights are near zero
    assert (test[1] > test[0] + 0.1).all()


def test_permutation_test(data):
    X, y, _ = data
    score, permuted, p = permutation_test_score(
        linear(), X, y, cv=3, n_permutations=9, random_state=0
    )
    assert score > permuted.max() and p == pytest.approx(0.1)


def test_scorers(data):
    X, y, _ = data
    train, test = np.arange(16), np.arange(16, 24)
    clf = conv().fit(X[train], y[train])
    X, y = X[test], y[test]
    proba, labels = clf.predict_proba(X), clf.predict(X)
    expected = {
        "roc_auc": roc_auc_score(y == "right", proba[:, 1]),
        "neg_log_loss": -log_loss(y, proba),
        "balanced_accuracy": balanced_accuracy_score(y, labels),
    }
    for name, value in expected.items():
        assert get_scorer(name)(clf, X, y) == pytest.approx(value), name
    f1 = make_scorer(f1_score, pos_label="left", zero_division=0.0)
    assert f1(clf, X, y) == f1_score(y, labels, pos_label="left", zero_division=0.0)
    log = make_scorer(log_loss, response_method="predict_proba", greater_is_better=False)
    assert log(clf, X, y) == pytest.approx(expected["neg_log_loss"])


def test_scoring_of_three_classes(data):
    X = data[0]
    y = np.tile(["feet", "left", "right"], 8)
    for model in (conv(), linear()):
        scores = cross_val_score(model, X, y, cv=2, scoring="roc_auc_ovr", error_score="raise")
        assert ((scores >= 0) & (scores <= 1)).all()


# searches -----------------------------------------------------------------------------------------


def test_grid_search_reaches_every_parameter(container, data):
    adapt, X = container
    y = data[1]
    model = adapt(make_pipeline(embedder(), StandardScaler(), logistic()))
    grid = {"dareembedder__pooling": ["mean", "flatten"], "logisticregression__C": [1e-6, 1.0]}
    cv = StratifiedKFold(2)
    search = GridSearchCV(model, grid, cv=cv, scoring="neg_log_loss", error_score="raise").fit(X, y)
    for params, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        alone = clone(model).set_params(**params)
        assert score == cross_val_score(alone, X, y, cv=cv, scoring="neg_log_loss").mean()
    assert search.best_params_ == {"dareembedder__pooling": "flatten", "logisticregression__C": 1.0}
    assert search.best_estimator_[0].pooling == "flatten" and search.score(X, y) > -0.1


def test_randomized_search(data):
    X, y, groups = data
    search = RandomizedSearchCV(
        conv(max_epochs=2), {"lr": loguniform(1e-4, 1e-2), "dropout": [0.0, 0.5]}, n_iter=3,
        cv=GroupKFold(3), random_state=0, error_score="raise",
    ).fit(X, y, groups=groups)  # fmt: skip
    assert len(search.cv_results_["params"]) == 3
    assert search.best_estimator_.lr == search.best_params_["lr"]
    assert list(search.classes_) == ["left", "right"]


def test_halving_search(container, data):
    adapt, X = container
    search = HalvingGridSearchCV(
        adapt(linear(pooling="flatten")), {"C": [1e-9, 1e-3, 1.0]}, min_resources=8, cv=2, random_state=0,
        scoring="neg_log_loss", error_score="raise",
    ).fit(X, data[1])  # fmt: skip
    assert search.n_resources_ == [8, 24] and search.best_params_["C"] > 1e-9


@pytest.mark.parametrize(
    "make", [conv, lambda encoder: make_pipeline(embedder(encoder), logistic())]
)
def test_search_over_the_pretraining(data, make):
    """Nested names of an unfitted pretrainer: each candidate pretrains in each fold."""
    X, y, _ = data
    model = make(DAREPretrainer(max_epochs=0, batch_size=8, random_state=0))
    prefix = "dareembedder__" if hasattr(model, "steps") else ""
    grid = {f"{prefix}encoder__size": ["nano", "light"], f"{prefix}encoder__unit": ["uV"]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 2
    best = search.best_estimator_[0] if prefix else search.best_estimator_
    width = {"nano": 64, "light": 128}[search.best_params_[f"{prefix}encoder__size"]]
    assert best.encoder_.config.embed_dim == width
    assert not hasattr(best.encoder, "encoder_")  # the parameter stays unfitted


def test_search_that_changes_a_fitted_pretrainer(data, pretrainer):
    X, y, _ = data
    free = GridSearchCV(embedder_grid(pretrainer), {"dareembedder__encoder__verbose": [0]}, cv=2)
    kept = free.fit(X, y).best_estimator_[0].encoder_
    assert torch.equal(weights_of(kept), weights_of(pretrainer.encoder_))
    search = GridSearchCV(embedder_grid(pretrainer), {"dareembedder__encoder__lr": [1e-2]}, cv=2)
    with pytest.warns(UserWarning, match="pretrained anew on the training data"):
        anew = search.fit(X, y).best_estimator_[0].encoder_
    assert not torch.equal(weights_of(anew), weights_of(pretrainer.encoder_))


def embedder_grid(encoder):
    return make_pipeline(embedder(encoder), logistic())


# meta-estimators ----------------------------------------------------------------------------------


METAS = {
    "calibrated": lambda clf: CalibratedClassifierCV(clf, cv=3),
    "calibrated, one model": lambda clf: CalibratedClassifierCV(clf, cv=3, ensemble=False),
    "calibrated, temperature": lambda clf: CalibratedClassifierCV(clf, cv=3, method="temperature"),
    "soft vote": lambda clf: VotingClassifier([("a", clf), ("b", piped())], voting="soft"),
    "hard vote": lambda clf: VotingClassifier([("a", clf), ("b", piped())]),
    "stack": lambda clf: StackingClassifier([("a", clf), ("b", piped())], cv=3),
    "one vs rest": OneVsRestClassifier,
    "tuned threshold": lambda clf: TunedThresholdClassifierCV(clf, cv=3),
    "fixed threshold": lambda clf: FixedThresholdClassifier(clf, pos_label="left"),
}


@pytest.mark.parametrize("name", METAS)
@pytest.mark.parametrize("kind", ["conv-linear", "virtual", "linear"])
def test_meta_classifiers(data, kind, name):
    X, y, _ = data
    params = {"max_epochs": 8} if kind == "conv-linear" else {}
    meta = METAS[name](MODELS[kind](**params)).fit(X[:16], y[:16])
    assert list(meta.classes_) == ["left", "right"]
    assert meta.score(X[16:], y[16:]) >= 0.75
    if hasattr(meta, "predict_proba"):
        np.testing.assert_allclose(meta.predict_proba(X).sum(1), 1.0)


@pytest.mark.parametrize("name", ["calibrated", "soft vote", "stack", "tuned threshold"])
def test_meta_classifiers_on_epochs(data, epochs, name):
    y = data[1]
    meta = on_epochs(METAS[name](linear()))
    assert cross_val_score(meta, epochs, y, cv=2, error_score="raise").mean() > 0.75


def test_votes_are_means(data):
    X, y, _ = data
    vote = VotingClassifier([("a", conv()), ("b", linear())], voting="soft", weights=[1, 3])
    mean = (conv().fit(X, y).predict_proba(X) + 3 * linear().fit(X, y).predict_proba(X)) / 4
    np.testing.assert_allclose(vote.fit(X, y).predict_proba(X), mean)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_frozen_models_are_not_fitted_again(data, model):
    X, y, _ = data
    fitted = model().fit(X[:12], y[:12])
    frozen = clone(FrozenEstimator(fitted)).fit(X, y[::-1])
    np.testing.assert_array_equal(frozen.predict_proba(X), fitted.predict_proba(X))
    calibrated = CalibratedClassifierCV(FrozenEstimator(fitted)).fit(X, y)
    inner = calibrated.calibrated_classifiers_[0].estimator
    np.testing.assert_array_equal(inner.predict_proba(X), fitted.predict_proba(X))
    score = cross_val_score(
        FrozenEstimator(fitted), X[12:], y[12:], cv=3, error_score="raise"
    ).mean()
    assert score == pytest.approx(fitted.score(X[12:], y[12:]))


def test_frozen_features_below_a_new_head(data, pretrainer):
    X, y, _ = data
    model = make_pipeline(
        FrozenEstimator(embedder(pretrainer).fit(X)), StandardScaler(), logistic()
    )
    scores = cross_val_score(model, X, y, cv=3, error_score="raise")
    assert scores.mean() > 0.75


def test_thresholds_move_the_decision(data):
    X, y, _ = data
    shares = [
        np.mean(FixedThresholdClassifier(conv(), threshold=t).fit(X, y).predict(X) == "right")
        for t in (0.0, 0.5, 1.0)
    ]
    assert shares[0] == 1.0 and shares[2] == 0.0 and 0.0 <= shares[1] <= 1.0
    tuned = TunedThresholdClassifierCV(conv(max_epochs=8), cv=3, thresholds=5).fit(X, y)
    assert 0.0 <= tuned.best_threshold_ <= 1.0


@pytest.mark.parametrize("model", [conv, linear])
def test_more_outputs_and_boosting(data, model):
    X, y, _ = data
    two = np.column_stack([y, np.tile(["a", "b", "c"], 8)])
    many = MultiOutputClassifier(model()).fit(X, two)
    first = model().fit(X, y)
    np.testing.assert_array_equal(many.predict(X)[:, 0], first.predict(X))
    assert set(many.predict(X)[:, 1]) <= {"a", "b", "c"}
    rest = OneVsRestClassifier(model()).fit(X, two[:, 1])
    assert len(rest.estimators_) == 3 and rest.predict_proba(X).shape == (24, 3)
    boosted = AdaBoostClassifier(linear(pooling="flatten", C=1e-4), n_estimators=2, random_state=0)
    with pytest.warns(UserWarning, match="sample_weight has a mean of 0.042"):  # theirs sum to 1
        boosted.fit(X, y)
    assert boosted.score(X, y) > 0.75


REFUSING = {
    "Bagging": lambda clf: BaggingClassifier(clf, n_estimators=2, random_state=0),
    "SelfTraining": SelfTrainingClassifier,
    "OneVsOne": OneVsOneClassifier,
}


@pytest.mark.parametrize("name", [*REFUSING, "ClassifierChain", "SequentialFeatureSelector"])
def test_who_wants_a_table(data, name):
    """scikit-learn refuses three dimensions here: put these behind the embedder instead."""
    X, y, _ = data
    refusing = {
        **REFUSING,
        "ClassifierChain": ClassifierChain,
        "SequentialFeatureSelector": SequentialFeatureSelector,
    }
    codes = (y == "right").astype(int)
    with pytest.raises(ValueError, match=f"{REFUSED} by {name}"):
        refusing[name](conv()).fit(X, np.c_[codes, codes] if name == "ClassifierChain" else codes)


@pytest.mark.parametrize("name", REFUSING)
def test_tables_of_one_channel(data, name):
    X, y, _ = data
    codes = (y == "right").astype(int)
    labels = np.where(np.arange(24) < 4, -1, codes) if name == "SelfTraining" else codes
    meta = REFUSING[name](linear(ch_names=["C3"])).fit(X[:, 0], labels)
    assert meta.score(X[:, 0], codes) > 0.75


def test_self_training_behind_the_embedder(data):
    X, y, _ = data
    codes = np.where(np.arange(24) < 12, (y == "right").astype(int), -1)
    model = make_pipeline(embedder(), StandardScaler(), SelfTrainingClassifier(logistic()))
    assert model.fit(X, codes).score(X[12:], (y == "right")[12:].astype(int)) > 0.75


# regression ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def amplitude(data):
    X = data[0]
    rng = np.random.default_rng(1)
    amplitude = np.tile([10.0, 60.0], 12) + rng.uniform(-5, 5, 24)
    wave = np.sin(2 * np.pi * 2 * np.arange(64) / SFREQ)
    X = rng.normal(scale=5, size=X.shape)
    X[:, 0] += amplitude[:, None] * wave
    return X, amplitude


def regressor(adaptation):
    read = {
        "conv-linear": {"spatial_init": "spline", "max_epochs": 2},
        "linear": {"pooling": "flatten", "alpha": 10.0},
    }
    return DARERegressor(None, adaptation=adaptation, batch_size=8, **read[adaptation], **PARAMS)


@pytest.mark.parametrize("adaptation", ["conv-linear", "linear"])
def test_transformed_targets(amplitude, adaptation):
    X, y = amplitude
    reg = regressor(adaptation)
    log = TransformedTargetRegressor(reg, func=np.log, inverse_func=np.exp).fit(X, y)
    np.testing.assert_allclose(log.predict(X), np.exp(clone(reg).fit(X, np.log(y)).predict(X)))
    scaled = TransformedTargetRegressor(reg, transformer=StandardScaler()).fit(X, y)
    np.testing.assert_allclose(scaled.predict(X), clone(reg).fit(X, y).predict(X), rtol=1e-4)


@pytest.mark.parametrize("adaptation", ["conv-linear", "linear"])
def test_meta_regressors(amplitude, adaptation):
    X, y = amplitude
    reg = regressor(adaptation)
    alone = clone(reg).fit(X, y).predict(X)
    np.testing.assert_allclose(VotingRegressor([("a", reg)]).fit(X, y).predict(X), alone)
    both = MultiOutputRegressor(reg).fit(X, np.c_[y, -y]).predict(X)
    np.testing.assert_allclose(both[:, 0], alone)
    for meta in (
        StackingRegressor([("a", reg), ("b", make_pipeline(embedder(), Ridge()))], cv=2),
        AdaBoostRegressor(reg, n_estimators=2, random_state=0),
    ):
        assert np.isfinite(meta.fit(X, y).predict(X)).all()
    for refusing in (BaggingRegressor(reg), RegressorChain(reg)):
        with pytest.raises(ValueError, match=f"{REFUSED} by {type(refusing).__name__}"):
            refusing.fit(X, np.c_[y, y])


@pytest.mark.parametrize("adaptation", ["conv-linear", "linear"])
def test_regression_across_folds(amplitude, adaptation):
    X, y = amplitude
    reg, cv, error = regressor(adaptation), KFold(3), "neg_mean_absolute_error"
    scores = cross_val_score(reg, X, y, cv=cv, scoring=error, error_score="raise")
    for score, (train, test) in zip(scores, cv.split(X), strict=True):
        predicted = clone(reg).fit(X[train], y[train]).predict(X[test])
        assert score == -np.abs(predicted - y[test]).mean()
    search = GridSearchCV(regressor("linear"), {"alpha": [1.0, 1e9]}, cv=cv).fit(X, y)
    assert search.best_params_ == {"alpha": 1.0}  # 1e9 predicts the mean


@pytest.mark.filterwarnings("ignore:The estimator DAREClassifier does not support callbacks")
def test_progress_of_a_search(data, capfd):
    """scikit-learn's own bar shows how far a search is."""
    callback = pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    search = GridSearchCV(linear(pooling="mean"), {"C": [0.1, 1.0]}, cv=2, error_score="raise")
    search.set_callbacks(callback.ProgressBar()).fit(data[0], data[1])
    assert "100%" in "".join(capfd.readouterr()) and search.best_params_["C"] in (0.1, 1.0)


# metadata routing ---------------------------------------------------------------------------------


@pytest.fixture
def weights():
    return np.random.default_rng(0).uniform(0.1, 3.0, 24)


def test_weights_without_routing(data, weights):
    X, y, groups = data
    cv = GroupKFold(3)
    found = cross_validate(
        linear(), X, y, groups=groups, cv=cv, params={"sample_weight": weights},
        return_estimator=True, error_score="raise",
    )  # fmt: skip
    train, test = folds(cv, X, y, groups)[0]
    fitted = linear().fit(X[train], y[train], sample_weight=weights[train])
    np.testing.assert_array_equal(
        found["estimator"][0].predict_proba(X[test]), fitted.predict_proba(X[test])
    )
    piped_weights = make_pipeline(conv()).fit(X, y, dareclassifier__sample_weight=weights)
    np.testing.assert_array_equal(
        piped_weights.predict_proba(X), conv().fit(X, y, weights).predict_proba(X)
    )


@pytest.mark.parametrize("kind", ["conv-linear", "virtual", "linear"])
def test_routing_changes_nothing_by_itself(data, kind):
    """MOABB, for one, fits every pipeline with routing enabled."""
    X, y, _ = data
    expected = MODELS[kind]().fit(X, y).predict_proba(X)
    with sklearn.config_context(enable_metadata_routing=True):
        np.testing.assert_array_equal(MODELS[kind]().fit(X, y).predict_proba(X), expected)


@pytest.mark.parametrize("kind", ["conv-linear", "virtual", "linear"])
def test_weights_with_routing(data, weights, kind):
    X, y, groups = data
    model, cv = MODELS[kind](), GroupKFold(3)
    train, test = folds(cv, X, y, groups)[0]
    fitted = clone(model).fit(
        X[train], y[train], sample_weight=weights[train], groups=groups[train]
    )
    score = fitted.score(X[test], y[test], sample_weight=weights[test])
    proba = fitted.predict_proba(X[test])
    with sklearn.config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError, match="DAREClassifier.fit"):
            cross_validate(model, X, y, params={"sample_weight": weights}, cv=3)
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        params = {"sample_weight": weights, "groups": groups}
        for routed in (model, make_pipeline(model)):
            found = cross_validate(
                routed, X, y, params=params, cv=cv, return_estimator=True, error_score="raise"
            )
            np.testing.assert_array_equal(found["estimator"][0].predict_proba(X[test]), proba)
            assert found["test_score"][0] == score
        search = GridSearchCV(model, {"random_state": [0, 1]}, cv=cv, error_score="raise")
        assert search.fit(X, y, **params).cv_results_["split0_test_score"][0] == score


def test_weights_through_other_metas(data, weights):
    X, y, groups = data
    with sklearn.config_context(enable_metadata_routing=True):
        model = conv().set_fit_request(sample_weight=True)
        vote = VotingClassifier([("a", model)], voting="soft").fit(X, y, sample_weight=weights)
        expected = conv().fit(X, y, sample_weight=weights).predict_proba(X)
        np.testing.assert_array_equal(vote.predict_proba(X), expected)
        cv = GroupKFold(3)
        calibrated = CalibratedClassifierCV(model, cv=cv)
        calibrated.fit(X, y, sample_weight=weights, groups=groups)
        train, test = folds(cv, X, y, groups)[0]
        inner = calibrated.calibrated_classifiers_[0].estimator.predict_proba(X[test])
        fitted = conv().fit(X[train], y[train], sample_weight=weights[train])
        np.testing.assert_array_equal(inner, fitted.predict_proba(X[test]))
        head = logistic().set_fit_request(sample_weight=True)
        got = make_pipeline(embedder(), head).fit(X, y, sample_weight=weights).predict_proba(X)
    head = logistic().fit(embedder().fit_transform(X), y, sample_weight=weights)
    np.testing.assert_array_equal(got, head.predict_proba(embedder().fit_transform(X)))


def test_groups_reach_the_validation_split(data):
    """Groups arrive unasked; without them the split warns that it is at random."""
    X, y, groups = data
    model = conv(max_epochs=2, validation_fraction=0.5)
    with sklearn.config_context(enable_metadata_routing=True):
        found = cross_validate(
            model, X, y, params={"groups": groups}, cv=GroupKFold(3), return_estimator=True,
            error_score="raise",
        )  # fmt: skip
        with pytest.raises(ValueError, match="pass `groups` .* via the `params` argument"):
            cross_val_score(model, X, y, groups=groups, cv=GroupKFold(3))
    train, _ = folds(GroupKFold(3), X, y, groups)[0]
    fitted = clone(model).fit(X[train], y[train], groups=groups[train])
    columns = ["loss", "valid_loss"]
    pd.testing.assert_frame_equal(found["estimator"][0].history_[columns], fitted.history_[columns])
    with pytest.warns(UserWarning, match="training and validation share subjects"):
        cross_val_score(model, X, y, groups=groups, cv=GroupKFold(3))


# parallel work ------------------------------------------------------------------------------------


@pytest.fixture
def one_thread():
    """Workers of joblib compute with one thread each, and sums are rounded by threads."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def test_processes_give_the_same_numbers(data, epochs, pretrainer, one_thread):
    X, y, groups = data
    for model, signals in ((conv(pretrainer), X), (on_epochs(piped()), epochs)):
        numbers = [
            cross_val_predict(model, signals, y, cv=2, method="predict_proba", n_jobs=n_jobs)
            for n_jobs in (1, 2)
        ]
        np.testing.assert_array_equal(*numbers)
    search = GridSearchCV(conv(), {"lr": [1e-3, 1e-2]}, cv=GroupKFold(3), n_jobs=2)
    search.fit(X, y, groups=groups)
    serial = cross_val_score(conv(lr=1e-2), X, y, groups=groups, cv=GroupKFold(3))
    assert search.cv_results_["mean_test_score"][1] == serial.mean()


@pytest.mark.parametrize("kind", ["conv-linear", "virtual", "embedder", "pretraining"])
def test_threads_give_the_same_numbers(data, kind):
    X, y, _ = data
    unfitted = DAREPretrainer(max_epochs=1, batch_size=8, random_state=0)
    model = {
        "conv-linear": conv(max_epochs=5),
        "virtual": virtual(),
        "embedder": piped(),
        "pretraining": conv(unfitted),
    }[kind]
    serial = cross_val_predict(model, X, y, cv=6, method="predict_proba")
    state = torch.get_rng_state()
    with joblib.parallel_backend("threading"):
        threaded = cross_val_predict(model, X, y, cv=6, method="predict_proba", n_jobs=2)
    np.testing.assert_array_equal(threaded, serial)
    assert torch.equal(torch.get_rng_state(), state)
