"""The statistics against SciPy, MOABB, counting by hand, and simulated null hypotheses."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut

from dare_sklearn.evaluation import compare, pairwise, summarize
from dare_sklearn.evaluation.statistics import (
    _sign_permutation,
    corrected_error,
    corrected_ttest,
    holm,
    mean_interval,
)

T2 = {n: stats.t.ppf(0.975, n - 1) ** 2 for n in (5, 20)}


def table(scores, dataset="toy", subjects=True, n_train=80, n_test=20, repeats=1):
    """Results as of compare: `scores` maps pipelines to one score per fold."""
    rows = []
    for name, column in scores.items():
        for fold, score in enumerate(column):
            subject = f"s{fold // repeats}" if subjects else None
            rows.append(
                {
                    "dataset": dataset, "pipeline": name, "fold": fold, "subject": subject,
                    "n_subjects": int(subjects), "n_train": n_train, "n_test": n_test,
                    "accuracy": score, "fit_seconds": 1.0 + fold, "predict_seconds": 0.5,
                    "peak_memory_mb": float(fold), "best_params": None,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def noise(n, *names, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0.7, 0.1, size=n) for name in names}


@pytest.fixture(scope="module")
def moabb():
    return pytest.importorskip(
        "moabb.analysis.meta_analysis", reason="MOABB is not installed: pip install moabb"
    )


# The corrected t-test


def test_corrected_ttest_by_hand():
    # mean 2, variance 1; (1/3 + 1/4) * 1 = 7/12
    greater, less = corrected_ttest(np.array([1.0, 2.0, 3.0]), 20 / 80)
    assert greater == pytest.approx(stats.t.sf(2 / np.sqrt(7 / 12), 2))
    assert greater + less == pytest.approx(1)


def test_corrected_ttest_without_shared_data_is_the_usual_one():
    differences = np.random.default_rng(0).normal(0.3, 1, size=12)
    usual = stats.ttest_1samp(differences, 0, alternative="greater").pvalue
    assert corrected_ttest(differences, 0.0)[0] == pytest.approx(usual)
    assert corrected_ttest(differences, 1 / 9)[0] > usual


def test_corrected_ttest_is_that_of_moabb(moabb):
    scores = pd.DataFrame(noise(10, "a", "b", "c"))
    theirs = moabb.compute_pvals_corrected_ttest(scores, n_train=90, n_test=10)
    for i, a in enumerate(scores):
        for j, b in enumerate(scores):
            if a != b:
                ours = corrected_ttest((scores[a] - scores[b]).to_numpy(), 1 / 9)[0]
                assert ours == pytest.approx(theirs[i, j])


def test_corrected_ttest_of_constant_differences():
    assert corrected_ttest(np.zeros(3), 0.25) == (0.5, 0.5)
    assert corrected_ttest(np.full(3, 0.1), 0.25) == (0.0, 1.0)
    with pytest.raises(ValueError, match="A single fold cannot be tested"):
        corrected_ttest(np.array([0.1]), 0.25)


# The permutation of signs


def test_signs_are_counted_exactly_where_scores_tie():
    """Twentieths: sums of floats that should be equal differ by rounding."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        counts = rng.integers(-4, 5, size=8)
        signs = np.array(list(product([-1, 1], repeat=8)))
        expected = np.mean(signs @ counts >= counts.sum())
        a, b = 0.55 + counts / 20, np.full(8, 0.55)
        assert _sign_permutation(a - b, "greater") == expected


def test_signs_are_those_of_moabb(moabb):
    scores = pd.DataFrame(noise(9, "a", "b"))
    d = (scores["a"] - scores["b"]).to_numpy()
    ours = _sign_permutation(d, "greater")
    assert ours == pytest.approx(moabb.compute_pvals_perm(scores)[0, 1])


