"""A recipe per paradigm in MOABB's evaluations: on its fake data sets, and on recordings."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.pipeline import make_pipeline

from dare_sklearn import DAREClassifier, EuclideanAligner

pytestmark = [
    pytest.mark.usefixtures("home"),
    # MOABB makes its table of results in a way that h5py will change
    pytest.mark.filterwarnings("ignore:Creating a dataset without passing data or dtype"),
    # its fake data set names a montage by a name that mne has replaced
    pytest.mark.filterwarnings("ignore:Montage name 'standard_1005' is deprecated:FutureWarning"),
    # channels outside the encoder's table stand for the nearest electrodes
    pytest.mark.filterwarnings("ignore:.*the encoder does not know are interpolated:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*no electrode of the encoder's table is free:UserWarning"),
]
EVALUATIONS = ["WithinSessionEvaluation", "CrossSessionEvaluation", "CrossSubjectEvaluation"]
CHANNELS = ["Fz", "C3", "Cz", "C4", "Pz", "Oz"]
SFREQ = 128.0
EVENTS = {
    "imagery": ["left_hand", "right_hand"], "p300": ["Target", "NonTarget"], "ssvep": ["13", "17"],
}  # fmt: skip
# What the paper's paradigms want read of the tokens; None is the default, which weighs all
READING = {
    "imagery": {"views": "electrodes", "pooling": "covariance"},
    "p300": {"views": "electrodes", "pooling": "flatten"},
    "ssvep": {"views": "electrodes", "pooling": "power"},
}


def paradigm_of(kind, **params):
    from moabb import paradigms

    if kind == "imagery":
        return paradigms.LeftRightImagery(**{"fmin": 1, "fmax": 40, "tmin": 0, "tmax": 1} | params)
    if kind == "p300":
        return paradigms.P300(**{"fmin": 1, "fmax": 24, "tmin": 0, "tmax": 1} | params)
    how = {"fmin": 5, "fmax": 45, "tmin": 0, "tmax": 1.5, "n_classes": 2, "events": EVENTS[kind]}
    return paradigms.SSVEP(**how | params)


def linear(encoder="nano", **params):
    return make_pipeline(DAREClassifier(encoder, adaptation="linear", random_state=0, **params))


def process(name, dataset, paradigm, pipelines, folder, **params):
    from moabb import evaluations

    if name == "WithinSessionEvaluation":
        params["n_splits"] = 2
    evaluation = getattr(evaluations, name)(
        paradigm=paradigm, datasets=[dataset], hdf5_path=str(folder), random_state=0, **params
    )
    return evaluation.process(pipelines)


@pytest.fixture(scope="module", params=EVENTS)
def fake(request, moabb):
    from moabb.datasets.fake import FakeDataset

    dataset = FakeDataset(
        event_list=EVENTS[request.param], paradigm=request.param, n_subjects=2, n_sessions=2,
        n_runs=1, n_events=12, duration=30, sfreq=SFREQ, channels=CHANNELS, seed=1,
    )  # fmt: skip
    return request.param, dataset, paradigm_of(request.param)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_recipes(fake, evaluation, tmp_path):
    """Epochs know their layout; arrays are told it, and give the same scores."""
    kind, dataset, paradigm = fake
    recipes = {"all readings": {}, "its own": READING[kind]}
    epochs = process(
        evaluation, dataset, paradigm, {name: linear(**how) for name, how in recipes.items()},
        tmp_path, return_epochs=True,
    )  # fmt: skip
    rows = epochs[["subject", "session", "pipeline"]].astype(str).drop_duplicates()
    assert len(rows) == len(epochs) == 2 * 2 * 2
    assert epochs["score"].between(0, 1).all() and (epochs["channels"] == len(CHANNELS)).all()
    if evaluation == "CrossSubjectEvaluation":
        layout = {"ch_names": CHANNELS, "sfreq": SFREQ, "unit": "uV"}
        pipelines = {"its own": linear(**READING[kind], **layout)}
        arrays = process(evaluation, dataset, paradigm, pipelines, tmp_path, suffix="arrays")
        same = epochs[epochs["pipeline"] == "its own"]
        np.testing.assert_allclose(
            arrays.sort_values(["subject", "session"])["score"],
            same.sort_values(["subject", "session"])["score"],
        )


# people, and what MOABB tells of them ------------------------------------------------------------


@pytest.fixture(scope="module")
def people(moabb):
    from moabb.datasets.fake import FakeDataset

    return FakeDataset(
        event_list=EVENTS["imagery"], n_subjects=3, n_sessions=1, n_runs=1, n_events=12,
        duration=30, sfreq=SFREQ, channels=CHANNELS, seed=1,
    )  # fmt: skip


class Seen(DAREClassifier):
    """Notes the groups that come to each fit."""

    groups: list = []

    def fit(self, X, y, groups=None, sample_weight=None):
        Seen.groups.append(groups)
        return super().fit(X, y, groups=groups, sample_weight=sample_weight)


class Offered(EuclideanAligner):
    """Notes the people whose epochs are offered without labels, and how many these are."""

    found: list = []

    def fit_transform(self, X, y=None, groups=None, X_target_unlabeled=None):
        if X_target_unlabeled is not None:
            people = set(X_target_unlabeled.metadata["subject"])
            assert not people & set(X.metadata["subject"])
            Offered.found.append((*people, len(X_target_unlabeled)))
        return super().fit_transform(X, y, groups, X_target_unlabeled)


@pytest.mark.parametrize(
    ("cs_mode", "n_offered"),
    [("train", None), ("train_trialwise", None), ("train_and_target_unlabeled_full", 12),
     ("train_and_target_unlabeled_50p", 6), ("train_and_target_labeled_20p", None)],
)  # fmt: skip
def test_people_are_routed_by_their_name(people, cs_mode, n_offered, tmp_path):
    """MOABB offers `subjects`; the request takes them as `groups`, for folds of whole people."""
    own = "train" if cs_mode == "train_and_target_labeled_20p" else cs_mode
    Seen.groups.clear(), Offered.found.clear()
    aligner = Offered(cs_mode=own, group_by="subject")  # of the epochs' metadata
    with sklearn.config_context(enable_metadata_routing=True):
        aligner.set_fit_request(X_target_unlabeled=True)
        model = Seen("nano", adaptation="linear", random_state=0)
        model.set_fit_request(groups="subjects")
    results = process(
        "CrossSubjectEvaluation", people, paradigm_of("imagery"),
        {"aligned": make_pipeline(aligner, model)}, tmp_path, return_epochs=True, cs_mode=cs_mode,
    )  # fmt: skip
    assert len(results) == 3 and results["score"].between(0, 1).all()
    assert len(Seen.groups) == 3
    for groups in Seen.groups:
        assert sorted(np.unique(groups, return_counts=True)[1]) == [12, 12]
    expected = [] if n_offered is None else [(person, n_offered) for person in (1, 2, 3)]
    assert sorted(Offered.found) == expected


@pytest.mark.filterwarnings("ignore")  # what seaborn and matplotlib say of MOABB's figures
def test_results_and_figures_tell_encoders_apart(people, tmp_path):
    """The same step with other weights is another row of the file, and is not read from it."""
    import matplotlib.pyplot as plt
    from moabb.analysis.plotting import paired_plot, score_plot

    pipelines = {"nano": linear(), "untrained": linear(None)}
    first = process(
        "CrossSubjectEvaluation", people, paradigm_of("imagery"), pipelines, tmp_path,
        return_epochs=True,
    )  # fmt: skip
    files = list(tmp_path.rglob("results*.hdf5"))
    assert len(files) == 1
    assert set(first["pipeline"]) == set(pipelines)
    again = process(  # the finished rows are read, and a renamed encoder is not taken for another
        "CrossSubjectEvaluation", people, paradigm_of("imagery"), pipelines, tmp_path,
        return_epochs=True,
    )  # fmt: skip
    assert again["time"].tolist() == first["time"].tolist()
    other = process(
        "CrossSubjectEvaluation", people, paradigm_of("imagery"), {"nano": linear(None)}, tmp_path,
        return_epochs=True,
    )  # fmt: skip
    untrained = first.loc[first["pipeline"] == "untrained", "score"].tolist()
    assert other["score"].tolist() == untrained
    figure, colors = score_plot(first)
    assert set(colors) == set(pipelines)
    paired = paired_plot(first, "nano", "untrained")
    plt.close(figure), plt.close(paired)


# recordings --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local_dataset(moabb):
    """A class of MOABB data sets of recordings that lie here."""
    from moabb.datasets.base import BaseDataset

    class LocalDataset(BaseDataset):
        """Recordings of MNE with annotations, as ``{subject: {session: {run: file}}}``."""

        def __init__(self, files, read, events, interval, paradigm):
            self.files, self.read = files, read
            super().__init__(
                subjects=list(files), sessions_per_subject=max(map(len, files.values())),
                events=events, code="LocalDataset", interval=interval, paradigm=paradigm,
            )  # fmt: skip

        def _get_single_subject_data(self, subject):
            return {
                session: {run: self.read(file) for run, file in runs.items()}
                for session, runs in self.files[subject].items()
            }

        def data_path(self, subject, path=None, force_update=False, update_path=None, verbose=None):
            return [f for runs in self.files[subject].values() for f in runs.values()]

    return LocalDataset


def by_people(folder, n_people):
    """Files of the first people of a folder: every run a run of the one session."""
    table = pd.read_csv(folder / "people.csv", dtype={"subject": str})
    people = table.groupby("subject", sort=True)["file"].apply(list).head(n_people)
    return {
        number: {"0": {str(run): folder / file for run, file in enumerate(files)}}
        for number, files in enumerate(people, start=1)
    }


def renamed(names):
    def read(file):
        raw = mne.io.read_raw_fif(file, preload=True, verbose="error")
        keep = np.isin(raw.annotations.description, list(names))
        raw.set_annotations(raw.annotations[keep].rename(names))
        return raw

    return read


def headband(file):
    """The trigger channel of the headband as annotations of MOABB's names."""
    raw = mne.io.read_raw_fif(file, preload=True, verbose="error")
    events = mne.find_events(raw, shortest_event=1, consecutive=True, verbose="error")
    names = {1: "NonTarget", 2: "Target"}
    raw.set_annotations(
        mne.annotations_from_events(events, raw.info["sfreq"], names, raw.first_samp)
    )
    return raw.pick("eeg")


