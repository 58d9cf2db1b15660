"""Fewer labels and lost electrodes, on the folds of compare."""

import warnings

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from dare_sklearn import DAREEmbedder, simulate_epochs
from dare_sklearn.evaluation import compare, learning_curve, lost_electrodes
from dare_sklearn.evaluation.curves import interpolated
from dare_sklearn.signals.electrodes import template_montage
from dare_sklearn.transformers.classical import BandPower

N = 40
Y = np.arange(N) % 2


class Spy(ClassifierMixin, BaseEstimator):
    """Remembers what it is fitted on and answers for: the first column numbers the epochs."""

    seen: list = []

    def fit(self, X, y):
        self.rows = X[:, 0].astype(int)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        self.seen.append((self.rows, X[:, 0].astype(int)))
        return self.classes_[X[:, 0].astype(int) % 2]


def test_sizes_are_nested_balanced_and_tested_alike():
    Spy.seen.clear()
    X = np.arange(N)[:, None].astype(float)
    # a splitter that draws at random would give each size other folds
    found = learning_curve({"spy": Spy()}, X, Y, [20, 4, 9], cv=ShuffleSplit(3, test_size=0.25))
    assert found.groupby("n_labels")["fold"].count().to_dict() == {4: 3, 9: 3, 20: 3}
    assert (found["n_train"] == 30).all()  # those that the few are drawn from
    for fold in range(3):
        four, nine, twenty = (Spy.seen[3 * size + fold] for size in range(3))
        assert set(four[0]) < set(nine[0]) < set(twenty[0])
        np.testing.assert_array_equal(four[1], twenty[1])
        assert np.bincount(Y[four[0]]).tolist() == [2, 2]
        assert not set(twenty[0]) & set(twenty[1])


@pytest.mark.parametrize("sizes", [[0], [31], [2.5], []])
def test_sizes_that_no_fold_has(sizes):
    with pytest.raises(ValueError, match="sizes must be integers from 1 to 30"):
        learning_curve({"spy": Spy()}, np.zeros((N, 2)), Y, sizes, cv=4)


@pytest.fixture(scope="module")
def epochs():
    return simulate_epochs(n_subjects=1, n_epochs=12, random_state=0)


def test_lost_electrodes_are_left_out_or_interpolated(epochs):
    y = epochs.events[:, 2]
    lr = LogisticRegression(max_iter=1000)
    options = {"cv": 2, "scoring": ["accuracy", "roc_auc"]}
    dare = {"DARE": make_pipeline(DAREEmbedder(), lr)}
    found = lost_electrodes(dare, epochs, y, [0, 0.5], n_draws=2, **options)
    assert found["share"].tolist() == [0, 0, 0.5, 0.5]
    whole = compare(dare, epochs, y, **options)
    # whether probabilities can be believed is known of all electrodes only
    assert set(whole) - set(found) == {"brier", "calibration_error"}
    for metric in options["scoring"]:
        np.testing.assert_allclose(found[metric][:2], whole[metric])
    power = {"power": make_pipeline(BandPower(), lr)}
    with pytest.warns(UserWarning, match="lost electrodes are interpolated"):
        filled = lost_electrodes(power, epochs, y, [0, 0.5], n_draws=1, **options)
    assert np.isfinite(filled[options["scoring"]]).all(axis=None)
    pd.testing.assert_series_equal(
        filled["roc_auc"][:2], compare(power, epochs, y, **options)["roc_auc"]
    )


def test_the_same_electrodes_are_lost_in_any_order(epochs):
    lr = LogisticRegression(C=0.01, max_iter=1000)
    dare, y = {"DARE": make_pipeline(DAREEmbedder(), lr)}, epochs.events[:, 2]
    options = {"shares": [0.5], "cv": 2, "n_draws": 2, "scoring": "neg_log_loss"}
    turned = epochs.copy().reorder_channels(epochs.ch_names[::-1])
    one, other = (lost_electrodes(dare, X, y, **options) for X in (epochs, turned))
    np.testing.assert_allclose(one["neg_log_loss"], other["neg_log_loss"], atol=1e-4)


def test_lost_electrodes_of_recordings_without_positions(epochs):
    """Their names say where they are, clinical ones too."""
    bare = epochs.copy().set_montage(None).rename_channels(lambda name: f"EEG {name}-REF")
    power = {"power": make_pipeline(BandPower(), LogisticRegression(max_iter=1000))}
    options = {"shares": [0.5], "n_draws": 1, "cv": 2}
    with pytest.warns(UserWarning, match="lost electrodes are interpolated"):
        found = lost_electrodes(power, bare, epochs.events[:, 2], **options)
    assert np.isfinite(found["accuracy"]).all()
    strange = bare.rename_channels({bare.ch_names[0]: "mine"})
    strange.info["bads"] = ["mine"]  # nothing asks where it is
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        lost_electrodes(power, strange, epochs.events[:, 2], **options)
    assert any("lost electrodes are interpolated" in str(w.message) for w in told)
    strange.info["bads"] = []
    options["shares"] = [0.95]
    with pytest.raises(RuntimeError, match="no position is known of mine: set a montage"):
        lost_electrodes(power, strange, epochs.events[:, 2], **options)