def test_random_signs_come_close_to_all_of_them():
    d = np.random.default_rng(3).normal(0.4, 1, size=16)
    signs = np.array(list(product([-1.0, 1.0], repeat=16)))
    exact = np.mean(signs @ d >= d.sum() - 1e-12)
    assert _sign_permutation(d, "greater") == pytest.approx(exact, abs=0.01)
    assert _sign_permutation(np.ones(16), "greater") > 0


def test_holm():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1.0, 1.0])
    assert holm([]).shape == (0,)


# pairwise


def test_pairs_by_hand():
    scores = {
        "a": [0.9, 0.8, 0.7, 0.9, 0.8],
        "b": [0.6, 0.6, 0.6, 0.6, 0.6],
        "c": [0.5, 0.6, 0.7, 0.6, 0.6],
    }
    found = pairwise(table(scores)).set_index(["pipeline_a", "pipeline_b"])
    assert list(found.index) == [("a", "b"), ("a", "c"), ("b", "c")]
    row = found.loc[("a", "b")]
    d = np.array([0.3, 0.2, 0.1, 0.3, 0.2])
    assert (row["test"], row["unit"], row["n"]) == ("permutation", "subject", 5)
    assert row["mean_a"] == pytest.approx(0.82) and row["mean_b"] == pytest.approx(0.6)
    assert row["difference"] == pytest.approx(0.22)
    assert row["effect_size"] == pytest.approx(0.22 / d.std(ddof=1))
    assert row["p_greater"] == 1 / 32 and row["p_less"] == 1.0 and row["p"] == 2 / 32
    # c is twice 0.1 above, once below at 0.1, else equal
    assert found.loc[("b", "c"), "p"] == 1.0
    np.testing.assert_allclose(found["p_holm"], holm(found["p"]))


def test_twenty_subjects_and_more_are_ranked():
    scores = noise(20, "a", "b")
    found = pairwise(table(scores)).iloc[0]
    assert found["test"] == "wilcoxon"
    d = scores["a"] - scores["b"]
    for side, name in (("greater", "p_greater"), ("less", "p_less"), ("two-sided", "p")):
        assert found[name] == pytest.approx(stats.wilcoxon(d, alternative=side).pvalue)
    assert pairwise(table(noise(19, "a", "b")))["test"].iloc[0] == "permutation"


def test_wilcoxon_takes_its_direction_from_the_ranks():
    d = np.r_[np.full(15, 0.01) + np.arange(15) / 1e4, -2.0 - np.arange(5) / 1e3]
    found = pairwise(table({"a": d, "b": np.zeros(20)})).iloc[0]
    assert d.mean() < 0 and found["p_greater"] == pytest.approx(
        stats.wilcoxon(d, alternative="greater").pvalue
    )
    assert found["p_greater"] > 0.05


def test_folds_without_subjects_get_the_corrected_test():
    scores = noise(10, "a", "b")
    for results in (
        table(scores, subjects=False, n_train=90, n_test=10),
        table(scores, n_train=90, n_test=10, repeats=10),  # ten folds of one subject
        table(scores, n_train=90, n_test=10).assign(n_subjects=2),
    ):
        found = pairwise(results).iloc[0]
        expected = 2 * min(corrected_ttest(scores["a"] - scores["b"], 10 / 90))
        assert (found["test"], found["unit"], found["n"]) == ("corrected_ttest", "fold", 10)
        assert found["p"] == pytest.approx(expected)


def test_several_folds_of_a_subject_are_one_observation():
    scores = noise(12, "a", "b")
    found = pairwise(table(scores, repeats=3)).iloc[0]
    means = {name: column.reshape(4, 3).mean(axis=1) for name, column in scores.items()}
    assert found["n"] == 4 and found["p"] == pairwise(table(means)).iloc[0]["p"]


