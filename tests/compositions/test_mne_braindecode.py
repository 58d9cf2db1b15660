"""Our estimators next to MNE, pyRiemann, braindecode and skorch, on what users of these hold."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest
import torch
from braindecode.classifier import EEGClassifier
from braindecode.datasets import BaseConcatDataset, RawDataset, create_from_mne_epochs
from braindecode.preprocessing import create_fixed_length_windows, create_windows_from_events
from mne.decoding import (
    CSP,
    GeneralizingEstimator,
    LinearModel,
    Scaler,
    SlidingEstimator,
    Vectorizer,
    cross_val_multiscore,
)
from pyriemann.classification import MDM
from pyriemann.estimation import Covariances, XdawnCovariances
from pyriemann.tangentspace import TangentSpace
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from skorch.helper import SliceDataset
from torch.utils.data import Subset

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer, simulate_epochs

NAMES = ["C3", "Cz", "C4", "Pz"]
SFREQ = 64.0
ARRAY = {"ch_names": NAMES, "sfreq": SFREQ, "unit": "uV"}
SUBJECTS = ["S1", "S2", "S3"]

pytestmark = [
    # braindecode's advice on speed where windows of mne.Epochs stay on disk, which is tested here
    pytest.mark.filterwarnings("ignore:The provided mne.Epochs object does not meet"),
]


@pytest.fixture(scope="module")
def data():
    """24 epochs of 1 s from three people, with a slow wave at C3 in one of two classes."""
    rng = np.random.default_rng(1)
    X = rng.normal(scale=10, size=(24, 4, 64))
    y = np.tile(["left", "right"], 12)
    X[y == "right", 0] += 60 * np.sin(2 * np.pi * 2 * np.arange(64) / SFREQ)
    return X, y, np.repeat(SUBJECTS, 8)


def recording(X, names=NAMES):
    """Epochs one after the other as a continuous recording."""
    info = mne.create_info(list(names), SFREQ, "eeg")
    return mne.io.RawArray(np.hstack(list(X)) * 1e-6, info, verbose="error")


def cut(X, y, **params):
    """Epochs of such a recording, which MNE reads from it when it needs them."""
    events = np.column_stack([np.arange(len(X)) * 64, np.zeros(len(X), int), codes(y)])
    return mne.Epochs(
        recording(X), events, {"left": 1, "right": 2}, 0, 63 / SFREQ, baseline=None,
        verbose="error", **params,
    )  # fmt: skip


def codes(y):
    return np.where(y == "left", 1, 2)


@pytest.fixture(scope="module")
def epochs(data):
    X, y, groups = data
    metadata = pd.DataFrame({"label": y, "subject": groups})
    return cut(X, y, preload=True, metadata=metadata)


def conv(**params):
    return DAREClassifier(
        None,
        **{"spatial_init": "spline", "max_epochs": 1, "batch_size": 8, "random_state": 0, **params},
    )


def virtual(**params):
    return DAREClassifier(None, **{"batch_size": 8, "random_state": 0, **params})


def linear(**params):
    return virtual(adaptation="linear", **params)


def embedder(**params):
    return DAREEmbedder(None, **{"pooling": "flatten", "random_state": 0, **params})


def piped(**params):
    return make_pipeline(embedder(**params), StandardScaler(), LogisticRegression(max_iter=1000))


MODELS = {"conv-linear": conv, "virtual": virtual, "linear": linear, "embedder": piped}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]


def across_people(estimator, X, y, groups):
    """Probabilities of each person's epochs, from the others'."""
    return cross_val_predict(
        estimator, X, y, groups=groups, cv=LeaveOneGroupOut(), method="predict_proba"
    )


@pytest.fixture(scope="module")
def expected(model, data):
    """What the array gives."""
    X, y, groups = data
    return across_people(model(**ARRAY), X, y, groups)


# mne.Epochs in cross-validation -------------------------------------------------------------------


def test_epochs_in_memory(model, expected, data, epochs):
    _, y, groups = data
    np.testing.assert_allclose(across_people(model(), epochs, y, groups), expected, atol=1e-4)
    array = mne.EpochsArray(epochs.get_data(), epochs.info, verbose="error")
    np.testing.assert_allclose(across_people(model(), array, y, groups), expected, atol=1e-4)
    scores = cross_val_score(model(), epochs, y, groups=groups, cv=LeaveOneGroupOut())
    hits = np.array(["left", "right"])[expected.argmax(1)] == y
    np.testing.assert_allclose(scores, [hits[groups == s].mean() for s in SUBJECTS])


def test_labels_from_events_and_metadata(model, expected, epochs):
    groups = epochs.metadata["subject"]
    for y in (epochs.events[:, 2], epochs.metadata["label"]):
        np.testing.assert_allclose(across_people(model(), epochs, y, groups), expected, atol=1e-4)


def test_labels_of_the_epochs_themselves(epochs):
    own = cross_val_score(linear(), epochs, cv=3, error_score="raise")
    told = cross_val_score(linear(), epochs, epochs.events[:, 2], cv=3, error_score="raise")
    np.testing.assert_array_equal(own, told)


def test_epochs_on_disk(model, expected, data, epochs, tmp_path):
    _, y, groups = data
    epochs.save(tmp_path / "all-epo.fif", verbose="error")
    lazy = mne.read_epochs(tmp_path / "all-epo.fif", preload=False, verbose="error")
    np.testing.assert_allclose(across_people(model(), lazy, y, groups), expected, atol=1e-4)
    assert not lazy.preload
    fitted = model().fit(lazy, y)
    np.testing.assert_allclose(fitted.predict_proba(lazy), fitted.predict_proba(epochs), atol=1e-4)
    assert not lazy.preload


@pytest.mark.parametrize("preload", [True, False])
def test_dropped_epochs(model, data, preload):
    X, y, groups = data
    artefact = X.copy()
    artefact[5, 2, 10] += 2000
    rejected = cut(artefact, y, reject={"eeg": 500e-6}, preload=preload).drop_bad(verbose="error")
    rejected.drop([0, 1], verbose="error")
    kept = rejected.selection
    assert len(kept) == 21
    expected = across_people(model(**ARRAY), X[kept], y[kept], groups[kept])
    got = across_people(model(), rejected, rejected.events[:, 2], groups[kept])
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_epochs_that_mne_has_not_checked_yet(data):
    """Before ``drop_bad``, nobody knows which epochs there are."""
    X, y, _ = data
    artefact = X.copy()
    artefact[5, 2, 10] += 2000
    unchecked = cut(artefact, y, reject={"eeg": 500e-6})
    with pytest.raises(RuntimeError, match=r"call Epochs.drop_bad\(\)"):
        cross_val_score(linear(), unchecked, y, cv=3)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[23, 24\]"):
        linear().fit(unchecked, y)
    clf = linear().fit(unchecked)  # with their own labels
    assert clf.predict(unchecked).shape == (23,) and clf.score(unchecked) > 0.75
    assert len(unchecked.events) == 24  # the caller's object stays as it is


def test_bad_and_other_channels(model, data, epochs):
    X, y, groups = data
    expected = across_people(model(ch_names=NAMES[:3], sfreq=SFREQ, unit="uV"), X[:, :3], y, groups)
    bad = epochs.copy()
    bad.info["bads"] = ["Pz"]
    eog = epochs.copy().set_channel_types({"Pz": "eog"}, verbose="error")
    for other in (bad, eog):
        with pytest.warns(UserWarning, match="left out Pz"):
            got = across_people(model(), other, y, groups)
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_epochs_of_several_people(model, data, epochs):
    X, y, groups = data
    people = [epochs[groups == subject] for subject in SUBJECTS]
    fitted = model().fit(people, y)
    np.testing.assert_allclose(
        fitted.predict_proba(people), model(**ARRAY).fit(X, y).predict_proba(X), atol=1e-4
    )
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[3, 24\]"):
        cross_val_score(model(), people, y)  # scikit-learn would split people: concatenate them
    joined = mne.concatenate_epochs(people, verbose="error")
    assert cross_val_score(model(), joined, y, cv=3, error_score="raise").shape == (3,)


def test_simulated_epochs():
    epochs = simulate_epochs(
        "erp", n_subjects=2, n_epochs=8, ch_names=NAMES, sfreq=SFREQ, random_state=0
    )
    y, groups = epochs.metadata["label"], epochs.metadata["subject"]
    scores = cross_val_score(
        linear(class_weight="balanced"), epochs, y, groups=groups, cv=LeaveOneGroupOut(),
        scoring="balanced_accuracy", error_score="raise",
    )  # fmt: skip
    assert scores.shape == (2,) and ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("kind", ["EpochsTFR", "EpochsSpectrum", "Evoked"])
def test_what_is_no_signal_of_epochs(model, data, epochs, kind):
    made = {
        "EpochsTFR": lambda: epochs.compute_tfr(
            "morlet", [10.0, 12.0], n_cycles=2, verbose="error"
        ),
        "EpochsSpectrum": lambda: epochs.compute_psd(fmin=5, fmax=20, verbose="error"),
        "Evoked": epochs.average,
    }[kind]()
    advice = r"pass evoked.data\[None\]" if kind == "Evoked" else "expected .*mne.Epochs"
    with pytest.raises(TypeError, match=f"cannot read an? .*{kind}.* as X.*{advice}"):
        model().fit(made, data[1])


def test_continuous_recordings_are_no_epochs(model, data):
    """One long epoch is never what is meant."""
    X, y, _ = data
    raw = recording(X)
    for bad, targets in ((raw, y), ([raw, raw], [0, 1])):
        with pytest.raises((TypeError, ValueError), match="(?i)raw|continuous"):
            model().fit(bad, targets)
    with pytest.raises((TypeError, ValueError), match="(?i)raw|continuous"):
        embedder().fit(raw)
    fitted = model().fit(cut(X, y, preload=True), y)
    with pytest.raises((TypeError, ValueError), match="(?i)raw|continuous|samples per epoch"):
        fitted.predict(raw)


# mne.decoding -------------------------------------------------------------------------------------


def test_cross_val_multiscore(model, data, epochs):
    _, y, groups = data
    cv = {"groups": groups, "cv": LeaveOneGroupOut(), "scoring": "roc_auc"}
    got = cross_val_multiscore(model(), epochs, y, verbose="error", **cv)
    np.testing.assert_array_equal(got, cross_val_score(model(), epochs, y, **cv))


@pytest.fixture(scope="module")
def windows(data):
    """Two halves of each epoch, ``(n_epochs, n_chans, n_times, n_windows)``."""
    X = data[0]
    return np.stack([X[..., :32], X[..., 32:]], axis=-1)


def test_sliding_over_windows(model, data, windows):
    y = data[1]
    slider = SlidingEstimator(model(**ARRAY), scoring="roc_auc", verbose="error").fit(windows, y)
    proba = slider.predict_proba(windows)
    assert proba.shape == (24, 2, 2) and slider.predict(windows).shape == (24, 2)
    for i in range(2):
        alone = model(**ARRAY).fit(windows[..., i], y)
        np.testing.assert_array_equal(proba[:, i], alone.predict_proba(windows[..., i]))
    scores = cross_val_multiscore(slider, windows, y, cv=3, verbose="error")
    assert scores.shape == (3, 2) and ((scores >= 0) & (scores <= 1)).all()


def test_generalizing_over_windows(model, data, windows):
    y = data[1]
    grid = GeneralizingEstimator(model(**ARRAY), scoring="roc_auc", verbose="error")
    proba = grid.fit(windows, y).predict_proba(windows)
    assert proba.shape == (24, 2, 2, 2)
    first = model(**ARRAY).fit(windows[..., 0], y)
    np.testing.assert_allclose(proba[:, 0, 1], first.predict_proba(windows[..., 1]), rtol=1e-6)
    assert cross_val_multiscore(grid, windows, y, cv=2, verbose="error").shape == (2, 2, 2)


def test_embedding_windows(windows):
    slider = SlidingEstimator(embedder(**ARRAY), verbose="error").fit(windows, np.zeros(24))
    assert slider.transform(windows).shape == (24, 2, 2 * 64)


@pytest.mark.parametrize("slider", [SlidingEstimator, GeneralizingEstimator])
def test_single_time_points_are_no_epochs(model, data, slider):
    """With three dimensions these two classes hand over one sample of all channels at a time."""
    X, y, _ = data
    with pytest.raises(ValueError, match="holds 4 names, but X has 1 channels"):
        slider(model(**ARRAY), verbose="error").fit(X, y)
    with (
        pytest.warns(
            UserWarning, match=r"2-D X is read as epochs of one channel \(24 epochs of 4 samples\)"
        ),
        pytest.raises(ValueError, match="shorter than one patch of 0.25 s"),
    ):
        slider(conv(sfreq=SFREQ, unit="uV"), verbose="error").fit(X, y)


def test_mne_transformers_beside_ours(data):
    X, y, _ = data
    parts = [
        ("dare", embedder(**ARRAY)),
        ("csp", CSP(2)),
        ("samples", make_pipeline(Scaler(scalings="mean"), Vectorizer())),
    ]
    union = FeatureUnion(parts)
    Z = union.fit_transform(X, y)
    assert Z.shape == (24, 4 * 64 + 2 + 4 * 64)
    np.testing.assert_array_equal(Z[:, :256], embedder(**ARRAY).fit_transform(X))
    model = make_pipeline(union, StandardScaler(), LogisticRegression(max_iter=1000))
    assert cross_val_score(model, X, y, cv=3, error_score="raise").mean() > 0.75


def test_a_linear_model_on_embeddings(data):
    X, y, _ = data
    model = make_pipeline(embedder(**ARRAY), LinearModel(LogisticRegression(max_iter=1000)))
    assert model.fit(X, y).score(X, y) > 0.9
    assert model[-1].patterns_.shape == (256,)


def test_scaling_first_is_refused_or_harmless(data, epochs):
    """Scaler(info) makes millions of microvolts; signals of unit variance still pass as EEG."""
    X, y, _ = data
    with pytest.raises(ValueError, match="unit='uV', but .* is not EEG"):
        make_pipeline(Scaler(epochs.info), embedder(**ARRAY)).fit(X)
    model = make_pipeline(Scaler(scalings="mean"), piped(**ARRAY))
    assert model.fit(X, y).score(X, y) > 0.9


# pyRiemann ----------------------------------------------------------------------------------------


def test_voting_with_riemannian_classifiers(model, data):
    X, y, groups = data
    mdm = make_pipeline(Covariances("oas"), MDM())
    vote = VotingClassifier([("dare", model(**ARRAY)), ("mdm", mdm)], voting="soft")
    mean = (across_people(model(**ARRAY), X, y, groups) + across_people(mdm, X, y, groups)) / 2
    np.testing.assert_allclose(across_people(vote, X, y, groups), mean)


def test_union_with_xdawn(data):
    X, y, groups = data
    xdawn = make_pipeline(XdawnCovariances(1, estimator="oas"), TangentSpace())
    union = FeatureUnion([("dare", embedder(**ARRAY)), ("xdawn", xdawn)])
    model = make_pipeline(union, StandardScaler(), LogisticRegression(max_iter=1000))
    scores = cross_val_score(model, X, y, groups=groups, cv=LeaveOneGroupOut(), error_score="raise")
    assert scores.mean() > 0.75


# braindecode --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recordings(data, tmp_path_factory):
    """A continuous recording per person, on disk, with an annotation per epoch."""
    X, y, groups = data
    folder, raws = tmp_path_factory.mktemp("raws"), []
    for subject in SUBJECTS:
        chosen = groups == subject
        # a second more, since an annotation cannot end with the last sample
        raw = recording(np.concatenate([X[chosen], X[:1]]))
        raw.set_annotations(mne.Annotations(np.arange(8.0), np.ones(8), y[chosen]))
        file = folder / f"{subject}_raw.fif"
        raw.save(file, fmt="double", verbose="error")
        raws.append(mne.io.read_raw_fif(file, preload=False, verbose="error"))
    return raws


def base_dataset(recordings):
    """Recordings with the descriptions that MOABBDataset gives them."""
    return BaseConcatDataset(
        [
            RawDataset(raw, description={"subject": i + 1, "session": "0train", "run": "0"})
            for i, raw in enumerate(recordings)
        ]
    )


WINDOWS = {
    f"{kind}, preload={preload}": {"use_mne_epochs": kind == "WindowsDataset", "preload": preload}
    for kind in ("WindowsDataset", "EEGWindowsDataset")
    for preload in (True, False)
}


@pytest.fixture(params=[*WINDOWS, "create_from_mne_epochs"])
def dataset(request, recordings, epochs, data):
    if request.param == "create_from_mne_epochs":
        return create_from_mne_epochs(
            [epochs[data[2] == subject] for subject in SUBJECTS], 64, 64, False,
            descriptions=[{"subject": i + 1, "session": "0train"} for i in range(3)],
            mapping={1: 0, 2: 1},
        )  # fmt: skip
    return create_windows_from_events(
        base_dataset(recordings),
        mapping={"left": 0, "right": 1},
        verbose="error",
        **WINDOWS[request.param],
    )


def test_data_sets_of_windows(model, data, dataset):
    X, y, _ = data
    expected = model(**ARRAY).fit(X, y).predict_proba(X)
    labels = codes(y) - 1
    fitted = model(unit="V").fit(dataset, labels)
    np.testing.assert_allclose(fitted.predict_proba(dataset), expected, atol=1e-4)
    assert fitted.score(dataset, labels) == np.mean(expected.argmax(1) == labels)


@pytest.mark.parametrize("make", [conv, linear])
def test_labels_of_the_data_set(data, dataset, make):
    X, y, _ = data
    fitted = make(unit="V").fit(dataset)
    assert list(fitted.classes_) == [0, 1]
    assert fitted.score(dataset) == make(**ARRAY).fit(X, y).score(X, y)


@pytest.mark.parametrize("make", [conv, linear])
def test_parts_of_the_data_set(data, dataset, make):
    X, y, _ = data
    expected = make(**ARRAY).fit(X[:16], y[:16]).predict_proba(X)
    by_subject = dataset.split("subject")
    first = dataset.split(
        [[i for i, d in enumerate(dataset.datasets) if d.description["subject"] < 3]]
    )
    for train in (Subset(dataset, range(16)), first["0"]):
        fitted = make(unit="V").fit(train)
        np.testing.assert_allclose(fitted.predict_proba(by_subject["3"]), expected[16:], atol=1e-4)
    shuffled = Subset(Subset(dataset, [20, 3, 11, 7]), [2, 0, -1])
    np.testing.assert_allclose(fitted.predict_proba(shuffled), expected[[11, 20, 7]], atol=1e-4)
    assert fitted.score(shuffled) == np.mean(
        expected[[11, 20, 7]].argmax(1) == codes(y)[[11, 20, 7]] - 1
    )
    alone = fitted.predict_proba(by_subject["1"].datasets[0])
    np.testing.assert_allclose(alone, expected[: len(alone)], atol=1e-4)
    assert list(dataset.split("session")) == ["0train"]


@pytest.mark.parametrize("model", ["linear"], indirect=True)
def test_data_sets_in_cross_validation(model, expected, dataset):
    """scikit-learn makes lists of (x, y, crop) of a data set, so names and rate must be told."""
    told = model(ch_names=NAMES, sfreq=SFREQ, unit="V")
    people = dataset.get_metadata()["subject"].to_numpy()
    targets = np.array([item[1] for item in dataset])
    np.testing.assert_allclose(across_people(told, dataset, targets, people), expected, atol=1e-4)
    with pytest.raises(ValueError, match="without a sampling rate: pass sfreq"):
        cross_val_score(model(unit="V"), dataset, targets, cv=3, error_score="raise")


@pytest.mark.parametrize("model", ["linear"], indirect=True)
def test_slice_data_sets_in_cross_validation(model, expected, data, dataset):
    """skorch's wrapper splits without reading: names and rate stay known."""
    _, y, groups = data
    X, targets = SliceDataset(dataset, idx=0), SliceDataset(dataset, idx=1)
    got = across_people(model(unit="V"), X, targets, groups)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert model(unit="V").fit(X, y).ch_names_in_ == [name.upper() for name in NAMES]
    with pytest.raises(ValueError, match="element idx=1 as X: the signals are idx=0"):
        model(unit="V").fit(targets, y)


