"""Curves of scores and of a training, and maps of embeddings."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from sklearn.decomposition import PCA, TruncatedSVD

from dare_sklearn import DAREPretrainer, simulate_epochs
from dare_sklearn.inspection import mask_invariance
from dare_sklearn.viz import plot_curve, plot_embedding_map, plot_losses, plot_mask_invariance
from dare_sklearn.viz._axes import PALETTE

LONG = "an encoder with a name of several words"


def make_table(x="share", places=(0.0, 0.25, 0.5), names=("DARE", LONG), seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        [(name, place, 0.2 + 0.6 * rng.random()) for name in names for place in places],
        columns=["pipeline", x, "mean"],
    )
    table = table.assign(low=table["mean"] - 0.2, high=table["mean"] + 0.1)
    return table.sample(frac=1, random_state=seed)


def band(ax, number):
    """Lower and upper edge of a band, point by point."""
    vertices = ax.collections[number].get_paths()[0].vertices
    edges = pd.DataFrame(vertices, columns=["x", "y"]).groupby("x")["y"].agg(["min", "max"])
    return edges.to_numpy()


def test_curve_draws_the_table(look):
    table = make_table()
    fig = plot_curve(table, "share", chance=0.5)
    look(fig)
    ax = fig.axes[0]
    for number, name in enumerate(dict.fromkeys(table.sort_values("share")["pipeline"])):
        points = table[table.pipeline == name].sort_values("share")
        np.testing.assert_allclose(ax.lines[number].get_xydata(), points[["share", "mean"]])
        np.testing.assert_allclose(band(ax, number), points[["low", "high"]])
    assert ax.lines[-1].get_label() == "chance"
    assert list(ax.lines[-1].get_ydata()) == [0.5, 0.5]
    assert ax.xaxis.get_major_formatter()(0.25) == "25%"
    assert ax.get_xlabel() == "share of electrodes lost"


@pytest.mark.parametrize(
    "metrics, words", [(["roc_auc"], "area under the ROC curve"), (["accuracy", "roc_auc"], "mean")]
)
def test_curve_of_means_has_the_name_of_a_single_metric(metrics, words):
    table = pd.DataFrame({"n": range(len(metrics)), "mean": 0.5, "metric": metrics})
    assert plot_curve(table, "n", hue=None).axes[0].get_ylabel() == words


def test_curve_without_a_band(look):
    table = pd.DataFrame({"x": [2, 1, 3], "y": [0.5, 0.4, 0.7]})
    fig = plot_curve(table, "x", "y", hue=None)
    look(fig)
    np.testing.assert_array_equal(fig.axes[0].lines[0].get_ydata(), [0.4, 0.5, 0.7])
    assert not fig.axes[0].collections and fig.axes[0].get_legend() is None


@pytest.mark.parametrize("places", [(5, 10, 80), (10, 11, 12, 13, 14), range(10, 200, 10)])
def test_labels_on_a_logarithmic_axis(look, places):
    fig = plot_curve(make_table("n_labels", places), "n_labels", log_x=True)
    look(fig)
    ax = fig.axes[0]
    assert ax.get_xscale() == "log"
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), places)


@pytest.fixture
def invariance():
    rows = [
        (name, x, x + u, x / 4 - u, x / 2 + u)
        for name in ("nano", LONG)
        for x in (0.8, 0.2, 0.5)
        for u in (-0.1, 0.0, 0.1)  # draws
    ]
    columns = "encoder overlap positive_cosine negative_cosine retrieval".split()
    return pd.DataFrame(rows, columns=columns)


def test_mask_invariance(look, invariance):
    fig = plot_mask_invariance(invariance)
    look(fig)
    left, right = fig.axes
    overlap = np.array([0.2, 0.5, 0.8])
    for number in range(2):
        np.testing.assert_array_equal(left.lines[2 * number].get_xdata(), overlap)
        np.testing.assert_allclose(left.lines[2 * number].get_ydata(), overlap)
        np.testing.assert_allclose(left.lines[2 * number + 1].get_ydata(), overlap / 4)
        np.testing.assert_allclose(right.lines[number].get_ydata(), overlap / 2)
        expected = np.c_[overlap / 2 - 0.1, overlap / 2 + 0.1]
        np.testing.assert_allclose(band(right, number), expected, atol=1e-12)
    with pytest.raises(ValueError, match="lacks retrieval"):
        plot_mask_invariance(invariance.drop(columns="retrieval"))


def test_mask_invariance_of_an_untrained_encoder(invariance):
    table = pd.concat([invariance.assign(encoder=encoder) for encoder in ("nano", None)])
    lines = plot_mask_invariance(table).axes[1].lines
    assert [line.get_label() for line in lines] == ["nano", "untrained"]
    assert [len(line.get_xdata()) for line in lines] == [3, 3]


def test_mask_invariance_as_measured(look):
    epochs = simulate_epochs(n_subjects=1, n_epochs=6, random_state=0)
    table = mask_invariance(None, epochs, n_draws=2, n_chans=6, random_state=0)
    fig = plot_mask_invariance(table)
    look(fig)
    np.testing.assert_allclose(
        fig.axes[1].lines[0].get_ydata(), table.groupby("overlap")["retrieval"].mean()
    )


def test_curves_use_ax(look, own_axes):
    ax = own_axes(width=4, height=3)
    assert plot_curve(make_table(), "share", ax=ax) is ax.figure
    assert len(ax.lines) == 2
    look(ax.figure)


def test_bad_tables():
    table = make_table()
    with pytest.raises(
        ValueError, match="needs the columns share, pipeline, auc, low, high, and lacks auc"
    ):
        plot_curve(table, "share", "auc")
    with pytest.raises(ValueError, match=r"several rows for one point \(share, pipeline\)"):
        plot_curve(pd.concat([table, table]), "share")
    with pytest.raises(ValueError, match="column share must hold positive numbers"):
        plot_curve(table, "share", log_x=True)


@pytest.fixture(scope="module")
def pretrainer():
    X = 10 * np.random.default_rng(0).normal(size=(6, 4, 64))
    names = ["C3", "Cz", "C4", "Pz"]
    return DAREPretrainer(
        ch_names=names, sfreq=64.0, unit="uV", window_s=1.0, max_epochs=2, random_state=0
    ).fit(X)


def test_losses_of_a_pretrainer(look, pretrainer):
    fig = plot_losses(pretrainer)
    look(fig)
    ax = fig.axes[0]
    history = pretrainer.history_
    terms = [name for name in history if name not in ("epoch", "lr", "seconds")]
    assert {"reconstruction", "anchor_alignment", "mask_alignment", "total"} < set(terms)
    assert [line.get_label() for line in ax.lines] == [name.replace("_", " ") for name in terms]
    for drawn, name in zip(ax.lines, terms, strict=True):
        np.testing.assert_array_equal(drawn.get_xdata(), history["epoch"])
        np.testing.assert_array_equal(drawn.get_ydata(), history[name])


def test_losses_choose_their_axis(look, own_axes):
    history = pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 0.5], "valid_loss": [1.1, np.nan]})
    fig = plot_losses(history)
    look(fig)
    assert fig.axes[0].get_yscale() == "linear"
    wide = history.assign(penalty=1e-4)
    ax = own_axes(width=4, height=3)
    assert plot_losses(wide, ax=ax) is ax.figure
    assert ax.get_yscale() == "log" and ax.get_ylabel() == "loss (log scale)"
    look(ax.figure)


def test_bad_histories():
    history = pd.DataFrame({"epoch": [1, 2], "loss": [1.0, -0.5]})
    with pytest.raises(TypeError, match="fitted estimator with one, got a DAREPretrainer"):
        plot_losses(DAREPretrainer())
    with pytest.raises(ValueError, match="history without epochs"):
        plot_losses(history[:0])
    with pytest.raises(ValueError, match="no loss among the columns epoch"):
        plot_losses(history[["epoch"]])
    assert plot_losses(history).axes[0].get_yscale() == "linear"


RNG = np.random.default_rng(0)
Z = RNG.normal(size=(24, 6))
LABELS = np.array(["left_hand", "right_hand"])[np.arange(24) % 2]


def points(fig):
    """All points of a map, sorted."""
    drawn = np.concatenate([np.asarray(c.get_offsets()) for c in fig.axes[0].collections])
    return drawn[np.lexsort(drawn.T)]


def sort(values):
    return values[np.lexsort(values.T)]


def entries(fig):
    return [text.get_text() for text in fig.axes[0].get_legend().get_texts()]


def test_pca(look):
    fig = plot_embedding_map(Z, LABELS, method="pca")
    look(fig)
    ax = fig.axes[0]
    pca = PCA(2).fit(Z)
    assert ax.get_title() == "Embeddings (PCA)"
    assert ax.get_xlabel() == f"PC1 ({pca.explained_variance_ratio_[0]:.0%})"
    assert entries(fig) == ["left_hand", "right_hand"]
    for number, collection in enumerate(ax.collections):
        rows = entries(fig)[number] == LABELS
        np.testing.assert_allclose(collection.get_offsets(), pca.transform(Z)[rows])
        np.testing.assert_allclose(collection.get_facecolors()[0], to_rgba(PALETTE[number]))


def test_auto_is_tsne_and_reproducible(look):
    fig = plot_embedding_map(Z, LABELS, random_state=3)
    look(fig)
    assert fig.axes[0].get_title() == "Embeddings (t-SNE)"
    again = plot_embedding_map(Z, LABELS, random_state=3)
    np.testing.assert_array_equal(points(again), points(fig))
    assert len(points(fig)) == 24
    wide = plot_embedding_map(RNG.normal(size=(60, 70)), np.arange(60) % 2)
    assert len(points(wide)) == 60


def test_auto_of_few_epochs_is_pca():
    fig = plot_embedding_map(Z[:9], LABELS[:9])
    assert fig.axes[0].get_title() == "Embeddings (PCA)"


def test_any_transformer():
    fig = plot_embedding_map(Z, LABELS, method=TruncatedSVD(2, random_state=0))
    assert fig.axes[0].get_title() == "Embeddings (TruncatedSVD)"
    np.testing.assert_allclose(points(fig), sort(TruncatedSVD(2, random_state=0).fit_transform(Z)))


def test_numbers_get_a_scale(look):
    values = np.linspace(0, 2, 24)
    fig = plot_embedding_map(Z, values, method="pca")
    look(fig)
    np.testing.assert_array_equal(fig.axes[0].collections[0].get_array(), values)
    assert fig.axes[0].collections[0].get_clim() == (0, 2)
    assert fig.axes[1].get_ylabel() == "label"
    assert fig.axes[0].get_legend() is None
    assert plot_embedding_map(Z, np.arange(24), method="pca").axes[0].get_legend() is None
    few = plot_embedding_map(Z, np.arange(24) % 3, method="pca")
    assert entries(few) == ["0", "1", "2"]


@pytest.mark.parametrize("n_classes", [7, 12, 24])
def test_many_classes_can_be_told_apart(look, n_classes):
    labels = [f"S{i % n_classes:03d}" for i in range(24)]
    fig = plot_embedding_map(Z, labels, method="pca")
    look(fig)
    assert entries(fig) == sorted(set(labels))
    shown = fig.axes[0].get_legend().legend_handles
    assert len({tuple(h.get_facecolor()[0]) for h in shown}) == n_classes


def test_ax_is_used(look, own_axes):
    ax = own_axes(width=4, height=3)
    fig = plot_embedding_map(Z, LABELS, method="pca", ax=ax)
    assert fig is ax.figure
    look(fig)


def test_bad_input():
    with pytest.raises(ValueError, match="auto, tsne, pca or a transformer, got 'mds'"):
        plot_embedding_map(Z, LABELS, method="mds")
    with pytest.raises(ValueError, match="same embedding in Z"):
        plot_embedding_map(np.ones((24, 6)), np.arange(24) % 2)
    with pytest.raises(ValueError, match="dim 3, while dim <= 2 is required by plot_embedding_map"):
        plot_embedding_map(Z[..., None], LABELS)
    for few, labels in ((Z[:2], LABELS[:2]), (Z[:, :1], LABELS)):
        with pytest.raises(ValueError, match="minimum of . is required by plot_embedding_map"):
            plot_embedding_map(few, labels)
    with pytest.raises(ValueError, match=r"one value per epoch \(24\) .* got shape \(23,\)"):
        plot_embedding_map(Z, LABELS[1:])
    with pytest.raises(ValueError, match="without missing ones"):
        plot_embedding_map(Z, [None, *LABELS[1:]])
