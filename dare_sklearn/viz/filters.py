"""Topographies of what a conv-linear probe has learned to read from the recorded channels."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import check_is_fitted

from ..signals.electrodes import ELECTRODES, electrode_name
from ._axes import SIGNED, symmetric_limits
from ._scalp import many_maps, own_positions, place_electrodes, spelled_electrode

BATCH = 64  # epochs that are read at once


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

    The convolution makes a signal at every target electrode of the encoder as a weighted sum of
    the recorded channels. Without `X`, maps show these weights, the *filters*: a large weight does
    not say that the channel carries the signal, since filters also cancel noise. With `X`, maps
    show the *patterns* [1]_, the covariance of every channel with the filter's output over the
    output's standard deviation (µV). Patterns may be read as to where a signal comes from.

    Parameters
    ----------
    probe : DAREClassifier or DARERegressor
        Fitted with ``adaptation="conv-linear"`` or ``"finetune"``.
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
        If the probe has no spatial convolution, or several layers of it (pass `X` then), or targets
        or positions of channels are unknown.

    References
    ----------
    .. [1] Haufe et al. (2014). On the interpretation of weight vectors of linear models in
       multivariate neuroimaging. NeuroImage 87.

    Examples
    --------
    >>> from dare_sklearn import DAREClassifier, simulate_epochs
    >>> from dare_sklearn.viz import plot_spatial_filters
    >>> names = ["Fz", "C3", "Cz", "C4", "Pz"]
    >>> epochs = simulate_epochs(n_subjects=1, n_epochs=8, ch_names=names, random_state=0)
    >>> y = epochs.metadata["label"].to_numpy()
    >>> clf = DAREClassifier(None, spatial_init="spline", max_epochs=1).fit(epochs, y)
    >>> fig = plot_spatial_filters(clf, epochs, targets=["C3", "C4"])
    >>> [ax.get_title() for ax in fig.axes[:2]]
    ['C3', 'C4']
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
    titles = [spelled_electrode(electrodes[row]) for row in chosen]
    limits = symmetric_limits(maps[chosen])
    figure = many_maps(maps[chosen], places, titles, label, cmap=SIGNED, limits=limits)
    figure.suptitle(what)
    return figure


def _fitted_module(probe: Any) -> Any:
    if not hasattr(probe, "adaptation"):
        kind = type(probe).__name__
        raise TypeError(f"probe must be a fitted DAREClassifier or DARERegressor, got a {kind}.")
    check_is_fitted(probe, "encoder_")
    if not hasattr(probe, "module_"):
        raise ValueError(
            "Spatial filters need a spatial convolution, and adaptation='linear' has none: "
            "fit it with adaptation='conv-linear'."
        )
    if not hasattr(probe.module_.spatial, "layers"):
        raise ValueError(
            f"Filters of spatial_init={probe.spatial_init!r} are not electrodes: plot those of "
            "spatial_init='spline' or 'random'."
        )
    if probe.ch_names_in_ is None:
        raise ValueError("The probe was fitted on channels without names: fit it with ch_names.")
    return probe.module_


def _patterns(probe: Any, module: Any, X: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Covariance of channels (µV) and outputs over the outputs' SD, and positions that X has."""
    import torch

    epochs = probe._load(X)
    sums = None
    for start in range(0, len(epochs), BATCH):
        x = torch.from_numpy(epochs[start : start + BATCH])
        with torch.inference_mode():
            out = module.spatial(module.encoder.normalize(x))
        x, out = (part.double().transpose(0, 1).flatten(1).numpy() for part in (x, out))
        parts = (x.shape[1], x.sum(1), out.sum(1), out @ x.T, (out**2).sum(1))
        sums = parts if sums is None else tuple(a + b for a, b in zip(sums, parts, strict=True))
    count, x_sum, out_sum, product, square = sums
    covariance = product / count - np.outer(out_sum, x_sum) / count**2
    spread = np.sqrt(np.maximum(square / count - (out_sum / count) ** 2, 0.0))[:, None]
    pattern = np.divide(covariance, spread, out=np.zeros_like(covariance), where=spread > 0)
    return pattern, epochs.signals.positions


def _choose(electrodes: list[str], maps: np.ndarray, targets: Any, n_maps: int) -> list[int]:
    """Rows of the maps to draw."""
    if targets is None:
        # filters at their bound differ in norm by rounding alone: those keep their order
        norms = np.linalg.norm(maps, axis=1).round(5)
        return np.argsort(-norms, kind="stable")[:n_maps].tolist()
    wanted = [targets] if isinstance(targets, str) else list(targets)
    unknown = [name for name in wanted if electrode_name(name) not in electrodes]
    if unknown or not wanted:
        raise ValueError(
            f"targets must be among the probe's target electrodes "
            f"({', '.join(electrodes)}), got {', '.join(map(str, unknown)) or 'none'}."
        )
    return [electrodes.index(electrode_name(name)) for name in wanted]
