"""Figures of a table of results."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dare_sklearn.evaluation import summarize
from dare_sklearn.viz import plot_cost, plot_paired, plot_scores

LONG = "a pipeline with a name of several words"
PIPELINES = ["CSP", LONG, "DARE"]


def make_results(datasets=("motor",), n_folds=4, n_subjects=1, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        {
            "dataset": dataset,
            "pipeline": name,
            "fold": fold,
            "subject": f"S{fold // 2}",
            "n_subjects": n_subjects,
            "n_train": 80,
            "n_test": 20,
            "accuracy": 0.6 + 0.05 * number + 0.1 * rng.random(),
            "fit_seconds": 10.0**number,
            "predict_seconds": 0.1,
        }
        for dataset in datasets
        for number, name in enumerate(PIPELINES)
        for fold in range(n_folds)
    ]
    return pd.DataFrame(rows)


def dots(ax):
    return [c.get_offsets()[:, 0] for c in ax.collections if len(c.get_offsets()) > 1]


@pytest.mark.parametrize("n_subjects", [1, 2], ids=["subjects", "folds"])
def test_scores_and_intervals_are_those_of_the_table(look, n_subjects):
    results = make_results(n_subjects=n_subjects)
    fig = plot_scores(results, "accuracy", chance=0.5)
    look(fig)
    (ax,) = fig.axes
    for name, drawn in zip(PIPELINES, dots(ax), strict=True):
        np.testing.assert_array_equal(drawn, results.loc[results.pipeline == name, "accuracy"])
    summary = summarize(results, "accuracy")
    bars = ax.containers
    np.testing.assert_allclose([bar.lines[0].get_xdata()[0] for bar in bars], summary["mean"])
    ends = np.array([bar.lines[2][0].get_segments()[0][:, 0] for bar in bars])
    np.testing.assert_allclose(ends, summary[["low", "high"]])
    assert [tick.get_text().replace("\n", " ") for tick in ax.get_yticklabels()] == PIPELINES
    assert 0.5 in [line.get_xdata()[0] for line in ax.lines]
    assert ax.get_xlabel() == "accuracy"


def test_folds_of_a_single_subject_are_folds(look):
    results = make_results().assign(subject="S0")
    ax = plot_scores(results, "accuracy").axes[0]
    look(ax.figure)
    ends = np.array([bar.lines[2][0].get_segments()[0][:, 0] for bar in ax.containers])
    np.testing.assert_allclose(ends, summarize(results, "accuracy")[["low", "high"]])
    assert plot_paired(results, "accuracy", "CSP", "DARE").axes[0].get_title().endswith("4 folds")


def test_scores_of_several_data_sets(look):
    results = make_results(["motor", "erp", "rest", "sleep"])
    fig = plot_scores(results, "accuracy")
    look(fig)
    assert [ax.get_title() for ax in fig.axes] == ["motor", "erp", "rest", "sleep"]
    one = plot_scores(results, "accuracy", dataset="erp").axes[0]
    expected = results[(results.dataset == "erp") & (results.pipeline == "CSP")]["accuracy"]
    np.testing.assert_array_equal(dots(one)[0], expected)


def test_scores_know_the_chance_of_the_table(look):
    results = make_results().assign(chance_accuracy=0.25)
    ax = plot_scores(results, "accuracy").axes[0]
    assert 0.25 in [line.get_xdata()[0] for line in ax.lines]
    look(ax.figure)


def test_scores_tell_which_folds_are_missing(look):
    results = make_results().iloc[1:]  # a fold that failed
    fig = plot_scores(results, "accuracy")
    look(fig)
    assert fig.axes[0].get_yticklabels()[0].get_text() == "CSP\n(without 1 of 4 folds)"
    assert len(dots(fig.axes[0])[0]) == 3


def test_scores_of_a_single_fold(look):
    fig = plot_scores(make_results(n_folds=1), "accuracy")
    look(fig)
    assert len(fig.axes[0].collections) == 3  # points, and no interval


def test_paired_lines(look):
    results = make_results(["motor", "erp"])
    fig = plot_paired(results, "accuracy", "CSP", LONG)
    look(fig)
    means = results.groupby(["dataset", "subject", "pipeline"], sort=False)["accuracy"].mean()
    expected = means.unstack()[["CSP", LONG]].to_numpy()
    *pairs, mean = [line.get_ydata() for line in fig.axes[0].lines]
    np.testing.assert_allclose(pairs, expected)
    np.testing.assert_allclose(mean, expected.mean(axis=0))
    higher = (expected[:, 1] > expected[:, 0]).sum()
    title = fig.axes[0].get_title().replace("\n", " ")
    assert title == f"{LONG} higher for {higher} of 4 subjects"


def test_paired_leaves_out_what_is_not_paired():
    results = make_results(n_subjects=2).drop(index=0)
    ax = plot_paired(results, "accuracy", "CSP", "DARE").axes[0]
    assert len(ax.lines) == 3 + 1
    assert ax.get_title().endswith("of 3 folds")


def test_cost(look):
    results = make_results()
    results.loc[0, "fit_seconds"] = 1000  # the first fold loads libraries: a median does not see it
    fig = plot_cost(results, "accuracy")
    look(fig)
    (ax,) = fig.axes
    summary = summarize(results, "accuracy")
    drawn = np.array([bar.lines[0].get_xydata()[0] for bar in ax.containers])
    np.testing.assert_allclose(drawn[:, 0], summary["fit_seconds"] + summary["predict_seconds"])
    np.testing.assert_allclose(drawn[:, 1], summary["mean"])
    assert ax.get_xscale() == "log"
    labels = [text.get_text().replace("\n", " ") for text in ax.get_legend().get_texts()]
    assert labels == PIPELINES


def test_intervals_without_numbers_of_epochs_are_students():
    results = make_results(n_subjects=2).drop(columns=["n_train", "n_test"])
    bar = plot_cost(results, "accuracy").axes[0].containers[0]
    scores = results["accuracy"][:4]
    low, high = stats.t.interval(0.95, 3, scores.mean(), stats.sem(scores))
    np.testing.assert_allclose(bar.lines[2][0].get_segments()[0][:, 1], [low, high])


@pytest.mark.parametrize(
    "plot",
    [
        lambda table, ax: plot_scores(table, "accuracy", ax=ax),
        lambda table, ax: plot_paired(table, "accuracy", "CSP", "DARE", ax=ax),
        lambda table, ax: plot_cost(table, "accuracy", ax=ax),
    ],
    ids=["scores", "paired", "cost"],
)
def test_ax_is_used(look, own_axes, plot):
    ax = own_axes(width=4.5, height=3.5)
    assert plot(make_results(), ax) is ax.figure
    assert ax.has_data() and ax.figure.axes == [ax]
    look(ax.figure)


def test_bad_input(own_axes):
    results = make_results()
    with pytest.raises(TypeError, match="plot_scores takes a pandas DataFrame, got a list"):
        plot_scores([1], "accuracy")
    with pytest.raises(ValueError, match="needs the columns .* roc_auc is missing among dataset"):
        plot_scores(results, "roc_auc")
    with pytest.raises(ValueError, match="table without rows"):
        plot_scores(results[:0], "accuracy")
    with pytest.raises(ValueError, match="column pipeline of plot_scores must hold numbers"):
        plot_scores(results, "pipeline")
    with pytest.raises(ValueError, match="nothing but missing values"):
        plot_scores(results.assign(accuracy=np.nan), "accuracy")
    with pytest.raises(ValueError, match="infinite"):
        plot_scores(results.assign(accuracy=np.inf), "accuracy")
    with pytest.raises(ValueError, match="no results of dataset='rest', only of motor"):
        plot_scores(results, "accuracy", dataset="rest")
    with pytest.raises(ValueError, match="2 data sets and one ax"):
        plot_scores(make_results(["a", "b"]), "accuracy", ax=own_axes())
    with pytest.raises(TypeError, match="ax of plot_scores must be None or matplotlib axes"):
        plot_scores(results, "accuracy", ax="left")
    with pytest.raises(ValueError, match="no results of the pipeline 'LDA', only of CSP"):
        plot_paired(results, "accuracy", "CSP", "LDA")
    with pytest.raises(ValueError, match="got 'CSP' twice"):
        plot_paired(results, "accuracy", "CSP", "CSP")
    apart = pd.concat([results[:1], results[-1:].assign(fold=9, subject="S9")])
    with pytest.raises(ValueError, match="no subject or fold with a score of both"):
        plot_paired(apart, "accuracy", "CSP", "DARE")
    with pytest.raises(ValueError, match="draws one data set, got several"):
        plot_cost(make_results(["a", "b"]), "accuracy")
    with pytest.raises(ValueError, match="seconds that are positive"):
        plot_cost(results.assign(fit_seconds=-1.0), "accuracy")
