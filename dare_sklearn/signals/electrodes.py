"""Electrodes: what channels are called, where they are, and how montages reach an encoder's table.

Maps between montages are spherical splines (Perrin et al., 1989).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .errors import SignalError, listed, tell

# The order is the encoder's: row i of its channel embedding belongs to ELECTRODES[i].
ELECTRODES: tuple[str, ...] = tuple(
    """
    FP1 FPZ FP2 AF7 AF3 AF4 AF8 F7 F5 F3 F1 FZ F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCZ FC2 FC4 FC6 FT8
    T7 C5 C3 C1 CZ C2 C4 C6 T8 TP7 CP5 CP3 CP1 CPZ CP2 CP4 CP6 TP8 P7 P5 P3 P1 PZ P2 P4 P6 P8
    PO7 PO5 PO3 POZ PO4 PO6 PO8 O1 OZ O2
    """.split()
)

# The 19 of the 10-20 system: the paper's targets of the conv-linear probe.
TEN_TWENTY: tuple[str, ...] = tuple(
    "FP1 FP2 F7 F3 FZ F4 F8 T7 C3 CZ C4 T8 P7 P3 PZ P4 P8 O1 O2".split()
)

# Names of the older 10-20 nomenclature (Klem et al., 1999).
_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}

_INDEX = {name: i for i, name in enumerate(ELECTRODES)}

# Any name of the 10-05 system (Oostenveld and Praamstra, 2001), earlobes and mastoids included.
_ELECTRODE = (
    r"(?:FP|AFP|AFF?|FFT|FFC|FT|FC|FTT|FCC|F|TTP|CCP|TPP|CPP|TP|CP|T|C|PPO|POO?|P|OI|O|I|N|A|M)"
    r"(?:\d{1,2}|Z)H?"
)
# What recorders write before a name: "EEG Fp1", "EEG-Cz", "POL C3".
_PREFIX = re.compile(r"^(?:EEG|POL)[\s:_-]+", re.IGNORECASE)
# References that all channels of a recording share, as they stand behind a name: "FP1-REF".
_EARS = r"[AM][12]"
_COMMON = rf"V?REF|LE|LER|LM|AR|AVG?|AVE|AVERAGE|CAR|CLE|ORG|CS2|NOSE|{_EARS}|A1[+/]?A2|M1[+/]?M2"
_REFERRED = re.compile(rf"^({_ELECTRODE})\s*[-_:/]\s*\(?(?:{_COMMON})\)?(?:/2)?$")
# One electrode against another one; MNE numbers pairs that occur twice ("T8-P8-0").
_PAIR = re.compile(rf"^({_ELECTRODE})\s*[-_:/]\s*({_ELECTRODE})(?:-\d)?$")
_BETWEEN_EARS = re.compile(rf"^{_EARS}-{_EARS}$")

# Names of caps with groups of 32 electrodes (BioSemi's of 128, 160 and 256).
_LETTERED = re.compile(r"^[A-H]\d{1,2}$")
_LETTERS = {f"{letter}{number}" for letter in "AB" for number in range(1, 33)}

# Channels that hold something else, by the words that recorders use: some wherever they stand in a
# name ("VEOGU", "EMG(chin)"), others as a word of their own, which digits may follow ("DC01").
_NOT_EEG = re.compile(
    r"EOG|EMG|E[CK]G|STIM|TRIG|STATUS|MARKER|EVENT|ANNOTATION|PHOTI|PHOTO|PLETH|NASAL|SNORE|GYRO"
    r"|ACCEL|BATT|COUNTER|TIME_?STAMP|EYE|PUPIL|GAZE"
    r"|(?:^|[\s_:.-])(?:[VH]EO[ULRD]?|[LIS]O|RESP(?:IRATION)?|GSR|EDA|SCR|ACC|STI|TRG|TTL|DIN|DIGI"
    r"|SYNC|MARK|MRK|MK|DIODE|LIGHT|PULSE|PLET|PPG|S[AP]O2|OSAT|(?:E?T)?CO2|HR|HEART\s?RATE|A?BP"
    r"|BVP|TEMP|TEMPERATURE|THERM(?:ISTOR)?|CPAP|POSITION|ERG|DC|AUX|MISC|BIP|EXG|LOC|ROC"
    r"|E[12]-[AM][12]|CHIN|[LR]?LEG|[LR]AT|IBI|BURSTS|SUPPR|VNS|AIRFLOW|FLOW|THOR\w*|ABD\w*|SAMPLE"
    r"|MIC|AUDIO|SOUND|BUTTON|KEY(?:BOARD|PAD)?|TARGETS?|LABELS?|CODE)"
    r"[XYZ]?\d*(?=$|[\s_:.+-])"
)

# Origin, in head coordinates (metres), of splines: as in MNE's interpolate_bads.
_ORIGIN = (0.0, 0.0, 0.04)
# As in MNE's interpolate_bads. A spline that passes through every electrode passes through its
# noise: a left-out electrode of 61 had 31 % of its variance explained, and with this 78 %.
SMOOTHING = 1e-5

# How far, along the scalp, an electrode may be recorded from where the 10-05 system puts its name.
# MNE's montages of that system differ from it by up to 5.5 cm (caps digitised on single heads by 1
# to 3), electrodes of other systems with the same names by 5 to 20 (BioSemi-128 and -256).
MOST_OFF = 0.06
# Where more than this share of the names is further off, the montage follows another system: then
# positions count for all. If nothing may be interpolated, an electrode that is as NEAR as this to
# the place of its name stands for it.
MOST_WRONG = 0.25
NEAR = 0.025
COIL_BIPOLAR = 5  # MNE's FIFFV_COIL_EEG_BIPOLAR, the type of what set_bipolar_reference makes

UNEVEN = 0.01  # metres that electrodes are off a sphere
# metres between the centres of heads in head coordinates: sideways, forwards, upwards
APART = np.array([0.005, 0.01, 0.01])

UNKNOWN_CHANNELS = ("interpolate", "drop", "error")
_OTHERWISE = " Set unknown_channels to 'error' or 'drop' to treat them otherwise."


@lru_cache(maxsize=10_000)
def electrode_name(name: str) -> str:
    """The electrode that a channel's name means, in the table's spelling.

    Upper case, without "EEG" in front, dots behind and a common reference ("-REF", "-A2", ...), and
    with today's name for the old T3, T4, T5 and T6: "Fc5." is FC5, and "EEG T3-REF" T7. Other
    names, as those of pairs ("FPZ-CZ"), stay as they are, in upper case.
    """
    plain = " ".join(str(name).split()).rstrip(". ").upper()
    bare = _PREFIX.sub("", plain).strip(". ")
    if _BETWEEN_EARS.match(bare):
        return bare
    if referred := _REFERRED.match(bare):
        bare = referred[1]
    elif pair := _PAIR.match(bare):
        first, second = (_OLD_NAMES.get(part, part) for part in pair.groups())
        return first if first == second else bare  # both names of one electrode: "T3/T7"
    elif not re.fullmatch(_ELECTRODE, bare):
        return plain
    return _OLD_NAMES.get(bare, bare)


def is_pair(name: str) -> bool:
    """Whether a canonical name is that of one electrode against another one ("FPZ-CZ")."""
    return _PAIR.match(name) is not None


def not_eeg(names: Iterable[str]) -> list[str]:
    """Names of channels that hold no EEG: triggers, eyes, muscles, other sensors."""
    canonical = {name: electrode_name(name) for name in names}
    return [n for n, c in canonical.items() if _NOT_EEG.search(c) or _BETWEEN_EARS.match(c)]


def canonical_names(names: Sequence[str], what: str = "ch_names") -> tuple[str, ...]:
    """Canonical names of a montage; refused if two mean the same electrode (as T3 and T7 do)."""
    unordered = isinstance(names, str | set | frozenset | dict)
    if unordered or not all(isinstance(name, str) for name in names):
        raise SignalError(f"{what} must be a sequence of strings in order, got {names!r}.")
    canonical: dict[str, str] = {}
    for name in names:
        plain = electrode_name(name)
        if plain in canonical:
            raise SignalError(
                f"there is the electrode {plain} twice (as {canonical[plain]!r} and {name!r}) in "
                f"{what}: every channel must be another electrode, so drop or rename one of them."
            )
        canonical[plain] = name
    return tuple(canonical)


def electrode_rows(names: Iterable[str]) -> np.ndarray:
    """Rows, ``(n_known,)``, in the encoder's channel embedding of those names that it has."""
    rows = map(electrode_index, names)
    return np.array([row for row in rows if row is not None], dtype=np.int64)


