"""Maps of embeddings in two dimensions."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ._axes import MARKERS, PALETTE, POSITIVE, add_legend, get_axes, marker, tidy, wrap

METHODS = ("auto", "umap", "tsne", "pca")
TINY = 10  # epochs, below which neighbourhoods mean nothing
MOST_FEATURES = 50  # that t-SNE gets; more are brought down by PCA first, as is usual


def plot_embedding_map(
    Z: Any,
    labels: Any,
    *,
    subjects: Any = None,
    method: str = "auto",
    random_state: Any = 0,
    ax: Axes | None = None,
) -> Figure:
    """Embeddings in two dimensions, one point per epoch, coloured by label.

    Of t-SNE and UMAP, only neighbourhoods may be read: neither the size of clusters nor the
    distance between them means anything.

    Parameters
    ----------
    Z : array, shape (n_epochs, n_features), or tuple (embedder, X)
        Embeddings, or a fitted transformer and the signals that it is to embed.
    labels : array-like, shape (n_epochs,)
        Class, subject or number of each epoch: floats, and integers of more than seven values, get
        a scale of colours. Beyond seven classes, colours are shades of one scale.
    subjects : array-like, shape (n_epochs,), or None, default=None
        One marker per subject, up to ten of them. Pass more as `labels`.
    method : {"auto", "umap", "tsne", "pca"}, default="auto"
        "auto" is UMAP [1]_ where umap-learn is installed, and t-SNE [2]_ elsewhere; PCA for fewer
        than ten epochs. The title says which.
    random_state : int, RandomState or None, default=0
        Seed of the map; the same integer gives the same map.
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure

    Raises
    ------
    ImportError
        If ``method="umap"`` and umap-learn is missing.
    TypeError, ValueError
        If embeddings, labels or subjects are unusable.

    References
    ----------
    .. [1] McInnes, Healy, Melville (2018). UMAP. arXiv:1802.03426.
    .. [2] Van der Maaten, Hinton (2008). Visualizing data using t-SNE. JMLR 9.

    Examples
    --------
    >>> import numpy as np
    >>> from dare_sklearn.viz import plot_embedding_map
    >>> Z = np.random.default_rng(0).normal(size=(20, 8))
    >>> plot_embedding_map(Z, ["left", "right"] * 10, method="pca").axes[0].get_title()
    'Embeddings (PCA)'
    """
    Z = _embeddings(Z)
    labels = _column(labels, len(Z), "labels")
    subjects = None if subjects is None else _column(subjects, len(Z), "subjects")
    n_subjects = 0 if subjects is None else len(np.unique(subjects))
    if n_subjects > (most := len(MARKERS)):
        raise ValueError(f"There are markers for {most} subjects, got {n_subjects}: pass fewer.")
    points, name, x_label, y_label = _reduce(Z, method, random_state)

    ax = get_axes(ax, 6.0, 4.4)
    shades, symbols, entries, scale = _styles(labels, subjects)
    for symbol in dict.fromkeys(symbols.tolist()):
        rows = symbols == symbol
        drawn = ax.scatter(
            *points[rows].T, c=shades[rows], marker=symbol, s=24 if len(Z) <= 500 else 8,
            linewidths=0.3, edgecolors="white", **scale,
        )  # fmt: skip
    if entries:
        add_legend(ax, handles=entries)
    if scale:
        ax.figure.colorbar(drawn, ax=ax, label="label")
    ax.set(title=f"Embeddings ({name})", xlabel=x_label, ylabel=y_label, xticks=[], yticks=[])
    tidy(ax, None)
    return ax.figure


def _embeddings(Z: Any) -> np.ndarray:
    if isinstance(Z, tuple) and len(Z) == 2 and hasattr(Z[0], "transform"):
        Z = Z[0].transform(Z[1])
    Z = np.asarray(Z, dtype=float)
    if Z.ndim != 2 or len(Z) < 3 or Z.shape[1] < 2 or not np.isfinite(Z).all():
        raise ValueError(
            "Z must be finite embeddings (n_epochs, n_features) of three epochs or more and two "
            f"features or more, or a tuple (embedder, X); got shape {Z.shape}."
        )
    return Z


def _column(values: Any, n_epochs: int, name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != (n_epochs,):
        shape = values.shape
        raise ValueError(f"{name} must be one value per epoch ({n_epochs}), got shape {shape}.")
    if pd.isna(values).any():
        raise ValueError(f"{name} has missing values: leave these epochs out.")
    return values.astype(str) if values.dtype.kind == "O" else values


def _styles(
    labels: np.ndarray, subjects: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, list[Line2D], dict[str, Any]]:
    """Colour (or number) and marker of each epoch, entries of the legend, scale of numbers."""
    classes, which = np.unique(labels, return_inverse=True)
    many, kind = len(classes) > len(PALETTE), labels.dtype.kind
    symbols, scale = np.full(len(labels), MARKERS[0]), {}
    if kind == "f" or (kind in "iu" and many):
        shades, entries = labels, []
        scale = {"cmap": POSITIVE, "vmin": labels.min(), "vmax": labels.max()}
    else:
        colors = list(PALETTE)
        if many:
            colors = [to_hex(c) for c in colormaps[POSITIVE](np.linspace(0, 0.95, len(classes)))]
        shades = np.array(colors)[which]
        entries = [_entry(c, MARKERS[0], shade) for c, shade in zip(classes, colors, strict=False)]
    if subjects is not None:
        names, which = np.unique(subjects, return_inverse=True)
        symbols = np.array(MARKERS)[which]
        entries += [_entry(name, marker(number), "0.5") for number, name in enumerate(names)]
    return shades, symbols, entries, scale


def _entry(label: Any, symbol: str, shade: str) -> Line2D:
    return Line2D([], [], linestyle="", marker=symbol, color=shade, label=wrap(label))


def _reduce(Z: np.ndarray, method: str, random_state: Any) -> tuple[np.ndarray, str, str, str]:
    """Points ``(n_epochs, 2)``, the method's name and the names of the axes."""
    from sklearn.decomposition import PCA

    if method not in METHODS:
        raise ValueError(f"method must be one of {list(METHODS)}, got {method!r}.")
    if method == "auto":
        method = "pca" if len(Z) < TINY else "umap" if find_spec("umap") else "tsne"
    if method == "pca":
        pca = PCA(n_components=2, random_state=random_state)
        points = pca.fit_transform(Z)
        shares = np.nan_to_num(pca.explained_variance_ratio_)
        return points, "PCA", *(f"PC{i + 1} ({share:.0%})" for i, share in enumerate(shares))
    if method == "umap":
        try:
            from umap import UMAP
        except ImportError:
            message = "method='umap' needs umap-learn: run pip install umap-learn."
            raise ImportError(message) from None
        model = UMAP(n_neighbors=min(15, len(Z) - 1), random_state=random_state, n_jobs=1)
        return model.fit_transform(Z), "UMAP", "dimension 1", "dimension 2"
    from sklearn.manifold import TSNE

    if min(Z.shape) > MOST_FEATURES:
        Z = PCA(MOST_FEATURES, random_state=random_state).fit_transform(Z)
    model = TSNE(perplexity=min(30.0, (len(Z) - 1) / 3), random_state=random_state)
    return model.fit_transform(Z), "t-SNE", "dimension 1", "dimension 2"
