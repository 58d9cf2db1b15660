"""Maps over the scalp: attention of an encoder, filters of a probe, relevance of channels."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from numbers import Integral
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import check_is_fitted

from ..signals.electrodes import ELECTRODES, electrode_name, info_positions, place, template_montage
from ..signals.errors import listed
from ._axes import POSITIVE, SIGNED, get_axes, panels, symmetric_limits

# Polar angles are taken from this point (metres, head coordinates), which puts the lowest ring of
# the 10-20 system just inside the drawn head, as atlases have it.
_CENTRE = np.array([0.0, 0.015, 0.015])
HEAD_RADIUS = 0.095  # of the outline that mne draws
MOST_NAMED = 24  # electrodes whose names fit into one map
BATCH = 64  # epochs that are read at once
# A channel is marked where its mean importance is this many standard deviations above zero.
MARKED_FROM = 2.0


def plot_attention(estimator: Any, X: Any, *, ax: Axes | None = None) -> Figure:
    """How much the encoder's summary tokens attend to each electrode in the last block.

    The softmax's weights [1]_, averaged over epochs, patches, heads and summary tokens. They show
    where the last block gathers, not what caused a decision: earlier blocks have mixed the
    channels. For a probe with a spatial convolution, the electrodes are its targets.

    Parameters
    ----------
    estimator : fitted DAREEmbedder, DAREPretrainer, DAREClassifier or DARERegressor
    X : array, mne.Epochs or braindecode data set
        Signals in the layout of its ``fit``.
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        In percent of a token's attention. The title says what each electrode would get if all were
        attended alike.

    Raises
    ------
    TypeError, ValueError
        If `estimator` is another, or `X` cannot be read.

    References
    ----------
    .. [1] Vaswani et al. (2017). Attention is all you need. NeurIPS.
    """
    import torch

    if getattr(estimator, "_fitted_attribute", None) != "encoder_":
        kind = type(estimator).__name__
        raise TypeError(f"plot_attention takes a fitted estimator with an encoder, got a {kind}.")
    check_is_fitted(estimator)
    module = getattr(estimator, "module_", None)
    if module is not None and not hasattr(module, "temporal"):
        probe = f"The probe of spatial_init={estimator.spatial_init!r}"
        how = "shows its encoder one virtual electrode at a time"
        raise ValueError(f"{probe} {how}: there is no attention between electrodes.")
    with estimator._asking():
        windows = estimator._load(X)
    bare = estimator.encoder_ if module is None else module.encoder
    rows = windows.rows if module is None else module.targets.tolist()
    device = next(bare.parameters()).device
    channels = torch.as_tensor(rows, device=device)

    def embed(start: int) -> Any:
        x = torch.from_numpy(windows[start : start + BATCH]).to(device)
        return bare(bare.normalize(x), channels) if module is None else module(x)

    weights = 100 * mean_attention(bare, map(embed, range(0, len(windows), BATCH)))  # percent
    names = [ELECTRODES[row] for row in rows]
    mean, places = weights[: len(names)], place_electrodes(names, {})
    limits = 0.0, mean.max()
    ax = one_map(ax, mean, places, "attention (%)", cmap=POSITIVE, limits=limits, names=names)
    tokens = "token" if bare.config.embed_num == 1 else "tokens"
    alike = 100 / len(weights)
    ax.set_title(f"Attention of the summary {tokens}\n({alike:.1f} % if all were alike)")
    return ax.figure


def attention_weights(attn: Any, x: Any, n_read: int) -> Any:
    """Softmax weights ``(n_seqs, n_heads, n_read, n_tokens)`` of the last tokens of `x`."""
    q, k, _ = attn.qkv(x).unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    scores = q[:, :, -n_read:] @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    return scores.softmax(dim=-1)


def mean_attention(encoder: Any, passes: Iterator[Any]) -> np.ndarray:
    """Mean weights ``(n_chans + embed_num,)`` in the last block while `passes` run the encoder."""
    import torch

    last, found = encoder.blocks[-1], []

    def gather(norm: Any, args: tuple, tokens: Any) -> None:
        weights = attention_weights(last.attn, tokens.float(), encoder.config.embed_num)
        found.append(weights.mean(dim=(1, 2)).double().cpu())  # one row per sequence

    with last.norm1.register_forward_hook(gather), torch.inference_mode():
        for _ in passes:
            pass
    return torch.cat(found).mean(dim=0).numpy()


@validate_params(
    {"n_maps": [Interval(Integral, 1, None, closed="left")]}, prefer_skip_nested_validation=False
)
def plot_spatial_filters(
    probe: Any,
    X: Any = None,
    *,
    targets: Sequence[str] | None = None,
    n_maps: int = 4,
    info: Any = None,
) -> Figure:
    """Maps of the spatial convolution of a fitted probe: its filters, or its patterns.

    At every target electrode, the convolution makes a weighted sum of the recorded channels.
    Without `X`, maps show these weights, the *filters*, which also cancel noise: a large weight
    does not say that the channel carries the signal. With `X`, they show the *patterns* [1]_, which
    show where a signal comes from: the covariance of every channel with the filter's output over
    the output's standard deviation (µV).

    Parameters
    ----------
    probe : DAREClassifier or DARERegressor
        Fitted with ``spatial_init="spline"`` or ``"random"``.
    X : array, mne.Epochs, braindecode data set or None, default=None
        Signals in the layout of ``fit``, best the training epochs. None draws filters.
    targets : sequence of str or None, default=None
        Target electrodes to show. None takes the `n_maps` maps of largest norm.
    n_maps : int, default=4
        Number of maps without `targets`; all, if there are fewer.
    info : mne.Info or None, default=None
        Positions of channels outside the 10-05 system, unless `X` carries them.

    Returns
    -------
    Figure
        One map per target electrode, on a common scale of colours.

    Raises
    ------
    TypeError, ValueError
        If the probe has no spatial convolution, or several layers (pass `X` then), or targets or
        positions of channels are unknown.

    References
    ----------
    .. [1] Haufe et al. (2014). On the interpretation of weight vectors of linear models in
       multivariate neuroimaging. NeuroImage 87.
    """
    module = _fitted_module(probe)
    own = own_positions(info)
    if X is None:
        layers, label, what = module.spatial.layers, "weight", "Spatial filters"
        if (n := len(layers)) > 1:
            raise ValueError(f"Filters of spatial_layers={n} are not a single matrix: pass X.")
        maps = layers[0].weight.detach().cpu().numpy()[:, :, 0].astype(float)
    else:
        maps, positions = _patterns(probe, module, X)
        own = {**positions, **own}
        label, what = "µV per SD of the output", "Spatial patterns"
    places = place_electrodes(probe.ch_names_in_, own)
    electrodes = [ELECTRODES[row] for row in module.targets.tolist()]
    chosen = _choose(electrodes, maps, targets, n_maps)
    limits = symmetric_limits(maps[chosen])
    axes = panels(len(chosen), 1.9, 2.1, most=4)
    for ax, row in zip(axes, chosen, strict=True):
        drawn = draw_map(ax, maps[row], places, cmap=SIGNED, limits=limits)
        ax.set_title(spelled_electrode(electrodes[row]))
    figure = axes[0].figure
    figure.colorbar(drawn, ax=axes, label=label, shrink=0.8)
    figure.suptitle(what)
    return figure


def _fitted_module(probe: Any) -> Any:
    if not hasattr(probe, "adaptation"):
        kind = type(probe).__name__
        raise TypeError(f"probe must be a fitted DAREClassifier or DARERegressor, got a {kind}.")
    check_is_fitted(probe, "encoder_")
    if not hasattr(probe, "module_") or not hasattr(probe.module_.spatial, "layers"):
        what = f"adaptation={probe.adaptation!r} with spatial_init={probe.spatial_init!r}"
        hint = "fit it with adaptation='conv-linear' and spatial_init='spline' or 'random'"
        raise ValueError(f"{what} has no spatial convolution onto electrodes: {hint}.")
    if probe.ch_names_in_ is None:
        raise ValueError("The probe was fitted on channels without names: fit it with ch_names.")
    return probe.module_


def _patterns(probe: Any, module: Any, X: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Covariance of channels (µV) and outputs over the outputs' SD, and positions that X has."""
    import torch

    with probe._asking():
        epochs = probe._load(X)
    total = 0.0
    for start in range(0, len(epochs), BATCH):
        x = torch.from_numpy(epochs[start : start + BATCH])
        with torch.inference_mode():
            out = module.spatial(module.encoder.normalize(x))
        both = torch.cat([x, out, torch.ones_like(x[:, :1])], dim=1)  # sums: products with one
        both = both.double().transpose(0, 1).flatten(1).numpy()
        total = total + both @ both.T
    mean, n_chans = total[-1] / total[-1, -1], x.shape[1]
    covariance = total / total[-1, -1] - np.outer(mean, mean)
    spread = np.sqrt(np.maximum(covariance.diagonal()[n_chans:-1], 0.0))[:, None]
    spread[spread == 0] = np.inf  # an output that is flat goes with no channel
    return covariance[n_chans:-1, :n_chans] / spread, epochs.signals.positions


