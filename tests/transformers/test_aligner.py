"""Euclidean and spectral alignment."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.signal import welch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline

from dare_sklearn import (
    DAREClassifier,
    DAREEmbedder,
    EuclideanAligner,
    SpectralAligner,
    simulate_epochs,
)
from dare_sklearn.transformers.aligner import CS_MODES

NAMES = ["Fz", "C3", "Cz", "C4", "Pz"]


@pytest.fixture(scope="module")
def signals():
    """Three subjects whose channels are mixed differently."""
    rng = np.random.default_rng(0)
    groups = np.repeat(["a", "b", "c"], 20)
    mixing = {g: rng.normal(size=(4, 4)) * 10.0**i for i, g in enumerate("abc")}
    X = np.stack([mixing[g] @ rng.normal(size=(4, 64)) + 7.0 for g in groups])
    return X, groups


@pytest.fixture(scope="module")
def epochs():
    return simulate_epochs(
        "motor", n_subjects=3, n_epochs=8, duration=1.0, sfreq=128.0, ch_names=NAMES, random_state=0
    )


def mean_covariance(X):
    return np.mean([np.cov(epoch) for epoch in X], axis=0)


@pytest.mark.parametrize("amplitude", [1.0, 10.0])
def test_mean_covariance_of_every_group_is_the_identity(signals, amplitude):
    X, groups = signals
    aligner = EuclideanAligner(amplitude)
    aligned = aligner.fit_transform(X, groups=groups)
    for group in "abc":
        np.testing.assert_allclose(
            mean_covariance(aligned[groups == group]),
            amplitude**2 * np.eye(4),
            atol=1e-8 * amplitude**2,
        )
    np.testing.assert_array_equal(aligned, aligner.transform(X, groups=groups))
    assert aligner.groups_.tolist() == ["a", "b", "c"]
    assert aligner.whiteners_.shape == (3, 4, 4)


def test_groups_of_fit_keep_what_they_learned(signals):
    X, groups = signals
    first = np.arange(60) % 20 < 10
    aligner = EuclideanAligner().fit(X[first], groups=groups[first])
    later = aligner.transform(X[~first], groups=groups[~first])
    alone = aligner.transform(X[~first][:1], groups=["a"])  # one trial of a known subject is fine
    np.testing.assert_allclose(later[:1], alone)
    assert not np.allclose(mean_covariance(later[:10]), np.eye(4), atol=1e-3)


def test_an_unseen_group_is_aligned_with_its_own_data(signals):
    X, groups = signals
    seen = groups != "c"
    aligner = EuclideanAligner(1.0).fit(X[seen], groups=groups[seen])
    new = aligner.transform(X[~seen], groups=groups[~seen])
    np.testing.assert_allclose(mean_covariance(new), np.eye(4), atol=1e-8)
    with pytest.warns(UserWarning, match="aligned as one group that fit did not see"):
        unnamed = aligner.transform(X[~seen])
    np.testing.assert_array_equal(new, unnamed)


def test_groups_of_another_kind_are_refused(signals):
    X, groups = signals
    aligner = EuclideanAligner().fit(X, groups=np.unique(groups, return_inverse=True)[1])
    with pytest.raises(ValueError, match="text and numbers: pass one kind"):
        aligner.transform(X, groups=np.repeat(["0", "1", "2"], 20))


def test_without_groups_there_is_one(signals):
    X, _ = signals
    aligner = EuclideanAligner(1.0, group_by=False).fit(X[:20])
    assert aligner.groups_ is None
    np.testing.assert_allclose(mean_covariance(aligner.transform(X[:20])), np.eye(4), atol=1e-8)
    np.testing.assert_allclose(aligner.transform(X[:1])[0], aligner.transform(X[:20])[0])


def test_a_warning_where_groups_are_absent(signals):
    with pytest.warns(UserWarning, match=r"got no groups, so it aligns all 60 epochs as one"):
        EuclideanAligner().fit(signals[0])


def test_units_are_not_mixed(signals, epochs):
    X, groups = signals
    aligner = EuclideanAligner().fit(X, groups=groups)
    with pytest.raises(
        ValueError, match="EuclideanAligner: the values of X are 1e-06 times those of fit"
    ):
        aligner.transform(X * 1e-6, groups=groups)
    with pytest.raises(ValueError, match="fitted on arrays, and X is of another kind"):
        aligner.transform(epochs)
    with pytest.raises(ValueError, match="fitted on MNE objects, and X is of another kind"):
        EuclideanAligner(group_by=False).fit(epochs).transform(epochs.get_data())


def test_odd_epochs_objects(epochs):
    """A class without epochs left, the same epoch twice, and bad epochs not dropped yet."""
    left = epochs[epochs.metadata["label"].to_numpy() == "left_hand"]
    assert len(EuclideanAligner(group_by=False).fit_transform(left)) == 12
    twice = epochs[[0, 0, 1, 1, 2, 3]]
    assert len(EuclideanAligner(group_by="subject").fit_transform(twice)) == 6
    raw = mne.io.RawArray(
        np.random.default_rng(0).normal(size=(5, 1280)) * 1e-5, epochs.info, verbose="error"
    )
    raw._data[:, 300] = 1e-2
    events = mne.make_fixed_length_events(raw, duration=1.0)
    lazy = mne.Epochs(
        raw,
        events,
        tmin=0,
        tmax=0.9,
        baseline=None,
        reject={"eeg": 1e-3},
        metadata=pd.DataFrame({"subject": ["a"] * len(events)}),
        verbose="error",
    )
    aligned = EuclideanAligner(group_by="subject").fit_transform(lazy)
    assert len(aligned) == len(events) - 1
    assert not lazy._bad_dropped


def test_dtypes_and_tables(signals):
    X, _ = signals
    assert EuclideanAligner(group_by=False).fit_transform(X.astype(np.float32)).dtype == np.float32
    assert (
        EuclideanAligner(group_by=False).fit_transform((X * 100).astype(np.int16)).dtype
        == np.float64
    )
    table = EuclideanAligner(1.0, group_by=False).fit_transform(X[:, 0])
    assert table.shape == (60, 64)
    np.testing.assert_allclose(table.var(axis=1, ddof=1).mean(), 1.0)


def test_epochs_in_and_out(epochs):
    groups = epochs.metadata["subject"].to_numpy()
    before = epochs.get_data(copy=True)
    aligned = EuclideanAligner().fit_transform(epochs, groups=groups)
    assert isinstance(aligned, mne.BaseEpochs)
    assert aligned.ch_names == epochs.ch_names
    assert aligned.metadata.equals(epochs.metadata)
    np.testing.assert_array_equal(aligned.events, epochs.events)
    assert aligned.tmin == epochs.tmin
    # an average reference leaves four directions, which stay as strong as each other
    for group in np.unique(groups):
        power = np.linalg.eigvalsh(mean_covariance(aligned[groups == group].get_data(units="uV")))
        np.testing.assert_allclose(power, [0, 100, 100, 100, 100], atol=1e-4)
    np.testing.assert_array_equal(epochs.get_data(), before)
    listed = EuclideanAligner(group_by="subject").fit_transform(
        [e for e in (epochs[:8], epochs[8:])]
    )
    assert [len(part) for part in listed] == [8, 16]
    np.testing.assert_allclose(listed[0].get_data(), aligned[:8].get_data())


def test_other_channels_stay(epochs):
    mixed = epochs.copy().load_data()
    mixed.set_channel_types({"Pz": "eog"}, verbose="error")
    mixed.info["bads"] = ["Fz"]
    aligned = EuclideanAligner(group_by=False).fit_transform(mixed)
    for name in ("Pz", "Fz"):
        np.testing.assert_array_equal(aligned.get_data(picks=[name]), mixed.get_data(picks=[name]))
    assert not np.allclose(aligned.get_data(picks="C3"), mixed.get_data(picks="C3"))


def test_a_channel_that_only_its_name_says_is_not_eeg_stays(epochs):
    mixed = epochs.copy().rename_channels({"Pz": "VEOG"})
    aligned = EuclideanAligner(group_by=False).fit_transform(mixed)
    np.testing.assert_array_equal(aligned.get_data(picks="VEOG"), mixed.get_data(picks="VEOG"))
    assert not np.allclose(aligned.get_data(picks="C3"), mixed.get_data(picks="C3"))


def test_channels_are_matched_by_name(epochs):
    aligner = EuclideanAligner(group_by=False).fit(epochs)
    turned = epochs.copy().load_data().reorder_channels(NAMES[::-1])
    np.testing.assert_allclose(
        aligner.transform(turned).get_data(picks=["C3"]),
        aligner.transform(epochs).get_data(picks=["C3"]),
        atol=1e-12,
    )
    both = aligner.transform([epochs, turned])
    np.testing.assert_allclose(*(e.get_data(picks=["C3"]) for e in both), atol=1e-12)
    with pytest.raises(ValueError, match="the fit had 5 and differs in PZ"):
        aligner.transform(epochs.copy().load_data().drop_channels(["Pz"]))
    X = epochs.get_data(copy=True)
    with pytest.raises(ValueError, match="X has 4 channels, and the fit had 5"):
        EuclideanAligner(group_by=False).fit(X).transform(X[:, :4])


@pytest.mark.parametrize(
    ("groups", "message"),
    [(["a"] * 59, "59 groups for 60 epochs"), ([None] + ["a"] * 59, "missing values")],
)
def test_bad_groups(signals, groups, message):
    with pytest.raises(ValueError, match=message):
        EuclideanAligner().fit(signals[0], groups=groups)


def test_bad_signals(signals, epochs):
    X = signals[0].copy()
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="EuclideanAligner: X has NaN .* channels 1, epochs 3"):
        EuclideanAligner().fit(X)
    with pytest.raises(ValueError, match="group_by='session' needs mne.Epochs whose metadata"):
        EuclideanAligner(group_by="session").fit(epochs)
    with pytest.raises(ValueError, match="group_by='subject' needs mne.Epochs"):
        EuclideanAligner(group_by="subject").fit(signals[0])


def test_through_cross_validation(epochs):
    y = epochs.metadata["label"].to_numpy()
    groups = epochs.metadata["subject"].to_numpy()
    params = {"spatial_init": "spline", "max_epochs": 1, "random_state": 0}
    by_metadata = make_pipeline(
        EuclideanAligner(group_by="subject"), DAREClassifier(None, **params)
    )
    scores = cross_val_score(by_metadata, epochs, y, groups=groups, cv=LeaveOneGroupOut())
    with sklearn.config_context(enable_metadata_routing=True):
        routed = make_pipeline(EuclideanAligner(), DAREClassifier(None, **params))
        params = {"params": {"groups": groups}, "cv": LeaveOneGroupOut()}
        np.testing.assert_array_equal(scores, cross_val_score(routed, epochs, y, **params))
        # named scorers pass no groups on, and every test fold is one unseen subject here
        with pytest.warns(UserWarning, match="one group that fit did not see"):
            same = cross_val_score(routed, epochs, y, scoring="accuracy", **params)
        routed.fit(epochs, y, groups=groups)
        assert routed[0].groups_.tolist() == sorted(set(groups.tolist()))
        assert len(routed.predict(epochs, groups=groups)) == len(y)
    np.testing.assert_array_equal(scores, same)


def test_before_an_embedder_on_arrays(signals):
    X, groups = signals
    embedder = DAREEmbedder(None, pooling="mean", ch_names=NAMES[:4], sfreq=64.0, unit="uV")
    model = make_pipeline(EuclideanAligner(), embedder, LogisticRegression())
    with sklearn.config_context(enable_metadata_routing=True):
        model.fit(X, np.arange(60) % 2, groups=groups)
        assert model.predict(X, groups=groups).shape == (60,)


def cs_modes(signals, mode):
    """An aligner fitted on two people, the third one's signals, and single epochs of theirs."""
    X, groups = signals
    aligner = EuclideanAligner(1.0, cs_mode=mode).fit(X[:40], groups=groups[:40])
    return aligner, X[40:], groups[40:]


