"""Simulated EEG: reproducible, shaped like the real thing, and as decodable as it says."""

import numpy as np
import pytest
from mne.time_frequency import psd_array_welch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from dare_sklearn import simulate_epochs
from dare_sklearn.signals.electrodes import ELECTRODES, electrode_name
from dare_sklearn.simulation.head import make_head

SMALL = ["Fp1", "Fp2", "F3", "Fz", "F4", "C3", "Cz", "C4", "P3", "Pz", "P4", "O1", "Oz", "O2"]


@pytest.mark.parametrize(
    ("paradigm", "classes"),
    [
        ("motor", {"left_hand", "right_hand"}),
        ("erp", {"nontarget", "target"}),
        ("steady_state", {"10 Hz", "12 Hz", "15 Hz"}),
    ],
)
def test_shape_and_metadata(paradigm, classes):
    epochs = simulate_epochs(paradigm, n_subjects=2, n_epochs=12, random_state=0)
    assert epochs.get_data().shape == (24, 62, 256)
    assert [electrode_name(name) for name in epochs.ch_names] == list(ELECTRODES)
    assert epochs.get_montage() is not None
    table = epochs.metadata
    assert table["subject"].tolist() == ["S001"] * 12 + ["S002"] * 12
    assert set(table["label"]) == set(epochs.event_id) == classes
    codes = table["label"].map(epochs.event_id)
    np.testing.assert_array_equal(codes, epochs.events[:, 2])
    typical = np.median(epochs.get_data(units="uV").std(axis=-1))
    assert 2 < typical < 40


def test_random_state():
    params = {"n_epochs": 4, "ch_names": SMALL}
    state = np.random.get_state()[1].copy()
    first = simulate_epochs("erp", n_subjects=2, random_state=3, **params).get_data()
    again = simulate_epochs("erp", n_subjects=3, random_state=3, **params).get_data()
    np.testing.assert_array_equal(first, again[:8])  # person k is the same
    assert not np.allclose(
        first, simulate_epochs("erp", n_subjects=2, random_state=4, **params).get_data()
    )
    assert not np.allclose(first[:4], first[4:])
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize(
    ("paradigm", "microvolts"),
    [
        ("motor", [-4.829, 9.3259, -7.5207]),
        ("erp", [-21.1437, 15.8846, -12.7999]),
        ("steady_state", [-11.9483, -23.7787, 9.3804]),
    ],
)
def test_a_seed_gives_the_same_signals_in_every_version(paradigm, microvolts):
    """The shipped encoders can be trained again only if it does."""
    epochs = simulate_epochs(
        paradigm, n_subjects=2, n_epochs=2, ch_names=["Fp1", "C4", "Oz"], reference="random",
        random_state=5,
    )  # fmt: skip
    found = epochs.get_data(units="uV")[[0, 1, 3], [0, 1, 2], [9, 99, 199]]
    np.testing.assert_allclose(found, microvolts, atol=2e-3)


def test_any_montage_rate_and_length():
    epochs = simulate_epochs(
        n_subjects=1, n_epochs=3, ch_names=["tp9", "AF7", "af8", "TP10"], sfreq=160.0,
        duration=2.5, random_state=0,
    )  # fmt: skip
    assert epochs.ch_names == ["TP9", "AF7", "AF8", "TP10"]
    assert epochs.get_data().shape == (3, 4, 400) and epochs.info["sfreq"] == 160.0