def test_equal_pipelines_differ_in_nothing():
    for n, subjects, test in ((5, True, "permutation"), (20, True, "wilcoxon"),
                              (5, False, "corrected_ttest")):  # fmt: skip
        scores = {"a": [0.7] * n, "b": [0.7] * n, "c": [0.1 + 0.2 + 0.3 + 0.1] * n}
        found = pairwise(table(scores, subjects=subjects))
        assert (
            (found["test"] == test).all()
            and (found["p"] == 1).all()
            and (found["effect_size"] == 0).all()
        )
    found = pairwise(table({"a": [0.8] * 5, "b": [0.7] * 5})).iloc[0]
    assert found["effect_size"] == np.inf and found["p"] == 2 / 32


@pytest.mark.parametrize(("n", "subjects"), [(6, True), (20, True), (6, False)])
def test_the_unit_of_an_error_does_not_matter(n, subjects):
    """Squares of volts are as small as what rounding leaves of accuracies."""
    scores = noise(n, "a", "b")
    small = {name: 1e-12 * values for name, values in scores.items()}
    columns = ["p", "effect_size", "difference"]
    expected, found = (
        pairwise(table(its, subjects=subjects).rename(columns={"accuracy": "max_error"}))[columns]
        for its in (scores, small)
    )
    found = found / [1, 1, 1e-12]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    part = corrected_error(small["a"], 0.1), corrected_error(scores["a"], 0.1)
    assert part[0] == pytest.approx(1e-12 * part[1], rel=1e-9, abs=0)


def test_rounding_of_scores_around_zero_is_no_difference():
    """An R² of 0 is 1 - x, and so known to 1e-16 whatever its size."""
    scores = {"a": np.full(8, 2.2e-16), "b": np.zeros(8)}
    found = pairwise(table(scores).rename(columns={"accuracy": "r2"}), "r2").iloc[0]
    assert (found["p"], found["effect_size"], found["difference"]) == (1, 0, 0)


@pytest.mark.parametrize("metric", ["r2", "neg_mean_squared_error"])
def test_a_fit_that_diverged_hides_no_other(metric):
    rng = np.random.default_rng(0)
    worse = -rng.uniform(0.2, 0.6, 25)
    better = worse + rng.uniform(0.01, 0.1, 25)
    for lost in (-10.0, -1e13):  # of the ranks, the first subject's is the last
        better[0] = lost
        results = table({"a": better, "b": worse}).rename(columns={"accuracy": metric})
        assert pairwise(results, metric)["p"].iloc[0] == pytest.approx(5.39e-5, rel=1e-3)


def test_order_of_rows_and_data_sets_does_not_matter():
    one, two = table(noise(6, "a", "b", "c")), table(noise(7, "a", "b", "c", seed=1), "other")
    both = pairwise(pd.concat([one, two]))
    pd.testing.assert_frame_equal(both[:3], pairwise(one))
    pd.testing.assert_frame_equal(both[3:].reset_index(drop=True), pairwise(two))
    shuffled = pd.concat([one, two]).sample(frac=1, random_state=0)
    key = ["dataset", "pipeline_a", "pipeline_b"]
    again = pairwise(shuffled)
    swapped = again["pipeline_a"] > again["pipeline_b"]
    again.loc[swapped, ["pipeline_a", "pipeline_b"]] = again.loc[
        swapped, ["pipeline_b", "pipeline_a"]
    ].to_numpy()
    columns = [*key, "p", "p_holm", "n"]
    pd.testing.assert_frame_equal(
        again[columns].sort_values(key, ignore_index=True),
        both[columns].sort_values(key, ignore_index=True),
    )


def test_results_that_cannot_be_paired():
    results = table(noise(5, "a", "b"))
    for call in (pairwise, summarize):
        with pytest.raises(ValueError, match=r"not scored on the same folds \(a on others\)"):
            call(results.drop(index=2))
    for few in (table(noise(6, "a", "b"), repeats=2), table(noise(5, "a", "b"), subjects=False)):
        with pytest.raises(ValueError, match="not scored on the same folds"):
            pairwise(few.drop(index=2))
    with pytest.raises(ValueError, match="its own name"):
        pairwise(pd.concat([results, results]))
    with pytest.raises(ValueError, match="missing or infinite scores of 'accuracy'"):
        pairwise(results.assign(accuracy=np.nan))
    with pytest.raises(ValueError, match="A single fold"):
        pairwise(table(noise(1, "a", "b"), subjects=False))
    with pytest.raises(ValueError, match="metric must be one of accuracy, auc, got None"):
        pairwise(results.assign(auc=0.5))
    with pytest.raises(ValueError, match="got 'f1'"):
        pairwise(results, "f1")