def electrode_index(name: str) -> int | None:
    """Row of `name` in the encoder's channel embedding, or None if the encoder lacks it."""
    return _INDEX.get(electrode_name(name))


def target_electrodes(names: Sequence[str] | None) -> tuple[str, ...]:
    """Canonical names of a ``target_channels`` parameter; None is the 19 of the 10-20 system."""
    names = canonical_names(TEN_TWENTY if names is None else names, "target_channels")
    unknown = [name for name in names if electrode_index(name) is None]
    if unknown or not names:
        raise SignalError(
            "target_channels must be electrodes of the encoder's table, got "
            f"{', '.join(unknown) or 'none'}."
        )
    return names


def template_montage() -> Any:
    """MNE's 10-05 electrodes on a template head."""
    import mne

    return mne.channels.make_standard_montage("colin27_1005")


@lru_cache(maxsize=1)
def template_positions() -> dict[str, np.ndarray]:
    """Positions (metres, head coordinates) of the electrodes of the 10-05 system."""
    import mne

    positions = mne.channels.transform_to_head(template_montage()).get_positions()["ch_pos"]
    return {electrode_name(name): xyz for name, xyz in positions.items()}


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


def read_channels(
    chs: Sequence[Mapping[str, Any]],
) -> tuple[list[str], tuple[str, ...], dict[str, np.ndarray]]:
    """Of EEG channels: names that say otherwise; canonical names and positions of the others."""
    others = not_eeg([ch["ch_name"] for ch in chs])
    chs = [ch for ch in chs if ch["ch_name"] not in others]
    names = canonical_names([ch["ch_name"] for ch in chs], "the channels of X")
    return others, names, info_positions(chs)


