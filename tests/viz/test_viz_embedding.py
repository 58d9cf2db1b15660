"""Maps of embeddings."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from dare_sklearn.viz import plot_embedding_map
from dare_sklearn.viz._axes import MARKERS, PALETTE

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(24, 6))
LABELS = np.array(["left_hand", "right_hand"])[np.arange(24) % 2]
SUBJECTS = np.repeat(["S001", "S002", "S003"], 8)


def points(fig):
    """All points of a map, sorted."""
    drawn = np.concatenate([np.asarray(c.get_offsets()) for c in fig.axes[0].collections])
    return drawn[np.lexsort(drawn.T)]


def sort(values):
    return values[np.lexsort(values.T)]


def entries(fig):
    return [text.get_text() for text in fig.axes[0].get_legend().get_texts()]


@pytest.fixture
def no_umap(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    monkeypatch.setattr("dare_sklearn.viz.embedding.find_spec", lambda name: None)


def test_pca(look):
    fig = plot_embedding_map(Z, LABELS, subjects=SUBJECTS, method="pca")
    look(fig)
    ax = fig.axes[0]
    pca = PCA(2).fit(Z)
    np.testing.assert_allclose(points(fig), sort(pca.transform(Z)))
    assert ax.get_title() == "Embeddings (PCA)"
    assert ax.get_xlabel() == f"PC1 ({pca.explained_variance_ratio_[0]:.0%})"
    assert entries(fig) == ["left_hand", "right_hand", "S001", "S002", "S003"]
    # one marker per subject, one colour per label
    assert len(ax.collections) == 3
    for number, collection in enumerate(ax.collections):
        rows = f"S00{number + 1}" == SUBJECTS
        np.testing.assert_allclose(collection.get_offsets(), pca.transform(Z)[rows])
        expected = [to_rgba(PALETTE[int(label == "right_hand")]) for label in LABELS[rows]]
        np.testing.assert_allclose(collection.get_facecolors(), expected)


def test_an_embedder_and_its_signals():
    scaler = StandardScaler().fit(Z)
    fig = plot_embedding_map((scaler, Z), LABELS, method="pca")
    np.testing.assert_allclose(points(fig), sort(PCA(2).fit_transform(scaler.transform(Z))))


def test_auto_without_umap_is_tsne_and_reproducible(look, no_umap):
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


def test_auto_takes_umap_where_it_is(monkeypatch):
    class UMAP:
        def __init__(self, n_neighbors, random_state, n_jobs):
            assert (n_neighbors, random_state, n_jobs) == (15, 0, 1)

        def fit_transform(self, Z):
            return Z[:, :2] * 2

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP))
    monkeypatch.setattr("dare_sklearn.viz.embedding.find_spec", lambda name: name == "umap")
    fig = plot_embedding_map(Z, LABELS)
    assert fig.axes[0].get_title() == "Embeddings (UMAP)"
    np.testing.assert_allclose(points(fig), sort(Z[:, :2] * 2))


def test_the_real_umap():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    first, second = (plot_embedding_map(Z, LABELS, method="umap") for _ in range(2))
    np.testing.assert_array_equal(points(first), points(second))


def test_numbers_get_a_scale(look):
    values = np.linspace(0, 2, 24)
    fig = plot_embedding_map(Z, values, method="pca")
    look(fig)
    np.testing.assert_array_equal(fig.axes[0].collections[0].get_array(), values)
    assert fig.axes[0].collections[0].get_clim() == (0, 2)
    assert fig.axes[1].get_ylabel() == "label"
    assert fig.axes[0].get_legend() is None
    many = plot_embedding_map(Z, np.arange(24), subjects=SUBJECTS, method="pca")
    look(many)
    assert entries(many) == ["S001", "S002", "S003"]
    few = plot_embedding_map(Z, np.arange(24) % 3, method="pca")
    assert entries(few) == ["0", "1", "2"]


@pytest.mark.parametrize("n_classes", [7, 12, 24])
def test_many_classes_can_be_told_apart(look, n_classes):
    labels = [f"S{i % n_classes:03d}" for i in range(24)]
    fig = plot_embedding_map(Z, labels, method="pca")
    look(fig)
    assert entries(fig) == sorted(set(labels))
    shown = fig.axes[0].get_legend().legend_handles
    assert len({h.get_color() for h in shown}) == n_classes
    with_subjects = plot_embedding_map(Z, labels, subjects=SUBJECTS, method="pca")
    look(with_subjects)
    shown = with_subjects.axes[0].get_legend().legend_handles[:n_classes]
    assert len({h.get_color() for h in shown}) == n_classes


def test_ax_is_used(look, own_axes):
    ax = own_axes(width=4, height=3)
    fig = plot_embedding_map(Z, LABELS, subjects=SUBJECTS, method="pca", ax=ax)
    assert fig is ax.figure
    look(fig)


def test_bad_input(no_umap):
    with pytest.raises(ImportError, match="needs umap-learn: run pip install"):
        plot_embedding_map(Z, LABELS, method="umap")
    with pytest.raises(ValueError, match=r"must be one of \['auto', .* got 'mds'"):
        plot_embedding_map(Z, LABELS, method="mds")
    with pytest.raises(ValueError, match=r"finite embeddings .* got shape \(24, 6, 1\)"):
        plot_embedding_map(Z[..., None], LABELS)
    for few, labels in ((Z[:2], LABELS[:2]), (Z[:, :1], LABELS)):
        with pytest.raises(ValueError, match="three epochs or more and two features"):
            plot_embedding_map(few, labels)
    with pytest.raises(
        ValueError, match=r"labels .* one value per epoch \(24\), got shape \(23,\)"
    ):
        plot_embedding_map(Z, LABELS[1:])
    with pytest.raises(ValueError, match="subjects has missing values"):
        plot_embedding_map(Z, LABELS, subjects=[None, *SUBJECTS[1:]])
    with pytest.raises(ValueError, match=f"markers for {len(MARKERS)} subjects, got 24"):
        plot_embedding_map(Z, LABELS, subjects=np.arange(24))