# Null hypotheses


def test_no_difference_between_subjects_is_found_as_often_as_it_should():
    rng = np.random.default_rng(0)
    n_runs, alpha = 300, 0.05
    margin = 3 * np.sqrt(alpha * (1 - alpha) / n_runs)
    for n_subjects in (8, 20):
        pairs, families = [], []
        for _ in range(n_runs):
            shared = rng.normal(0.7, 0.1, size=n_subjects)  # easy and hard people
            scores = {k: np.round(shared + rng.normal(0, 0.05, n_subjects), 2) for k in "abc"}
            found = pairwise(table(scores))
            pairs.append(found["p"].iloc[0] <= alpha)
            families.append((found["p_holm"] <= alpha).any())
        assert np.mean(pairs) < alpha + margin
        assert np.mean(families) < alpha + margin
        if n_subjects == 20:  # nor is the test blind
            assert np.mean(pairs) > alpha - margin


def nearest_mean(X, y, train, test):
    """Accuracy of the nearest class mean."""
    means = np.stack([X[train][y[train] == c].mean(axis=0) for c in (0, 1)])
    distance = ((X[test][:, None] - means) ** 2).sum(axis=-1)
    return np.mean(distance.argmin(axis=1) == y[test])


def test_no_difference_between_folds_is_found_seldom_with_the_correction_and_often_without():
    """Two pipelines of the same worth, 15 shuffle splits, 200 data sets."""
    rng = np.random.default_rng(0)
    naive, corrected = [], []
    for _ in range(200):
        y = rng.permutation(np.arange(60) % 2)
        views = [rng.normal(size=(60, 3)) + 0.4 * y[:, None] for _ in range(2)]
        differences = []
        for _ in range(15):
            order = rng.permutation(60)
            train, test = order[:45], order[45:]
            first, second = (nearest_mean(X, y, train, test) for X in views)
            differences.append(first - second)
        naive.append(stats.ttest_1samp(differences, 0).pvalue <= 0.05)
        corrected.append(2 * min(corrected_ttest(np.array(differences), 15 / 45)) <= 0.05)
    assert np.mean(corrected) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert np.mean(naive) > 0.2


# summarize


def pairs_of(seed=0):
    sets = ("one", 8), ("three", 11), ("two", 6)
    return pd.concat([table(noise(n, "a", "b", "c", seed=seed + n), name) for name, n in sets])


def test_summary_over_subjects():
    scores = noise(9, "a", "b")
    found = summarize(table(scores).rename(columns={"accuracy": "score"})).set_index("pipeline")
    for name, column in scores.items():
        row = found.loc[name]
        low, high = stats.t.interval(0.95, 8, loc=column.mean(), scale=stats.sem(column))
        assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
        assert row["mean"] == pytest.approx(column.mean()) and row["std"] == pytest.approx(
            column.std(ddof=1)
        )
        assert (row["n"], row["unit"], row["metric"], row["dataset"]) == (
            9,
            "subject",
            "score",
            "toy",
        )
        assert (row["fit_seconds"], row["predict_seconds"], row["peak_memory_mb"]) == (
            5.0,
            0.5,
            8.0,
        )
        assert np.isnan(row["chance"])