def place(
    names: Sequence[str], own: Mapping[str, np.ndarray] | None = None, near: float = 0.0
) -> tuple[dict[str, np.ndarray], frozenset[str]]:
    """Where the electrodes of a recording are, and which names its positions contradict.

    A name of the 10-05 system stands for its place on the template head, unless the recording's
    `own` position (by canonical name) contradicts it: then that position counts. Where many are
    contradicted, all are that are not as `near` as this to the place of their name. Other names are
    known by the recording's positions only. Positions ``(3,)`` are in metres, head coordinates, in
    the order of `names`, without those whose place is not known.
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
    lettered = {name for name in plain.values() if _LETTERED.match(name)}
    if lettered >= _LETTERS and (bare := sorted(lettered & template.keys() - own)):
        tell(
            "the channels have names of a BioSemi cap (A1, B1, ...), where "
            f"{', '.join(bare)} are no electrodes of the 10-05 system: set its montage, such as "
            "'biosemi128'."
        )
        distrusted += [name for name in names if plain[name] in bare]
        known = {name: xyz for name, xyz in known.items() if name not in bare}
    elif distrusted:
        off_by = ", ".join(f"{name} {100 * off[plain[name]]:.0f} cm" for name in distrusted)
        tell(
            "some channels have names of the 10-05 system and were recorded elsewhere, by the "
            f"positions of their montage: {off_by} away. They are read by position."
        )
    return {n: known[plain[n]] for n in names if plain[n] in known}, frozenset(distrusted)


def _on_template_head(own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Positions in metres on a head like the template's; none where they cannot be positions.

    Some files hold them in millimetres, or on a sphere of radius 1, and some in axes of their own.
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
    middle, size = table_sphere()
    placed = dict(zip(own, middle + (xyz * unit - centre) * (size / radius), strict=True))
    shared = [name for name in own if name in template]
    if len(shared) >= 6:
        here, there = (directions([p[name] for name in shared]) for p in (placed, template))
        from scipy.spatial.transform import Rotation  # networks, which read this file, need none

        turn, _ = Rotation.align_vectors(there, here)
        turned = {name: middle + turn.apply(xyz - middle) for name, xyz in placed.items()}
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
    """Centre and radius, in metres, of the head under electrodes in metres.

    Of all spheres it is the most likely one: electrodes are about as far from it as heads are no
    spheres, and its centre is, for its size, about as far from the table's as caps and fiducials
    are put on differently. Where few electrodes say little, it is the table's in their size.
    """
    from scipy.optimize import least_squares  # networks, which read this file, need none

    middle, size = table_sphere()

    def errors(sphere: np.ndarray) -> np.ndarray:
        centre, radius = sphere[:3], sphere[3]
        off = np.linalg.norm(xyz - centre, axis=1) / radius - 1
        return np.concatenate([size * off / UNEVEN, (centre * size / radius - middle) / APART])

    scale = np.median(np.linalg.norm(xyz, axis=1)) / size
    found = least_squares(errors, scale * np.array([*middle, size]), x_scale=0.01).x
    return found[:3], float(found[3])


@lru_cache(maxsize=1)
def table_sphere() -> tuple[np.ndarray, float]:
    """Centre (head coordinates) and radius of the template's head under the table's electrodes."""
    template = template_positions()
    return fitted_sphere(np.stack([template[name] for name in ELECTRODES]))


def fitted_sphere(xyz: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and radius of the sphere that fits points best, of a whole head."""
    design = np.c_[2.0 * xyz, np.ones(len(xyz))]
    *centre, rest = np.linalg.lstsq(design, (xyz**2).sum(axis=1), rcond=None)[0]
    return np.array(centre), float(np.sqrt(max(rest + np.square(centre).sum(), 0.0)))