def relative(covariance):
    """A covariance without its power, which alignment to other people cannot know."""
    return covariance / np.trace(covariance)


def test_too_few_epochs_are_not_aligned_with_themselves(signals):
    aligner, new, groups = cs_modes(signals, "train_and_target_unlabeled_full")
    train = cs_modes(signals, "train")[0]
    assert aligner.min_epochs_ == 5
    with pytest.warns(
        UserWarning, match=r"too few epochs .*4 of 'c'; it takes 5\).*cs_mode='train'"
    ):
        few = aligner.transform(new[:4], groups=groups[:4])
    np.testing.assert_array_equal(few, train.transform(new[:4], groups=groups[:4]))
    aligner.transform(new[:1], groups=groups[:1])  # it is said once
    enough = aligner.transform(new[:5], groups=groups[:5])  # no warning, which would be an error
    np.testing.assert_allclose(mean_covariance(enough), np.eye(4), atol=1e-8)
    # five samples per channel: 40 of 2 per epoch
    short = EuclideanAligner(group_by=False).fit(np.random.default_rng(0).normal(size=(60, 8, 3)))
    assert short.min_epochs_ == 20


def test_a_small_group_of_the_fit_takes_the_mean_too(signals):
    X, groups = signals
    rows = np.r_[0:20, 20:40, 40:41]
    aligner = EuclideanAligner(1.0)
    with pytest.warns(UserWarning, match="1 of 'c'; it takes 5"):
        aligned = aligner.fit_transform(X[rows], groups=groups[rows])
    train = cs_modes(signals, "train")[0]
    np.testing.assert_allclose(aligned[40:], train.transform(X[40:41], groups=["c"]))


