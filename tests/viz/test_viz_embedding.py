"""Maps of embeddings."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from sklearn.decomposition import PCA, TruncatedSVD

from dare_sklearn.viz import plot_embedding_map
from dare_sklearn.viz._axes import PALETTE

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
    with pytest.raises(ValueError, match=r"finite embeddings .* got shape \(24, 6, 1\)"):
        plot_embedding_map(Z[..., None], LABELS)
    for few, labels in ((Z[:2], LABELS[:2]), (Z[:, :1], LABELS)):
        with pytest.raises(ValueError, match="three epochs or more and two features"):
            plot_embedding_map(few, labels)
    with pytest.raises(ValueError, match=r"one value per epoch \(24\) .* got shape \(23,\)"):
        plot_embedding_map(Z, LABELS[1:])
    with pytest.raises(ValueError, match="without missing ones"):
        plot_embedding_map(Z, [None, *LABELS[1:]])
