"""compare against scikit-learn's own loop; no leak, no silent gap."""

import json
import pickle
import warnings
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    ShuffleSplit,
    StratifiedKFold,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from dare_sklearn.evaluation import compare, summarize
from dare_sklearn.evaluation.cells import permuted, seeded
from dare_sklearn.transformers.classical import BandPower

N = 48
GROUPS = np.repeat(["s1", "s2", "s3", "s4"], N // 4)


@pytest.fixture(scope="module")
def table():
    """Features that tell two classes apart, but not always."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(N) % 2)
    return rng.normal(size=(N, 5)) + y[:, None], y


def amplitudes():
    """Epochs (V) whose classes differ in amplitude, as an array and as mne.Epochs, and labels."""
    y = np.arange(24) % 2
    data = 1e-5 * np.random.default_rng(0).normal(size=(24, 3, 64)) * (1 + y[:, None, None])
    info = mne.create_info(["C3", "Cz", "C4"], 64.0, "eeg")
    return data, mne.EpochsArray(data, info, verbose="error"), y


def power(**layout):
    return {"power": make_pipeline(BandPower(**layout), LogisticRegression())}


class Spy(ClassifierMixin, BaseEstimator):
    """Remembers the first column (the number of the epoch) of all that it is fitted on."""

    seen: list[tuple] = []

    def __init__(self, depth=1):
        self.depth = depth

    def fit(self, X, y):
        self.seen.append((self.depth, X[:, 0].astype(int)))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.classes_[(X[:, 1] > self.depth).astype(int)]


class Mute(LinearDiscriminantAnalysis):
    """Has no probabilities."""

    predict_proba = property()


class Failing(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        raise ValueError("no luck")


# Scores


@pytest.mark.parametrize("cv", [4, StratifiedKFold(3), GroupKFold(2), LeaveOneGroupOut()])
def test_scores_are_those_of_scikit_learn(table, cv):
    X, y = table
    groups = GROUPS if isinstance(cv, GroupKFold | LeaveOneGroupOut) else None
    scoring = ["roc_auc", "accuracy", "neg_log_loss"]
    expected = cross_validate(LogisticRegression(), X, y, groups=groups, cv=cv, scoring=scoring)
    found = compare({"lr": LogisticRegression()}, X, y, groups=groups, cv=cv, scoring=scoring)
    for name in scoring:
        np.testing.assert_allclose(found[name], expected[f"test_{name}"], rtol=1e-12)


def test_the_table(table):
    X, y = table
    pipelines = {"lr": LogisticRegression(), "chance": DummyClassifier()}
    found = compare(
        pipelines, X, y, groups=GROUPS, cv=LeaveOneGroupOut(), dataset="toy", n_permutations=3
    )
    columns = (
        "dataset pipeline fold subject n_subjects n_train n_test accuracy chance_accuracy p_accuracy "
        "brier calibration_error fit_seconds predict_seconds peak_memory_mb best_params"
    )
    assert list(found) == columns.split()
    assert found["pipeline"].tolist() == ["lr"] * 4 + ["chance"] * 4
    assert found["fold"].tolist() == [0, 1, 2, 3] * 2
    assert found["subject"].tolist() == ["s1", "s2", "s3", "s4"] * 2
    assert (found[["n_subjects", "n_train", "n_test"]] == [1, 36, 12]).all(axis=None)
    assert (found["dataset"] == "toy").all() and found["best_params"].isna().all()
    assert (found[["fit_seconds", "predict_seconds"]] > 0).all(axis=None)
    assert (found["peak_memory_mb"] >= 0).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_calibration(n_classes):
    """The Brier score is scikit-learn's; the calibration error is counted bin by bin."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, 4)), np.array(["a", "b", "c"])[np.arange(90) % n_classes]
    X[:, 0] += (y == "a") + 2 * (y == "b")
    fold = (np.arange(45), np.arange(45, 90))
    found = compare({"lr": LogisticRegression(), "lda": Mute()}, X, y, cv=[fold]).iloc[0]
    proba = LogisticRegression().fit(X[:45], y[:45]).predict_proba(X[45:])
    truth = y[45:]
    target = proba[:, 1] if n_classes == 2 else proba
    how = {"pos_label": "b"} if n_classes == 2 else {"labels": ["a", "b", "c"]}
    assert found["brier"] == pytest.approx(brier_score_loss(truth, target, **how))
    sure, right = proba.max(axis=1), np.unique(y)[proba.argmax(axis=1)] == truth
    error = 0.0
    for low in np.arange(10) / 10:
        inside = (sure >= low) & (sure < low + 0.1)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    assert found["calibration_error"] == pytest.approx(error)
    assert 0 < error < 0.5


def test_calibration_of_what_has_no_probabilities(table):
    X, y = table
    found = compare({"lr": LogisticRegression(), "mute": Mute()}, X, y, cv=2)
    missing = found[["brier", "calibration_error"]].isna()
    assert missing.iloc[2:].all(axis=None) and not missing.iloc[:2].any(axis=None)
    always = compare({"half": DummyClassifier(strategy="uniform")}, X, y, cv=2, random_state=0)
    np.testing.assert_allclose(always["brier"], 0.25)
    ridge = compare({"ridge": Ridge()}, X, X[:, 0], cv=2)
    assert ridge["brier"].isna().all()


def test_groups_that_are_dates_of_nanoseconds(table):
    X, y = table
    dates = np.array(["2026-01-01"], "datetime64[ns]") + np.arange(N) // 12 * np.timedelta64(1, "D")
    how = {"cv": 2, "each_subject": True}
    found = compare({"lr": LogisticRegression()}, X, y, groups=dates, **how)
    assert found["subject"].astype(str).iloc[0].startswith("2026-01-0")
    named = compare({"lr": LogisticRegression()}, X, y, groups=GROUPS, **how)
    assert found["accuracy"].tolist() == named["accuracy"].tolist()


def test_several_subjects_in_a_fold_and_none(table):
    X, y = table
    found = compare({"lr": LogisticRegression()}, X, y, groups=GROUPS, cv=GroupKFold(2))
    assert (found["n_subjects"] == 2).all()
    tested = [subject.split(" + ") for subject in found["subject"]]
    assert sorted(tested[0] + tested[1]) == ["s1", "s2", "s3", "s4"]
    found = compare({"lr": LogisticRegression()}, X, y, cv=2)
    assert found["subject"].isna().all() and (found["n_subjects"] == 0).all()


def test_each_subject_is_scored_with_the_model_of_its_fold(table, tmp_path):
    X, y = table
    models = {"LR": LogisticRegression(), "tree": DecisionTreeClassifier(random_state=0)}
    options = {"groups": GROUPS, "cv": GroupKFold(2), "scoring": ["accuracy", "roc_auc"],
               "each_subject": True, "cache_dir": tmp_path, "n_permutations": 20,
               "random_state": 0}  # fmt: skip
    found = compare(models, X, y, **options)
    assert len(found) == 8 and (found["n_test"] == 12).all() and (found["n_subjects"] == 1).all()
    for train, test in GroupKFold(2).split(X, y, GROUPS):
        model = LogisticRegression().fit(X[train], y[train])
        for subject in np.unique(GROUPS[test]):
            rows = found.query("pipeline == 'LR' and subject == @subject")
            of = subject == GROUPS
            assert rows["accuracy"].item() == model.score(X[of], y[of])
            brier = brier_score_loss(y[of], model.predict_proba(X[of])[:, 1])
            np.testing.assert_allclose(rows["brier"].item(), brier)
            assert 0 < rows["p_accuracy"].item() <= 1
    pd.testing.assert_frame_equal(compare(models, X, y, **options), found)  # from their files
    again = compare(models, X, y, **{**options, "n_jobs": 2, "cache_dir": None})
    pd.testing.assert_frame_equal(again[["subject", "roc_auc"]], found[["subject", "roc_auc"]])
    summary = summarize(found, "accuracy")
    assert set(summary["unit"]) == {"subject"} and set(summary["n"]) == {4}
    with pytest.raises(ValueError, match="each_subject=True needs groups"):
        compare(models, X, y, each_subject=True)


def test_a_data_set_of_braindecode():
    from braindecode.datasets import BaseConcatDataset, EEGWindowsDataset
    from skorch.helper import SliceDataset

    data, epochs, y = amplitudes()
    raw = mne.io.RawArray(np.hstack(list(data)), epochs.info, verbose="error")
    starts = 64 * np.arange(24)
    table = {"i_window_in_trial": range(24), "i_start_in_trial": starts,
             "i_stop_in_trial": starts + 64, "target": y}  # fmt: skip
    windows = SliceDataset(BaseConcatDataset([EEGWindowsDataset(raw, pd.DataFrame(table))]), idx=0)
    found = compare(power(unit="V"), windows, y, cv=3)["accuracy"]
    array = compare(power(sfreq=64, unit="uV"), data * 1e6, y, cv=3)["accuracy"]
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("scoring", "column"),
    [
        (None, "accuracy"),
        ("f1_macro", "f1_macro"),
        (make_scorer(f1_score), "score"),
        ({"mine": make_scorer(accuracy_score)}, "mine"),
        (lambda estimator, X, y: float(np.mean(estimator.predict(X) == y)), "<lambda>"),
    ],
)
def test_kinds_of_scoring(table, scoring, column):
    X, y = table
    found = compare({"lr": LogisticRegression()}, X, y, cv=2, scoring=scoring)
    metric = "f1_macro" if column == "f1_macro" else "f1" if column == "score" else "accuracy"
    expected = cross_validate(LogisticRegression(), X, y, cv=2, scoring=metric)["test_score"]
    np.testing.assert_allclose(found[column], expected)


