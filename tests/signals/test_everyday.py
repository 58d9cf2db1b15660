"""Recordings as people have them: each of these was read wrongly, or blamed on something else."""

import re
import warnings

import mne
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from dare_sklearn import (
    DAREClassifier,
    DAREEmbedder,
    DAREPretrainer,
    DARERegressor,
    EuclideanAligner,
)
from dare_sklearn.signals.container import LazyEpochs
from dare_sklearn.signals.electrodes import (
    ELECTRODES,
    TEN_TWENTY,
    place,
    plan_channels,
    template_montage,
    template_positions,
)
from dare_sklearn.signals.errors import SignalError
from dare_sklearn.signals.files import open_file
from dare_sklearn.signals.grid import resample
from dare_sklearn.signals.readers import read_signals
from dare_sklearn.signals.validation import summarize

NAMES = ["Fz", "C3", "Cz", "C4", "Pz"]
PARAMS = {"ch_names": NAMES, "sfreq": 128.0, "unit": "uV"}


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(scale=10, size=(6, 5, 128))


def embedder(**params):
    params = {"encoder": None, "pooling": "mean", **PARAMS, **params}
    return DAREEmbedder(random_state=0, **params)


def make_epochs(X, names=NAMES, types="eeg", bads=()):
    info = mne.create_info(list(names), 128.0, types)
    epochs = mne.EpochsArray(X * 1e-6, info, verbose="error")
    epochs.info["bads"] = list(bads)
    return epochs


@pytest.mark.parametrize("sfreq", [100, 128, 160, 250, 500, 1000])
@pytest.mark.parametrize("drift", [0.0, 1e5])
def test_offsets_and_drifts_pass_the_resampling(sfreq, drift):
    x = np.random.default_rng(0).normal(size=(1, 2 * sfreq))
    line = 1e5 + drift * np.arange(2 * sfreq) / sfreq
    moved = 1e5 + drift * np.arange(512) / 256
    leak = resample(x + line, sfreq, 256.0) - moved - resample(x, sfreq, 256.0)
    assert np.abs(leak).max() < 0.03  # float32 at 300 mV


@pytest.mark.parametrize("sfreq", [128, 160, 250, 500, 1000])
def test_curved_drifts_pass_the_resampling(sfreq):
    def drift(time):  # 20 mV
        return 2e4 * np.sin(0.6 * np.pi * time + 1)

    resampled = resample(drift(np.arange(2 * sfreq) / sfreq)[None], sfreq, 256.0)
    assert np.abs(resampled - drift(np.arange(512) / 256)).max() < 1.5  # it was 64 at the ends


def test_a_rate_with_a_rounding_error(X):
    with_error = embedder(sfreq=256.0001).fit(X)
    np.testing.assert_array_equal(with_error.transform(X), embedder(sfreq=256).fit_transform(X))


def positions_of(montage, head_size=0.095):
    montage = mne.channels.make_standard_montage(montage, head_size=head_size)
    info = mne.create_info(montage.ch_names, 256.0, "eeg").set_montage(montage)
    return {ch["ch_name"].upper(): ch["loc"][:3] for ch in info["chs"]}


FOREHEAD = ("FP1", "FPZ", "FP2", "AF3", "AF4", "F3", "FZ", "F4")


@pytest.mark.parametrize("size", [0.095, 0.05])  # of an adult, of an infant
@pytest.mark.parametrize(
    ("montage", "names"),
    [
        ("biosemi64", ELECTRODES), ("easycap-M1", ELECTRODES), ("colin27_1005", ELECTRODES),
        ("colin27_1005", FOREHEAD), ("biosemi64", TEN_TWENTY),
    ],
)  # fmt: skip
def test_electrodes_without_names_are_found_by_position(montage, names, size):
    places = {n: xyz for n, xyz in positions_of(montage, size).items() if n in names}
    own = {f"OF-{name}": xyz for name, xyz in places.items()}
    assert len(own) > len(names) - 4
    with pytest.warns(UserWarning, match="are interpolated") as told:
        plan_channels(list(own), positions=own)
    found = re.findall(r"OF-(\w+) -> (\w+)", str(told[0].message))
    assert len(found) == len(places)
    assert sum(name == electrode for name, electrode in found) > 0.98 * len(places) - 0.1