def test_train_whitens_with_the_people_of_fit_only(signals):
    aligner, new, groups = cs_modes(signals, "train")
    alone = np.concatenate(
        [aligner.transform(new[i : i + 1], groups=groups[i : i + 1]) for i in range(20)]
    )
    np.testing.assert_allclose(alone, aligner.transform(new, groups=groups))
    # the mean of their covariances at one power, undone, gives the signals back
    means = [mean_covariance(signals[0][rows]) for rows in (slice(20), slice(20, 40))]
    power = np.exp(np.mean([np.log(np.trace(mean)) for mean in means]))
    mean = power * np.mean([relative(mean) for mean in means], axis=0)
    root, turn = np.linalg.eigh(mean)
    np.testing.assert_allclose(turn * np.sqrt(root) @ turn.T @ alone, new, rtol=1e-6)


def test_trial_by_trial_looks_back_only(signals):
    aligner, new, groups = cs_modes(signals, "train_trialwise")
    together = aligner.transform(new, groups=groups)
    np.testing.assert_allclose(aligner.transform(new[:3], groups=groups[:3]), together[:3])
    first = aligner.transform(new[:1], groups=groups[:1])
    train = cs_modes(signals, "train")[0]
    np.testing.assert_allclose(first, train.transform(new[:1], groups=groups[:1]))
    for i in range(20):  # online
        np.testing.assert_allclose(
            aligner.transform(new[i : i + 1], groups=groups[i : i + 1])[0], together[i]
        )
        aligner.update(new[i : i + 1], groups=groups[i : i + 1])
    with pytest.raises(ValueError, match="group 'a' was in the fit"):
        aligner.update(signals[0][:1], groups=["a"])
    with pytest.raises(ValueError, match="update is for cs_mode='train_trialwise'"):
        cs_modes(signals, "train")[0].update(new, groups=groups)
    again = aligner.fit(signals[0][:40], groups=signals[1][:40])
    np.testing.assert_allclose(again.transform(new, groups=groups), together)


