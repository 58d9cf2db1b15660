"""Classical features against independent calculations, and the pipelines made of them."""

from __future__ import annotations

import pickle

import mne
import numpy as np
import pandas as pd
import pytest
from scipy.signal import welch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from dare_sklearn import EuclideanAligner, SpectralAligner, simulate_epochs
from dare_sklearn.transformers.classical import (
    BEST,
    BandPower,
    DownsampledSignals,
    FlickerCCA,
    SignalArray,
    classical_pipelines,
)

NAMES, SFREQ = ["C3", "Cz", "C4", "Pz"], 128.0
LAYOUT = {"ch_names": NAMES, "sfreq": SFREQ, "unit": "uV"}
N_EPOCHS, N_TIMES = 8, 128
X = 10 * np.random.default_rng(0).normal(size=(N_EPOCHS, 4, N_TIMES))
X.flags.writeable = False
TIMES = np.arange(N_TIMES) / SFREQ

TRANSFORMERS = {
    "array": SignalArray,
    "filtered": lambda **layout: SignalArray((8, 30), resample=64, **layout),
    "power": BandPower,
    "relative": lambda **layout: BandPower(scale="relative", **layout),
    "downsampled": DownsampledSignals,
    "cca": lambda **layout: FlickerCCA([10.0, 15.0], **layout),
}
FEATURES = ["power", "relative", "downsampled", "cca"]
every = pytest.mark.parametrize("name", TRANSFORMERS)


def as_epochs(data=X, sfreq=SFREQ, names=NAMES):
    return mne.EpochsArray(data * 1e-6, mne.create_info(names, sfreq, "eeg"), verbose="error")


def sine(freq, amplitude=10.0, n_times=N_TIMES, sfreq=SFREQ):
    """One epoch of one channel."""
    return amplitude * np.sin(2 * np.pi * freq * np.arange(n_times) / sfreq)[None, None]


def windows():
    """The same epochs as braindecode's windows, in volts."""
    from braindecode.datasets import EEGWindowsDataset

    info = mne.create_info(NAMES, SFREQ, "eeg")
    raw = mne.io.RawArray(np.hstack(list(X)) * 1e-6, info, verbose="error")
    starts = np.arange(N_EPOCHS) * N_TIMES
    table = {
        "i_window_in_trial": range(N_EPOCHS),
        "i_start_in_trial": starts,
        "i_stop_in_trial": starts + N_TIMES,
        "target": np.arange(N_EPOCHS) % 2,
    }
    return EEGWindowsDataset(raw, pd.DataFrame(table))


@every
def test_every_input_gives_the_same_numbers(name):
    expected = TRANSFORMERS[name](**LAYOUT).fit_transform(X)
    assert expected.dtype == np.float64 and np.isfinite(expected).all()
    epochs = as_epochs()
    inputs = {
        "epochs": epochs,
        "list": [epochs[i] for i in range(N_EPOCHS)],
        "windows": windows(),
        "reordered": epochs.copy().reorder_channels(NAMES[::-1]),
    }
    for kind, given in inputs.items():
        layout = {"unit": "V"} if kind == "windows" else {}
        own = TRANSFORMERS[name](**layout).fit(epochs if kind == "reordered" else given)
        np.testing.assert_allclose(
            own.transform(given), expected, rtol=2e-4, atol=2e-4, err_msg=kind
        )


@every
def test_recordings_on_disk(name, tmp_path):
    as_epochs().save(tmp_path / "small-epo.fif", fmt="double", verbose="error")
    lazy = mne.read_epochs(tmp_path / "small-epo.fif", preload=False, verbose="error")
    expected = TRANSFORMERS[name](**LAYOUT).fit_transform(X)
    np.testing.assert_allclose(
        TRANSFORMERS[name]().fit_transform(lazy), expected, rtol=2e-4, atol=2e-4
    )
    assert not lazy.preload