def _choose(electrodes: list[str], maps: np.ndarray, targets: Any, n_maps: int) -> list[int]:
    """Rows of the maps to draw."""
    if targets is None:
        # filters at their bound differ in norm by rounding alone: those keep their order
        norms = np.linalg.norm(maps, axis=1).round(5)
        return np.argsort(-norms, kind="stable")[:n_maps].tolist()
    wanted = [targets] if isinstance(targets, str) else list(targets)
    unknown = [name for name in wanted if electrode_name(name) not in electrodes]
    if unknown or not wanted:
        known = f"the probe's target electrodes ({', '.join(electrodes)})"
        raise ValueError(f"targets must be among {known}, got {listed(unknown)}.")
    return [electrodes.index(electrode_name(name)) for name in wanted]


def plot_channel_relevance(
    importances: Any,
    ch_names: Sequence[str] | None = None,
    *,
    info: Any = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Map of what each channel is worth to a fitted model.

    A thick edge marks channels whose mean lies two standard deviations (over the shufflings) above
    zero. A channel may matter and still show nothing, where its neighbours carry the same signal.

    Parameters
    ----------
    importances : Bunch, or array of shape (n_chans,) or (n_chans, n_repeats)
        Of `dare_sklearn.inspection.channel_importance` or `gradient_relevance`, or such numbers.
    ch_names : sequence of str or None, default=None
        Names of the channels; None takes those of the Bunch, or of `info`.
    info : mne.Info or None, default=None
        Positions of channels outside the 10-05 system.
    label : str or None, default=None
        What the colours mean; None takes that of the Bunch ("fall of the score" of an array).
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If names or positions are unknown, or the numbers do not fit the names.
    """
    if hasattr(ch_names, "ch_names"):
        raise TypeError("ch_names is an mne.Info, not a sequence of names: pass info=... instead.")
    repeats = np.asarray(getattr(importances, "importances", importances), dtype=float)
    if repeats.ndim not in (1, 2) or repeats.size == 0 or not np.isfinite(repeats).all():
        what = "finite numbers of shape (n_chans, ...)"
        raise ValueError(f"importances must be {what}, got {repeats.shape}.")
    repeats = repeats.reshape(len(repeats), -1)
    if ch_names is None:
        ch_names = getattr(importances, "ch_names", None) or getattr(info, "ch_names", None)
    if ch_names is None:
        raise ValueError("The names of the channels are unknown: pass ch_names, or info.")
    if len(ch_names) != len(repeats):
        raise ValueError(f"There are {len(repeats)} importances for {len(ch_names)} channels.")
    places = place_electrodes(ch_names, own_positions(info))
    label = label or getattr(importances, "label", "fall of the score")

    mean = repeats.mean(axis=1)
    sure = (mean > MARKED_FROM * repeats.std(axis=1)) & (mean > 0) & (repeats.shape[1] > 1)
    shown = {"cmap": SIGNED, "limits": symmetric_limits(mean), "names": ch_names, "marked": sure}
    ax = one_map(ax, mean, places, label, **shown)
    ax.set_title("Relevance of channels")
    return ax.figure


def own_positions(info: Any) -> dict[str, np.ndarray]:
    """Positions that an ``mne.Info`` holds, by canonical name; none for None."""
    if info is None:
        return {}
    import mne

    if not isinstance(info, mne.Info):
        raise TypeError(f"info must be an mne.Info, got a {type(info).__name__}.")
    return info_positions(info["chs"])


def place_electrodes(ch_names: Sequence[str], own: Mapping[str, np.ndarray]) -> np.ndarray:
    """Electrodes on the page, ``(n_chans, 2)`` in metres; by `own` positions or their names."""
    source, _ = place(ch_names, own)
    lost = [name for name in ch_names if name not in source]
    if lost:
        hint = "rename them to electrodes of the 10-05 system, or pass info= with a montage"
        raise ValueError(f"There is no position for {', '.join(lost)}: {hint}.")
    if len(ch_names) < 2:
        raise ValueError("A map over the scalp needs two channels or more.")
    away = np.stack([source[name] for name in ch_names]) - _CENTRE
    radius = np.hypot(away[:, 0], away[:, 1])
    polar = np.arctan2(radius, away[:, 2]) / (np.pi / 2) * HEAD_RADIUS
    return away[:, :2] * (polar / np.maximum(radius, 1e-12))[:, None]


@lru_cache(maxsize=1_000)
def spelled_electrode(name: str) -> str:
    """The usual spelling of an electrode: "FPZ" becomes "Fpz"; others as they are."""
    names = template_montage().ch_names
    return next((known for known in names if known.upper() == name.upper()), name)


def draw_map(
    ax: Axes, values: np.ndarray, places: np.ndarray, *, cmap: str, limits: tuple[float, float],
    names: Sequence[str] = (), marked: np.ndarray | None = None,
) -> PathCollection:  # fmt: skip
    """One map: mne's interpolation, and over it each electrode with its own value.

    `limits` are the values of the first and the last colour; few `names` are written, and `marked`
    electrodes get a thick edge. Returns the electrodes, which a colour bar can belong to.
    """
    import mne

    norm = Normalize(*limits)
    # contours of the scale of colours, so that a map of small differences shows few of them
    levels = np.linspace(*limits, 7)[1:-1]
    levels = levels[(levels > values.min()) & (levels < values.max())]
    mne.viz.plot_topomap(
        values, places, axes=ax, show=False, sensors=False, extrapolate="head", cmap=cmap,
        cnorm=norm, contours=levels if len(levels) else 0,
    )  # fmt: skip
    marked = np.zeros(len(values), dtype=bool) if marked is None else marked
    electrodes = ax.scatter(
        *places.T, c=values, cmap=cmap, norm=norm, s=np.where(marked, 40, 16), zorder=5,
        linewidths=np.where(marked, 1.6, 0.5), edgecolors="black",
    )  # fmt: skip
    outline = [withStroke(linewidth=1.5, foreground="white")]  # readable on any colour
    for number, name in enumerate(names if len(names) <= MOST_NAMED else ()):
        ax.annotate(
            spelled_electrode(name), places[number], xytext=(0, 6 if marked[number] else 4),
            textcoords="offset points", ha="center", va="bottom", fontsize="x-small", zorder=6,
            path_effects=outline,
        )  # fmt: skip
    return electrodes


def one_map(ax: Any, values: np.ndarray, places: np.ndarray, label: str, **how: Any) -> Axes:
    """`draw_map` with its scale of colours, on `ax` or a new figure."""
    ax = get_axes(ax, 4.6, 3.8)
    drawn = draw_map(ax, values, places, **how)
    ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.8)
    return ax