def _distances(own: Mapping[str, np.ndarray]) -> dict[str, float]:
    """How far along the scalp electrodes are from the template's of the same name, in metres."""
    template = template_positions()
    shared = [name for name in own if name in template]
    if not shared:
        return {}
    here, there = (directions([p[name] for name in shared]) for p in (own, template))
    angles = np.arccos(np.clip((here * there).sum(axis=1), -1.0, 1.0))
    return dict(zip(shared, table_sphere()[1] * angles, strict=True))


def directions(positions: Sequence[np.ndarray], centre: Any = None) -> np.ndarray:
    """Unit vectors ``(n, 3)`` from a centre, by default that of the template's head."""
    away = np.asarray(positions, dtype=float) - (table_sphere()[0] if centre is None else centre)
    return away / np.linalg.norm(away, axis=-1, keepdims=True)


def spline_matrix(
    source: Mapping[str, np.ndarray],
    targets: Sequence[str],
    distrusted: frozenset[str] = frozenset(),
) -> np.ndarray:
    """Matrix ``(n_targets, n_source)``, float32, from signals at `source` to electrodes `targets`.

    An electrode that is in `source`, by a name that is not `distrusted`, is copied. The other rows
    are MNE's spherical splines, read off by interpolating unit signals.
    """
    rows = {electrode_name(n): i for i, n in enumerate(source) if n not in distrusted}
    names = [electrode_name(name) for name in targets]
    copies = np.eye(len(source), dtype=np.float32)
    missing = [target for target, name in zip(targets, names, strict=True) if name not in rows]
    spline = iter(_mne_spline(source, missing) if missing else ())
    return np.stack([copies[rows[name]] if name in rows else next(spline) for name in names])


def spline_start(
    ch_names: Sequence[str], own: Mapping[str, np.ndarray] | None, targets: Sequence[str],
    learns: bool = True,
) -> np.ndarray | None:  # fmt: skip
    """Start of a spatial convolution ``(n_targets, n_chans)``: spline interpolation.

    Channels of unknown position start with weight zero; None if no position is known. Messages say
    so if the convolution `learns`; elsewhere it stands beside filters that are fitted with labels.
    """
    source, distrusted = place(ch_names, own)
    known = [i for i, name in enumerate(ch_names) if name in source]
    unknown = [name for name in ch_names if name not in source]
    if unknown:
        pair = next((name for name in unknown if is_pair(name)), None)
        start = "with weight zero" if known else "at random"
        then = f"they start {start} in the spatial convolution, which learns from there."
        if not learns:
            then = "what is interpolated by splines leaves them out."
        tell(
            f"it is not known where {', '.join(unknown)} are, so {then}"
            + (f" {pair} is a bipolar pair, which has no single place." if pair else "")
        )
    if not known:
        return None
    matrix = np.zeros((len(targets), len(ch_names)), dtype=np.float32)
    matrix[:, known] = spline_matrix(source, targets, distrusted)
    return matrix


