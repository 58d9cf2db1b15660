"""Figures of tests between pipelines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dare_sklearn.evaluation import combine_datasets, pairwise
from dare_sklearn.viz import plot_critical_difference, plot_meta_analysis, plot_significance
from dare_sklearn.viz.statistics import critical_difference, find_cliques

NAMES = ["CSP", "a pipeline with a name of several words", "DARE", "EEGNet"]


def make_results(datasets=("motor", "erp", "rest"), n=6, n_subjects=1, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        {
            "dataset": dataset,
            "pipeline": name,
            "fold": fold,
            "subject": f"S{fold}",
            "n_subjects": n_subjects,
            "n_train": 80,
            "n_test": 20,
            "accuracy": 0.6 + 0.06 * number + 0.1 * rng.random(),
        }
        for dataset in datasets
        for number, name in enumerate(NAMES)
        for fold in range(n)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def pairs():
    return pairwise(make_results(), "accuracy")


def test_significance_matrix(look):
    table = pd.DataFrame(
        [("A", "B", 0.1, 0.01), ("A", "C", -0.2, 0.04), ("B", "C", 0.003, 0.6)],
        columns=["pipeline_a", "pipeline_b", "difference", "p_corrected"],
    )
    fig = plot_significance(table)
    look(fig)
    ax = fig.axes[0]
    drawn = ax.images[0].get_array()
    np.testing.assert_allclose(
        drawn.filled(np.nan),
        [[np.nan, 0.1, -0.2], [-0.1, np.nan, np.nan], [0.2, np.nan, np.nan]],
    )
    cells = {text.get_position(): text.get_text() for text in ax.texts}
    assert cells[1, 0] == "+0.10\n0.010" and cells[0, 1] == "\N{MINUS SIGN}0.10\n0.010"
    assert cells[2, 1] == "0.00\n0.600"
    assert len(cells) == 6
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["A", "B", "C"]
    low, high = ax.images[0].get_clim()
    assert (low, high) == (-0.2, 0.2)


def test_significance_of_pairwise_and_combined(look, pairs):
    fig = plot_significance(pairs, dataset="erp")
    look(fig)
    ax = fig.axes[0]
    row = pairs[(pairs.dataset == "erp") & (pairs.pipeline_b == "EEGNet")].iloc[0]
    text = next(t.get_text() for t in ax.texts if t.get_position() == (3, 0))
    assert text == f"{row.difference:+.2f}\n{row.p_holm:.3f}".replace("-", "\N{MINUS SIGN}")
    combined = combine_datasets(pairs)
    combined.loc[0, "effect_size"] = -np.inf
    fig = plot_significance(combined, value="effect_size")
    look(fig)
    assert fig.axes[1].get_ylabel() == "effect size"
    assert np.isfinite(fig.axes[0].images[0].get_clim()).all()


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


def test_critical_difference_is_demsars():
    # table 5 of Demsar (2006): q of the two-tailed Nemenyi test at 0.05 and 0.10
    published = {2: (1.960, 1.645), 3: (2.343, 2.052), 5: (2.728, 2.459), 10: (3.164, 2.920)}
    for k, (q05, q10) in published.items():
        scale = np.sqrt(k * (k + 1) / (6 * 14))
        assert critical_difference(k, 14, 0.05) / scale == pytest.approx(q05, abs=1e-3)
        assert critical_difference(k, 14, 0.10) / scale == pytest.approx(q10, abs=1e-3)


@pytest.mark.parametrize(
    ("ranks", "critical", "expected"),
    [
        ([1.0, 2.0, 3.0], 0.5, []),
        ([1.0, 2.0, 3.0], 1.0, [(0, 1), (1, 2)]),
        ([1.0, 2.0, 3.0], 2.0, [(0, 2)]),
        ([1.0, 1.2, 3.0, 3.1, 3.2], 1.95, [(0, 1), (1, 3), (2, 4)]),
        ([1.0, 1.2, 3.0, 3.1, 3.2], 1.0, [(0, 1), (2, 4)]),
    ],
)
def test_cliques(ranks, critical, expected):
    assert find_cliques(np.array(ranks), critical) == expected


def test_critical_difference_diagram(look):
    results = make_results()
    fig = plot_critical_difference(results, "accuracy")
    look(fig)
    ax = fig.axes[0]
    wide = results.pivot_table("accuracy", ["dataset", "subject"], "pipeline")
    ranks = wide.rank(axis=1, ascending=False).mean().sort_values()
    dots = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots, ranks)
    cliques = find_cliques(ranks.to_numpy(), critical_difference(4, 18))
    bars = [line.get_xdata() for line in ax.lines if line.get_linewidth() == 4]
    assert len(bars) == len(cliques) > 0
    for (low, high), (first, last) in zip(bars, cliques, strict=True):
        assert low < ranks.iloc[first] and high > ranks.iloc[last]
    p = stats.friedmanchisquare(*wide.to_numpy().T).pvalue
    assert p < 0.001
    assert ax.get_title() == (
        f"Critical difference {critical_difference(4, 18):.2f} (α = 0.05, 18 subjects)\n"
        "Friedman p < 0.001"
    )
    texts = " ".join(text.get_text().replace("\n", " ") for text in ax.texts)
    assert all(name in texts for name in NAMES)


def test_critical_difference_of_errors_and_of_many(look):
    results = make_results(["motor"])
    best = plot_critical_difference(results, "accuracy", higher_is_better=False).axes[0].texts[0]
    assert best.get_text().startswith("CSP")
    many = pd.concat(
        results.assign(
            pipeline=results.pipeline.str[:6] + f" {i}", accuracy=results.accuracy + i / 50
        )
        for i in range(4)
    )
    look(plot_critical_difference(many, "accuracy"))
    ties = plot_critical_difference(results.assign(accuracy=0.5), "accuracy")
    look(ties)
    assert ties.axes[0].get_title().endswith("Friedman p = 1.000")


def test_meta_analysis(look, pairs):
    fig = plot_meta_analysis(pairs, "DARE", "CSP")  # the table holds CSP minus DARE
    look(fig)
    ax = fig.axes[0]
    rows = pairs[(pairs.pipeline_a == "CSP") & (pairs.pipeline_b == "DARE")]
    combined = combine_datasets(rows).iloc[0]
    dots = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(
        dots,
        np.c_[[*-rows.effect_size, -combined.effect_size], range(4)],
    )
    half = stats.t.ppf(0.975, 5) / np.sqrt(6)
    spans = [line.get_xdata() for line in ax.lines if line.get_linewidth() == 1.6]
    np.testing.assert_allclose(spans, [[-e - half, -e + half] for e in rows.effect_size])
    assert ax.get_yticklabels()[0].get_text() == "motor (n = 6)"
    shown = [text.get_text() for text in ax.texts]
    assert shown[3].startswith("p < 0.001" if combined.p < 0.001 else f"p = {combined.p:.3f}")
    assert shown[0].startswith(f"p = {rows.p.iloc[0]:.3f}")
    assert ax.get_title() == "DARE minus CSP"


def test_meta_analysis_of_pairs_in_either_order(pairs):
    names = ["pipeline_a", "pipeline_b"]
    rows = pairs[(pairs.pipeline_a == "CSP") & (pairs.pipeline_b == "DARE")]
    turned = rows[1:2].assign(pipeline_a="DARE", pipeline_b="CSP")
    turned["effect_size"] *= -1
    turned[["p_greater", "p_less"]] = turned[["p_less", "p_greater"]].to_numpy()
    mixed = pd.concat([rows[:1], turned, rows[2:]])
    assert mixed[names].drop_duplicates().shape == (2, 2)
    first, second = (plot_meta_analysis(table, "CSP", "DARE").axes[0] for table in (rows, mixed))
    for one, other in zip(first.lines, second.lines, strict=True):
        np.testing.assert_allclose(one.get_xydata(), other.get_xydata())
    assert [text.get_text() for text in first.texts] == [text.get_text() for text in second.texts]


def test_meta_analysis_of_folds_uses_the_corrected_error():
    results = make_results(["motor"], n_subjects=2)
    ax = plot_meta_analysis(pairwise(results, "accuracy"), "CSP", "DARE").axes[0]
    scores = results.pivot_table("accuracy", "fold", "pipeline")
    d = scores["CSP"] - scores["DARE"]
    half = stats.t.ppf(0.975, 5) * np.sqrt(1 / 6 + 20 / 80)
    (span,) = [line.get_xdata() for line in ax.lines if line.get_linewidth() == 1.6]
    np.testing.assert_allclose(span, d.mean() / d.std() + np.array([-half, half]), rtol=1e-6)


def test_meta_analysis_of_an_infinite_effect(look, pairs):
    pairs = pairs.copy()
    first = (pairs.dataset == "erp") & (pairs.pipeline_a == "CSP") & (pairs.pipeline_b == "DARE")
    pairs.loc[first, "effect_size"] = np.inf
    fig = plot_meta_analysis(pairs, "CSP", "DARE")
    look(fig)
    ax = fig.axes[0]
    assert [line.get_marker() for line in ax.lines].count(">") == 2  # that one, and the mean
    assert np.isfinite(ax.get_xlim()).all()


def test_ax_is_used(look, own_axes, pairs):
    for plot in (
        lambda ax: plot_significance(pairs, dataset="erp", ax=ax),
        lambda ax: plot_critical_difference(make_results(), "accuracy", ax=ax),
        lambda ax: plot_meta_analysis(pairs, "CSP", "DARE", ax=ax),
    ):
        ax = own_axes()
        assert plot(ax) is ax.figure
        assert ax.has_data()
        look(ax.figure)


def test_bad_input(pairs):
    with pytest.raises(ValueError, match="p_holm is missing"):
        plot_significance(pairs.drop(columns="p_holm"))
    with pytest.raises(ValueError, match="a pair twice"):
        plot_significance(pairs)
    with pytest.raises(ValueError, match="a pipeline against itself"):
        plot_significance(pairs[:1].assign(pipeline_b="CSP"))
    for alpha in (0.0, 1.5, "0.05", None):
        with pytest.raises(ValueError, match="alpha of plot_significance"):
            plot_significance(pairs, dataset="erp", alpha=alpha)
    with pytest.raises(ValueError, match="two pipelines or more on two subjects"):
        plot_critical_difference(make_results().query("pipeline == 'CSP'"), "accuracy")
    with pytest.raises(ValueError, match="no row that compares 'CSP' and 'LDA'"):
        plot_meta_analysis(pairs, "CSP", "LDA")
    with pytest.raises(ValueError, match="one row per data set, of one metric"):
        plot_meta_analysis(pd.concat([pairs, pairs]), "CSP", "DARE")