@pytest.mark.parametrize("montage", ["colin27_1005", "fsaverage_1005", "biosemi64"])
@pytest.mark.parametrize(
    "row",
    ["T7 C5 C3 C1 CZ C2 C4 C6 T8", "FPZ FZ FCZ CZ CPZ PZ POZ OZ", "P7 P5 P3 P1 PZ P2 P4 P6 P8"],
)
def test_a_row_of_electrodes_says_little_of_the_head(montage, row):
    """Many spheres pass through it: huge ones too."""
    own = {name: xyz for name, xyz in positions_of(montage).items() if name in row.split()}
    assert place(list(own), own)[1] == frozenset()
    hidden = {f"OF-{name}": xyz for name, xyz in own.items()}
    template = template_positions()
    for name, xyz in place(list(hidden), hidden)[0].items():
        assert np.linalg.norm(xyz - template[name.removeprefix("OF-")]) < 0.04


def test_positions_decide_over_names():
    own = positions_of("biosemi128")
    with pytest.warns(UserWarning, match="C3 14 cm.*read by position"):
        found, distrusted = place(list(own), own)
    assert {"C3", "C5", "A1", "A2"} <= distrusted
    assert np.linalg.norm(found["A1"] - template_positions()["CZ"]) < 0.015
    centre = np.array([0, 0, 0.04])
    ball = {name: (xyz - centre) / np.linalg.norm(xyz - centre) for name, xyz in own.items()}
    with pytest.warns(UserWarning, match="C3 14 cm"):
        assert place(list(own), ball)[1] == distrusted


@pytest.mark.parametrize("cap", ["biosemi128", "biosemi256"])
def test_names_of_a_lettered_cap_are_no_places(cap):
    some = ["Fp1", "F3", "C3", "O1", *(f"E{i}" for i in range(1, 99))]  # EGI's are others
    with pytest.warns(UserWarning, match="does not know are left out: E1, E2"):
        assert plan_channels(some, unknown="drop")[0] == some[:4]
    names = list(positions_of(cap))
    for unknown, message in [("interpolate", "nor their positions"), ("drop", "knows none of")]:
        with (
            pytest.warns(UserWarning, match="names of a BioSemi cap.*C1.*set its montage"),
            pytest.raises(SignalError, match=message),
        ):
            plan_channels(names, unknown=unknown)


@pytest.mark.parametrize(
    "montage", ["easycap-M1", "biosemi64", "brainproducts-RNP-BA-128", "spherical_1005"]
)
def test_names_of_the_10_05_system_are_trusted(montage):
    own = positions_of(montage)
    for scaled in (1.0, 1e3):  # metres, millimetres
        assert not place(list(own), {name: xyz * scaled for name, xyz in own.items()})[1]
    turned = {name: np.array([xyz[1], -xyz[0], xyz[2]]) for name, xyz in own.items()}
    with pytest.warns(UserWarning, match="other axes"):
        assert not place(list(own), turned)[1]
    assert "Cz" in template_montage().ch_names


def test_other_sensors_are_left_out_by_name(X):
    with pytest.warns(UserWarning, match="left out STI 014: channels that are not EEG"):
        fitted = embedder(ch_names=[*NAMES[:4], "STI 014"]).fit(X)
    assert fitted.ch_names_in_ == ["FZ", "C3", "CZ", "C4"]
    with pytest.warns(UserWarning, match="left out HEOG"):
        typed = embedder(ch_names=None, sfreq=None).fit(make_epochs(X, [*NAMES[:4], "HEOG"]))
    assert np.array_equal(typed.transform(make_epochs(X, [*NAMES[:4], "HEOG"])).shape, (6, 64))


def test_what_looks_like_a_trigger_is_reported(X):
    X[:, 4] = 0
    X[:, 4, :32] = 50 * (np.arange(6) % 2 + 1)[:, None]
    assert summarize(X).stepped.tolist() == [False] * 4 + [True]
    with pytest.warns(UserWarning, match="channels PZ of X hold a few levels"):
        embedder().fit(X)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_a_summary_is_what_numpy_says(X, dtype):
    X = np.tile(X, (60, 1, 1))  # more than is looked at together
    X[3, 0], X[4], X[5, 2], X[6] = 7, 0, 0.1, X[6] + 30_000
    if dtype != np.int16:
        X[7, 1, 5], X[8, 2, 0], X[9, 0] = np.nan, np.inf, 1e7
    values = X.astype(dtype)
    found = summarize(values)
    np.testing.assert_array_equal(found.finite, np.isfinite(values).all(axis=-1))
    with np.errstate(invalid="ignore"):
        spread, flat = values.std(axis=-1, dtype=np.float64), np.ptp(values, axis=-1) == 0
    np.testing.assert_array_equal(found.flat, flat)
    np.testing.assert_allclose(found.spread, spread, rtol=1e-12, atol=1e-9)