def test_regression(table):
    X, _ = table
    target = X @ np.arange(5) + 0.1
    found = compare(
        {"ridge": Ridge(), "mean": DummyRegressor()}, X, target, cv=KFold(3), n_permutations=20
    )
    assert (found.loc[found["pipeline"] == "ridge", "r2"] > 0.9).all()
    assert (found.loc[found["pipeline"] == "ridge", "p_r2"] < 0.1).all()


def test_all_pipelines_meet_the_same_random_folds(table):
    X, y = table
    numbered = np.column_stack([np.arange(N), X])
    Spy.seen.clear()
    compare({"a": Spy(), "b": Spy()}, numbered, y, cv=ShuffleSplit(4, test_size=0.25))
    for first, second in zip(Spy.seen[:4], Spy.seen[4:], strict=True):
        np.testing.assert_array_equal(first[1], second[1])


def test_one_answer_serves_all_metrics(table, monkeypatch):
    X, y = table
    calls = []
    original = Spy.predict
    monkeypatch.setattr(Spy, "predict", lambda self, X: calls.append(len(X)) or original(self, X))
    numbered = np.column_stack([np.arange(N), X])
    compare({"spy": Spy()}, numbered, y, cv=2, scoring=["accuracy", "f1"], n_permutations=5)
    assert calls == [N // 2, N // 2]


def test_mne_epochs_and_lists_of_them():
    data, epochs, y = amplitudes()
    found = compare(power(), epochs, y, cv=3)["accuracy"]
    assert found.mean() > 0.7
    pieces = [epochs[:10], epochs[10:]]
    for same in (pieces, [epochs[i] for i in range(24)]):
        np.testing.assert_array_equal(compare(power(), same, y, cv=3)["accuracy"], found)
    array = compare(power(sfreq=64, unit="uV"), data * 1e6, y, cv=3)["accuracy"]
    np.testing.assert_array_equal(array, found)


def test_copies_across_a_fold_are_reported():
    data, epochs, y = amplitudes()
    twice = np.r_[:24, 3, 4]
    folds = [(np.arange(4, 24), np.arange(4)), (np.arange(20), np.arange(20, 26))]
    inputs = [epochs[twice], [epochs[i] for i in twice], data[twice] * 1e6]
    for X, layout in zip(inputs, [{}, {}, {"sfreq": 64, "unit": "uV"}], strict=True):
        with pytest.warns(UserWarning, match="2 of 10 test epochs are exact copies of training"):
            compare(power(**layout), X, y[twice], cv=folds)
        apart = [(rows, test[test < 24]) for rows, test in folds]
        compare(power(**layout), X, y[twice], cv=apart)  # without a warning


def test_folds_that_are_the_same_are_reported(table):
    X, y = table
    folds = list(KFold(3).split(X))
    with pytest.warns(UserWarning, match="1 of the 4 folds of cv are others again"):
        compare({"chance": DummyClassifier()}, X, y, cv=[*folds, folds[1]])
    compare({"chance": DummyClassifier()}, X, y, cv=folds)  # without a warning


def test_cells_in_several_processes(table):
    X, y = table
    options = {"groups": GROUPS, "cv": 2, "inner_cv": 2, "param_grids": {"lr": {"C": [0.1, 1.0]}}}
    pipelines = {"lr": LogisticRegression(), "chance": DummyClassifier()}
    alone, together = (compare(pipelines, X, y, n_jobs=n, **options) for n in (None, 2))
    columns = ["pipeline", "fold", "subject", "accuracy", "best_params"]
    pd.testing.assert_frame_equal(alone[columns], together[columns])


class Warns(DummyClassifier):
    def fit(self, X, y):
        warnings.warn("the signals are flat", RuntimeWarning, stacklevel=1)
        return super().fit(X, y)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_warnings_of_cells_arrive(table, n_jobs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compare({"w": Warns()}, *table, cv=2, n_jobs=n_jobs)
    told = [(str(w.message), w.category) for w in caught if w.filename == __file__]
    assert told == [("the signals are flat", RuntimeWarning)] * 2


def test_a_search_cuts_epochs_at_once(monkeypatch):
    """scikit-learn alone cuts them one by one, which takes longer than the search."""
    data, epochs, y = amplitudes()
    cuts = []
    original = mne.EpochsArray.__getitem__
    monkeypatch.setattr(
        mne.EpochsArray, "__getitem__", lambda self, i: cuts.append(i) or original(self, i)
    )
    options = {"cv": 2, "inner_cv": 2, "param_grids": {"power": {"logisticregression__C": [1, 9]}}}
    found = compare(power(), epochs, y, **options)
    assert len(cuts) == 2 * (2 + 2 * 2)  # training and test epochs of a fold, and of inner folds
    expected = compare(power(sfreq=64, unit="uV"), data * 1e6, y, **options)
    columns = ["accuracy", "best_params"]
    pd.testing.assert_frame_equal(found[columns], expected[columns])


# Nothing of a test fold reaches a fit


@pytest.mark.parametrize("inner_cv", [2, GroupKFold(3)])
def test_nested_search_never_sees_the_test_fold(table, inner_cv):
    X, y = table
    numbered = np.column_stack([np.arange(N), X])
    Spy.seen.clear()
    found = compare(
        {"spy": Spy()}, numbered, y, groups=GROUPS, cv=LeaveOneGroupOut(), inner_cv=inner_cv,
        param_grids={"spy": {"depth": [0, 1, 2]}},
    )  # fmt: skip
    per_fold = 3 * (inner_cv if isinstance(inner_cv, int) else 3) + 1
    assert len(Spy.seen) == 4 * per_fold
    for number, subject in enumerate(found["subject"]):
        fits = Spy.seen[number * per_fold : (number + 1) * per_fold]
        tested = np.flatnonzero(subject == GROUPS)
        for _, rows in fits:
            assert not np.intersect1d(rows, tested).size
        for _, rows in fits[:-1]:  # whole groups are held out inside, too
            inside = np.unique(GROUPS[rows])
            assert np.isin(GROUPS, inside).sum() == len(rows) and len(inside) < 3
        depth, rows = fits[-1]  # refitted on all training epochs
        assert len(rows) == 36 and found["best_params"][number] == {"depth": depth}


def test_search_is_that_of_scikit_learn(table):
    X, y = table
    tree, grid = DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2, 5]}
    folds = StratifiedKFold(3)
    expected = []
    for train, test in folds.split(X, y):
        search = GridSearchCV(tree, grid, cv=StratifiedKFold(2), scoring="roc_auc").fit(
            X[train], y[train]
        )
        expected.append((search.best_params_, search.score(X[test], y[test])))
    found = compare(
        {"tree": tree},
        X,
        y,
        cv=folds,
        scoring=["roc_auc", "accuracy"],
        inner_cv=2,
        param_grids={"tree": grid},
    )
    assert list(zip(found["best_params"], found["roc_auc"], strict=True)) == expected


