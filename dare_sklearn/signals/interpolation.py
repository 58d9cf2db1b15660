"""Electrode positions, and spherical-spline maps between montages (Perrin et al., 1989)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from .electrodes import electrode_name, is_pair
from .errors import tell

# Centre, in head coordinates (metres), of the sphere that electrodes are projected on.
_CENTRE = np.array([0.0, 0.0, 0.04])
HEAD_RADIUS = 0.095
# As in MNE's interpolate_bads. A spline that passes through every electrode passes through its
# noise: a left-out electrode of 61 had 31 % of its variance explained, and with this 78 %.
SMOOTHING = 1e-5

# How far, along the scalp, an electrode may be recorded from where the 10-05 system puts its name.
# MNE's montages of that system differ from it by up to 5 cm (the spherical ones; the others, and
# caps digitised on single heads, by 1 to 3), electrodes of other systems that happen to have the
# same names by 5 to 20 (BioSemi-128 and -256).
MOST_OFF = 0.055
# Where more than this share of the names is further off, the montage follows another system, and an
# electrode that comes near the place of its name does so by chance: then positions count for all.
# If nothing may be interpolated, one that is as near as this stands for the electrode of its name.
MOST_WRONG = 0.25
NEAR = 0.025
COIL_BIPOLAR = 5  # MNE's FIFFV_COIL_EEG_BIPOLAR, the type of what set_bipolar_reference makes


def template_montage() -> Any:
    """MNE's 10-05 electrodes on a template head."""
    import mne

    return mne.channels.make_standard_montage("colin27_1005")


@lru_cache(maxsize=1)
def template_positions() -> dict[str, np.ndarray]:
    """Positions (metres, head coordinates) of the electrodes of the 10-05 system."""
    import mne

    montage = template_montage()
    info = mne.create_info(montage.ch_names, 256.0, "eeg", verbose="error")
    info.set_montage(montage, verbose="error")
    return info_positions(info["chs"])


