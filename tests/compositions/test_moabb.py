"""MOABB's evaluations with our pipelines, on its own simulated data set (nothing is downloaded)."""

from __future__ import annotations

import os

import mne
import numpy as np
import pytest
from mne.decoding import CSP
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer

NAMES = ["C3", "Cz", "C4"]
SFREQ = 128.0
# MOABB's arrays are in microvolts, in the order of its paradigm's channels
ARRAY = {"ch_names": NAMES, "sfreq": SFREQ, "unit": "uV"}
EVALUATIONS = ["WithinSessionEvaluation", "CrossSessionEvaluation", "CrossSubjectEvaluation"]

pytestmark = [
    pytest.mark.usefixtures("home"),
    # MOABB makes its table of results in a way that h5py will change
    pytest.mark.filterwarnings("ignore:Creating a dataset without passing data or dtype"),
    # its data set names a montage by a name that mne has replaced
    pytest.mark.filterwarnings("ignore:Montage name 'standard_1005' is deprecated:FutureWarning"),
]


@pytest.fixture(scope="module")
def dataset(moabb):
    from moabb.datasets.fake import FakeDataset

    return FakeDataset(
        event_list=["left_hand", "right_hand"], n_subjects=2, n_sessions=2, n_runs=1, n_events=10,
        duration=15, sfreq=SFREQ, channels=NAMES, seed=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def paradigm(moabb):
    from moabb.paradigms import LeftRightImagery

    return LeftRightImagery(fmin=1, fmax=40, tmin=0, tmax=1)


@pytest.fixture
def evaluate(moabb, dataset, paradigm, tmp_path):
    def run(name, pipelines, param_grid=None, **params):
        from moabb import evaluations

        if name == "WithinSessionEvaluation":
            params["n_splits"] = 2
        evaluation = getattr(evaluations, name)(
            paradigm=paradigm, datasets=[dataset], hdf5_path=str(tmp_path), random_state=0, **params
        )
        return evaluation.process(pipelines, param_grid)

    return run


def embedding(encoder=None, **params):
    return make_pipeline(
        DAREEmbedder(encoder, pooling="flatten", random_state=0, **params),
        StandardScaler(),
        LogisticRegression(max_iter=1000),
    )


def probe(**params):
    return make_pipeline(DAREClassifier(None, random_state=0, **params))


def linear(**params):
    return probe(adaptation="linear", **params)


def csp():
    return make_pipeline(CSP(2), LinearDiscriminantAnalysis())


def check_results(results, pipelines, dataset):
    """One row per data set, person, session and pipeline, with a finite score."""
    rows = results[["dataset", "subject", "session", "pipeline"]].astype(str)
    expected = {
        (dataset.code, subject, session, name)
        for subject in ("1", "2")
        for session in ("0", "1")
        for name in pipelines
    }
    assert len(rows) == len(expected) and set(rows.itertuples(index=False, name=None)) == expected
    assert np.isfinite(results["score"]).all() and results["score"].between(0, 1).all()
    assert (results["channels"] == 3).all() and (results["n_classes"] == 2).all()


def by_row(results):
    return results.set_index(["subject", "session", "pipeline"])["score"].sort_index()


def test_arrays_are_microvolts(dataset, paradigm):
    X, labels, metadata = paradigm.get_data(dataset, subjects=[1])
    epochs, _, _ = paradigm.get_data(dataset, subjects=[1], return_epochs=True)
    assert isinstance(X, np.ndarray) and isinstance(epochs, mne.BaseEpochs)
    np.testing.assert_allclose(X, epochs.get_data() * 1e6)
    assert epochs.ch_names == NAMES and epochs.info["sfreq"] == SFREQ
    assert set(labels) == {"left_hand", "right_hand"} and len(metadata) == len(X)
    from_epochs = DAREEmbedder(None, random_state=0).fit_transform(epochs)
    from_array = DAREEmbedder(None, random_state=0, **ARRAY).fit_transform(X)
    np.testing.assert_allclose(from_array, from_epochs, atol=1e-4)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_evaluations(evaluate, dataset, evaluation):
    ours = {"embedder": embedding, "probe": probe}
    pipelines = {name: make(**ARRAY) for name, make in ours.items()} | {"csp": csp()}
    arrays = evaluate(evaluation, pipelines)
    check_results(arrays, pipelines, dataset)
    pipelines = {name: make() for name, make in ours.items()}
    epochs = evaluate(evaluation, pipelines, return_epochs=True, suffix="epochs")
    check_results(epochs, pipelines, dataset)
    expected = by_row(arrays[arrays["pipeline"] != "csp"])
    np.testing.assert_allclose(by_row(epochs), expected)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_linear_probe(evaluate, dataset, evaluation):
    pipelines = {"linear": linear(**ARRAY)}
    check_results(evaluate(evaluation, pipelines), pipelines, dataset)
    pipelines = {"linear": linear()}
    epochs = evaluate(evaluation, pipelines, return_epochs=True, suffix="epochs")
    check_results(epochs, pipelines, dataset)


def test_scores_are_those_of_a_fit_by_hand(evaluate, dataset, paradigm):
    results = evaluate("CrossSubjectEvaluation", {"probe": probe(**ARRAY)})
    X, labels, metadata = paradigm.get_data(dataset)
    y = LabelEncoder().fit_transform(labels)
    train = (metadata["subject"] == 2).to_numpy()
    fitted = probe(**ARRAY).fit(X[train], y[train])
    for session in ("0", "1"):
        test = ((metadata["subject"] == 1) & (metadata["session"] == session)).to_numpy()
        expected = roc_auc_score(y[test], fitted.decision_function(X[test]))
        score = by_row(results).loc[("1", session, "probe")]
        assert score == pytest.approx(expected, abs=1e-6)


def test_labels_of_mne(evaluate, dataset):
    pipelines = {"probe": probe()}
    results = evaluate("CrossSessionEvaluation", pipelines, return_epochs=True, mne_labels=True)
    check_results(results, pipelines, dataset)


def test_bare_classifier(evaluate, dataset):
    pipelines = {"probe": probe(**ARRAY)[0]}
    check_results(evaluate("CrossSessionEvaluation", pipelines), pipelines, dataset)


def test_trial_by_trial(evaluate, dataset):
    """MOABB's mode that predicts every trial alone gives the same scores."""
    pipelines = {"embedder": embedding(**ARRAY)}
    single = evaluate("CrossSubjectEvaluation", pipelines, cs_mode="train_trialwise", suffix="one")
    check_results(single, pipelines, dataset)
    together = evaluate("CrossSubjectEvaluation", pipelines)
    np.testing.assert_allclose(by_row(single), by_row(together))


def test_grid_search(evaluate, dataset):
    pipelines = {"embedder": embedding(**ARRAY), "probe": probe(**ARRAY, spatial_init="spline")}
    grid = {
        "embedder": {"dareembedder__pooling": ["mean", "flatten"]},
        "probe": {"dareclassifier__lr": [1e-3, 1e-2]},
    }
    check_results(evaluate("CrossSubjectEvaluation", pipelines, grid), pipelines, dataset)


@pytest.fixture(scope="module")
def pretrainer(dataset, paradigm):
    corpus, _, _ = paradigm.get_data(dataset, subjects=[1], return_epochs=True)
    return DAREPretrainer(max_epochs=1, batch_size=8, random_state=0).fit(corpus)


def test_pretrained_encoder(evaluate, dataset, pretrainer):
    pipelines = {"fitted": embedding(pretrainer)}
    results = evaluate("CrossSessionEvaluation", pipelines, return_epochs=True)
    check_results(results, pipelines, dataset)


def test_pretraining_in_each_fold(evaluate, dataset):
    pipelines = {"unfitted": embedding(DAREPretrainer(max_epochs=1, batch_size=8, random_state=0))}
    results = evaluate("CrossSessionEvaluation", pipelines, return_epochs=True)
    check_results(results, pipelines, dataset)


def test_encoders_are_told_apart(evaluate, dataset, paradigm, pretrainer):
    """MOABB knows a pipeline by the text of its parameters, which must name the weights too."""
    corpus, _, _ = paradigm.get_data(dataset, subjects=[2], return_epochs=True)
    pipelines = {
        "person 1": embedding(pretrainer),
        "person 2": embedding(clone(pretrainer).fit(corpus)),
        "each fold": embedding(DAREPretrainer(max_epochs=1, batch_size=8, random_state=0)),
    }
    results = evaluate("CrossSessionEvaluation", pipelines, return_epochs=True)
    check_results(results, pipelines, dataset)


def test_saved_models(evaluate, dataset, tmp_path):
    """MOABB 1.7 writes a file per fold, which it cannot read back, scikit-learn's models neither:
    it hangs a local function on each step."""
    pipelines = {"probe": probe(**ARRAY)}
    results = evaluate("CrossSubjectEvaluation", pipelines, save_model=True)
    check_results(results, pipelines, dataset)
    assert len(list(tmp_path.rglob("fitted_model_*.pkl"))) == 2


def test_pipelines_from_files(evaluate, dataset, tmp_path):
    from moabb.pipelines.utils import parse_pipelines_from_directory

    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "dare.yml").write_text(
        """
name: DARE
paradigms:
  - LeftRightImagery
pipeline:
  - name: DAREEmbedder
    from: dare_sklearn
    parameters: {encoder: null, ch_names: [C3, Cz, C4], sfreq: 128, unit: uV, random_state: 0}
  - name: LogisticRegression
    from: sklearn.linear_model
    parameters: {max_iter: 1000}
"""
    )
    (config,) = parse_pipelines_from_directory(str(folder))
    pipelines = {config["name"]: config["pipeline"]}
    results = evaluate("WithinSessionEvaluation", pipelines)
    check_results(results, ["DARE"], dataset)
    same = make_pipeline(
        DAREEmbedder(None, random_state=0, **ARRAY), LogisticRegression(max_iter=1000)
    )
    again = evaluate("WithinSessionEvaluation", {"DARE": same}, suffix="again")
    np.testing.assert_array_equal(by_row(again), by_row(results))


def test_wrong_settings_are_told(evaluate):
    with pytest.raises(ValueError, match="unit='V', but .* is not EEG"):
        evaluate("CrossSubjectEvaluation", {"x": probe(**{**ARRAY, "unit": "V"})})
    with pytest.raises(ValueError, match="4 names, but X has 3 channels"):
        evaluate("CrossSubjectEvaluation", {"x": probe(**{**ARRAY, "ch_names": [*NAMES, "Pz"]})})
    with pytest.raises(ValueError, match="without a sampling rate: pass sfreq"):
        evaluate("CrossSubjectEvaluation", {"x": probe(unit="uV")})


def test_nothing_is_written_elsewhere(home, moabb, dataset):
    from moabb.analysis.results import Results
    from moabb.evaluations import CrossSessionEvaluation
    from moabb.paradigms import LeftRightImagery

    default = Results(CrossSessionEvaluation, LeftRightImagery)
    assert default.filepath.startswith(str(home / "results"))
    assert mne.get_config_path().startswith(str(home))
    noted = [value for key, value in os.environ.items() if key.startswith("MNE_DATASETS_FAKE")]
    assert noted and all(value.startswith(str(home)) for value in noted)
