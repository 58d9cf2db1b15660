"""Starts of the probe from what the field knows: spatial filters with labels, and a ridge head."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls

from ..base.reading import KernelRidge, calibrate, kernels, make_folds, scaled, solve, some_of
from ..modules.networks import Encoder
from ..modules.probe import VirtualProbe
from ..signals.covariance import covariances, csp_filters, xdawn_filters

VIRTUAL_INITS = ("auto", "csp", "xdawn")  # values of `spatial_init`
MIN_EPOCHS = 5  # of each class, for filters that are fitted with labels
MOST_EPOCHS = 5_000  # that "auto" solves in closed form: kernels grow with their square
TYPICAL_UV = 10.0  # root mean square of a virtual electrode
N_FOLDS = 5
MANY_EPOCHS, N_FOLDS_OF_MANY = 300, 3  # of more epochs, two thirds fit filters as well
PENALTIES = tuple(10.0 ** np.arange(-2, 3.25, 0.5))
N_CHOICE = 1000  # epochs that readings are weighed on at most
BLOCK = 256  # epochs that are read at once
READS = {
    "csp": ("power", "tokens"), "xdawn": ("tokens", "evoked"),
    "spline": ("tokens", "power", "evoked"),
}  # fmt: skip


def make_probe(
    encoder: Encoder, spec: dict[str, Any], parts: list[tuple[str, np.ndarray]]
) -> VirtualProbe:
    """A probe with these spatial parts and a fresh head."""
    rows, readings, targets, start = spec["targets"], [], [], 0
    for name, filters in parts:
        stop = start + len(filters)
        readings += [(reading, start, stop) for reading in READS[name]]
        # the encoder asks for a place, which filters do not have: they take the spline's in turn,
        # those of Xdawn the same ones for every class
        turn = len(filters) // spec["n_outputs"] if name == "xdawn" else len(rows)
        targets += [rows[i % min(turn, len(rows))] for i in range(len(filters))]
        start = stop
    filters = np.concatenate([filters for _, filters in parts])
    shape = targets, readings, spec["n_patches"], spec["n_outputs"], spec["train_encoder"]
    probe = VirtualProbe(encoder, filters.shape[1], *shape).eval()
    with torch.no_grad():
        probe.spatial.weight.copy_(torch.from_numpy(filters)[:, :, None])
    return probe


def spatial_parts(
    kind: str, X: np.ndarray, y: np.ndarray, spline: np.ndarray, weight: np.ndarray, sfreq: float
) -> list[tuple[str, np.ndarray]]:
    """Filters of ``spatial_init=kind``, fitted on `X` (µV); `spline` where epochs are too few."""
    is_number = y.dtype.kind == "f"
    fewest = len(y) if is_number else np.bincount(y).min()
    parts = []
    if fewest >= MIN_EPOCHS and np.ptp(y) > 0:
        centred = X - X.mean(axis=-1, keepdims=True)
        if kind in ("csp", "auto"):
            parts.append(("csp", csp_filters(X, y, weight, sfreq)))
        if kind in ("xdawn", "auto") and not is_number:
            parts.append(("xdawn", xdawn_filters(X, y, weight)))
    for number, (name, filters) in enumerate(parts):  # signals of the size of EEG
        power = [((filters @ x) ** 2).mean(axis=-1) for x in centred]
        size = np.sqrt(np.average(power, axis=0, weights=weight))
        parts[number] = name, filters * (TYPICAL_UV / np.maximum(size, 1e-30))[:, None]
    return parts if parts and kind != "auto" else [*parts, ("spline", spline)]


def start_probe(
    encoder: Encoder, spec: dict[str, Any], kind: str, x: np.ndarray, targets: np.ndarray,
    weight: np.ndarray, spline: np.ndarray, groups: np.ndarray | None, seed: int,
) -> VirtualProbe:  # fmt: skip
    """A probe with fitted filters, and the ridge solution in its head.

    The weights of its readings and the penalty are chosen by cross-validation (of whole `groups`,
    on at most 1,000 epochs, which `seed` draws) that fits the filters anew: filters that have seen
    an epoch's label make it look far easier than it is. `x` are microvolts on the encoder's grid,
    `targets` class numbers or a target, `weight` that (above 0) of the squared errors, `spline` a
    matrix ``(n_targets, n_chans)``.
    """
    # the encoder takes off the offsets of electrodes, which MNE's filters would see as signal,
    # and may bring them to the average reference
    offsets = np.average(x.mean(axis=2, dtype=np.float64), axis=0, weights=weight)
    x -= offsets[:, None].astype(x.dtype)
    if encoder.config.reference == "average" and x.shape[1] > 1:
        x -= x.mean(axis=1, keepdims=True)
    classes, sfreq = targets.dtype.kind != "f", encoder.config.sfreq
    goal = 2.0 * (targets[:, None] == np.unique(targets)) - 1 if classes else targets[:, None]
    parts = spatial_parts(kind, x, targets, spline, weight, sfreq)
    probe = make_probe(encoder, spec, parts)
    features = _read(probe, x)
    some = some_of(np.arange(len(x)), N_CHOICE, seed)

    def read_by(train: np.ndarray) -> list[np.ndarray] | None:
        """Readings of `some` epochs through the filters of some of them; None: too few."""
        fold = some[train]
        inner = spatial_parts(kind, x[fold], targets[fold], spline, weight[fold], sfreq)
        if [name for name, _ in inner] != [name for name, _ in parts]:
            return None
        learned = [part for part in inner if part[0] != "spline"]  # the spline's are read already
        return _read(make_probe(encoder, spec, learned), x[some]) if learned else []

    folds = []
    if len(some) > 1:
        strata = targets[some] if classes else None
        folds = make_folds(len(some), strata, None if groups is None else groups[some])
    n_folds = min(N_FOLDS if len(some) <= MANY_EPOCHS else N_FOLDS_OF_MANY, len(folds))
    folds = [np.concatenate(folds[i::n_folds]) for i in range(n_folds)]
    shares, held_out = _weigh([z[some] for z in features], read_by, folds, goal[some], weight[some])
    known = np.isfinite(held_out).all(axis=1)
    slope, offset = 1.0, 0.0
    if classes and known.any():
        slope, offset = calibrate(held_out[known], targets[some][known], weight[some][known])
    _solve_head(probe, features, goal, weight, shares, slope, offset)
    probe.covariance.copy_(
        torch.from_numpy(np.average(covariances(x, 1.0), axis=0, weights=weight))
    )
    return probe


def _weigh(
    features: list[np.ndarray], read_by: Callable[[np.ndarray], list[np.ndarray] | None],
    folds: list[np.ndarray], goal: np.ndarray, weight: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Shares ``(n_readings, n_penalties)`` of a sum of ridge regressions, and its held-out values.

    The shares are the non-negative least squares of the targets on what each reading, at each
    penalty, predicts of epochs that neither its filters nor its map have seen (stacking).
    """
    said = np.full((len(features), len(PENALTIES), *goal.shape), np.nan)
    fixed: list[np.ndarray] = []  # kernels of the spline's readings, which no fold changes
    for test in folds:
        train = np.setdiff1d(np.arange(len(goal)), test)
        learned = read_by(train) if len(train) else None
        if learned is None:
            continue
        fixed = fixed or kernels(features[len(learned) :], weight)
        for i, kernel in enumerate([*kernels(learned, weight), *fixed]):
            solver = KernelRidge(kernel[np.ix_(train, train)], weight[train])
            for j, penalty in enumerate(PENALTIES):
                dual, intercept = solver.solve(goal[train], penalty)
                said[i, j, test] = kernel[np.ix_(test, train)] @ dual + intercept
    shares = np.zeros(said.shape[:2])
    known = np.isfinite(said[0, 0, :, 0])
    if known.any():
        root = np.sqrt(weight[known])[:, None]
        columns = (said[:, :, known] * root).reshape(shares.size, -1).T
        found, _ = nnls(columns, (goal[known] * root).ravel(), maxiter=10_000)
        shares = found.reshape(shares.shape)
    if not shares.any():
        shares[:, len(PENALTIES) // 2] = 1 / len(shares)
    return shares, np.tensordot(shares, said, 2)


@torch.inference_mode()
def _read(probe: VirtualProbe, x: np.ndarray) -> list[np.ndarray]:
    """Every reading of a probe; see `VirtualProbe.read`."""
    blocks = [probe.read(torch.from_numpy(x[i : i + BLOCK])) for i in range(0, len(x), BLOCK)]
    return [torch.cat(parts).numpy() for parts in zip(*blocks, strict=True)]


@torch.no_grad()
def _solve_head(probe, features, goal, weight, shares, slope, offset) -> None:
    """Put a sum of ridge regressions into the norm and the map of a probe."""
    means, deviations, maps = [], [], []
    bias = np.zeros(goal.shape[1])
    for x, row in zip(features, shares, strict=True):
        z, mean, scale = scaled(x, weight)
        dual = np.zeros(goal.shape)
        kernel = z @ z.T
        for share, penalty in zip(row, PENALTIES, strict=True):
            if share:
                part, intercept = solve(kernel, weight, goal, penalty)
                dual += share * part
                bias += share * intercept
        varies = scale > 0
        deviation = np.where(varies, 1 / np.where(varies, scale, 1.0), 1.0)
        deviation = deviation / np.sqrt(max(varies.sum(), 1))
        root = np.sqrt(deviation**2 + probe.norm.eps)  # as the norm divides
        means.append(mean)
        deviations.append(deviation)
        maps.append((z.T @ dual) * (scale * root)[:, None])
    probe.norm.running_mean.copy_(torch.from_numpy(np.concatenate(means)))
    probe.norm.running_var.copy_(torch.from_numpy(np.concatenate(deviations) ** 2))
    probe.head.weight.copy_(torch.from_numpy(slope * np.concatenate(maps).T))
    probe.head.bias.copy_(torch.from_numpy(slope * bias + offset))