def test_summary_over_folds_is_wider():
    column = noise(10, "a")["a"]
    results = table({"a": column}, subjects=False, n_train=90, n_test=10)
    row = summarize(results.rename(columns={"accuracy": "score"})).iloc[0]
    half = stats.t.ppf(0.975, 9) * np.sqrt((1 / 10 + 1 / 9) * column.var(ddof=1))
    assert row["unit"] == "fold" and row["high"] - row["mean"] == pytest.approx(half)
    assert half > stats.t.ppf(0.975, 9) * stats.sem(column)


@pytest.mark.parametrize("kind", ["subjects", "folds"])
@pytest.mark.parametrize(
    ("metric", "scores", "low", "high"),
    [
        ("accuracy", [1, 1, 1, 1, 0.78], 0, 1),
        ("balanced_accuracy", [0, 0.1, 0, 0.3], 0, 1),
        ("roc_auc_ovr", [1, 1, 0.5, 1], 0, 1),
        ("f1_macro", [0.99, 1, 0.8], 0, 1),
        ("cohen_kappa", [1, 0.9, -0.2, 1], -1, 1),
        ("matthews_corrcoef", [-1, -0.9, 0.4], -1, 1),
        ("r2", [0.99, 0.2, 0.98], -np.inf, 1),
        ("neg_mean_squared_error", [-0.1, -9.0, -0.01], -np.inf, 0),
    ],
)
def test_intervals_stay_within_the_bounds(kind, metric, scores, low, high):
    results = table({"a": scores}, subjects=kind == "subjects").rename(columns={"accuracy": metric})
    row = summarize(results).iloc[0]
    assert low <= row["low"] < row["mean"] < row["high"] <= high


@pytest.mark.parametrize("score", [1.0, 0.0, 0.8])
def test_equal_scores_are_as_sure_as_that_many_trials(score):
    """Five folds of 20 epochs, all at 1.0: Wilson's interval of 100 of 100."""
    row = summarize(table({"a": [score] * 5}, subjects=False)).iloc[0]
    z2 = stats.t.ppf(0.975, 4) ** 2
    middle = (score + z2 / 200) / (1 + z2 / 100)
    half = np.sqrt(z2 * score * (1 - score) / 100 + z2**2 / 40_000) / (1 + z2 / 100)
    assert (row["low"], row["high"]) == (
        pytest.approx(max(0, middle - half)), pytest.approx(min(1, middle + half))
    )  # fmt: skip
    assert row["high"] - row["low"] > 0.05


def test_bounds_can_be_named_and_wrong_ones_are_not_believed():
    results = table({"a": [0.9, 1.0, 0.5]}).rename(columns={"accuracy": "mine"})
    assert summarize(results)["high"].iloc[0] > 1  # an unknown metric may be anything
    assert summarize(results, bounds={"mine": (0, 1)})["high"].iloc[0] <= 1
    percent = summarize(table({"a": [90.0, 80.0, 95.0]})).iloc[0]  # not an accuracy of 0 to 1
    assert percent["low"] < percent["mean"] < percent["high"]


@pytest.mark.parametrize(("subject", "n_epochs"), [("none", 100), ("within", 500), ("across", 200)])
def test_folds_that_are_repeated_are_no_new_trials(subject, n_epochs):
    once = table({"a": [1.0] * 5}, subjects=subject != "none")
    if subject == "across":  # five people are tested in every fold, and five are in none
        once = once.assign(fold=0, n_train=100)
    many = pd.concat([once.assign(fold=once["fold"] + 5 * i) for i in range(4)])
    if subject == "within":
        many = pd.concat([many, many.assign(fold=many["fold"] + 20)])
    few = many.assign(n_train=8, n_labels=4)  # a size of a curve says nothing of the whole
    curve = pd.concat([few, many.assign(n_labels=40)])
    for results in (many, curve):
        found = summarize(results).iloc[0]
        assert found["low"] == pytest.approx(n_epochs / (n_epochs + T2[found["n"]]))