def imagery_of(folder, make):
    read = renamed({"T1": "left_hand", "T2": "right_hand"})
    events = {"left_hand": 1, "right_hand": 2}
    files = by_people(folder / "eegbci_left_right", 3)
    return make(files, read, events, [0.5, 3.5], "imagery"), {"fmin": 7, "fmax": 30, "tmax": 3.0}


def flicker_of(folder, make):
    read = renamed({"ssvep_13Hz": "13", "ssvep_17Hz": "17"})
    files = by_people(folder / "ssvep_led", 3)
    return make(files, read, {"13": 13, "17": 17}, [1, 5], "ssvep"), {"tmax": 4.0}


def p300_of(folder, make):
    names = sorted((folder / "muse").glob("visual-P300*"))
    files: dict = {1: {}}
    for file in names:
        if "sub-1" in file.name and "run-0" in file.name:
            session = file.name.split("ses-")[1][0]
            files[1].setdefault(session, {})[str(len(files[1].get(session, {})))] = file
    events = {"Target": 2, "NonTarget": 1}
    return make(files, headband, events, [0, 1], "p300"), {"fmin": 1, "fmax": 24}


@pytest.mark.parametrize(
    ("kind", "make", "evaluation", "least"),
    [
        ("imagery", imagery_of, "CrossSubjectEvaluation", None),  # near chance for all methods
        ("ssvep", flicker_of, "WithinSessionEvaluation", 0.6),
        ("p300", p300_of, "CrossSessionEvaluation", 0.65),
    ],
)
def test_recordings(recordings, local_dataset, kind, make, evaluation, least, tmp_path):
    with mne.use_log_level("error"):
        dataset, settings = make(recordings, local_dataset)
        results = process(
            evaluation, dataset, paradigm_of(kind, **settings), {"default": linear()}, tmp_path,
            return_epochs=True,
        )  # fmt: skip
    assert len(results) >= 2 and np.isfinite(results["score"]).all()
    if least is not None:
        assert results["score"].mean() > least