def test_bads_that_differ(X):
    parts = [make_epochs(X), make_epochs(X, bads=["C3"])]
    with pytest.warns(UserWarning, match="marked bad in some: C3"):
        signals = read_signals(parts)
    assert signals.ch_names == ("FZ", "CZ", "C4", "PZ") and len(signals.data) == 12
    own = {"ch_names": None, "sfreq": None, "unit": "auto"}
    with pytest.warns(UserWarning, match="left out C3"):
        fitted = embedder(**own).fit(parts[1])
    with pytest.warns(UserWarning, match="not used: C3"):
        np.testing.assert_array_equal(fitted.transform(parts[0]), fitted.transform(parts[1]))
    with pytest.raises(ValueError, match=r"differ in channels \(C3 only in some"):
        EuclideanAligner(group_by=False).fit(parts)


def test_orders_of_channels_that_differ(X):
    parts = [make_epochs(X), make_epochs(X).reorder_channels(NAMES[::-1])]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        signals = read_signals(parts)
    np.testing.assert_array_equal(signals.data[:6], signals.data[6:])


def test_memmaps_stay_on_disk(X, tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for data, expected in ((mapped, X), (mapped[1:4], X[1:4]), (np.asarray(mapped), X)):
        signals = read_signals(data, **PARAMS)
        assert isinstance(signals.data, LazyEpochs)
        np.testing.assert_array_equal(signals.data[:], expected.astype("f4"))


def test_late_epochs_of_a_memmap_are_checked_as_those_of_an_array(X, tmp_path):
    """A fitted model looked at the first block only."""
    many = np.tile(X, (60, 1, 1)).astype("f4")
    late = np.arange(len(many)) >= 300
    assert late.any()
    for factor, kind, message in [
        (1e-6, SignalError, "a million times"), (1000, UserWarning, "100 or more times"),
        (0, UserWarning, "a constant signal"),
    ]:  # fmt: skip
        wrong = np.where(late[:, None, None], np.float32(factor), np.float32(1)) * many
        np.save(tmp_path / "x.npy", wrong)
        for data in wrong, np.load(tmp_path / "x.npy", mmap_mode="r"):
            fitted = embedder().fit(X)
            told = pytest.raises if kind is SignalError else pytest.warns
            with told(kind, match=message):
                fitted.transform(data)


@pytest.mark.parametrize(
    ("factor", "sfreq", "message"),
    [
        (0.01, 128.0, "0.1 µV, and encoders"),
        (100, 128.0, "e\\+03 µV, and enc"),
        (1, 32.0, "above 16 Hz"),
    ],
)
def test_what_encoders_have_not_seen_is_reported_once(X, factor, sfreq, message):
    unusual = embedder(sfreq=sfreq)
    with pytest.warns(UserWarning, match=message) as caught:
        unusual.fit(factor * X)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unusual.fit(factor * X).transform(factor * X)
        EuclideanAligner(group_by=False).fit(factor * X)


def test_amplitudes_far_from_the_fit_are_reported_once(X):
    fitted = embedder().fit(X)
    with pytest.warns(UserWarning, match="100 times larger than the signals of fit"):
        fitted.transform(100 * X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.transform(100 * X)
        fitted.transform(3 * X)
        fitted.transform(20 * X[:1])  # a single epoch may be noisy
    with pytest.warns(UserWarning, match="times smaller"):
        fitted.transform(X[:1] / 50)


def test_another_unit_is_said_anew(X):
    """Once for each unit: a refit that reads other values otherwise does not do so unseen."""
    embedder = DAREEmbedder(None, pooling="mean", **{**PARAMS, "unit": "auto"})
    for data, unit, said in ((X, "uV", 1), (X, "uV", 0), (X * 1e-6, "V", 1)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            embedder.fit(data)
        assert embedder.unit_ == unit
        assert sum(f"read the values as {unit}" in str(w.message) for w in caught) == said


def test_fit_under_inference_mode(X):
    with torch.inference_mode():
        clf = DAREClassifier(
            None, spatial_init="spline", max_epochs=1, random_state=0, **PARAMS
        ).fit(X, [0, 1] * 3)
    assert clf.predict(X).shape == (6,)
    with pytest.raises(ValueError, match="y of score"):
        clf.score(X, [0, np.nan] * 3)


@pytest.mark.parametrize(
    "estimator",
    [
        DAREPretrainer(window_s=1.0, max_epochs=1),
        DAREClassifier(None),
        DAREClassifier(None, spatial_init="csp"),
        DAREClassifier(None, adaptation="finetune", max_epochs=1),
        DAREEmbedder(None),
    ],
)
def test_fit_under_another_default_type_and_autocast(X, estimator):
    estimator = clone(estimator).set_params(random_state=0, **PARAMS)
    run = getattr(estimator, "predict_proba", None) or estimator.transform
    expected = estimator.fit(X, [0, 1] * 3) and run(X)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(estimator.fit(X, [0, 1] * 3) and run(X), expected)
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_array_equal(estimator.fit(X, [0, 1] * 3) and run(X), expected)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("estimator", [DAREClassifier, DARERegressor])
def test_score_says_what_is_wrong_with_y(X, estimator):
    y = [0, 1] * 3
    fitted = estimator(None, random_state=0, **PARAMS).fit(X, y)
    assert np.isfinite(fitted.score(X, y))
    for bad, message in (
        ([0, 1, np.nan, 0, 1, 0], "y of score has missing values .* at epochs 2"),
        ([0, 1], "2 y of score for 6 epochs"),
        (["a"] * 6, "y .* in score does not fit"),
        (1, "y of score must hold one value per epoch"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.score(X, bad)


def odd(X):
    frame = pd.DataFrame(X[0].T, columns=NAMES)
    csd = make_epochs(X, types="csd")
    own = {"ch_names": None, "sfreq": None, "unit": "auto"}
    return {
        "one epoch": (X[0], {}, r"one epoch of 5 channels: pass X\[None\]"),
        "evoked": (make_epochs(X).average(), own, r"evoked.data\[None\]"),
        "evokeds": ([make_epochs(X).average()], own, r"evoked.data\[None\]"),
        "data frame": (frame, {}, "column per electrode"),
        "one name": (X[:, :1], {"ch_names": "Cz"}, r"pass ch_names=\['Cz'\]"),
        "size": (X, {"encoder": "base"}, "is a size, not the name"),
        "z-scores": (make_epochs(X * 1e5), own, "z-scores"),
        "densities": (csd, own, "current source densities"),
        "depth": (make_epochs(X, types="seeg"), own, "EEG of the scalp.*are .'seeg'"),
    }


@pytest.mark.parametrize("case", odd(np.ones((6, 5, 128))))
def test_the_message_names_the_mistake(case, X):
    data, params, message = odd(X)[case]
    with pytest.raises((ValueError, TypeError), match=message):
        embedder(**params).fit(data)


def test_the_end_that_fills_no_patch(X):
    with pytest.warns(UserWarning, match=r"tmax = tmin \+ 1 \(or \+ 0\.75\) avoids it"):
        embedder().fit(X[:, :, :120])


@pytest.mark.parametrize("what", ["DataPoints=500\n", "marker", "half a sample"])
def test_brainvision_without_its_end(tmp_path, what):
    """MNE reads what is there."""
    header, version = tmp_path / "a.vhdr", "File, Version 1.0\n[Common Infos]\nDataFile=a.eeg\n"
    data = np.random.default_rng(0).integers(-99, 99, (500, 2), dtype="<i2").tobytes()
    points = what if "=" in what else ""
    header.write_text(
        f"Brain Vision Data Exchange Header {version}MarkerFile=a.vmrk\nDataFormat=BINARY\n"
        f"DataOrientation=MULTIPLEXED\nNumberOfChannels=2\n{points}SamplingInterval=4000\n"
        "[Binary Infos]\nBinaryFormat=INT_16\n[Channel Infos]\nCh1=C3,,0.1,µV\nCh2=C4,,0.1,µV\n",
        encoding="utf-8",
    )
    position = 400 if what == "marker" else 1
    markers = f"[Marker Infos]\nMk1=Stimulus,S  1,{position},1,0\n"
    marker_file = f"Brain Vision Data Exchange Marker {version}{markers}"
    (tmp_path / "a.vmrk").write_text(marker_file, encoding="utf-8")
    (tmp_path / "a.eeg").write_bytes(data)
    assert open_file(header).n_times == 500
    (tmp_path / "a.eeg").write_bytes(data[: 1203 if what == "half a sample" else 1200])
    with pytest.raises(ValueError, match="cut short"):
        open_file(header)