@every
def test_clone_pickle_and_fit_transform(name):
    fitted = TRANSFORMERS[name](**LAYOUT).fit(X)
    expected = fitted.transform(X)
    np.testing.assert_array_equal(clone(fitted).fit_transform(X), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), expected)
    # an epoch's numbers depend on no other epoch
    np.testing.assert_allclose(fitted.transform(X[2:3]), expected[2:3], rtol=1e-12, atol=1e-9)


@every
def test_another_layout_is_refused(name):
    fitted = TRANSFORMERS[name](**LAYOUT).fit(X)
    with pytest.raises(ValueError, match="the fit had 4"):
        fitted.transform(X[:, :3])
    with pytest.raises(ValueError, match="samples per epoch"):
        fitted.transform(X[..., :-1])
    with pytest.raises(ValueError, match="NaN"):
        fitted.transform(np.where(np.arange(N_TIMES) == 3, np.nan, X))


@pytest.mark.parametrize("name", FEATURES)
def test_names_of_features(name):
    fitted = TRANSFORMERS[name](**LAYOUT).fit(X)
    names = fitted.get_feature_names_out()
    assert names.shape == (fitted.transform(X).shape[1],) and len(set(names)) == len(names)
    if name == "cca":  # of all channels together
        return
    assert names[0].startswith("C3_") and names[-1].startswith("PZ_")
    nameless = TRANSFORMERS[name](sfreq=SFREQ, unit="uV").fit(X)
    assert nameless.get_feature_names_out()[0].startswith("ch0_")


@pytest.mark.parametrize("name", FEATURES)
def test_a_flat_channel_in_one_epoch_stays_finite(name):
    fitted = TRANSFORMERS[name](**LAYOUT).fit(X)
    flat = X.copy()
    flat[3, 1] = 0.0
    with pytest.warns(UserWarning, match="constant"):
        features = fitted.transform(flat)
    assert np.isfinite(features).all()
    np.testing.assert_allclose(np.delete(features, 3, 0), np.delete(fitted.transform(X), 3, 0))


TABLE = {"sfreq": 8.0, "unit": "uV", "ch_names": ["Cz"]}  # scikit-learn's tables have few columns


