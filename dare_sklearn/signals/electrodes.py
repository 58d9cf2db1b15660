"""The electrodes an encoder knows, and how the names that recordings give to channels are read."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from .errors import SignalError

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

# Channels that hold something else, by the words that recorders use: some wherever they stand in a
# name ("VEOGU", "EMG(chin)"), others as a word of their own, which digits may follow ("DC01").
_NOT_EEG = re.compile(
    r"EOG|EMG|E[CK]G|STIM|TRIG|STATUS|MARKER|EVENT|ANNOTATION|PHOTI|PHOTO|PLETH|NASAL|SNORE|GYRO"
    r"|ACCEL|BATT|COUNTER|TIME_?STAMP|EYE|PUPIL|GAZE"
    r"|(?:^|[\s_:.-])(?:[VH]EO[ULRD]?|[LIS]O|RESP(?:IRATION)?|GSR|EDA|SCR|ACC|STI|TRG|TTL|DIN|DIGI"
    r"|SYNC|MARK|MRK|MK|DIODE|LIGHT|PULSE|PLET|PPG|S[AP]O2|OSAT|E?TCO2|HR|HEART\s?RATE|BP|TEMP|ERG|DC"
    r"|AUX|MISC|BIP|EXG|LOC|ROC|E[12]-[AM][12]|CHIN|[LR]?LEG|[LR]AT|IBI|BURSTS|SUPPR|VNS|AIRFLOW"
    r"|FLOW|THOR\w*|ABD\w*|SAMPLE|MIC|AUDIO|SOUND|BUTTON|KEY(?:BOARD|PAD)?|TARGETS?|LABELS?|CODE)"
    r"[XYZ]?\d*(?=$|[\s_:.+-])"
)


@lru_cache(maxsize=10_000)
def electrode_name(name: str) -> str:
    """The electrode that a channel's name means, in the table's spelling.

    Upper case, without "EEG" in front, dots behind and a common reference ("-REF", "-LE", "-A2",
    ...), and with today's name for the old T3, T4, T5 and T6. A name that means no single electrode
    stays as it is, in upper case: a pair ("FPZ-CZ"), an electrode outside the 10-05 system, and so
    on.

    Examples
    --------
    >>> electrode_name("Fc5."), electrode_name("EEG T3-REF"), electrode_name("EEG Fpz-Cz")
    ('FC5', 'T7', 'FPZ-CZ')
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
    if isinstance(names, str | set | frozenset | dict) or not all(
        isinstance(n, str) for n in names
    ):
        raise SignalError(f"{what} must be a sequence of strings in order, got {names!r}.")
    canonical = tuple(electrode_name(name) for name in names)
    seen: dict[str, str] = {}
    for name, plain in zip(names, canonical, strict=True):
        if plain in seen:
            raise SignalError(
                f"{what} holds the electrode {plain} twice (as {seen[plain]!r} and {name!r}): "
                "every channel must be another electrode, so drop or rename one of them."
            )
        seen[plain] = name
    return canonical


def electrode_rows(names: Iterable[str]) -> np.ndarray:
    """Rows, ``(n_known,)``, in the encoder's channel embedding of those names that it has."""
    rows = [electrode_index(name) for name in names]
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
