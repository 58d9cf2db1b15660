"""Figures of a table of results, and of tests between pipelines."""

import numpy as np
import pandas as pd
import pytest

from dare_sklearn.evaluation import observations, pairwise, summarize
from dare_sklearn.viz import plot_cost, plot_paired, plot_scores, plot_significance

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
    fig = plot_scores(results, "accuracy", summarize(results), chance=0.5)
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


def test_intervals_end_at_the_bounds_of_the_score(look):
    results = make_results().assign(accuracy=np.tile([1.0, 1.0, 1.0, 0.7], 3), subject="S0")
    ax = plot_scores(results, "accuracy", summarize(results)).axes[0]
    look(ax.figure)
    ends = np.array([bar.lines[2][0].get_segments()[0][:, 0] for bar in ax.containers])
    assert ends.min() > 0 and ends.max() <= 1


def test_scores_of_several_data_sets(look):
    results = make_results(["motor", "erp", "rest", "sleep"])
    fig = plot_scores(results, "accuracy", summarize(results))
    look(fig)
    assert [ax.get_title() for ax in fig.axes] == ["motor", "erp", "rest", "sleep"]
    expected = results[(results.dataset == "erp") & (results.pipeline == "CSP")]["accuracy"]
    np.testing.assert_array_equal(dots(fig.axes[1])[0], expected)


def test_scores_know_the_chance_of_the_table(look):
    """Each pipeline's own: errors against permuted targets depend on what is predicted."""
    own = dict(zip(PIPELINES, (0.25, 0.3, 0.5), strict=True))
    results = make_results()
    results["chance_accuracy"] = results["pipeline"].map(own)
    ax = plot_scores(results, "accuracy").axes[0]
    levels = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(levels, list(own.values()))
    look(ax.figure)


def test_scores_tell_which_folds_are_missing(look):
    results = make_results().iloc[1:]  # a fold that failed
    fig = plot_scores(results, "accuracy")
    look(fig)
    assert fig.axes[0].get_yticklabels()[0].get_text() == "CSP\n(without 1 of 4 folds)"
    assert len(dots(fig.axes[0])[0]) == 3


def test_scores_of_a_table_without_people():
    """The figure needs the columns that its docstring names, and no others."""
    results = make_results()[["dataset", "pipeline", "fold", "accuracy"]]
    whole, part = (plot_scores(table, "accuracy").axes[0] for table in (results, results[1:]))
    assert [label.get_text().count("without") for label in whole.get_yticklabels()] == [0, 0, 0]
    assert [label.get_text().count("without 1") for label in part.get_yticklabels()] == [1, 0, 0]


def test_scores_without_a_summary_have_no_intervals(look):
    fig = plot_scores(make_results(), "accuracy")
    look(fig)
    assert len(fig.axes[0].collections) == 3  # points, and no interval


def test_paired_lines(look):
    results = make_results()
    scores, unit, _ = observations(results, "accuracy")
    fig = plot_paired(scores, "CSP", LONG, metric="accuracy", unit=unit)
    look(fig)
    means = results.groupby(["subject", "pipeline"], sort=False)["accuracy"].mean()
    expected = means.unstack()[["CSP", LONG]].to_numpy()
    *pairs, mean = [line.get_ydata() for line in fig.axes[0].lines]
    np.testing.assert_allclose(pairs, expected)
    np.testing.assert_allclose(mean, expected.mean(axis=0))
    higher = (expected[:, 1] > expected[:, 0]).sum()
    title = fig.axes[0].get_title().replace("\n", " ")
    assert title == f"{LONG} higher for {higher} of 2 subjects"


def test_paired_leaves_out_what_is_not_paired():
    scores = pd.DataFrame({"CSP": [0.5, np.nan, 0.7], "DARE": [0.6, 0.7, 0.6]})
    ax = plot_paired(scores, "CSP", "DARE", unit="fold").axes[0]
    assert len(ax.lines) == 2 + 1
    assert ax.get_title() == "DARE higher for 1 of 2 folds"


def test_paired_scores_that_differ_by_rounding_are_equal():
    even, uneven = np.mean([0.4, 0.5]), np.mean([0.2, 0.7])
    assert even != uneven
    scores = pd.DataFrame({"CSP": [min(even, uneven)] * 3, "DARE": [max(even, uneven)] * 3})
    assert "higher for 0 of 3" in plot_paired(scores, "CSP", "DARE").axes[0].get_title()
    tiny = pd.DataFrame({"CSP": [1e-12, 2e-12], "DARE": [2e-12, 3e-12]})  # squares of volts
    assert "higher for 2 of 2" in plot_paired(tiny, "CSP", "DARE").axes[0].get_title()


def test_cost(look):
    results = make_results()
    results.loc[0, "fit_seconds"] = 1000  # the first fold loads libraries: a median does not see it
    fig = plot_cost(summarize(results), "accuracy")
    look(fig)
    (ax,) = fig.axes
    summary = summarize(results, "accuracy")
    drawn = np.array([bar.lines[0].get_xydata()[0] for bar in ax.containers])
    np.testing.assert_allclose(drawn[:, 0], summary["fit_seconds"] + summary["predict_seconds"])
    np.testing.assert_allclose(drawn[:, 1], summary["mean"])
    assert ax.get_xscale() == "log"
    labels = [text.get_text().replace("\n", " ") for text in ax.get_legend().get_texts()]
    assert labels == PIPELINES
    summary.loc[1, "fit_seconds"] = np.nan
    rest = plot_cost(summary, "accuracy").axes[0].containers
    assert [bar.lines[0].get_color() for bar in rest] == [
        ax.containers[i].lines[0].get_color() for i in (0, 2)
    ]  # the others keep their colours