def test_intervals_of_shares_cover_the_truth_where_students_do_not():
    """People whose true scores differ, 40 trials each."""
    rng = np.random.default_rng(0)
    for mean in (0.7, 0.95):
        ours, students = [], []
        for _ in range(400):
            p = rng.beta(12 * mean, 12 * (1 - mean), size=5)
            scores = rng.binomial(40, p) / 40
            low, high = mean_interval(scores, bounds=(0, 1), n_tested=200)
            ours.append(low <= mean <= high)
            low, high = mean_interval(scores)
            students.append(low <= mean <= high)
        assert np.mean(ours) > 0.93
    assert np.mean(students) < 0.9


def test_intervals_cover_the_truth():
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(200):
        row = summarize(table({"a": rng.normal(0.7, 0.1, size=8)})).iloc[0]
        inside.append(row["low"] < 0.7 < row["high"])
    assert abs(np.mean(inside) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 200)


def test_summary_of_several_metrics_and_data_sets():
    results = pairs_of().assign(auc=lambda d: d["accuracy"] + 0.1, chance_auc=0.5, p_auc=0.01)
    found = summarize(results)
    assert len(found) == 3 * 3 * 2 and list(found["metric"].unique()) == ["accuracy", "auc"]
    assert (found.loc[found["metric"] == "auc", "chance"] == 0.5).all()
    assert len(summarize(results, "auc")) == len(summarize(results, ["auc"])) == 9
    single = summarize(table({"a": [0.7]}, subjects=False)).iloc[0]
    assert np.isnan([single["low"], single["high"], single["std"]]).all() and single["mean"] == 0.7


def test_summaries_that_are_none():
    with pytest.raises(ValueError, match="got 'f1'"):
        summarize(table(noise(3, "a")), metrics="f1")


def test_tables_that_are_not_of_compare():
    for call in (summarize, pairwise):
        with pytest.raises(
            ValueError, match="not a table of compare: it lacks n_subjects, n_train"
        ):
            call(table(noise(3, "a", "b")).drop(columns=["n_subjects", "n_train"]))


def test_summary_of_a_curve_keeps_its_points_apart():
    parts = [table(noise(4, "a", seed=n)).assign(n_labels=n) for n in (8, 32)]
    found = summarize(pd.concat([*parts, table(noise(4, "a"), "whole")]))
    assert found[["dataset", "n"]].values.tolist() == [["toy", 4], ["toy", 4], ["whole", 4]]
    assert found["n_labels"].tolist()[:2] == [8, 32] and found["n_labels"].isna().iloc[2]


def test_from_signals_to_statistics_and_through_a_file(tmp_path):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), 10)
    y = np.arange(80) % 2
    X = rng.normal(size=(80, 3)) + 2 * y[:, None]
    pipelines = {"lr": LogisticRegression(), "constant": DummyClassifier()}
    results = compare(pipelines, X, y, groups=groups, cv=LeaveOneGroupOut(), n_permutations=5)
    found = pairwise(results)
    assert found["p"].iloc[0] == 2 / 2**8 and found["test"].iloc[0] == "permutation"
    results.to_csv(tmp_path / "results.csv", index=False)
    loaded = pd.read_csv(tmp_path / "results.csv")
    pd.testing.assert_frame_equal(pairwise(loaded), found)
    pd.testing.assert_frame_equal(summarize(loaded), summarize(results))


def test_one_fold_without_a_chance_level_leaves_none():
    results = table(noise(3, "a")).assign(chance_accuracy=[0.5, np.nan, 0.5])
    assert np.isnan(summarize(results)["chance"].iloc[0])


def test_a_metric_of_another_data_set_is_left_out():
    scores = pd.concat(
        [
            table(noise(4, "a"), "one"),
            table(noise(4, "a"), "two").rename(columns={"accuracy": "f1"}),
        ]
    )
    assert summarize(scores)[["dataset", "metric"]].values.tolist() == [
        ["one", "accuracy"],
        ["two", "f1"],
    ]
    with pytest.raises(ValueError, match="'two' has missing or infinite scores of 'accuracy'"):
        summarize(scores, "accuracy")
