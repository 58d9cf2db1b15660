"""Real recordings, where they lie beside the project."""

from __future__ import annotations

import warnings

import mne
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ShuffleSplit, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer


@pytest.fixture(scope="module")
def uci(recordings):
    return mne.read_epochs(recordings / "uci_eeg" / "uci_eeg-epo.fif", verbose="error")


def test_uci(uci):
    part = uci[:40]
    with pytest.warns(UserWarning) as caught:
        embedder = DAREEmbedder(None, pooling="mean", random_state=0).fit(part)
    messages = " ".join(str(w.message) for w in caught)
    assert "left out X, nd, Y" in messages
    assert "AF1 -> AF3" in messages and "AF2 -> AF4" in messages
    assert embedder.n_chans_in_ == 61 and embedder.n_times_in_ == 256


def test_eegbci_names_and_rate(recordings):
    raw = mne.io.read_raw_edf(recordings / "eegbci" / "S001R06.edf", preload=True, verbose="error")
    epochs = mne.make_fixed_length_epochs(raw, 2.0, preload=True, verbose="error")
    with pytest.warns(
        UserWarning, match="free near .*AFZ .*left out"
    ):  # names as in the file: 'Fc5.'
        Z = DAREEmbedder(None, pooling="mean", random_state=0).fit_transform(epochs)
    assert Z.shape == (len(epochs), 64) and np.isfinite(Z).all()


def test_muse_montage(recordings):
    file = recordings / "muse" / "visual-P300_sub-1_ses-1_run-00_raw.fif"
    raw = mne.io.read_raw_fif(file, preload=True, verbose="error")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="DAREPretrainer")
        pretrainer = DAREPretrainer(max_epochs=1, batch_size=8, random_state=0).fit(raw)
    # 120 s in windows of 4 s, of four channels: two of them interpolated, none mislabelled
    assert pretrainer.ch_names_in_ == ["TP9", "AF7", "AF8", "TP10"]
    assert np.isfinite(pretrainer.history_["total"]).all()


def test_people_differ_in_frozen_embeddings(uci):
    """Ten people, chance 0.1: an untrained encoder already tells much; a bug would not."""
    model = make_pipeline(
        DAREEmbedder(None, pooling="flatten", unknown_channels="drop", random_state=0),
        StandardScaler(),
        LogisticRegression(max_iter=2_000),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="DAREEmbedder")
        scores = cross_val_score(
            model, uci, uci.metadata["subject"].to_numpy(), error_score="raise",
            cv=StratifiedKFold(3, shuffle=True, random_state=0),
        )  # fmt: skip
    assert scores.mean() > 0.3


def test_imagined_movement_without_a_band_pass(recordings):
    """CSP looks for rhythms itself: of all frequencies it finds drifts and eyes (0.56)."""
    runs = [recordings / "eegbci" / f"S001R{run:02d}.edf" for run in (6, 10, 14)]
    raw = mne.concatenate_raws(
        [mne.io.read_raw_edf(r, preload=True, verbose="error") for r in runs]
    )
    mne.datasets.eegbci.standardize(raw)
    raw.filter(0.5, 45.0, verbose="error")
    events, _ = mne.events_from_annotations(raw, event_id={"T1": 0, "T2": 1}, verbose="error")
    how = {"tmin": 1.0, "tmax": 2.0 - 1 / 160, "baseline": None, "preload": True}
    epochs = mne.Epochs(raw, events, {"hands": 0, "feet": 1}, **how, verbose="error")
    scores = cross_val_score(
        DAREClassifier(random_state=0), epochs, epochs.events[:, 2], error_score="raise",
        cv=ShuffleSplit(10, test_size=0.2, random_state=42),
    )  # fmt: skip
    assert scores.mean() > 0.9


@pytest.mark.slow
def test_first_or_second_stimulus(uci):
    """The evoked response of people whom the probe has not seen, through the conv-linear probe."""
    people = uci.metadata["subject"].to_numpy()
    y = np.where(uci.metadata["condition"] == "S1 obj", "first", "second")
    left_out = np.isin(people, np.unique(people)[:2])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="DAREClassifier")
        probe = DAREClassifier(None, spatial_init="spline", lr=2e-3, max_epochs=40, random_state=0)
        probe.fit(uci[~left_out], y[~left_out])
        recall = [
            (probe.predict(uci[left_out & (y == label)]) == label).mean() for label in np.unique(y)
        ]
    assert np.mean(recall) > 0.6