@pytest.mark.parametrize(
    "plot",
    [
        lambda ax: plot_scores(make_results(), "accuracy", ax=ax),
        lambda ax: plot_paired(observations(make_results(), "accuracy")[0], "CSP", "DARE", ax=ax),
        lambda ax: plot_cost(summarize(make_results()), "accuracy", ax=ax),
    ],
    ids=["scores", "paired", "cost"],
)
def test_ax_is_used(look, own_axes, plot):
    ax = own_axes(width=4.5, height=3.5)
    assert plot(ax) is ax.figure
    assert ax.has_data() and ax.figure.axes == [ax]
    look(ax.figure)


def test_bad_input(own_axes):
    results = make_results()
    scores, summary = observations(results, "accuracy")[0], summarize(results)
    with pytest.raises(TypeError, match="must be a pandas DataFrame, got a list"):
        plot_scores([1], "accuracy")
    with pytest.raises(ValueError, match="needs the columns .* lacks roc_auc among dataset"):
        plot_scores(results, "roc_auc")
    with pytest.raises(ValueError, match="has no rows"):
        plot_scores(results[:0], "accuracy")
    with pytest.raises(ValueError, match="column pipeline of the table must hold numbers"):
        plot_scores(results, "pipeline")
    with pytest.raises(ValueError, match="only missing values"):
        plot_scores(results.assign(accuracy=np.nan), "accuracy")
    with pytest.raises(ValueError, match="infinite"):
        plot_scores(results.assign(accuracy=np.inf), "accuracy")
    with pytest.raises(ValueError, match="2 data sets and one ax"):
        plot_scores(make_results(["a", "b"]), "accuracy", ax=own_axes())
    with pytest.raises(TypeError, match="ax must be None or matplotlib axes"):
        plot_scores(results, "accuracy", ax="left")
    with pytest.raises(ValueError, match="lacks low, high"):
        plot_scores(results, "accuracy", summary.drop(columns=["low", "high"]))
    with pytest.raises(ValueError, match="lacks LDA among CSP"):
        plot_paired(scores, "CSP", "LDA")
    with pytest.raises(ValueError, match="got 'CSP' twice"):
        plot_paired(scores, "CSP", "CSP")
    apart = pd.DataFrame({"CSP": [0.5, np.nan], "DARE": [np.nan, 0.5]})
    with pytest.raises(ValueError, match="no subject with a score of both"):
        plot_paired(apart, "CSP", "DARE", unit="subject")
    with pytest.raises(ValueError, match="several data sets: pass rows"):
        plot_cost(summarize(make_results(["a", "b"])), "accuracy")
    with pytest.raises(ValueError, match="no rows of metric='f1'"):
        plot_cost(summary, "f1")
    with pytest.raises(ValueError, match="must be positive in sum"):
        plot_cost(summary.assign(fit_seconds=-1.0), "accuracy")


@pytest.fixture(scope="module")
def pairs():
    return pairwise(make_results(["motor", "erp"]), "accuracy")


def test_significance_matrix(look):
    table = pd.DataFrame(
        [("A", "B", 0.1, 0.01), ("A", "C", -0.2, 0.04), ("B", "C", 0.003, 0.6)],
        columns=["pipeline_a", "pipeline_b", "difference", "p_holm"],
    )
    fig = plot_significance(table)
    look(fig)
    ax = fig.axes[0]
    drawn = ax.images[0].get_array()
    np.testing.assert_allclose(
        drawn.filled(np.nan), [[np.nan, 0.1, -0.2], [-0.1, np.nan, np.nan], [0.2, np.nan, np.nan]]
    )
    cells = {text.get_position(): text.get_text() for text in ax.texts}
    assert cells[1, 0] == "+0.10\n0.010" and cells[0, 1] == "\N{MINUS SIGN}0.10\n0.010"
    assert cells[2, 1] == "0.00\n0.600"
    assert len(cells) == 6
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["A", "B", "C"]
    low, high = ax.images[0].get_clim()
    assert (low, high) == (-0.2, 0.2)


def test_significance_of_pairwise(look, pairs):
    fig = plot_significance(pairs[pairs.dataset == "erp"])
    look(fig)
    ax = fig.axes[0]
    row = pairs[(pairs.dataset == "erp") & (pairs.pipeline_b == "DARE")].iloc[0]
    text = next(t.get_text() for t in ax.texts if t.get_position() == (2, 0))
    assert text == f"{row.difference:+.2f}\n{row.p_holm:.3f}".replace("-", "\N{MINUS SIGN}")


def test_significance_of_two_and_of_many(look):
    two = pd.DataFrame(
        {"pipeline_a": ["A"], "pipeline_b": ["B"], "difference": [0.0], "p_holm": [1.0]}
    )
    look(plot_significance(two))
    names = [f"pipeline {i}" for i in range(10)]
    many = pd.DataFrame(
        [(a, b, 0.01, 0.2) for i, a in enumerate(names) for b in names[i + 1 :]],
        columns=two.columns,
    )
    look(plot_significance(many))


def test_significance_uses_ax(look, own_axes, pairs):
    ax = own_axes()
    assert plot_significance(pairs[pairs.dataset == "erp"], ax=ax) is ax.figure
    assert ax.has_data()
    look(ax.figure)


def test_pairs_that_are_none(pairs):
    with pytest.raises(ValueError, match="lacks p_holm"):
        plot_significance(pairs.drop(columns="p_holm"))
    with pytest.raises(ValueError, match="a pair twice"):
        plot_significance(pairs)
    with pytest.raises(ValueError, match="a pipeline against itself"):
        plot_significance(pairs[:1].assign(pipeline_b="CSP"))
