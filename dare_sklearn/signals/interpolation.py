"""Electrode positions, and spherical-spline maps between montages (Perrin et al., 1989)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from .electrodes import electrode_name

# Centre, in head coordinates (metres), of the sphere that electrodes are projected on.
_CENTRE = np.array([0.0, 0.0, 0.04])


@lru_cache(maxsize=1)
def template_positions() -> dict[str, np.ndarray]:
    """Positions (metres, head coordinates) of the electrodes of the 10-05 system."""
    import mne

    montage = mne.channels.make_standard_montage("colin27_1005")
    info = mne.create_info(montage.ch_names, 256.0, "eeg")
    info.set_montage(montage)
    return {electrode_name(ch["ch_name"]): ch["loc"][:3].copy() for ch in info["chs"]}


def electrode_positions(
    names: Sequence[str], own: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Positions of `names`: the 10-05 template's by name, else the recording's `own`.

    Electrodes that neither knows are missing in the answer.
    """
    template = template_positions()
    own = own or {}
    found = {}
    for name in names:
        position = template.get(electrode_name(name), own.get(electrode_name(name)))
        if position is not None:
            found[name] = position
    return found


def directions(positions: np.ndarray) -> np.ndarray:
    """Unit vectors ``(n, 3)`` from the centre of the head."""
    away = np.asarray(positions, dtype=float) - _CENTRE
    return away / np.linalg.norm(away, axis=-1, keepdims=True)


def spline_matrix(source: Mapping[str, np.ndarray], target: Mapping[str, np.ndarray]) -> np.ndarray:
    """Matrix that interpolates signals at `source` electrodes to `target` electrodes.

    Where an electrode of `target` is among `source` (by name), its row copies that channel.
    The other rows are MNE's spherical splines, read off by interpolating unit signals.

    Parameters
    ----------
    source, target : mapping of str to ndarray of shape (3,)
        Positions in metres, head coordinates.

    Returns
    -------
    ndarray of float32, shape (n_target, n_source)
    """
    names = {electrode_name(name): i for i, name in enumerate(source)}
    matrix = np.zeros((len(target), len(source)), dtype=np.float32)
    missing = [name for name in target if electrode_name(name) not in names]
    if missing:
        spline = _mne_spline(source, {name: target[name] for name in missing})
    for row, name in enumerate(target):
        if name in missing:
            matrix[row] = spline[missing.index(name)]
        else:
            matrix[row, names[electrode_name(name)]] = 1.0
    return matrix


def spline_start(
    ch_names: Sequence[str],
    own: Mapping[str, np.ndarray] | None,
    targets: Sequence[str],
    owner: str,
) -> np.ndarray | None:
    """Start of a spatial convolution: interpolation from channels onto target electrodes.

    Channels whose position nobody knows start with weight zero, and a warning says so.

    Parameters
    ----------
    ch_names : sequence of str
        Canonical names.
    own : mapping of str to ndarray of shape (3,), or None
        Positions of the recording's own electrodes.
    targets : sequence of str
    owner : str
        Who asks, for messages.

    Returns
    -------
    ndarray of float32, shape (n_targets, n_chans), or None if no position is known
    """
    source = electrode_positions(ch_names, own)
    known = [i for i, name in enumerate(ch_names) if name in source]
    unknown = [name for name in ch_names if name not in source]
    if unknown:
        start = "with weight zero" if known else "at random"
        warnings.warn(
            f"{owner} does not know where {', '.join(unknown)} are, so they start {start} "
            "in its spatial convolution: rename them to electrodes of the 10-05 system, set a "
            "montage, or pass spatial_init='random'.",
            UserWarning,
            stacklevel=2,
        )
    if not known:
        return None
    template = template_positions()
    matrix = np.zeros((len(targets), len(ch_names)), dtype=np.float32)
    matrix[:, known] = spline_matrix(source, {name: template[name] for name in targets})
    return matrix


def _mne_spline(source, target) -> np.ndarray:
    import mne

    if len(source) == 1:  # a spline through one point is that constant
        return np.ones((len(target), 1), dtype=np.float32)
    names = [f"S{i}" for i in range(len(source))]
    info = mne.create_info(names, 256.0, "eeg")
    info.set_montage(
        mne.channels.make_dig_montage(
            dict(zip(names, source.values(), strict=True)), coord_frame="head"
        )
    )
    evoked = mne.EvokedArray(np.eye(len(names)), info, verbose="error")
    montage = mne.channels.make_dig_montage(
        {f"T{i}": position for i, position in enumerate(target.values())}, coord_frame="head"
    )
    with mne.utils.use_log_level("error"):
        moved = evoked.interpolate_to(montage, origin=tuple(_CENTRE), method="spline")
    return moved.get_data().astype(np.float32)
