"""Electrode positions, and spherical-spline maps between montages (Perrin et al., 1989)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .electrodes import electrode_name, is_pair
from .errors import tell

# Centre, in head coordinates (metres), of the sphere that electrodes are projected on.
_CENTRE = np.array([0.0, 0.0, 0.04])
HEAD_RADIUS = 0.095

# How far, along the scalp, an electrode may be recorded from where the 10-05 system puts its name.
# MNE's montages of that system differ from it by up to 5 cm (the spherical ones; the others, and
# caps digitised on single heads, by 1 to 3), electrodes of other systems that happen to have the
# same names by 5 to 20 (BioSemi-128 and -256).
MOST_OFF = 0.055
# Where more than this share of the names is further off, the montage follows another system, and an
# electrode that comes near the place of its name does so by chance: then less is needed.
MOST_WRONG = 0.25
OFF_ELSEWHERE = 0.025


def template_montage() -> Any:
    """MNE's 10-05 electrodes on a template head (called standard_1005 before MNE 1.12)."""
    import mne

    known = mne.channels.get_builtin_montages()
    name = "colin27_1005" if "colin27_1005" in known else "standard_1005"
    return mne.channels.make_standard_montage(name)


@lru_cache(maxsize=1)
def template_positions() -> dict[str, np.ndarray]:
    """Positions (metres, head coordinates) of the electrodes of the 10-05 system."""
    import mne

    montage = template_montage()
    info = mne.create_info(montage.ch_names, 256.0, "eeg", verbose="error")
    info.set_montage(montage, verbose="error")
    return info_positions(info["chs"])