def test_electrodes_without_a_position_are_where_their_names_say(epochs):
    names, lost = epochs.ch_names, ["Cz"]
    bare, part, head = (epochs.copy().load_data().set_montage(None) for _ in range(3))
    expected = interpolated(bare, lost).get_data(lost)
    template = template_montage()
    some = {name: template.get_positions()["ch_pos"][name] for name in names[1:]}
    fiducials = {key: template.get_positions()[key] for key in ("nasion", "lpa", "rpa")}
    part.set_montage(mne.channels.make_dig_montage(some, **fiducials), on_missing="ignore")
    np.testing.assert_allclose(interpolated(part, lost).get_data(lost), expected, rtol=0.2)
    head.set_montage(mne.channels.make_dig_montage(**fiducials), on_missing="ignore")
    depth = mne.create_info(["LA1"], head.info["sfreq"], "seeg")
    noise = np.ones((len(head), 1, len(head.times)))
    head.add_channels([mne.EpochsArray(noise, depth, head.events, verbose="error")], True)
    np.testing.assert_allclose(interpolated(head, lost).get_data(lost), expected)


def test_bad_channels_are_no_source_of_lost_ones(epochs):
    bad = epochs.copy().load_data()
    bad.info["bads"] = ["Cz"]
    filled = interpolated(bad, ["C1", "FCz"])
    assert filled.info["bads"] == ["Cz"]
    expected = interpolated(bad.copy().drop_channels(["Cz"]), ["C1", "FCz"]).get_data()
    np.testing.assert_allclose(
        filled.get_data(picks=[n for n in bad.ch_names if n != "Cz"]), expected, rtol=1e-6
    )


def test_one_electrode_is_always_left(epochs):
    few = epochs.copy().load_data().pick(["C3", "Cz", "C4", "Pz"])
    heads = LogisticRegression(max_iter=1000)
    pipelines = {name: make_pipeline(step, heads) for name, step in
                 {"DARE": DAREEmbedder(), "power": BandPower()}.items()}  # fmt: skip
    with pytest.warns(UserWarning, match="lost electrodes are interpolated"):
        found = lost_electrodes(pipelines, few, few.events[:, 2], [0.95], n_draws=1, cv=2)
    assert len(found) == 4 and np.isfinite(found["accuracy"]).all()


def test_a_search_chooses_on_all_electrodes(epochs):
    y, options = epochs.events[:, 2], {"cv": 2, "inner_cv": 2, "random_state": 0}
    dare = {"DARE": make_pipeline(DAREEmbedder(), LogisticRegression(max_iter=1000))}
    options["param_grids"] = {"DARE": {"logisticregression__C": [1e-6, 1.0]}}
    found = lost_electrodes(dare, epochs, y, [0.5, 0], n_draws=1, **options)
    whole = compare(dare, epochs, y, **options)
    columns = ["fold", "accuracy", "best_params"]
    pd.testing.assert_frame_equal(found[columns].iloc[2:].reset_index(drop=True), whole[columns])
    assert found["best_params"].tolist() == whole["best_params"].tolist() * 2


def test_what_cannot_be_lost(epochs):
    y, model = epochs.events[:, 2], {"spy": Spy()}
    with pytest.raises(TypeError, match="X of lost_electrodes must be mne.Epochs, got ndarray"):
        lost_electrodes(model, epochs.get_data(), y)
    for shares in ([1.0], [-0.1], [np.nan], []):
        with pytest.raises(ValueError, match="shares must be numbers from 0"):
            lost_electrodes(model, epochs, y, shares)
    with pytest.raises(ValueError, match="'n_draws' parameter of lost_electrodes"):
        lost_electrodes(model, epochs, y, n_draws=0)
    with pytest.raises(ValueError, match="leave n_permutations out"):
        lost_electrodes(model, epochs, y, n_permutations=5)


def test_whatever_a_pipeline_says_of_lost_channels(epochs):
    """Networks and indices raise errors of their own kind."""
    last = FunctionTransformer(lambda X: X.get_data(units="uV")[:, [61]].var(axis=-1))
    pipeline = {"last": make_pipeline(last, LogisticRegression())}
    with pytest.warns(UserWarning, match="lost electrodes are interpolated"):
        found = lost_electrodes(pipeline, epochs, epochs.events[:, 2], [0.5], n_draws=1, cv=2)
    assert np.isfinite(found["accuracy"]).all()

    def full(model, X, y):
        raise MemoryError("CUDA out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        lost_electrodes(pipeline, epochs, epochs.events[:, 2], [0.5], scoring=full, cv=2)