@pytest.mark.parametrize(("share", "n"), [("20p", 8), ("50p", 20), ("full", 40)])
def test_a_share_of_the_target_data(signals, share, n):
    X, groups = signals
    aligner = EuclideanAligner(1.0, cs_mode=f"train_and_target_unlabeled_{share}")
    aligner.fit(X[:20], groups=groups[:20])
    new = aligner.transform(X[20:], groups=["new"] * 40)
    np.testing.assert_allclose(mean_covariance(new[:n]), np.eye(4), atol=1e-8)
    assert n == 40 or not np.allclose(mean_covariance(new), np.eye(4), atol=1e-2)


@pytest.mark.parametrize("by_name", [False, True])
def test_target_data_that_are_passed_to_fit(signals, by_name):
    """Epochs that are not predicted whiten those that are: MOABB's way for a share."""
    X, groups = signals
    aligner = EuclideanAligner(1.0, cs_mode="train_and_target_unlabeled_50p")
    offered, rest = X[40:46], X[46:]
    aligner.fit(X[:40], groups=groups[:40], X_target_unlabeled=offered)
    names = ["c"] if by_name else None
    alone = [aligner.transform(rest[i : i + 1], groups=names) for i in range(3)]
    root, turn = np.linalg.eigh(mean_covariance(offered))
    whitener = turn / np.sqrt(root) @ turn.T
    np.testing.assert_allclose(np.concatenate(alone), whitener @ rest[:3], rtol=1e-6)
    again = aligner.fit(X[:40], groups=groups[:40]).transform(rest, groups=groups[46:])
    assert not np.allclose(again[:3], np.concatenate(alone))  # a refit forgets them
    with pytest.warns(UserWarning, match=r"too few epochs .*4 of 'c'; it takes 5"):
        aligner.fit(X[:40], groups=groups[:40], X_target_unlabeled=offered[:4]).transform(
            rest, groups=groups[46:]
        )
    with pytest.raises(ValueError, match=r"was in the fit.*X_target_unlabeled takes groups that"):
        EuclideanAligner(group_by=False).fit(X[:40], X_target_unlabeled=offered)
    with pytest.raises(ValueError, match="X_target_unlabeled is for the modes of that name"):
        aligner.set_params(cs_mode="train").fit(
            X[:40], groups=groups[:40], X_target_unlabeled=offered
        )