def info_positions(chs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Positions in ``info["chs"]``, by canonical name; channels without one are missing.

    Bipolar channels have none: MNE puts them where the first of the two electrodes is.
    """
    located = {}
    for ch in chs:
        name, loc = electrode_name(ch["ch_name"]), ch.get("loc")
        xyz = np.array([] if loc is None else loc, dtype=float)[:3]
        bipolar = is_pair(name) or ch.get("coil_type") == COIL_BIPOLAR
        if xyz.size == 3 and np.isfinite(xyz).all() and xyz.any() and not bipolar:
            located[name] = xyz
    return located


def place(
    names: Sequence[str], own: Mapping[str, np.ndarray] | None = None, near: float = 0.0
) -> tuple[dict[str, np.ndarray], frozenset[str]]:
    """Where the electrodes of a recording are.

    A name of the 10-05 system stands for its place on the template head, unless the recording's
    `own` position (by canonical name) contradicts it: then that position counts, and the name says
    nothing. Where many are contradicted, all are that are not as `near` as this to the place of
    their name. Other names are known by the recording's positions only. Returns positions ``(3,)``
    in metres, head coordinates, in the order of `names`, without those whose place is not known;
    and the names that are contradicted.
    """
    template = template_positions()
    own = _on_template_head(own or {})
    off = _distances(own)
    far = {name for name, distance in off.items() if distance > MOST_OFF}
    if len(far) > MOST_WRONG * len(off):
        far = {name for name, distance in off.items() if distance > near}
    known = {**own, **template, **{name: own[name] for name in far}}
    plain = {name: electrode_name(name) for name in names}
    distrusted = [name for name in names if plain[name] in far]
    if distrusted:
        listed = ", ".join(f"{name} {100 * off[plain[name]]:.0f} cm" for name in distrusted)
        tell(
            "some channels have names of the 10-05 system and were recorded elsewhere, by the "
            f"positions of their montage: {listed} away. They are read by position."
        )
    return {n: known[plain[n]] for n in names if plain[n] in known}, frozenset(distrusted)


def _on_template_head(own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Positions in metres on a head like the template's; none where they cannot be positions.

    Some files hold them in millimetres or centimetres, or on a sphere of radius 1, and some in axes
    of their own, which the names reveal.
    """
    if not own:
        return {}
    template, xyz = template_positions(), np.stack(list(own.values()))
    size = np.median(np.linalg.norm(xyz, axis=1))
    unit = next((u for u in (1.0, 0.1, 1e-2, 1e-3) if 0.03 < size * u < 0.3), None)
    if unit is None or (len(xyz) > 1 and np.ptp(xyz, axis=0).max() * unit < 0.01):
        if any(name not in template for name in own):
            tell("the positions of the montage are not places on a head, and are not used.")
        return {}
    centre, radius = head_sphere(xyz * unit)
    placed = _CENTRE + (xyz * unit - centre) * (HEAD_RADIUS / radius)
    placed = dict(zip(own, placed, strict=True))
    shared = [name for name in own if name in template]
    if len(shared) >= 6:
        here, there = (directions([p[name] for name in shared]) for p in (placed, template))
        turn, _ = Rotation.align_vectors(there, here)
        turned = {name: _CENTRE + turn.apply(xyz - _CENTRE) for name, xyz in placed.items()}
        wrong, wrong_turned = (
            np.mean(np.array(list(_distances(p).values())) > MOST_OFF) for p in (placed, turned)
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


def _distances(own: Mapping[str, np.ndarray]) -> dict[str, float]:
    """How far along the scalp electrodes are from the template's of the same name, in metres."""
    template = template_positions()
    shared = [name for name in own if name in template]
    if not shared:
        return {}
    centre, _ = head_sphere(np.stack(list(template.values())))
    there = directions([template[name] for name in shared], centre)
    here = directions([own[name] for name in shared])
    angles = np.arccos(np.clip((here * there).sum(axis=1), -1.0, 1.0))
    return dict(zip(shared, HEAD_RADIUS * angles, strict=True))


def directions(positions: Sequence[np.ndarray], centre: np.ndarray = _CENTRE) -> np.ndarray:
    """Unit vectors ``(n, 3)`` from the centre of the head."""
    away = np.asarray(positions, dtype=float) - centre
    return away / np.linalg.norm(away, axis=-1, keepdims=True)


def spline_matrix(
    source: Mapping[str, np.ndarray],
    targets: Sequence[str],
    distrusted: frozenset[str] = frozenset(),
) -> np.ndarray:
    """Matrix ``(n_targets, n_source)``, float32, from signals at `source` to electrodes `targets`.

    The row of an electrode that is in `source`, by a name that is not `distrusted`, copies that
    channel. The other rows are MNE's spherical splines, read off by interpolating unit signals.
    """
    rows = {electrode_name(n): i for i, n in enumerate(source) if n not in distrusted}
    copied = [rows.get(electrode_name(name)) for name in targets]
    missing = [name for name, row in zip(targets, copied, strict=True) if row is None]
    spline = iter(_mne_spline(source.values(), missing)) if missing else None
    copies = np.eye(len(source), dtype=np.float32)
    return np.stack([next(spline) if row is None else copies[row] for row in copied])


def spline_start(
    ch_names: Sequence[str], own: Mapping[str, np.ndarray] | None, targets: Sequence[str]
) -> np.ndarray | None:
    """Start of a spatial convolution ``(n_targets, n_chans)``: spline interpolation.

    Channels whose position is not known start with weight zero, and a warning names them; None if
    no position is known.
    """
    source, distrusted = place(ch_names, own)
    known = [i for i, name in enumerate(ch_names) if name in source]
    unknown = [name for name in ch_names if name not in source]
    if unknown:
        pair = next((name for name in unknown if is_pair(name)), None)
        start = "with weight zero" if known else "at random"
        tell(
            f"it is not known where {', '.join(unknown)} are, so they start {start} in the spatial "
            "convolution, which learns from there."
            + (f" {pair} is a bipolar pair, which has no single place." if pair else "")
        )
    if not known:
        return None
    matrix = np.zeros((len(targets), len(ch_names)), dtype=np.float32)
    matrix[:, known] = spline_matrix(source, targets, distrusted)
    return matrix


def _mne_spline(source: Collection[np.ndarray], targets: Sequence[str]) -> np.ndarray:
    import mne

    def montage(positions: Iterable[np.ndarray]) -> Any:
        named = {f"E{i}": position for i, position in enumerate(positions)}
        return mne.channels.make_dig_montage(named, coord_frame="head")

    if len(source) == 1:  # a spline through one point is that constant
        return np.ones((len(targets), 1), dtype=np.float32)
    template, here = template_positions(), montage(source)
    info = mne.create_info(here.ch_names, 256.0, "eeg").set_montage(here)
    evoked = mne.EvokedArray(np.eye(len(source)), info, verbose="error")
    with mne.utils.use_log_level("error"):
        there = montage(template[name] for name in targets)
        moved = evoked.interpolate_to(there, tuple(_CENTRE), method="spline", reg=SMOOTHING)
    return moved.get_data().astype(np.float32)
