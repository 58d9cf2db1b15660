"""DAREClassifier and DARERegressor."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from skorch.callbacks import EarlyStopping, EpochScoring, LRScheduler

from dare_sklearn import DAREClassifier, DAREPretrainer, DARERegressor
from dare_sklearn.signals.electrodes import TEN_TWENTY

MODES = ("conv-linear", "linear", "finetune")
NAMES = ["Fz", "C3", "Cz", "C4", "Pz", "Oz"]
PARAMS = {"ch_names": NAMES, "sfreq": 128.0, "unit": "uV", "random_state": 0}


def make_data(n_epochs=40, seed=0):
    """Noise, with a slow wave at C3 in half of the epochs."""
    rng = np.random.default_rng(seed)
    X = rng.normal(scale=10, size=(n_epochs, 6, 128))
    strength = np.tile([0.0, 1.0], n_epochs // 2)
    X[:, 1] += 40 * strength[:, None] * np.sin(np.arange(128) / 128 * 2 * np.pi * 2)
    return X, strength


@pytest.fixture(scope="module")
def data():
    return make_data()


def probe(cls, encoder=None, *, adaptation="conv-linear", max_epochs=30, **params):
    """A probe in one of the modes; the linear one takes no steps."""
    params = {"adaptation": adaptation, "batch_size": 16, **PARAMS, **params}
    if adaptation != "linear":
        params = {"spatial_init": "spline", "max_epochs": max_epochs, "lr": 5e-3, **params}
    return cls(encoder, **params)


classifier, regressor = (partial(probe, cls) for cls in (DAREClassifier, DARERegressor))


@pytest.mark.parametrize("mode", MODES)
def test_learns_what_is_there(data, mode):
    X, y = data
    test_X, test_y = make_data(seed=1)
    clf = classifier(adaptation=mode).fit(X, y)
    assert clf.score(test_X, test_y) > 0.85
    reg = regressor(adaptation=mode).fit(X, 100 + 40 * y)
    assert reg.score(test_X, 100 + 40 * test_y) > 0.5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("labels", [("feet", "hands"), (1, 2), (-3, 7), (False, True), (2.0, 9.0)])
def test_any_labels_come_back(data, mode, labels):
    X, strength = data
    y = np.array(labels)[strength.astype(int)]
    clf = classifier(adaptation=mode, max_epochs=2).fit(X, y)
    assert list(clf.classes_) == sorted(labels)
    predicted = clf.predict(X)
    assert predicted.dtype == y.dtype and set(predicted) <= set(labels)
    proba = clf.predict_proba(X)
    np.testing.assert_allclose(proba.sum(1), 1.0)
    np.testing.assert_array_equal(clf.classes_[proba.argmax(1)], predicted)
    np.testing.assert_array_equal(clf.decision_function(X) > 0, predicted == labels[1])


@pytest.mark.parametrize("mode", MODES)
def test_three_classes(mode):
    X, _ = make_data(30)
    y = np.repeat(["a", "b", "c"], 10)
    clf = classifier(adaptation=mode, max_epochs=1).fit(X, y)
    assert clf.decision_function(X).shape == clf.predict_proba(X).shape == (30, 3)


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("mode", MODES)
def test_same_seed_same_bits_and_no_leftovers(data, make, mode):
    X, y = data
    state = torch.random.get_rng_state()
    first = make(adaptation=mode, max_epochs=2).fit(X, y)
    assert torch.equal(torch.random.get_rng_state(), state)
    expected = first.predict(X)
    again = clone(first)
    np.testing.assert_array_equal(again.fit(X, y).predict(X), expected)
    # another montage, rate and length in between leaves nothing behind
    again.set_params(ch_names=NAMES[:4], sfreq=100.0).fit(X[:, :4, :100], y)
    assert again.n_chans_in_ == 4 and again.n_times_in_ == 100
    again.set_params(ch_names=NAMES, sfreq=128.0).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(first)).predict(X), expected)


def test_fit_changes_no_parameter(data):
    X, y = data
    for mode in MODES:
        clf = classifier(adaptation=mode, max_epochs=1)
        before = {k: repr(v) for k, v in clf.get_params().items()}
        clf.fit(X, y)
        assert {k: repr(v) for k, v in clf.get_params().items()} == before


@pytest.mark.parametrize("mode", MODES)
def test_a_shared_encoder_is_never_trained(data, mode):
    X, y = data
    pretrainer = DAREPretrainer(max_epochs=0, **PARAMS).fit(X)
    before = {n: v.clone() for n, v in pretrainer.encoder_.state_dict().items()}
    clf = classifier(pretrainer, adaptation=mode, max_epochs=3).fit(X, y)
    assert all(torch.equal(v, before[n]) for n, v in pretrainer.encoder_.state_dict().items())
    tuned = clf.encoder_.state_dict()
    changed = any(not torch.equal(tuned[n], before[n]) for n in before)
    assert changed is (mode == "finetune")
    if mode == "conv-linear":  # frozen inside the probe as well
        inside = clf.module_.encoder.state_dict()
        assert all(torch.equal(inside[n], before[n]) for n in before)


def test_noise_labels_stay_at_chance():
    rng = np.random.default_rng(0)
    X = rng.normal(scale=10, size=(120, 6, 128))
    y = rng.integers(0, 2, 120)
    pretrainer = DAREPretrainer(max_epochs=1, batch_size=32, **PARAMS)
    for encoder in (None, pretrainer, clone(pretrainer).fit(X)):
        for mode in ("linear", "finetune"):
            clf = classifier(encoder, adaptation=mode, max_epochs=5, batch_size=64)
            scores = cross_val_score(clf, X, y, cv=4, error_score="raise")
            assert abs(scores.mean() - 0.5) < 0.15, (encoder, mode)  # 0.15: over 3 standard errors


def test_nested_names_in_a_grid(data):
    X, y = data
    clf = DAREClassifier(
        DAREPretrainer(max_epochs=1, batch_size=16, random_state=0),
        adaptation="linear",
        pooling="flatten",
        **PARAMS,
    )
    grid = GridSearchCV(clf, {"encoder__mask_alignment": [0.0, 0.1], "C": [0.1, 1.0]}, cv=2,
                        error_score="raise")  # fmt: skip
    grid.fit(X, y)
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()


def test_weights_of_epochs_and_classes(data):
    X, y = data
    rng = np.random.default_rng(0)
    y = rng.permutation(y)
    doubled = np.arange(40) < 15
    weight = np.where(doubled, 2.0, 1.0)
    repeat = np.concatenate([np.arange(40), np.flatnonzero(doubled)])
    for class_weight in (None, "balanced", "smooth", {0.0: 3.0}):
        # "auto" chooses in folds, where copies of an epoch may stand on both sides
        clf = classifier(adaptation="linear", pooling="flatten", class_weight=class_weight)
        a = clone(clf).fit(X, y, sample_weight=weight).decision_function(X)
        b = clone(clf).fit(X[repeat], y[repeat]).decision_function(X)
        np.testing.assert_allclose(a, b, atol=5e-3)


@pytest.mark.parametrize(
    "params",
    [
        {"adaptation": "linear"},
        {"spatial_init": "auto"},
        {"adaptation": "finetune", "max_epochs": 1},
    ],
)
def test_weights_that_sum_to_one_are_reported(data, params):
    X, y = data
    with pytest.warns(UserWarning, match="a mean of 0.025.*40 epochs count as 1,"):
        DAREClassifier(None, **PARAMS, **params).fit(X, y, sample_weight=np.full(40, 1 / 40))
    for paper in ({"spatial_init": "spline"}, {"temporal_kernel": 3}):
        steps = classifier(max_epochs=1, **paper)  # whose loss is a weighted mean
        steps.fit(X, y, sample_weight=np.full(40, 1 / 40))


def test_smooth_class_weights():
    clf = classifier(class_weight="smooth")
    clf.classes_ = np.array(["a", "b"])
    y = np.repeat([0, 1], [90, 10])
    weights = clf._class_weights(y, np.ones(100))
    assert weights.mean() == pytest.approx(1.0)
    assert weights[1] / weights[0] == pytest.approx(3.0)  # (90 / 10) ** 0.5


def test_zero_weight_is_absence(data):
    X, y = data
    flipped = np.where(np.arange(40) < 10, 1 - y, y)
    weight = np.where(np.arange(40) < 10, 0.0, 1.0)
    test_X, test_y = make_data(seed=2)
    assert classifier().fit(X, flipped, sample_weight=weight).score(test_X, test_y) > 0.85
    with pytest.raises(ValueError, match="sample_weight"):
        classifier().fit(X, y, sample_weight=-np.ones(40))


def test_early_stopping_keeps_the_best(data):
    X, y = data
    clf = classifier(max_epochs=60, validation_fraction=0.3, patience=3, lr=2e-2)
    clf.fit(X, y, groups=np.arange(len(y)))
    history = clf.history_
    assert "valid_loss" in history.columns
    best = history["valid_loss"].idxmin()
    assert clf.n_iter_ == len(history) <= best + 1 + 3
    assert len(history) < 60


@pytest.mark.parametrize(("make", "metric"), [(classifier, "accuracy"), (regressor, "r2")])
def test_skorch_scores_epochs(data, make, metric):
    scoring = EpochScoring(metric, name="valid_score", lower_is_better=False)
    fitted = make(max_epochs=4, validation_fraction=0.3, callbacks=[scoring], patience=4)
    fitted.fit(*data, groups=np.arange(40))
    scores = fitted.net_.history[:, "valid_score"]
    assert len(scores) == 4 and len(set(scores)) > 1 and max(scores) <= 1


def test_a_callback_that_watches_what_is_not_held_out(data):
    with pytest.raises(ValueError, match="EarlyStopping watches 'valid_loss', and no epochs are"):
        classifier(max_epochs=1, callbacks=[EarlyStopping()]).fit(*data)
    stopping = EarlyStopping(monitor="train_loss", patience=1, threshold=0.9)
    assert classifier(max_epochs=9, callbacks=[stopping]).fit(*data).n_iter_ < 9


def test_a_schedule_among_callbacks_is_reported(data):
    plain = classifier(max_epochs=2).fit(*data)
    with pytest.warns(UserWarning, match="LRScheduler has no effect"):
        other = classifier(max_epochs=2, callbacks=[("mine", LRScheduler())]).fit(*data)
    assert other.history_["lr"].tolist() == plain.history_["lr"].tolist()


def test_history_and_spatial_start(data):
    X, y = data
    clf = classifier(max_epochs=3).fit(X, y)
    assert list(clf.history_.columns) == ["epoch", "loss", "lr", "seconds"]
    assert clf.n_iter_ == 3
    slow = classifier(max_epochs=1, lr=1e-12).fit(X, y)
    weight = slow.module_.spatial.layers[0].weight[:, :, 0].detach().numpy()
    row = weight[TEN_TWENTY.index("C4")]  # recorded: copied
    np.testing.assert_allclose(row, np.eye(6)[3], atol=1e-5)
    assert np.linalg.norm(weight, axis=1).max() <= 1 + 1e-5
    random = classifier(max_epochs=1, spatial_init="random", spatial_layers=2).fit(X, y)
    assert len(random.module_.spatial.layers) == 2


def test_channels_without_names(data):
    X, y = data
    assert classifier(ch_names=None, max_epochs=1).fit(X, y).ch_names_in_ is None
    with pytest.raises(ValueError, match="pass ch_names"):
        classifier(ch_names=None, adaptation="linear").fit(X, y)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_save_and_load(data, make, tmp_path):
    X, y = data
    fitted = make(max_epochs=2, temporal_kernel=15).set_params(random_state=np.int64(3)).fit(X, y)
    fitted.save_pretrained(tmp_path)
    again = type(fitted).from_pretrained(tmp_path)
    assert again.random_state == 3
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    other = {DAREClassifier: DARERegressor, DARERegressor: DAREClassifier}[type(fitted)]
    with pytest.raises(ValueError, match=f"call {type(fitted).__name__}.from_pretrained"):
        other.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no safetensors form"):
        make(adaptation="linear").fit(X, y).save_pretrained(tmp_path)


def test_layerwise_rates(data):
    X, y = data
    net = classifier(adaptation="finetune", max_epochs=1, layer_decay=0.5).fit(X, y).net_
    module, groups = net.module_, net.groups()
    rates = {id(p): group["lr"] / net.lr for group in groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert all(decays[id(p)] == 0.05 * (p.ndim > 1) for p in module.parameters())
    encoder = module.encoder
    assert len(rates) == sum(p.requires_grad for p in module.parameters())
    assert rates[id(module.head.output.weight)] == 1.0
    assert rates[id(encoder.norm.weight)] == rates[id(encoder.blocks[1].mlp.fc1.weight)] == 0.5
    assert rates[id(encoder.blocks[0].mlp.fc1.weight)] == 0.25
    assert rates[id(encoder.patch_embed.weight)] == rates[id(encoder.summary_token)] == 0.125


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"adaptation": "magic"}, "'adaptation' parameter"),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"temporal_kernel": 4}, "temporal_kernel must be odd"),
        ({"target_channels": ["Cz", "Q7"]}, "target_channels .* got Q7"),
        ({"class_weight": {"x": 1.0}}, "class_weight .* lacks: \\['x'\\]"),
        ({"validation_fraction": 1.0}, "'validation_fraction' parameter"),
    ],
)
def test_bad_parameters(data, params, message):
    X, y = data
    with pytest.raises(ValueError, match=message):
        classifier(**params).fit(X, y)


def test_bad_targets(data):
    X, y = data
    with pytest.raises(ValueError, match="requires y to be passed"):
        classifier().fit(X)
    with pytest.raises(ValueError, match="only one class"):
        classifier().fit(X, np.zeros(40))
    with pytest.raises(ValueError, match="inconsistent numbers"):
        classifier().fit(X, y[:-1])
    with pytest.raises(ValueError, match="Unknown label type"):
        classifier().fit(X, y + np.linspace(0, 1, 40))
    with pytest.raises(ValueError, match="NaN"):
        regressor().fit(X, np.where(y == 0, np.nan, y))
    with pytest.raises(NotFittedError):
        classifier().predict(X)


def test_layout_is_held_against_the_fit(data):
    X, y = data
    for mode in MODES:
        clf = classifier(adaptation=mode, max_epochs=1).fit(X, y)
        with pytest.raises(ValueError, match="DAREClassifier: X has 5 channels, and the fit had 6"):
            clf.predict(X[:, :5])
        with pytest.raises(ValueError, match="100 samples per epoch"):
            clf.predict(X[:, :, :100])
        with pytest.raises(ValueError, match="NaN"):
            clf.predict(np.where(np.arange(128) == 3, np.nan, X))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu(data):
    X, y = data
    clf = pickle.loads(pickle.dumps(classifier(device="cuda").fit(X, y)))
    assert clf.set_params(device="cpu").score(X, y) > 0.9