def test_names_of_moabb(signals):
    protocols = pytest.importorskip("moabb.evaluations.protocols", exc_type=ImportError)
    X, groups = signals
    for mode in protocols.CrossSubjectMode:
        if mode.calibration_labeled:
            with pytest.raises(ValueError, match="'cs_mode' parameter .* must be a str among"):
                EuclideanAligner(cs_mode=mode).fit(X, groups=groups)
        else:
            assert CS_MODES[mode.value] == mode.calibration_size
            EuclideanAligner(cs_mode=mode).fit(X, groups=groups).transform(X, groups=groups)


def test_the_default_amplitude_is_that_of_eeg(epochs):
    aligned = EuclideanAligner(group_by="subject").fit_transform(epochs)
    spread = aligned.get_data(units="uV").std(axis=-1)
    assert 8 < np.median(spread) < 12  # microvolts; 10 in each direction but the empty one
    assert make_pipeline(
        EuclideanAligner(group_by="subject"), DAREEmbedder(None, pooling="mean")
    ).fit_transform(epochs).shape == (24, 64)


@pytest.fixture(scope="module")
def coloured():
    """Three people, 20 epochs each, with other colours of noise, and 8 Hz more in every other one."""
    rng = np.random.default_rng(0)
    groups, t = np.repeat(["a", "b", "c"], 20), np.arange(512) / 128.0
    X = np.cumsum(rng.normal(size=(60, 2, 513)), axis=-1)
    slope = {"a": 0.2, "b": 0.5, "c": 0.9}
    X = np.stack([x[:, 1:] - slope[g] * x[:, :-1] for x, g in zip(X, groups, strict=True)])
    size = {"a": 1.0, "b": 4.0, "c": 0.3}
    rhythm = np.where(np.arange(60) % 2, 1.5, 0.5)[:, None, None] * np.sin(2 * np.pi * 8 * t)
    return (X + rhythm) * np.array([size[g] for g in groups])[:, None, None], groups


def spectrum(X):
    return welch(X, 128.0, nperseg=128)[1].mean(axis=0)[..., 2:25]