def test_a_choice_of_features_outside_the_folds_is_what_compare_does_not_do():
    """Columns that were chosen with all labels look like a result on noise; in a fold they do not."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2000)), rng.permutation(np.arange(60) % 2)
    choose, lda = SelectKBest(f_classif, k=10), LinearDiscriminantAnalysis()
    leaky = compare({"lda": lda}, choose.fit_transform(X, y), y, cv=5)["accuracy"].mean()
    sound = compare({"lda": make_pipeline(choose, lda)}, X, y, cv=5)["accuracy"].mean()
    margin = 3 * np.sqrt(0.25 / 60)
    assert leaky > 0.5 + margin
    assert abs(sound - 0.5) < margin


def test_the_users_pipeline_stays_unfitted(table):
    X, y = table
    mine = LogisticRegression()
    compare({"lr": mine}, X, y, cv=2, random_state=3)
    assert not hasattr(mine, "coef_") and mine.random_state is None


# Chance


def test_chance_of_a_constant_answer_is_its_score():
    y = np.repeat([0, 0, 0, 1], 12)
    found = compare({"majority": DummyClassifier()}, np.zeros((48, 2)), y, cv=4, n_permutations=20)
    np.testing.assert_allclose(found["chance_accuracy"], 0.75)
    np.testing.assert_allclose(found["accuracy"], 0.75)
    np.testing.assert_allclose(found["p_accuracy"], 1.0)


def test_one_person_with_one_label_has_no_chance_level():
    """A diagnosis, one person left out at a time: no order of these labels is another one."""
    y = np.repeat([0, 1, 0, 1], 12)
    found = compare(
        {"lr": LogisticRegression()}, np.zeros((48, 2)), y, groups=GROUPS, cv=LeaveOneGroupOut(),
        n_permutations=5,
    )  # fmt: skip
    assert found["chance_accuracy"].isna().all() and (found["p_accuracy"] == 1).all()


def test_permutations_are_those_of_the_epochs_not_of_the_folds_number(table):
    folds = list(StratifiedKFold(3).split(*table))
    options = {"n_permutations": 7, "random_state": 0}
    whole = compare({"lr": LogisticRegression()}, *table, cv=folds, **options)
    alone = compare({"lr": LogisticRegression()}, *table, cv=folds[2:], **options)
    assert whole["chance_accuracy"].iloc[2] == alone["chance_accuracy"].iloc[0]
    assert whole["chance_accuracy"].nunique() > 1


def test_chance_is_the_expected_score_of_independent_answers(table):
    X, y = table
    found = compare(
        {"lr": LogisticRegression()},
        X,
        y,
        cv=2,
        scoring=["accuracy", "roc_auc"],
        n_permutations=400,
        random_state=0,
    )
    np.testing.assert_allclose(found["chance_roc_auc"], 0.5, atol=0.03)
    folds = StratifiedKFold(2).split(X, y)
    for (train, test), chance in zip(folds, found["chance_accuracy"], strict=True):
        answers = LogisticRegression().fit(X[train], y[train]).predict(X[test])
        expected = np.mean(answers) * np.mean(y[test]) + np.mean(1 - answers) * np.mean(1 - y[test])
        assert chance == pytest.approx(expected, abs=0.03)


def test_p_of_chance_is_uniform_on_noise_and_small_on_signal():
    rng = np.random.default_rng(1)
    low = []
    for _ in range(60):
        X, y = rng.normal(size=(30, 3)), rng.permutation(np.arange(30) % 2)
        fold = [(np.arange(15), np.arange(15, 30))]
        found = compare({"lda": LinearDiscriminantAnalysis()}, X, y, cv=fold, n_permutations=39)
        low.append(found["p_accuracy"].iloc[0] <= 0.1)
    assert np.mean(low) <= 0.1 + 3 * np.sqrt(0.09 / 60)
    X[:, 0] += 8 * y
    found = compare({"lda": LinearDiscriminantAnalysis()}, X, y, cv=fold, n_permutations=39)
    assert found["p_accuracy"].iloc[0] == pytest.approx(1 / 40)


def test_p_of_chance_does_not_depend_on_the_unit_of_the_target(table):
    options = {"cv": 2, "scoring": "neg_mean_squared_error", "n_permutations": 19}
    volts, microvolts = (
        compare({"ridge": Ridge()}, table[0], unit * table[0][:, 0], random_state=0, **options)
        for unit in (1e-6, 1.0)
    )
    name = "p_neg_mean_squared_error"
    assert volts[name].tolist() == microvolts[name].tolist() == [0.05, 0.05]


def test_labels_are_permuted_within_groups_or_with_them():
    rng = np.random.default_rng(0)
    y, groups = np.array([0, 1, 1, 5, 5, 6]), np.array(["a", "a", "a", "b", "b", "b"])
    seen = {tuple(permuted(y, groups, rng)) for _ in range(200)}
    assert len(seen) == 9  # three orders of each group
    assert all(sorted(s[:3]) == [0, 1, 1] and sorted(s[3:]) == [5, 5, 6] for s in seen)
    diagnosis = np.array([0, 0, 1, 1, 1, 0])
    people = np.array(["a", "a", "b", "b", "b", "c"])
    seen = {tuple(permuted(diagnosis, people, rng)) for _ in range(200)}
    assert seen == {(0, 0, 1, 1, 1, 0), (1, 1, 0, 0, 0, 0), (0, 0, 0, 0, 0, 1)}
    assert sorted(permuted(y, None, rng)) == sorted(y)


# Seeds and routing


def test_random_state_fills_what_has_none(table):
    from dare_sklearn import DAREEmbedder, DAREPretrainer

    pipeline = make_pipeline(SelectKBest(), DecisionTreeClassifier())
    assert seeded(pipeline, 7).get_params()["decisiontreeclassifier__random_state"] == 7
    own = make_pipeline(DecisionTreeClassifier(random_state=1))
    assert seeded(own, 7).get_params()["decisiontreeclassifier__random_state"] == 1
    assert seeded(DAREEmbedder(None), 7).random_state == 7
    # a seed would unfit a fitted pretrainer
    kept = make_pipeline(DAREPretrainer(), DecisionTreeClassifier())
    assert seeded(kept, 7).get_params()["darepretrainer__random_state"] is None
    X, y = table
    forest = {"tree": DecisionTreeClassifier(max_features=1)}
    first, second = (compare(forest, X, y, cv=4, random_state=3)["accuracy"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


class Grouped(Spy):
    """Wants groups in fit."""

    __metadata_request__fit = {"groups": True}
    given: list = []

    def fit(self, X, y, groups=None):
        self.given.append(groups)
        return super().fit(X, y)


def test_groups_are_routed_to_fit(table):
    X, y = table
    options = {"groups": GROUPS, "cv": LeaveOneGroupOut(), "inner_cv": 3}
    Grouped.given.clear()
    compare({"g": Grouped()}, X, y, **options)
    assert all(groups is None for groups in Grouped.given)
    Grouped.given.clear()
    with sklearn.config_context(enable_metadata_routing=True):
        compare({"g": Grouped(), "lr": LogisticRegression()}, X, y, **options)
        assert [sorted(set(groups)) for groups in Grouped.given[:2]] == [
            ["s2", "s3", "s4"],
            ["s1", "s3", "s4"],
        ]
        Grouped.given.clear()
        compare({"g": Grouped()}, X, y, param_grids={"g": {"depth": [0, 1]}}, **options)
        assert len(Grouped.given) == 4 * 7 and all(len(set(g)) >= 2 for g in Grouped.given)


class Demanding(Grouped):
    def fit(self, X, y, groups=None):
        if groups is None:
            raise ValueError("no groups came")
        return super().fit(X, y, groups)


def test_groups_reach_fits_in_other_processes(table):
    with sklearn.config_context(enable_metadata_routing=True):
        found = compare({"d": Demanding()}, *table, groups=GROUPS, cv=2, n_jobs=2)
    assert len(found) == 2


# Failures


def test_a_failing_pipeline_is_named(table):
    X, y = table
    pipelines = {"good": LogisticRegression(), "bad one": Failing()}
    with pytest.raises(
        RuntimeError, match="'bad one' failed in fold 0 of 'toy': ValueError: no luck"
    ) as caught:
        compare(pipelines, X, y, cv=2, dataset="toy")
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.warns(UserWarning, match="'bad one' failed in fold .*left out") as told:
        found = compare(pipelines, X, y, cv=2, on_error="warn")
    assert len(told) == 2 and found["pipeline"].tolist() == ["good", "good"]
    assert {one.filename for one in told} == {__file__}  # the call, not the library


class Silent(DummyClassifier):
    def fit(self, X, y):
        super().fit(X, y)


@pytest.mark.parametrize("grids", [None, {"silent": {"strategy": ["prior", "uniform"]}}])
def test_a_fit_that_returns_nothing(table, grids):
    found = compare({"silent": Silent(random_state=0)}, *table, cv=2, param_grids=grids)
    assert found["accuracy"].between(0, 1).all()


def test_a_failing_candidate_of_a_search_is_named(table):
    X, y = table
    with pytest.raises(RuntimeError, match="'bad' failed in fold 0"):
        compare({"bad": make_pipeline(SelectKBest(), Failing())}, X, y, cv=2,
                param_grids={"bad": {"selectkbest__k": [1, 2]}})  # fmt: skip


def test_a_metric_that_is_not_defined_is_no_number_in_the_table():
    X, y = np.random.default_rng(0).normal(size=(12, 2)), np.repeat([0, 1], 6)
    one_class = [(np.r_[:4, 6:12], np.arange(4, 6))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's own word about it
        with pytest.raises(RuntimeError, match=r"'lr' failed .*'roc_auc' is nan .*labels: \[0\]"):
            compare({"lr": LogisticRegression()}, X, y, cv=one_class, scoring="roc_auc")
    with pytest.raises(RuntimeError, match="'matthews_corrcoef' is undefined on these 2 test epo"):
        compare({"lr": LogisticRegression()}, X, y, cv=one_class, scoring="matthews_corrcoef")


def test_one_target_per_test_fold_has_no_r2():
    """scikit-learn says 0 then, however far off the predictions are."""
    X, person = np.random.default_rng(0).normal(size=(20, 2)), np.repeat(range(4), 5)
    age, ridge = 20.0 + 10 * person, {"ridge": Ridge()}
    with pytest.raises(
        RuntimeError, match=r"'r2' is undefined on these 5 .*labels: \[50.0\].*larger"
    ):
        compare(ridge, X, age, groups=person, cv=4)
    assert compare(ridge, X, age, groups=person, cv=2)["r2"].lt(0).all()
    options = {"cv": 4, "scoring": "neg_mean_absolute_error"}
    assert compare(ridge, X, age, groups=person, **options).shape[0] == 4


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"pipelines": [LogisticRegression()]}, TypeError, "dict, name to estimator"),
        ({"pipelines": {}}, TypeError, "one or more"),
        ({"scoring": {"a": 3}}, ValueError, "scoring.'a'. must be a metric's name or a scorer, got 3"),
        ({"pipelines": {"lr": LogisticRegression}}, TypeError, "not its class"),
        ({"param_grids": {"ls": {}}}, ValueError, "'ls', but the pipelines are .'lr'"),
        ({"param_grids": {"lr": {"D": [1]}}}, ValueError, "Invalid parameter 'D' for estimator LogisticRegression"),
        ({"X": None}, TypeError, "X of compare must hold epochs, got NoneType"),
        ({"X": 3.0}, TypeError, "X of compare must hold epochs, got float"),
        ({"y": np.zeros(3)}, ValueError, "3 y for 48 epochs"),
        ({"y": [None] * N}, ValueError, "y .*missing values"),
        ({"y": np.r_[np.nan, np.ones(6), np.nan, np.ones(N - 8)]}, ValueError, "y .*0, 7"),
        ({"y": np.r_[np.inf, np.ones(N - 1)]}, ValueError, "y .*infinite"),
        ({"groups": np.zeros((N, 2))}, ValueError, "groups must hold one value per epoch"),
        ({"y": np.zeros((N, 2))}, ValueError, "y must hold one value per epoch"),
        ({"n_jobs": 0}, ValueError, "n_jobs"),
        ({"n_jobs": "all"}, ValueError, "'n_jobs' parameter of compare"),
        ({"dataset": 3}, TypeError, "'dataset' parameter of compare"),
        ({"cache_dir": ""}, ValueError, "cache_dir of compare"),
        ({"cv": 1}, ValueError, "cv of compare"),
        ({"cv": "five"}, ValueError, "cv of compare"),
        ({"param_grids": [{"C": [1]}]}, TypeError, "'param_grids' parameter of compare"),
        ({"inner_cv": 1, "param_grids": {"lr": {"C": [1]}}}, ValueError, "inner_cv"),
        ({"groups": ["a"]}, ValueError, "1 groups for 48 epochs"),
        ({"groups": GROUPS, "cv": 5}, ValueError, "cv=5 needs from 2 .* there are 4"),
        ({"groups": GROUPS, "cv": 2, "inner_cv": 3, "param_grids": {"lr": {"C": [1]}}}, ValueError, "inner_cv .in fold 0.=3"),
        ({"inner_cv": [], "param_grids": {"lr": {"C": [1]}}}, TypeError, "'inner_cv' parameter of compare must be"),
        ({"cv": [(np.arange(9), np.arange(5, 12))]}, ValueError, "tests on epochs that it trains on"),
        ({"cv": [(np.arange(9), [])]}, ValueError, "no training or no test"),
        ({"cv": [(np.arange(N), [-1])]}, ValueError, "numbers of epochs, 0 to"),
        ({"cv": [(np.arange(9), [10.0])]}, ValueError, "numbers of epochs, 0 to"),
        ({"cv": [(np.arange(9), [10, 10])]}, ValueError, "Fold 0 of cv tests an epoch twice"),
        ({"cv": []}, ValueError, "no folds"),
        ({"scoring": "fold"}, ValueError, "column of the table"),
        ({"scoring": []}, ValueError, "Empty list"),
        ({"scoring": ["accuracy", accuracy_score]}, ValueError, "Use a dict of score name"),
        ({"cv": KFold}, ValueError, "an object, not its class"),
        ({"param_grids": {"lr": []}}, ValueError, "is empty"),
        ({"scoring": "acuracy"}, ValueError, "acuracy"),
        ({"scoring": accuracy_score}, ValueError, "scorer"),
        ({"random_state": np.random.RandomState(0)}, ValueError, "'random_state' parameter of compare must be an int in the range"),
        ({"n_permutations": -1}, ValueError, "'n_permutations' parameter of compare must be an int in the range"),
        ({"on_error": "ignore"}, ValueError, "'on_error' parameter of compare must be a str among"),
    ],
)  # fmt: skip
def test_wrong_arguments(table, change, error, words):
    X, y = table
    arguments = {"pipelines": {"lr": LogisticRegression()}, "X": X, "y": y, "cv": 2, **change}
    with pytest.raises(error, match=words):
        compare(**arguments)


def test_a_metric_for_a_mixture_must_be_named(table):
    X, y = table
    with pytest.raises(ValueError, match="pass scoring"):
        compare({"a": LogisticRegression(), "b": Ridge()}, X, y)


def test_memory_is_that_of_the_cell(table):
    class Hungry(DummyClassifier):
        def fit(self, X, y):
            np.ones(10_000_000).sum()  # 80 MB
            return super().fit(X, y)

    X, y = table
    found = compare({"hungry": Hungry(), "modest": DummyClassifier()}, X, y, cv=2)
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux tells the peak of a block; elsewhere that of the process")
    peak = found.groupby("pipeline")["peak_memory_mb"].max()
    assert 70 < peak["hungry"] < 200 and peak["modest"] < 40


def test_the_table_can_be_stored(table, tmp_path):
    X, y = table
    found = compare({"lr": LogisticRegression()}, X, y, groups=GROUPS, cv=2, inner_cv=2,
                    param_grids={"lr": {"C": [0.1, 1.0]}})  # fmt: skip
    found.to_csv(tmp_path / "table.csv", index=False)
    pd.testing.assert_frame_equal(
        pd.read_csv(
            tmp_path / "table.csv",
            converters={"best_params": lambda text: json.loads(text.replace("'", '"'))},
        ),
        found,
        check_dtype=False,
    )
    assert pickle.loads(pickle.dumps(found)).equals(found)


def test_progress_bar(table, capfd):
    X, y = table
    compare({"lr": LogisticRegression()}, X, y, cv=2, verbose=1)
    assert "2/2" in capfd.readouterr().err