def _mne_spline(source: Mapping[str, np.ndarray], targets: Sequence[str]) -> np.ndarray:
    import mne

    if len(source) == 1:  # a spline through one point is that constant
        return np.ones((len(targets), 1), dtype=np.float32)
    template, montage = template_positions(), mne.channels.make_dig_montage
    here = montage(source, coord_frame="head")
    there = montage({name: template[name] for name in targets}, coord_frame="head")
    info = mne.create_info(here.ch_names, 256.0, "eeg").set_montage(here)
    evoked = mne.EvokedArray(np.eye(len(source)), info, verbose="error")
    with mne.utils.use_log_level("error"):
        moved = evoked.interpolate_to(there, _ORIGIN, method="spline", reg=SMOOTHING)
    return moved.get_data().astype(np.float32)


def plan_channels(
    ch_names: Sequence[str],
    *,
    positions: Mapping[str, np.ndarray] | None = None,
    unknown: str = "interpolate",
    choice: bool = True,
) -> tuple[list[str], np.ndarray | None]:
    """The electrodes that the encoder gets of a montage, and the map that makes their signals.

    A channel that the encoder knows is passed on as it is. Every other one, if its position is
    known, stands for the nearest electrode of the table that was not recorded itself: the signal
    there is interpolated (spherical splines) from all channels of the montage. Messages advise
    another `unknown` if the user has the `choice`. The map is ``(n_electrodes, n_chans)``, or None
    for the identity.
    """
    source, distrusted = place(ch_names, positions, 0.0 if unknown == "interpolate" else NEAR)
    known = [n for n in ch_names if electrode_index(n) is not None and n not in distrusted]
    strangers = [name for name in ch_names if name not in known]
    if not strangers:
        return list(ch_names), None
    if unknown == "error":
        raise SignalError(
            f"the encoder does not know the channels {listed(strangers)} of X "
            f"(unknown_channels='error').{_about_pairs(strangers)} Drop them, or pass "
            "unknown_channels='interpolate' or 'drop'."
        )
    if unknown == "drop":
        if not known:
            raise SignalError(
                f"the encoder knows none of the channels {listed(strangers)} of X, so that "
                f"unknown_channels='drop' leaves nothing.{_about_pairs(strangers)} Name channels "
                "by electrodes of the 10-10 system, or set a montage and pass "
                "unknown_channels='interpolate'."
            )
        tell(f"channels that the encoder does not know are left out: {', '.join(strangers)}.")
        keep = np.eye(len(ch_names), dtype=np.float32)[[name in known for name in ch_names]]
        return known, keep
    lost = [name for name in strangers if name not in source]
    if lost:
        drop = "pass unknown_channels='drop' to leave them out" if choice else "leave them out"
        raise SignalError(
            f"the encoder knows neither the channels {listed(lost)} nor their positions (X)."
            f"{_about_pairs(lost)} Set a montage on the MNE object, name channels by electrodes of "
            f"the 10-10 system, or {drop}."
        )
    template, moved, spare = template_positions(), {}, {}
    table = directions([template[name] for name in ELECTRODES])
    cosine = directions([source[name] for name in strangers]) @ table.T
    for i in np.argsort(-cosine.max(axis=1), kind="stable"):  # closest first
        name, target = strangers[i], ELECTRODES[cosine[i].argmax()]
        free = target not in known and target not in moved.values()
        (moved if free else spare)[name] = target
    parts = []
    if moved:
        pairs = ", ".join(f"{name} -> {target}" for name, target in moved.items())
        parts.append(f"channels that the encoder does not know are interpolated: {pairs}")
    if spare:
        there = ", ".join(f"{name} ({target})" for name, target in spare.items())
        part = f"no electrode of the encoder's table is free near {there}: left out"
        parts.append(f"{part} but as sources of that interpolation" if moved else part)
    tell("; ".join(parts) + "." + _OTHERWISE * choice)
    names = known + list(moved.values())
    return names, spline_matrix(source, names, distrusted)


def _about_pairs(names: Sequence[str]) -> str:
    pairs = [name for name in names if is_pair(name)]
    if not pairs:
        return ""
    return (
        f" {listed(pairs)} {'are bipolar pairs' if len(pairs) > 1 else 'is a bipolar pair'}, one "
        "electrode against another, which no row of the encoder stands for: "
        "adaptation='conv-linear' of DAREClassifier and DARERegressor takes pairs as recorded."
    )