def test_slice_data_sets_bring_labels(data, dataset):
    X = SliceDataset(dataset, idx=0)
    own = cross_val_score(linear(unit="V"), X, cv=3, error_score="raise")
    told = cross_val_score(linear(**ARRAY), data[0], codes(data[1]), cv=3)
    # without y scikit-learn cuts three blocks, which here hold the classes alike
    np.testing.assert_array_equal(own, told)


def test_files_are_not_loaded_for_good(model, expected, recordings, data):
    dataset = create_windows_from_events(
        base_dataset(recordings), use_mne_epochs=False, mapping={"left": 0, "right": 1}
    )
    _, y, groups = data
    got = across_people(model(unit="V"), SliceDataset(dataset), y, groups)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    model(unit="V").fit(dataset, y).predict(dataset)
    assert not any(part.raw.preload for part in dataset.datasets)
    assert not any(raw.preload for raw in recordings)


def test_windows_of_fixed_length(model, data, recordings):
    X, y, groups = data
    dataset = create_fixed_length_windows(
        base_dataset(recordings), window_size_samples=64, window_stride_samples=64,
        on_last_window="drop",
    )  # fmt: skip
    people = [np.concatenate([X[groups == s], X[:1]]) for s in SUBJECTS]
    labels = np.concatenate([np.append(y[groups == s], y[0]) for s in SUBJECTS])
    expected = model(**ARRAY).fit(np.concatenate(people), labels).predict_proba(people[1])
    fitted = model(unit="V").fit(dataset, labels)
    np.testing.assert_allclose(
        fitted.predict_proba(dataset.split("subject")["2"]), expected, atol=1e-4
    )
    if not hasattr(fitted, "steps"):
        with pytest.raises(ValueError, match="only one class"):  # braindecode's -1: no target
            model(unit="V").fit(dataset)