def test_spectra_of_every_group_become_the_common_one(coloured):
    X, groups = coloured
    aligner = SpectralAligner()
    aligned = aligner.fit_transform(X, groups=groups)
    assert aligner.filters_.shape == (3, 2, 128)
    common = np.mean([np.sqrt(spectrum(X[groups == g])) for g in "abc"], axis=0) ** 2
    for group in "abc":
        before, after = (np.log(spectrum(x[groups == group]) / common) for x in (X, aligned))
        assert abs(after).mean() < 0.25 * abs(before).mean()
        rows = np.flatnonzero(groups == group)  # what changes within a person stays
        peaks = [welch(aligned[r], 128.0, nperseg=128)[1][:, 8].mean() for r in rows]
        assert np.mean(peaks[1::2]) > 1.5 * np.mean(peaks[::2])
    np.testing.assert_array_equal(aligned, aligner.transform(X, groups=groups))


def test_spectral_filters_neither_delay_nor_touch_the_common_spectrum(coloured):
    X, groups = coloured
    same = SpectralAligner(cs_mode="train").fit(X, groups=groups)
    np.testing.assert_allclose(same.transform(X, groups=["d"] * 60), X, atol=1e-9 * X.std())
    aligned = SpectralAligner().fit_transform(X, groups=groups)
    for before, after in zip(X[20:40, 0], aligned[20:40, 0], strict=True):
        both = np.correlate(after - after.mean(), before - before.mean(), mode="full")
        assert abs(int(both.argmax()) - 511) <= 1


def test_spectra_trial_by_trial_and_of_a_share(coloured):
    X, groups = coloured
    online = SpectralAligner(cs_mode="train_trialwise").fit(X[:40], groups=groups[:40])
    together = online.transform(X[40:], groups=groups[40:])
    for i in range(40, 45):
        one = online.transform(X[i : i + 1], groups=groups[i : i + 1])
        np.testing.assert_allclose(one[0], together[i - 40])
        online.update(X[i : i + 1], groups=groups[i : i + 1])
    offered = SpectralAligner(cs_mode="train_and_target_unlabeled_50p")
    offered.fit(X[:40], groups=groups[:40], X_target_unlabeled=X[40:50])
    full = SpectralAligner().fit(X[:40], groups=groups[:40])
    np.testing.assert_allclose(
        offered.transform(X[50:51], groups=["c"]),
        offered.transform(X[40:60], groups=["c"] * 20)[10:11],
    )
    np.testing.assert_allclose(
        full.transform(X[40:50], groups=["c"] * 10),
        offered.transform(X[40:60], groups=["c"] * 20)[:10],
    )


@pytest.mark.parametrize("n_taps", [65, 1024])
def test_taps_that_do_not_fit(coloured, n_taps):
    with pytest.raises(ValueError, match=f"512 samples, and n_taps={n_taps}: choose an even"):
        SpectralAligner(n_taps, group_by=False).fit(coloured[0])


def test_spectral_filters_are_for_one_rate(epochs):
    slow = epochs.copy().resample(epochs.info["sfreq"] / 2)
    aligner = SpectralAligner(64, group_by="subject")
    with pytest.raises(ValueError, match="X was sampled at 64 Hz, and the epochs of fit at 128 Hz"):
        aligner.fit(epochs).transform(slow)
    short = epochs.copy().crop(tmax=epochs.tmin + (len(slow.times) - 1) / epochs.info["sfreq"])
    with pytest.raises(ValueError, match="X has epochs of 64, 128 Hz"):
        aligner.fit([slow, short])


def test_coarse_filters_are_warned_of(epochs):
    with pytest.warns(UserWarning, match="n_taps=32 resolves 4 Hz at 128 Hz.*have 128 samples"):
        SpectralAligner(32, group_by="subject").fit(epochs)


def test_spectra_of_epochs_stay_epochs(epochs):
    aligned = SpectralAligner(64, group_by="subject").fit_transform(epochs)
    assert isinstance(aligned, mne.BaseEpochs)
    assert aligned.ch_names == epochs.ch_names
    assert not np.allclose(aligned.get_data(), epochs.get_data())
