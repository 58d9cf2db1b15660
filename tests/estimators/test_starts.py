"""Probes that start from spatial filters with labels and a ridge head."""

from __future__ import annotations

import pickle
import time

import mne
import numpy as np
import pytest
import torch
from sklearn.base import clone

import dare_sklearn.estimators.base as base
import dare_sklearn.estimators.starts as starts
from dare_sklearn import DAREClassifier, DARERegressor
from dare_sklearn.estimators.starts import spatial_parts
from dare_sklearn.modules.probe import VirtualProbe
from dare_sklearn.signals.covariance import csp_filters, xdawn_filters
from dare_sklearn.viz import plot_attention, plot_spatial_filters
from dare_sklearn.weights import convert

NAMES = ["Fz", "C3", "Cz", "C4", "Pz", "Oz"]
LAYOUT = {"ch_names": NAMES, "sfreq": 256.0, "unit": "uV"}
N_TIMES = 256
SFREQ = 256.0
LABELLED = ("auto", "csp", "xdawn")


@pytest.fixture(scope="module")
def rhythm():
    """Two classes that differ in the power of one mixed source."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    sources = rng.normal(size=(120, 6, N_TIMES)) * 10
    sources[y == 1, 2] *= 1.6
    mixing = np.eye(6) + 0.3 * rng.normal(size=(6, 6))
    return (mixing @ sources).astype(np.float32), y, mixing


@pytest.fixture(scope="module")
def evoked():
    """Two classes that differ in a response of one mixed source."""
    rng = np.random.default_rng(1)
    y = np.arange(120) % 2
    sources = rng.normal(size=(120, 6, N_TIMES)) * 10
    sources[y == 1, 4] += 20 * np.exp(-(((np.arange(N_TIMES) - 90) / 20) ** 2))
    mixing = np.eye(6) + 0.3 * rng.normal(size=(6, 6))
    return (mixing @ sources).astype(np.float32), y, mixing


def purity(filters, mixing, source):
    """Largest share of `source` in what one of the filters lets through."""
    through = (filters @ mixing) ** 2
    return (through[:, source] / through.sum(axis=1)).max()


def ones(X):
    return np.ones(len(X))


def test_filters_take_weights(rhythm, evoked):
    """An epoch of weight 2 is one that stands twice, and one of hardly any is not there."""
    heavy = np.arange(120) % 3 == 0
    twice, rest = np.r_[np.arange(120), np.flatnonzero(heavy)], np.flatnonzero(~heavy)

    def csp(*args):
        return csp_filters(*args, SFREQ)

    for fit, (X, y, _) in [(csp, rhythm), (xdawn_filters, evoked)]:
        loud = X * np.where(heavy, 1000, 1)[:, None, None]
        found = fit(X, y, 1.0 + heavy), fit(loud, y, np.where(heavy, 1e-12, 1.0))
        for a, rows in zip(found, (twice, rest), strict=True):
            # up to the shrinkage, which knows how many epochs there are
            b = fit(X[rows], y[rows], ones(rows))
            assert np.linalg.norm(a - b) < 0.02 * np.linalg.norm(b)
            b = fit(X, y, ones(X))
            assert np.linalg.norm(a - b) > 0.04 * np.linalg.norm(b)


def test_filters_find_their_sources(rhythm, evoked):
    X, y, mixing = rhythm
    assert purity(csp_filters(X, y, ones(X), SFREQ), mixing, 2) > 0.95
    rng = np.random.default_rng(0)
    power, sources = rng.lognormal(size=120), rng.normal(size=(120, 6, 4 * N_TIMES))
    sources[:, 2] *= np.sqrt(power)[:, None]
    found = csp_filters(mixing @ sources, power / power.std(), ones(X), SFREQ)  # SPoC
    assert purity(found, mixing, 2) > 0.95
    X, y, mixing = evoked
    assert purity(xdawn_filters(X, y, ones(X)), mixing, 4) > 0.9
    assert csp_filters(X[:, :2], y, ones(X), SFREQ).shape == (2, 2)


def test_csp_finds_rhythms_under_drifts(rhythm):
    """Drifts of all channels are far stronger than rhythms, and differ from epoch to epoch."""
    X, y, mixing = rhythm
    rng = np.random.default_rng(1)
    waves = np.cos(np.pi * np.arange(1, 4)[:, None] * np.linspace(0.1, 0.9, N_TIMES))  # to 1.5 Hz
    drift = 300 * rng.normal(size=(120, 6, 3)) * rng.lognormal(size=(120, 1, 1)) @ waves
    assert purity(csp_filters(X + drift, y, ones(X), SFREQ), mixing, 2) > 0.95


def test_csp_of_signals_without_frequencies_in_the_band(rhythm):
    X, y, mixing = rhythm
    assert purity(csp_filters(X, y, ones(X), 12.0), mixing, 2) > 0.95  # nothing reaches 8 Hz
    assert csp_filters(X[..., :8], y, ones(X), SFREQ).shape == (4, 6)


def test_filters_leave_what_an_average_reference_empties(rhythm):
    """It holds rounding only, which SPoC and Xdawn would amplify to the strongest source."""
    X, y, mixing = rhythm
    power = (np.linalg.inv(mixing) @ X)[:, 2].var(axis=-1)
    X = X - X.mean(axis=1, keepdims=True)
    mixing = mixing - mixing.mean(axis=0)
    found = (
        csp_filters(X, y, ones(X), SFREQ),
        csp_filters(X, power / power.std(), ones(X), SFREQ),
        xdawn_filters(X, y, ones(X)),
    )
    assert min(purity(filters, mixing, 2) for filters in found[:2]) > 0.5
    for filters in found:
        assert np.abs(filters.sum(axis=1)).max() < 1e-6 * np.abs(filters).sum(axis=1).min()
    two = X[:, :2] - X[:, :2].mean(axis=1, keepdims=True)
    assert csp_filters(two, power, ones(X), SFREQ).shape == (1, 2)


def test_powers_of_a_virtual_electrode_keep_their_proportions(rhythm):
    """In the band of the recording they vary; noise outside must not count as much."""
    X, y, _ = rhythm
    slow = mne.filter.filter_data(X.astype(float), 256.0, None, 30.0, verbose="error")
    probe = DAREClassifier(spatial_init="csp", **LAYOUT).fit(slow, y).module_
    assert probe.readings[0][0] == "power"
    n_filters, dim = probe.readings[0][2], probe.encoder.config.embed_dim
    scales = probe.norm.running_var[: n_filters * dim].reshape(n_filters, dim)
    np.testing.assert_allclose(scales, scales[:, :1].expand(-1, dim), rtol=1e-5)
    assert len(scales[:, 0].unique()) == n_filters


@pytest.mark.parametrize("n_filters", [2, 6, 9])
def test_xdawn_filters_are_mnes(evoked, n_filters):
    X, y, _ = evoked
    n_kept = min(n_filters, 6)
    with mne.use_log_level("error"):
        fitted = mne.decoding.XdawnTransformer(n_kept, reg="oas").fit(X.astype(float), y)
    filters = xdawn_filters(X, y, ones(X), n_filters)
    assert filters.shape == (2 * n_kept, 6)
    # signs are ours
    expected = np.abs(fitted.transform(X[:3].astype(float)))
    np.testing.assert_allclose(np.abs(filters @ X[:3]), expected, rtol=1e-6, atol=1e-6)
    assert (filters.max(axis=1) == np.abs(filters).max(axis=1)).all()


@pytest.mark.parametrize(("n_epochs", "n_folds"), [(60, 5), (320, 3)])
def test_many_epochs_are_read_in_fewer_folds(n_epochs, n_folds, monkeypatch):
    seen = []

    def count(kind, X, *args):
        seen.append(len(X))
        return spatial_parts(kind, X, *args)

    monkeypatch.setattr(starts, "spatial_parts", count)
    X = 10 * np.random.default_rng(0).normal(size=(n_epochs, 6, N_TIMES)).astype(np.float32)
    DAREClassifier(None, random_state=0, **LAYOUT).fit(X, np.arange(n_epochs) % 2)
    assert seen[0] == n_epochs
    assert len(seen) == 1 + n_folds
    assert sum(n_epochs - n for n in seen[1:]) == n_epochs  # each is held out once


def test_which_filters_there_are(rhythm):
    X, y, _ = rhythm
    spline = np.eye(6, dtype=np.float32)

    def names(kind, n=120, y=y):
        return [name for name, _ in spatial_parts(kind, X[:n], y[:n], spline, ones(y[:n]), SFREQ)]

    assert names("auto") == ["csp", "xdawn", "spline"]
    assert names("csp") == ["csp"] and names("xdawn") == ["xdawn"]
    assert all(names(kind, 9) == ["spline"] for kind in LABELLED)  # four epochs of a class
    numbers = y.astype(np.float32)
    assert names("auto", y=numbers) == ["csp", "spline"]
    assert names("xdawn", y=numbers) == ["spline"]
    (_, filters), *_ = spatial_parts("csp", X, y, spline, ones(y), SFREQ)
    np.testing.assert_allclose(np.sqrt(((filters @ X) ** 2).mean(axis=(0, 2))), 10, rtol=0.01)


def score(model, X, y):
    train = np.arange(len(y)) < 80
    return model.fit(X[train], y[train]).score(X[~train], y[~train])


def test_one_start_for_both_kinds(rhythm, evoked):
    """'auto' reads power as well as responses."""
    model = DAREClassifier(random_state=0, **LAYOUT)
    for X, y, _ in (rhythm, evoked):
        assert score(clone(model), X, y) >= 0.8
    assert score(clone(model).set_params(spatial_init="csp"), *rhythm[:2]) >= 0.8
    assert score(clone(model).set_params(spatial_init="xdawn"), *evoked[:2]) >= 0.8


@pytest.mark.parametrize("kind", LABELLED)
def test_names_of_the_classes_do_not_matter(evoked, kind):
    codes = np.arange(120) % 3
    X = evoked[0] * (1 + 0.5 * (codes == 1))[:, None, None]
    expected, found = (
        DAREClassifier(spatial_init=kind, random_state=0, **LAYOUT).fit(X, y).predict_proba(X)
        for y in (np.array(["a", "b", "c"])[codes], np.array(["z", "x", "y"])[codes])
    )
    np.testing.assert_allclose(found[:, [2, 0, 1]], expected, atol=1e-5)


def test_values_of_extreme_size_are_refused(evoked):
    X, y, _ = evoked
    X = X.copy()
    X[2, 1] *= 1e25
    for adaptation in ("conv-linear", "linear"):
        with pytest.raises(ValueError, match="epochs 2, that is 100,000 or more times as large"):
            DAREClassifier(adaptation=adaptation, **LAYOUT).fit(X[:60], y[:60])


def test_chance_stays_chance(rhythm):
    """Filters that saw a label are not trusted on it: noise gets no confident answer."""
    X = rhythm[0]
    y = np.random.default_rng(5).integers(0, 2, len(X))
    proba = DAREClassifier(**LAYOUT).fit(X[:80], y[:80]).predict_proba(X[80:])
    assert np.abs(proba - 0.5).mean() < 0.2


def test_few_trials(rhythm):
    X, y, _ = rhythm
    one = DARERegressor(None, **LAYOUT).fit(X[:1], [3.0])  # nothing to choose on
    np.testing.assert_allclose(one.predict(X[:2]), 3.0, rtol=1e-4)
    few = DAREClassifier(random_state=0, **LAYOUT).fit(X[:2], y[:2])
    assert np.isfinite(few.predict_proba(X[:5])).all()
    weight = np.r_[np.ones(40), np.zeros(40)]
    a = clone(few).fit(X[:80], y[:80], sample_weight=weight).predict_proba(X[80:])
    np.testing.assert_allclose(
        a, clone(few).fit(X[:40], y[:40]).predict_proba(X[80:]), rtol=1e-3, atol=1e-4
    )


def test_a_class_of_one_epoch_and_a_constant_target(rhythm):
    """A fold without the rare class, or with nothing to explain, has no labels to fit filters to."""
    X, *_ = rhythm
    rare = DAREClassifier(None, random_state=0, **LAYOUT).fit(X[:24], np.r_[1, np.zeros(23, int)])
    assert rare.predict(X[:24]).shape == (24,)
    constant = DARERegressor(None, random_state=0, **LAYOUT).fit(X[:24], np.full(24, 3.0))
    np.testing.assert_allclose(constant.predict(X[:24]), 3.0)


def test_saved_and_loaded(rhythm, tmp_path):
    X, y, _ = rhythm
    model = DAREClassifier(random_state=0, **LAYOUT).fit(X[:80], y[:80])
    assert model.n_iter_ == 0 and len(model.history_) == 0
    expected = model.predict_proba(X[80:])
    np.testing.assert_array_equal(clone(model).fit(X[:80], y[:80]).predict_proba(X[80:]), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X[80:]), expected)
    model.save_pretrained(tmp_path)
    loaded = DAREClassifier.from_pretrained(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(X[80:]), expected)
    for plot, args in ((plot_spatial_filters, ()), (plot_attention, (X[:2],))):
        with pytest.raises(ValueError, match="spatial_init='auto'"):
            plot(model, *args)


def test_lost_electrodes(rhythm):
    """The filters are refitted to what is left; with every electrode nothing changes."""
    X, y, _ = rhythm
    info = mne.create_info(NAMES, 256.0, "eeg")
    epochs = mne.EpochsArray(X * 1e-6, info, verbose="error")
    model = DAREClassifier(random_state=0).fit(epochs[:80], y[:80])
    full = (model.predict(epochs[80:]) == y[80:]).mean()
    with pytest.warns(UserWarning, match="lacks 1 of the 6 channels"):
        left = (
            model.predict(epochs[80:].copy().load_data().drop_channels(["Oz"])) == y[80:]
        ).mean()
    assert left >= full - 0.15
    module = pickle.loads(pickle.dumps(model.module_))
    before = module.spatial.weight.clone()
    torch.set_default_dtype(torch.float64)  # which is the user's own affair
    try:
        module.refit_to(range(6))
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(module.spatial.weight, before, rtol=1e-3, atol=1e-4)


def test_an_encoder_with_an_average_reference_does_not_mind_that_of_the_recording(rhythm, tmp_path):
    X, y, _ = rhythm
    convert("nano", tmp_path, reference="average")
    noise = np.random.default_rng(0).normal(size=(len(X), 1, N_TIMES)).astype(np.float32)
    answers = []
    for data in (X, X + 10 * noise):
        model = DAREClassifier(tmp_path, random_state=0, **LAYOUT).fit(data[:80], y[:80])
        whole = model.decision_function(data[80:])
        model.set_params(ch_names=NAMES[:-1])  # the filters are refitted
        with pytest.warns(UserWarning, match="lacks 1 of the 6 channels"):
            left = model.decision_function(data[80:, :-1])
        answers.append([whole, left])
    np.testing.assert_allclose(*answers, atol=1e-4)


def test_steps_only_improve(rhythm):
    X, y, _ = rhythm
    params = {"validation_fraction": 0.25, "max_epochs": 3, "random_state": 0, **LAYOUT}
    far = DAREClassifier(spatial_init="csp", lr=10.0, **params)
    groups = np.arange(len(y)) // 10
    far.fit(X, y, groups=groups)
    start = DAREClassifier(spatial_init="csp", lr=1e-30, weight_decay=0.0, **params)
    start.fit(X, y, groups=groups)
    assert far.n_iter_ == 3
    np.testing.assert_allclose(far.predict_proba(X), start.predict_proba(X), atol=1e-6)


def test_regression(rhythm):
    X, _, mixing = rhythm
    y = np.log((np.linalg.inv(mixing) @ X)[:, 2].var(axis=-1))
    assert score(DARERegressor(random_state=0, **LAYOUT), X, y) > 0.5


def test_fine_tuning_goes_on_from_the_start(rhythm, tmp_path):
    """The first step changes filters, encoder and map a little, and what follows stays good."""
    X, y, _ = rhythm
    start = DAREClassifier(None, random_state=0, **LAYOUT).fit(X, y)
    tuned = clone(start).set_params(adaptation="finetune", max_epochs=1, lr=1e-6).fit(X, y)
    assert isinstance(tuned.module_, VirtualProbe) and tuned.n_iter_ == 1
    np.testing.assert_allclose(tuned.predict_proba(X), start.predict_proba(X), atol=0.01)
    pairs = zip(tuned.module_.named_parameters(), start.module_.named_parameters(), strict=True)
    moved = {name for (name, a), (_, b) in pairs if not torch.equal(a, b)}
    assert {"spatial.weight", "head.weight", "encoder.patch_embed.weight"} <= moved
    tuned.save_pretrained(tmp_path)
    again = DAREClassifier.from_pretrained(tmp_path)
    np.testing.assert_array_equal(again.predict_proba(X), tuned.predict_proba(X))
    assert again.module_.train_encoder
    assert score(clone(tuned).set_params(max_epochs=10, lr=None), X, y) > 0.8


def test_what_does_not_go_together(rhythm):
    X, y, _ = rhythm
    for params in ({"spatial_layers": 2}, {"temporal_kernel": 15}):
        with pytest.raises(ValueError, match="spatial_init='csp' is a probe of its own"):
            DAREClassifier(spatial_init="csp", **params, **LAYOUT).fit(X, y)


def test_where_auto_is_spline(rhythm, monkeypatch):
    """Where virtual electrodes do not apply, "auto" trains what "spline" trains."""
    X, y = rhythm[0][:12], rhythm[1][:12]
    model = DAREClassifier(None, max_epochs=1, random_state=0, **LAYOUT)

    def check(**params):
        auto = clone(model).set_params(**params).fit(X, y)
        spline = clone(model).set_params(spatial_init="spline", **params).fit(X, y)
        assert auto.n_iter_ == 1 and auto.net_.module_ is auto.module_
        np.testing.assert_array_equal(auto.predict_proba(X), spline.predict_proba(X))

    for params in ({"spatial_layers": 2}, {"temporal_kernel": 15}):
        check(**params)
    monkeypatch.setattr(base, "MOST_EPOCHS", 11)
    check()


def test_time():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 6, 512)).astype(np.float32) * 10
    start = time.process_time()
    DAREClassifier(**LAYOUT).fit(X, np.arange(500) % 2)
    assert time.process_time() - start < 20  # of CPU; 5 where it was written, 28 for 22 x 1024