def test_pretraining_on_windows(data, dataset):
    pretrainer = DAREPretrainer(max_epochs=1, batch_size=8, unit="V", random_state=0)
    pretrainer.fit(Subset(dataset, range(16)))
    Z = pretrainer.transform(dataset)
    array = DAREPretrainer(max_epochs=1, batch_size=8, random_state=0, **ARRAY).fit(data[0][:16])
    np.testing.assert_allclose(Z, array.transform(data[0]), atol=1e-2)


def test_unit_of_windows_is_asked_for(dataset):
    with pytest.warns(UserWarning, match="read the values as V .* Pass unit='V'"):
        conv().fit(dataset)


# skorch -------------------------------------------------------------------------------------------


class Tiny(torch.nn.Module):
    """Log variance of each channel, dropped out, to two classes."""

    def __init__(self):
        super().__init__()
        self.out = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.out(torch.nn.functional.dropout(x.var(-1).clamp_min(1e-20).log(), 0.5, True))


def net(cls, **params):
    return cls(
        Tiny, criterion=torch.nn.CrossEntropyLoss, max_epochs=2, batch_size=8, verbose=0, **params
    )


def test_nets_of_skorch_and_braindecode_are_left_alone(data, recordings):
    """The same seed gives the same net, whatever we fitted in between."""
    X, y = data[0].astype(np.float32), codes(data[1]) - 1
    dataset = create_windows_from_events(
        base_dataset(recordings), mapping={"left": 0, "right": 1}, preload=True
    )
    cases = [(NeuralNetClassifier, X, y), (EEGClassifier, dataset, None)]
    for cls, signals, labels in cases:
        results = []
        for between in (lambda: None, lambda: conv(**ARRAY).fit(X, y).predict(X)):
            torch.manual_seed(0)
            between()
            fitted = net(cls, train_split=None).fit(signals, labels)
            results.append(torch.cat([p.flatten() for p in fitted.module_.parameters()]))
        assert torch.equal(*results)


def test_voting_with_a_net_of_skorch(data):
    X, y, _ = data
    ours = conv(**ARRAY)
    torch.manual_seed(0)
    vote = VotingClassifier(
        [("dare", ours), ("net", net(NeuralNetClassifier, predict_nonlinearity="auto"))],
        voting="soft",
    ).fit(X.astype(np.float32), y)
    torch.manual_seed(1)
    both = vote.predict_proba(X.astype(np.float32))
    np.testing.assert_allclose(both.sum(1), 1.0, rtol=1e-5)
    torch.manual_seed(1)
    other = vote.named_estimators_["net"].predict_proba(X.astype(np.float32))
    np.testing.assert_allclose(2 * both - other, clone(ours).fit(X, y).predict_proba(X), atol=1e-5)