def info_positions(chs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Positions in ``info["chs"]``, by canonical name; channels without one are missing."""
    located = {}
    for ch in chs:
        loc = ch.get("loc")
        xyz = np.array([] if loc is None else loc, dtype=float)[:3]
        if xyz.size == 3 and np.isfinite(xyz).all() and xyz.any():
            located[electrode_name(ch["ch_name"])] = xyz
    return located


def electrode_positions(
    names: Sequence[str], own: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Positions of `names` that are known: see `place`."""
    located, _ = place(names, own)
    return {name: located[name] for name in names if name in located}


def place(
    names: Sequence[str], own: Mapping[str, np.ndarray] | None = None
) -> tuple[dict[str, np.ndarray], frozenset[str]]:
    """Where the electrodes of a recording are.

    A name of the 10-05 system stands for its place on the template head, unless the recording's own
    position contradicts it: then that position counts, and the name says nothing. Other names are
    known by the recording's positions only.

    Parameters
    ----------
    names : sequence of str
    own : mapping of str to ndarray of shape (3,), optional
        The recording's own positions, by canonical name.

    Returns
    -------
    positions : dict of str to ndarray of shape (3,)
        Metres, head coordinates. Electrodes whose place is not known are missing.
    distrusted : frozenset of str
        Names that their own positions contradict.
    """
    template = template_positions()
    own = _on_template_head(own or {})
    off = _distances(own, template)
    far = {name for name, distance in off.items() if distance > MOST_OFF}
    if len(far) > MOST_WRONG * len(off):
        far = {name for name, distance in off.items() if distance > OFF_ELSEWHERE}
    found, distrusted = {}, []
    for name in names:
        plain = electrode_name(name)
        if plain in far:
            found[name] = own[plain]
            distrusted.append(name)
        elif plain in template or plain in own:
            found[name] = template.get(plain, own.get(plain))
    if distrusted:
        listed = ", ".join(
            f"{name} {100 * off[electrode_name(name)]:.0f} cm" for name in distrusted
        )
        tell(
            "some channels have names of the 10-05 system and were recorded elsewhere, by the "
            f"positions of their montage: {listed} away. They are read by position."
        )
    return found, frozenset(distrusted)


def _on_template_head(own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Positions in metres on a head like the template's; none where they cannot be positions.

    Some files hold them in millimetres or centimetres, or on a sphere of radius 1, and some in axes
    of their own, which the names tell.
    """
    if not own:
        return {}
    names, xyz = list(own), np.stack(list(own.values()))
    size = np.median(np.linalg.norm(xyz, axis=1))
    unit = next((u for u in (1.0, 0.1, 1e-2, 1e-3) if 0.03 < size * u < 0.3), None)
    if unit is None or (len(xyz) > 1 and np.ptp(xyz, axis=0).max() * unit < 0.01):
        if any(name not in template_positions() for name in own):
            tell("the positions of the montage are not places on a head, and are not used.")
        return {}
    xyz = xyz * unit
    centre, radius = head_sphere(xyz)
    away = xyz - centre
    placed = dict(zip(names, _CENTRE + away * (HEAD_RADIUS / radius), strict=True))
    template = template_positions()
    shared = [name for name in names if name in template]
    if len(shared) >= 6:
        turn = _rotation(
            directions(np.stack([placed[name] for name in shared])),
            directions(np.stack([template[name] for name in shared])),
        )
        turned = {name: _CENTRE + turn @ (xyz - _CENTRE) for name, xyz in placed.items()}
        wrong, wrong_turned = (
            np.mean(np.array(list(_distances(p, template).values())) > MOST_OFF)
            for p in (placed, turned)
        )
        if wrong > MOST_WRONG and wrong_turned < 0.1:
            tell(
                "the positions of the montage are in other axes than MNE's head coordinates; they "
                "are turned to where the names of the electrodes say."
            )
            return turned
    return placed


def head_sphere(xyz: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and radius of the head under electrodes in metres."""
    if len(xyz) >= 8:
        design = np.c_[2.0 * xyz, np.ones(len(xyz))]
        solution = np.linalg.lstsq(design, (xyz**2).sum(axis=1), rcond=None)[0]
        centre = solution[:3]
        radius = float(np.sqrt(max(solution[3] + centre @ centre, 0.0)))
        if 0.07 < radius < 0.13 and np.linalg.norm(centre - _CENTRE) < 0.06:
            return centre, radius
    return _CENTRE, float(np.median(np.linalg.norm(xyz - _CENTRE, axis=1)))


def _rotation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation that brings unit vectors closest to others (Kabsch, 1976)."""
    u, _, vt = np.linalg.svd(target.T @ source)
    return u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt


def _distances(
    own: Mapping[str, np.ndarray], template: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """How far along the scalp electrodes are from the template's of the same name, in metres."""
    shared = [name for name in own if name in template]
    if not shared:
        return {}
    everywhere = np.stack(list(template.values()))
    centre, _ = head_sphere(everywhere)
    there = np.stack([template[name] for name in shared]) - centre
    there /= np.linalg.norm(there, axis=1, keepdims=True)
    here = directions(np.stack([own[name] for name in shared]))
    angles = np.arccos(np.clip((here * there).sum(axis=1), -1.0, 1.0))
    return dict(zip(shared, HEAD_RADIUS * angles, strict=True))


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
    ch_names: Sequence[str], own: Mapping[str, np.ndarray] | None, targets: Sequence[str]
) -> np.ndarray | None:
    """Start of a spatial convolution: interpolation from channels onto target electrodes.

    Channels whose position is not known start with weight zero, and a warning names them.

    Parameters
    ----------
    ch_names : sequence of str
        Canonical names.
    own : mapping of str to ndarray of shape (3,), or None
        Positions of the recording's own electrodes.
    targets : sequence of str

    Returns
    -------
    ndarray of float32, shape (n_targets, n_chans), or None if no position is known
    """
    source, distrusted = place(ch_names, own)
    known = [i for i, name in enumerate(ch_names) if name in source]
    unknown = [name for name in ch_names if name not in source]
    if unknown:
        pairs = [name for name in unknown if is_pair(name)]
        start = "with weight zero" if known else "at random"
        tell(
            f"it is not known where {', '.join(unknown)} are, so they start {start} in the spatial "
            "convolution, which learns from there."
            + (f" {pairs[0]} is a bipolar pair, which has no single place." if pairs else "")
        )
    if not known:
        return None
    template = template_positions()
    matrix = np.zeros((len(targets), len(ch_names)), dtype=np.float32)
    matrix[:, known] = spline_matrix(
        label_source(source, distrusted), {name: template[name] for name in targets}
    )
    return matrix


def label_source(source: Mapping[str, np.ndarray], distrusted: frozenset[str]) -> dict:
    """Positions under names that no electrode has, where the name is not to be trusted."""
    return {f"{n} as recorded" if n in distrusted else n: xyz for n, xyz in source.items()}


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