@pytest.mark.filterwarnings("ignore:.*epochs with a constant signal:UserWarning")
@parametrize_with_checks([SignalArray(**TABLE), DownsampledSignals(**TABLE)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# SignalArray


def test_array_is_in_microvolts():
    np.testing.assert_allclose(SignalArray().fit_transform(as_epochs()), X, rtol=1e-6, atol=1e-5)


def test_band_keeps_what_it_passes_in_phase_and_stops_the_rest():
    n_times = 1024
    inside, below, above = (sine(f, n_times=n_times) for f in (16, 2, 50))
    passed = SignalArray((8, 30), sfreq=SFREQ, unit="uV").fit_transform(inside + below + above)
    middle = slice(200, -200)
    np.testing.assert_allclose(passed[..., middle], inside[..., middle], atol=0.3)
    low = SignalArray((None, 30), sfreq=SFREQ, unit="uV").fit_transform(inside + below + above)
    np.testing.assert_allclose(low[..., middle], (inside + below)[..., middle], atol=0.3)


def test_resampling_keeps_the_times_of_samples():
    out = SignalArray(resample=64, sfreq=SFREQ, unit="uV").fit(sine(5))
    inside = slice(8, -8)  # the filter runs out at the ends
    np.testing.assert_allclose(
        out.transform(sine(5))[..., inside], sine(5)[..., ::2][..., inside], atol=0.1
    )
    assert out.sfreq_out_ == 64
    assert SignalArray(sfreq=SFREQ, unit="uV").fit(X).sfreq_out_ == SFREQ


def test_signals_of_the_caller_stay_as_they_are():
    before = X.astype(np.float32)
    given = before.copy()
    SignalArray((8, 30), **LAYOUT).fit_transform(given)
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("band", [(8,), (8, 30, 40), ("low", 30), (True, 30), (-1, 30), (0, 30)])
def test_bands_that_are_none(band):
    with pytest.raises(ValueError, match="frequencies"):
        SignalArray(band, **LAYOUT).fit(X)


def test_bands_that_do_not_fit():
    with pytest.raises(ValueError, match="two rising frequencies"):
        SignalArray((30, 8), **LAYOUT).fit(X)
    with pytest.raises(ValueError, match=r"\(8, 64\).*128 Hz: .* below 64 Hz"):
        SignalArray((8, 64), **LAYOUT).fit(X)
    fitted = SignalArray((8, 30), **LAYOUT).fit(X)
    with pytest.raises(ValueError, match="below 64 Hz"):
        fitted.set_params(band=(8, 90)).transform(X)


# BandPower


def test_power_of_a_sine():
    power = BandPower(scale="absolute", sfreq=SFREQ, unit="uV").fit(sine(10))
    found = dict(zip(power.bands_, power.transform(sine(10, amplitude=20))[0], strict=True))
    assert found["alpha"] == pytest.approx(20**2 / 2, rel=1e-3)
    assert max(found[name] for name in ("delta", "beta", "gamma")) < 1e-3


@pytest.mark.parametrize("window_s", [0.5, 2.0])
def test_power_is_that_of_scipys_welch(window_s):
    bands = {"low": (2, 12), "high": (12.0, 40.0)}
    out = BandPower(bands, scale="absolute", window_s=window_s, **LAYOUT).fit_transform(X)
    n = min(N_TIMES, round(window_s * SFREQ))
    freqs, psd = welch(X, SFREQ, window="hamming", nperseg=n, noverlap=n // 2)
    for i, (low, high) in enumerate(bands.values()):
        expected = psd[..., (freqs >= low) & (freqs < high)].sum(-1) * freqs[1]
        np.testing.assert_allclose(out.reshape(N_EPOCHS, 4, 2)[..., i], expected, rtol=1e-4)


def test_scales():
    absolute, log, relative = (
        BandPower(scale=scale, **LAYOUT).fit_transform(X)
        for scale in ("absolute", "log", "relative")
    )
    np.testing.assert_allclose(log, np.log(absolute))
    np.testing.assert_allclose(relative.reshape(N_EPOCHS, 4, -1).sum(-1), 1.0)
    np.testing.assert_allclose(
        relative, BandPower(scale="relative", **LAYOUT).fit_transform(7 * X), rtol=1e-4
    )


def test_usual_bands_are_those_that_epochs_resolve():
    def bands(sfreq, n_times):
        return list(BandPower(sfreq=sfreq, unit="uV").fit(X[..., :n_times]).bands_)

    assert bands(128, 128) == ["delta", "theta", "alpha", "beta", "gamma"]
    assert bands(64, 128) == ["delta", "theta", "alpha", "beta"]
    assert bands(128, 25) == ["theta", "alpha", "beta", "gamma"]  # 5.12 Hz apart
    with pytest.raises(ValueError, match="resolves none of its bands"):
        bands(4, 10)


def test_narrow_bands_part_neighbouring_frequencies():
    def strongest(freq):
        power = BandPower("narrow", scale="absolute", sfreq=SFREQ, unit="uV").fit(sine(freq))
        assert len(power.bands_) == 22 and power.bands_["2 Hz"] == (1, 3)
        return list(power.bands_)[int(power.transform(sine(freq)).argmax())]

    # one band of the usual ones: beta
    assert [strongest(freq) for freq in (20, 22, 28)] == ["20 Hz", "22 Hz", "28 Hz"]
    # 8 Hz apart and up to 32 Hz: what is not resolved is left out
    assert list(BandPower("narrow", sfreq=64, unit="uV").fit(X[..., :8]).bands_) == [
        "8 Hz", "16 Hz", "24 Hz",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="bands"):
        BandPower("wide", **LAYOUT).fit(X)


def test_bands_of_power_that_do_not_fit():
    with pytest.raises(ValueError, match="'fast'.*end at 64 Hz"):
        BandPower({"fast": (40, 80)}, **LAYOUT).fit(X)
    with pytest.raises(ValueError, match="'thin'.*1 Hz apart"):
        BandPower({"thin": (10.2, 10.4)}, **LAYOUT).fit(X)
    with pytest.raises(ValueError, match="must be two rising frequencies"):
        BandPower({"alpha": 10}, **LAYOUT).fit(X)
    with pytest.raises(ValueError, match="no bands"):
        BandPower({}, **LAYOUT).fit(X)


# DownsampledSignals


def test_downsampled_samples():
    down = DownsampledSignals(32, center=False, sfreq=SFREQ, unit="uV").fit(sine(4))
    slow, fast = sine(4), sine(30)
    inside = slice(10, -10)  # the filter reaches ten samples beyond the ends
    np.testing.assert_allclose(down.transform(slow)[0, inside], slow[0, 0, ::4][inside], atol=0.1)
    assert np.abs(down.transform(fast)[0, inside]).max() < 0.2  # 30 Hz cannot fold into 0 to 16 Hz
    assert list(down.get_feature_names_out()[:2]) == ["ch0_0.000s", "ch0_0.031s"]


def test_offsets_are_removed():
    drift = X + np.linspace(-500, 500, N_EPOCHS)[:, None, None]
    down = DownsampledSignals(**LAYOUT).fit(X)
    np.testing.assert_allclose(down.transform(drift), down.transform(X), atol=1e-3)
    kept = DownsampledSignals(center=False, **LAYOUT).fit(X)
    assert np.abs(kept.transform(drift) - kept.transform(X)).max() > 400


def test_a_low_rate_is_kept():
    down = DownsampledSignals(256, center=False, **LAYOUT).fit(X)
    assert down.sfreq_out_ == SFREQ
    np.testing.assert_allclose(down.transform(X), X.reshape(N_EPOCHS, -1), rtol=1e-6)


# Pipelines


def task(kind, n_epochs=60, seed=0, n_chans=4):
    """Epochs in which every pipeline of the kind can tell two classes, and their labels."""
    rng = np.random.default_rng(seed)
    data = 10 * rng.normal(size=(n_epochs, n_chans, N_TIMES))
    y = np.array(["feet", "hands"])[np.arange(n_epochs) % 2]
    phase = rng.uniform(0, 2 * np.pi, size=n_epochs) if kind == "rhythm" else np.zeros(n_epochs)
    wave = 25 * np.sin(2 * np.pi * (10 if kind == "rhythm" else 4) * TIMES + phase[:, None])
    if kind == "erp":
        wave *= np.exp(-0.5 * ((TIMES - 0.3) / 0.1) ** 2)
    data[y == "hands", 0] += wave[y == "hands"]
    mixing = np.eye(n_chans) + 0.3 * rng.normal(size=(n_chans, n_chans))
    return np.einsum("ij,ejt->eit", mixing, data), y


PIPELINES = {
    (kind, name): pipeline
    for kind in ("rhythm", "erp")
    for name, pipeline in classical_pipelines(kind, **LAYOUT).items()
}
each = pytest.mark.parametrize(("kind", "name"), PIPELINES)


def test_kinds():
    rhythm, erp = classical_pipelines("rhythm"), classical_pipelines("erp")
    assert list(classical_pipelines()) == [*rhythm, *erp]
    assert len(rhythm) == 8 and len(erp) == 2
    with pytest.raises(ValueError, match="rhythm, erp, flicker, all, got 'p300'"):
        classical_pipelines("p300")


def test_pipelines_share_no_step():
    steps = [
        id(v)
        for p in classical_pipelines().values()
        for v in p.get_params().values()
        if hasattr(v, "fit")
    ]
    assert len(steps) > 30 and len(set(steps)) == len(steps)


@each
@pytest.mark.filterwarnings("error")
def test_pipelines_find_what_is_there(kind, name):
    data, y = task(kind)
    pipeline = clone(PIPELINES[kind, name])
    with mne.use_log_level("error"):
        pipeline.fit(data[:40], y[:40])
    predicted = pipeline.predict(data[40:])
    assert np.mean(predicted == y[40:]) >= 0.8
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(again.predict(data[40:]), predicted)


@each
def test_pipelines_take_epochs(kind, name):
    data, y = task(kind, 24)
    from_array = clone(PIPELINES[kind, name])
    from_epochs = classical_pipelines(kind)[name]
    with mne.use_log_level("error"):
        expected = from_array.fit(data, y).predict(data)
        epochs = as_epochs(data)
        np.testing.assert_array_equal(from_epochs.fit(epochs, y).predict(epochs), expected)


@each
@pytest.mark.parametrize("fault", ["average reference", "interpolated", "two channels"])
@pytest.mark.filterwarnings("error")
def test_fewer_dimensions_than_channels(kind, name, fault):
    data, y = task(kind, 40)
    layout = LAYOUT
    if fault == "average reference":
        data = data - data.mean(axis=1, keepdims=True)
    elif fault == "interpolated":
        data[:, 3] = 0.5 * data[:, 1] + 0.5 * data[:, 2]
    else:
        data, layout = data[:, :2], {**LAYOUT, "ch_names": NAMES[:2]}
    with mne.use_log_level("error"):
        pipeline = classical_pipelines(kind, **layout)[name].fit(data[:30], y[:30])
    assert np.mean(pipeline.predict(data[30:]) == y[30:]) >= 0.7


@each
def test_pipelines_in_a_grid_search(kind, name):
    data, y = task(kind, 16)
    # the first parameter of signals that the pipeline has
    grids = [
        {"signals__band": [(6, 20), (8, 30)]},
        {"power__scale": ["log", "relative"]},
        {"samples__resample": [16, 32]},
        {"select__k": [2, 4]},
        {"lr__C": [1e-3, 1.0]},
    ]
    pipeline = PIPELINES[kind, name]
    grid = next(g for g in grids if next(iter(g)) in pipeline.get_params())
    with mne.use_log_level("error"):
        search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(as_epochs(data), y)
    assert next(iter(grid)) in search.best_params_


@each
def test_three_classes(kind, name):
    data, _ = task(kind, 30)
    y = np.arange(30) % 3
    with mne.use_log_level("error"):
        assert set(clone(PIPELINES[kind, name]).fit(data, y).predict(data)) == {0, 1, 2}


def test_xdawn_leaves_what_an_average_reference_empties():
    referenced = X - X.mean(axis=1, keepdims=True)
    pipeline = classical_pipelines("erp", **LAYOUT)["Xdawn + tangent space + LR"]
    pipeline.fit(referenced, np.arange(N_EPOCHS) % 2)
    filters = pipeline["covariances"].Xd_.filters_ @ pipeline["directions"].basis_
    assert np.abs(filters.sum(axis=1)).max() < 1e-6 * np.abs(filters).sum(axis=1).min()


def test_the_bridge_in_front_of_mne_and_pyriemann():
    from pyriemann.estimation import Covariances

    found = make_pipeline(SignalArray(), Covariances()).fit_transform(as_epochs())
    np.testing.assert_allclose(
        found, [np.cov(epoch, bias=True) for epoch in X], rtol=1e-3, atol=1e-3
    )


def test_a_rate_too_low_for_the_filter_bank_is_told():
    data, y = task("rhythm", 8)
    pipeline = classical_pipelines("rhythm", sfreq=64.0, unit="uV")["filter-bank CSP + LDA"]
    wrong = pytest.raises(ValueError, match=r"\(28.0, 32.0\).*below 32 Hz")
    with mne.use_log_level("error"), wrong:
        pipeline.fit(data, y)


def test_cca_is_scikit_learns():
    from sklearn.cross_decomposition import CCA

    times = np.arange(256) / SFREQ
    flicker = np.c_[[f(2 * np.pi * 12 * k * times) for k in (1, 2) for f in (np.sin, np.cos)]].T
    X = np.random.default_rng(0).normal(size=(5, 3, 256)) + flicker[:, 0]
    found = FlickerCCA([12.0, 20.0], sfreq=SFREQ, unit="uV").fit_transform(X)
    for epoch, (here, elsewhere) in zip(X, found, strict=True):
        a, b = CCA(1, max_iter=5_000, tol=1e-12).fit_transform(epoch.T, flicker)
        np.testing.assert_allclose(here, abs(np.corrcoef(a[:, 0], b[:, 0])[0, 1]), rtol=1e-4)
        assert here > elsewhere + 0.2


def test_flicker_needs_its_frequencies():
    with pytest.raises(ValueError, match="flicker need frequencies="):
        classical_pipelines("flicker")
    with pytest.raises(ValueError, match=r"70.0\], .* must lie above 0 and below 64 Hz"):
        FlickerCCA([10.0, 70.0], **LAYOUT).fit(X)
    with pytest.raises(ValueError, match="'frequencies' parameter"):
        FlickerCCA(**LAYOUT).fit(X)


def test_the_best_of_each_kind_exist():
    assert {name for names in BEST.values() for name in names} <= {
        *classical_pipelines(frequencies=[10.0])
    }


def test_flicker_in_signals_against_their_average():
    """Float32 leaves rounding where an average reference leaves nothing: it is no direction."""
    rng = np.random.default_rng(0)
    X = 10 * rng.normal(size=(8, 5, 256)).astype(np.float32)
    X -= X.mean(axis=1, keepdims=True)
    cca = FlickerCCA([10, 12], **{**LAYOUT, "ch_names": None})
    every = cca.fit_transform(X)
    for left_out in (0, 4):
        np.testing.assert_allclose(cca.fit_transform(np.delete(X, left_out, 1)), every, atol=1e-6)
    np.testing.assert_allclose(cca.fit_transform(3 * X), every, atol=1e-6)
    far = 2e4 * rng.normal(size=(8, 5, 1)).astype(np.float32)  # offsets of electrodes, in µV
    far = (X + far - far.mean(axis=1, keepdims=True)).astype(np.float32)
    np.testing.assert_allclose(cca.fit_transform(far), every, atol=1e-3)
    X[0] = np.arange(5)[:, None]
    with pytest.warns(UserWarning, match="constant signal"):
        assert (cca.fit_transform(X)[0] == 0).all()


def test_a_frequency_at_an_edge_belongs_to_the_upper_band():
    """Of 260 samples at 300 Hz, MNE's 30 Hz is 29.999999999999996."""
    wave = 10 * np.sin(2 * np.pi * 30 * np.arange(260) / 300)[None, None].repeat(2, 0)
    bands = {"beta": (13, 30), "gamma": (30, 45)}
    power = BandPower(bands, scale="absolute", sfreq=300, unit="uV").fit_transform(wave)
    assert (power[:, 1] > 5 * power[:, 0]).all()


def test_signals_are_no_table():
    """set_output of a whole pipeline reaches the steps that make tables."""
    epochs = simulate_epochs(n_subjects=1, n_epochs=6, random_state=0)
    power = BandPower(sfreq=256.0, unit="uV")
    for first in (EuclideanAligner(group_by=False), SpectralAligner(group_by=False), SignalArray()):
        steps = make_pipeline(first, power).set_output(transform="pandas")
        assert isinstance(steps.fit_transform(epochs), pd.DataFrame)
