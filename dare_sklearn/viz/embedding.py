"""Maps of embeddings in two dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ._axes import PALETTE, POSITIVE, add_legend, get_axes, tidy, wrap

TINY = 10  # epochs, below which neighbourhoods mean nothing
MOST_FEATURES = 50  # that t-SNE gets; more are brought down by PCA first, as is usual


def plot_embedding_map(
    Z: Any, labels: Any, *, method: Any = "auto", random_state: Any = 0, ax: Axes | None = None
) -> Figure:
    """Embeddings in two dimensions, one point per epoch, coloured by label.

    Of t-SNE and UMAP, only neighbourhoods may be read: neither the size of clusters nor the
    distance between them means anything.

    Parameters
    ----------
    Z : array, shape (n_epochs, n_features)
        Embeddings.
    labels : array-like, shape (n_epochs,)
        Class, subject or number of each epoch: floats, and integers of more than seven values, get
        a scale of colours. Beyond seven classes, colours are shades of one scale.
    method : {"auto", "tsne", "pca"} or transformer, default="auto"
        t-SNE [1]_, PCA, or an object with ``fit_transform``, such as ``umap.UMAP()``. "auto" is
        t-SNE, and PCA for fewer than ten epochs. The title says which.
    random_state : int, RandomState or None, default=0
        Seed of the map; the same integer gives the same map.
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If embeddings or labels are unusable.

    References
    ----------
    .. [1] Van der Maaten, Hinton (2008). Visualizing data using t-SNE. JMLR 9.

    Examples
    --------
    >>> import numpy as np
    >>> from dare_sklearn.viz import plot_embedding_map
    >>> Z = np.random.default_rng(0).normal(size=(20, 8))
    >>> plot_embedding_map(Z, ["left", "right"] * 10, method="pca").axes[0].get_title()
    'Embeddings (PCA)'
    """
    Z = np.asarray(Z, dtype=float)
    if Z.ndim != 2 or len(Z) < 3 or Z.shape[1] < 2 or not np.isfinite(Z).all():
        raise ValueError(
            "Z must be finite embeddings (n_epochs, n_features) of three epochs or more and two "
            f"features or more, got shape {Z.shape}."
        )
    labels = np.asarray(labels)
    if labels.shape != (len(Z),) or pd.isna(labels).any():
        raise ValueError(
            f"labels must be one value per epoch ({len(Z)}) without missing ones, got shape "
            f"{labels.shape}."
        )
    labels = labels.astype(str) if labels.dtype.kind == "O" else labels
    points, name, names = _reduce(Z, method, random_state)

    ax = get_axes(ax, 6.0, 4.4)
    dots = {"s": 24 if len(Z) <= 500 else 8, "linewidths": 0.3, "edgecolors": "white"}
    classes, colors = np.unique(labels), list(PALETTE)
    many = len(classes) > len(PALETTE)
    if labels.dtype.kind == "f" or (labels.dtype.kind in "iu" and many):
        drawn = ax.scatter(*points.T, c=labels, cmap=POSITIVE, **dots)
        ax.figure.colorbar(drawn, ax=ax, label="label")
    else:
        if many:
            colors = [to_hex(c) for c in colormaps[POSITIVE](np.linspace(0, 0.95, len(classes)))]
        for label, color in zip(classes, colors, strict=False):
            ax.scatter(*points[labels == label].T, color=color, label=wrap(label), **dots)
        add_legend(ax)
    ax.set(title=f"Embeddings ({name})", xlabel=names[0], ylabel=names[1], xticks=[], yticks=[])
    tidy(ax, None)
    return ax.figure


def _reduce(Z: np.ndarray, method: Any, random_state: Any) -> tuple[np.ndarray, str, list[str]]:
    """Points ``(n_epochs, 2)``, the method's name and the names of the axes."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    names = ["dimension 1", "dimension 2"]
    if hasattr(method, "fit_transform"):
        return np.asarray(method.fit_transform(Z)), type(method).__name__, names
    if method == "pca" or (method == "auto" and len(Z) < TINY):
        pca = PCA(n_components=2, random_state=random_state)
        points = pca.fit_transform(Z)
        shares = np.nan_to_num(pca.explained_variance_ratio_)
        return points, "PCA", [f"PC{i + 1} ({share:.0%})" for i, share in enumerate(shares)]
    if method not in ("auto", "tsne"):
        raise ValueError(f"method must be auto, tsne, pca or a transformer, got {method!r}.")
    if min(Z.shape) > MOST_FEATURES:
        Z = PCA(MOST_FEATURES, random_state=random_state).fit_transform(Z)
    model = TSNE(perplexity=min(30.0, (len(Z) - 1) / 3), random_state=random_state)
    return model.fit_transform(Z), "t-SNE", names
