"""Curves of a score and of a training, and maps of embeddings in two dimensions."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter
from sklearn.utils import check_array

from . import _axes as style

BAND = {"alpha": 0.18, "linewidth": 0}
NO_LOSS = {"epoch", "lr", "seconds"}  # columns of a history
LOG_FROM = 20.0  # ratio of the largest loss to the smallest
MOST_TICKS = 8  # of a logarithmic axis at the numbers that were tried
TINY = 10  # epochs, below which neighbourhoods mean nothing
MOST_FEATURES = 50  # that t-SNE gets; more are brought down by PCA first, as is usual


def plot_curve(
    table: pd.DataFrame,
    x: str,
    y: str = "mean",
    hue: str | None = "pipeline",
    *,
    low: str = "low",
    high: str = "high",
    chance: float | None = None,
    log_x: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """A line of `y` against `x` with a band of uncertainty, one per value of `hue`.

    Parameters
    ----------
    table : DataFrame
        One row per point, such as `dare_sklearn.evaluation.summarize` makes of `learning_curve`.
    x : str
        Column of numbers; of "share" the axis is in percent.
    y : str, default="mean"
        Column of numbers. Where the table has a single metric, the axis of "mean" has its name.
    hue : str or None, default="pipeline"
        Column that tells lines apart.
    low, high : str, default="low", "high"
        Columns with the edges of the band. It is left out where the table lacks them.
    chance : float or None, default=None
        Level of chance, a dashed line.
    log_x : bool, default=False
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If the table lacks a column, or has several rows per point.
    """
    band = [low, high] if {low, high} <= set(table) else []
    keys = [x] if hue is None else [x, hue]
    style.check_table(table, [*keys, y, *band], [x, y])
    table = table.dropna(subset=[x, y]).sort_values(x, kind="stable")
    if table.duplicated(keys).any():
        raise ValueError(f"The table has several rows for one point ({', '.join(keys)}): pass one.")
    if log_x and not (table[x] > 0).all():
        raise ValueError(f"The column {x} must hold positive numbers for a logarithmic axis.")
    lines = [("", table)] if hue is None else list(table.groupby(hue, sort=False, observed=True))
    ax = style.get_axes(ax, 5.2, 3.6 + 0.13 * len(lines))
    for number, (name, rows) in enumerate(lines):
        shown = style.look(number) | {"markersize": 5, "label": style.wrap(name)}
        ax.plot(rows[x], rows[y], **shown)
        if band:
            ax.fill_between(rows[x], rows[low], rows[high], color=shown["color"], **BAND)
    if chance is not None:
        ax.axhline(chance, color=style.GREY, linestyle="--", linewidth=1, label="chance", zorder=1)
    if log_x:
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.xaxis.set_major_formatter("{x:g}")
        if table[x].nunique() <= MOST_TICKS:
            ax.set_xticks(table[x].unique())
            ax.minorticks_off()
    if x == "share":
        ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    metrics = table["metric"].unique() if y == "mean" and "metric" in table else [y]
    ax.set(xlabel=style.spelled(x), ylabel=style.spelled(metrics[0] if len(metrics) == 1 else y))
    style.tidy(ax)
    if hue is not None or chance is not None:
        style.add_legend(ax, below=True)
    return ax.figure


def plot_mask_invariance(table: pd.DataFrame) -> Figure:
    """How alike two masked views of an epoch are embedded, against how much the views share.

    Left: cosine similarity of two views of one epoch (positive pairs), and of two (negative pairs).
    Right: retrieval, the share of first views whose nearest second view is their own.

    Parameters
    ----------
    table : DataFrame
        Of `dare_sklearn.inspection.mask_invariance`; of several encoders stacked, with a column
        ``encoder``. Points are means over draws, the band is their SD.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If the table lacks a column.
    """
    numbers = ["overlap", "positive_cosine", "negative_cosine", "retrieval"]
    style.check_table(table, numbers, numbers)
    if "encoder" not in table:
        table = table.assign(encoder="encoder")
    left, right = style.new_figure(8.4, 3.8).subplots(1, 2)
    table = table.assign(encoder=table["encoder"].fillna("untrained"))  # encoder=None
    for number, encoder in enumerate(table["encoder"].unique()):
        draws = table.loc[table["encoder"] == encoder, numbers].groupby("overlap")
        rows, spread = draws.mean(), draws["retrieval"].std().fillna(0.0)
        shown = style.look(number) | {"markersize": 5, "linestyle": "-"}
        dotted = shown | {"linestyle": ":", "fillstyle": "none"}
        left.plot(rows.index, rows["positive_cosine"], **shown)
        left.plot(rows.index, rows["negative_cosine"], **dotted)
        right.plot(rows.index, rows["retrieval"], label=style.wrap(encoder), **shown)
        low, high = ((rows["retrieval"] + sign * spread).clip(0, 1) for sign in (-1, 1))  # a share
        right.fill_between(rows.index, low, high, color=shown["color"], **BAND)
    left.plot([], [], "-", color=style.GREY, label="same epoch")
    left.plot([], [], ":", color=style.GREY, label="different epochs")
    left.legend(frameon=False, fontsize="small")
    left.set(ylabel="cosine similarity", title="Pairs of masked views")
    right.set(ylabel="found at once", title="Finding the other view (± SD)", ylim=(-0.02, 1.02))
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    for half in (left, right):
        half.xaxis.set_major_formatter(PercentFormatter(1.0))
        half.set_xlabel("channels seen by both views")
        style.tidy(half)
    style.add_legend(right, title="encoder")
    return left.figure


def plot_losses(history: Any, *, ax: Axes | None = None) -> Figure:
    """Every loss term over the epochs of a training, logarithmic where they differ by 20 or more.

    Parameters
    ----------
    history : DataFrame or fitted estimator
        The table ``history_`` of a pretrainer or probe, or the estimator itself.
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If there is no history, or none of its losses has a value.
    """
    table = getattr(history, "history_", history)
    if not isinstance(table, pd.DataFrame):
        what = "plot_losses takes a history_ or a fitted estimator with one"
        raise TypeError(f"{what}, got a {type(history).__name__}.")
    if table.empty:
        raise ValueError("plot_losses got a history without epochs, as of adaptation='linear'.")
    terms = [name for name in table if name not in NO_LOSS]
    if not terms:
        raise ValueError(f"plot_losses found no loss among the columns {', '.join(table)}.")
    style.check_table(table, ["epoch", *terms], ["epoch", *terms])
    least, most = table[terms].min(axis=None), table[terms].max(axis=None)
    log = least > 0 and most >= LOG_FROM * least
    ax = style.get_axes(ax, 6.4, 3.8)
    for number, name in enumerate(terms):
        shown = style.look(number) | {"marker": "o" if len(table) < 15 else None, "markersize": 4}
        # the first ones are seen below those that hide them
        width = 1.5 + 0.5 * (len(terms) - 1 - number)
        if name in ("total", "loss"):  # what was minimised
            width, shown = width + 0.7, shown | {"color": "black", "linestyle": "-"}
        ax.plot(table["epoch"], table[name], label=style.spelled(name), linewidth=width, **shown)
    if log:
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel="epoch (pass through the data)", ylabel="loss (log scale)" if log else "loss")
    ax.set_title("Loss of training")
    style.tidy(ax)
    if len(terms) > 1:
        style.add_legend(ax)
    return ax.figure


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
        Class, subject or number of each epoch. Floats, and integers of more than seven values, get
        a scale of colours; more than seven classes, shades of one scale.
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
    """
    asks = {"ensure_min_samples": 3, "ensure_min_features": 2, "estimator": "plot_embedding_map"}
    Z, labels = check_array(Z, dtype=float, input_name="Z", **asks), np.asarray(labels)
    if not np.ptp(Z, axis=0).any():  # t-SNE would end the process
        raise ValueError("All epochs have the same embedding in Z: there is no map to draw.")
    if labels.shape != (len(Z),) or pd.isna(labels).any():
        wanted = f"one value per epoch ({len(Z)}) without missing ones"
        raise ValueError(f"labels must be {wanted}, got shape {labels.shape}.")
    labels = labels.astype(str) if labels.dtype.kind == "O" else labels
    points, name, names = _reduce(Z, method, random_state)

    ax = style.get_axes(ax, 6.0, 4.4)
    dots = {"s": 24 if len(Z) <= 500 else 8, "linewidths": 0.3, "edgecolors": "white"}
    classes = np.unique(labels)
    many = len(classes) > len(style.PALETTE)
    if labels.dtype.kind == "f" or (labels.dtype.kind in "iu" and many):
        drawn = ax.scatter(*points.T, c=labels, cmap=style.POSITIVE, **dots)
        ax.figure.colorbar(drawn, ax=ax, label="label")
    else:
        shades = colormaps[style.POSITIVE](np.linspace(0, 0.95, len(classes)))
        for label, color in zip(classes, shades if many else style.PALETTE, strict=False):
            ax.scatter(*points[labels == label].T, color=color, label=style.wrap(label), **dots)
        style.add_legend(ax)
    ax.set(title=f"Embeddings ({name})", xlabel=names[0], ylabel=names[1], xticks=[], yticks=[])
    style.tidy(ax, None)
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
