"""Figures of tests between pipelines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dare_sklearn.evaluation import pairwise
from dare_sklearn.viz import plot_significance

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
    row = pairs[(pairs.dataset == "erp") & (pairs.pipeline_b == "EEGNet")].iloc[0]
    text = next(t.get_text() for t in ax.texts if t.get_position() == (3, 0))
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


def test_ax_is_used(look, own_axes, pairs):
    ax = own_axes()
    assert plot_significance(pairs[pairs.dataset == "erp"], ax=ax) is ax.figure
    assert ax.has_data()
    look(ax.figure)


def test_bad_input(pairs):
    with pytest.raises(ValueError, match="p_holm is missing"):
        plot_significance(pairs.drop(columns="p_holm"))
    with pytest.raises(ValueError, match="a pair twice"):
        plot_significance(pairs)
    with pytest.raises(ValueError, match="a pipeline against itself"):
        plot_significance(pairs[:1].assign(pipeline_b="CSP"))