def test_spectrum_is_that_of_eeg():
    epochs = simulate_epochs(
        n_subjects=6, n_epochs=20, duration=4.0, ch_names=SMALL, artifacts=0.0, random_state=0
    )
    power, freqs = psd_array_welch(
        epochs.get_data(units="uV"), 256.0, fmin=1, fmax=40, n_fft=512, verbose="error"
    )
    mean = power.mean(axis=(0, 1))
    low, high = (freqs >= 2) & (freqs < 6), (freqs >= 25) & (freqs < 40)
    slope = np.log(mean[high].mean() / mean[low].mean()) / np.log(32 / 4)
    assert -2.5 < slope < -0.5
    alpha = power[..., (freqs >= 8) & (freqs <= 12.5)].mean(axis=(0, 2))
    posterior = alpha[[SMALL.index(name) for name in ("O1", "Oz", "O2")]].mean()
    assert posterior > 1.5 * alpha[[SMALL.index(name) for name in ("F3", "Fz", "F4")]].mean()


def test_blinks_are_frontal():
    clean, full = (
        simulate_epochs(n_subjects=3, n_epochs=20, ch_names=SMALL, artifacts=rate, random_state=0)
        for rate in (0.0, 2.0)
    )
    added = np.abs((full.get_data() - clean.get_data()) * 1e6).max(axis=(0, 2))
    assert added[:2].min() > 40  # microvolts at Fp1 and Fp2
    assert added[:2].min() > 2 * added[SMALL.index("Pz")]


def band_power(epochs):
    power, freqs = psd_array_welch(
        epochs.get_data(units="uV"), 256.0, fmin=8, fmax=30, n_fft=256, verbose="error"
    )
    return np.log(np.hstack([power[..., freqs < 13].mean(-1), power[..., freqs >= 13].mean(-1)]))


def samples(epochs):
    return epochs.get_data(units="uV")[:, :, ::16].reshape(len(epochs), -1)


def spectrum(epochs):
    power, _ = psd_array_welch(
        epochs.get_data(units="uV"), 256.0, fmin=8, fmax=32, n_fft=256, verbose="error"
    )
    return np.log(power).reshape(len(epochs), -1)


@pytest.mark.parametrize(
    ("paradigm", "features", "n_classes"),
    [("motor", band_power, 2), ("erp", samples, 2), ("steady_state", spectrum, 3)],
)
def test_classes_differ_as_much_as_effect_says(paradigm, features, n_classes):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2_000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    means = {}
    for effect in (0.0, 1.0):
        epochs = simulate_epochs(
            paradigm, n_subjects=4, n_epochs=60, ch_names=SMALL, effect=effect,
            target_fraction=0.5, random_state=0,
        )  # fmt: skip
        Z, y = features(epochs), epochs.metadata["label"].to_numpy()
        means[effect] = np.mean([
            cross_val_score(model, Z[i : i + 60], y[i : i + 60], cv=folds).mean()
            for i in range(0, 240, 60)
        ])  # fmt: skip
    chance = 1 / n_classes
    assert abs(means[0.0] - chance) < 0.12  # 240 trials: three standard errors are 0.10
    assert means[1.0] > chance + 0.12


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"paradigm": "sleep"}, "'paradigm' parameter of simulate_epochs must be a str among"),
        ({"n_subjects": 0}, "n_subjects"),
        ({"n_epochs": 1.5}, "n_epochs"),
        ({"duration": 0.0}, "duration"),
        ({"sfreq": -1.0}, "sfreq"),
        ({"ch_names": ["Cz", "Q1"]}, "ch_names"),
        ({"ch_names": ["Cz", "cz"]}, "ch_names"),
        ({"effect": -1.0}, "effect"),
        ({"artifacts": np.nan}, "artifacts"),
        ({"target_fraction": 1.5}, "target_fraction"),
        ({"reference": "Q1"}, "reference"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        simulate_epochs(**params)


def test_one_blas_thread_whatever_is_set(monkeypatch):
    """Sums of BLAS depend on the number of threads, and the bits of a seed must not."""
    seen = []

    def spy(*args):
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return make_head(*args)

    monkeypatch.setattr("dare_sklearn.simulation.simulate.make_head", spy)
    with threadpool_limits(2, user_api="blas"):
        simulate_epochs(n_subjects=1, n_epochs=1, random_state=0)
    assert set(seen) == {1}
