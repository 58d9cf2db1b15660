"""The electrodes an encoder knows, and how other spellings of a name are read.

A leaf module: it imports nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

# The order is the encoder's: row i of its channel embedding belongs to ELECTRODES[i].
ELECTRODES: tuple[str, ...] = tuple(
    """
    FP1 FPZ FP2 AF7 AF3 AF4 AF8 F7 F5 F3 F1 FZ F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCZ FC2 FC4 FC6 FT8
    T7 C5 C3 C1 CZ C2 C4 C6 T8 TP7 CP5 CP3 CP1 CPZ CP2 CP4 CP6 TP8 P7 P5 P3 P1 PZ P2 P4 P6 P8
    PO7 PO5 PO3 POZ PO4 PO6 PO8 O1 OZ O2
    """.split()
)

# The 58 electrodes of the paper's pretraining corpus.
PAPER_ELECTRODES: tuple[str, ...] = tuple(
    name for name in ELECTRODES if name not in {"AF7", "AF8", "PO5", "PO6"}
)

# The 19 of the 10-20 system: the paper's targets of the conv-linear probe.
TEN_TWENTY: tuple[str, ...] = tuple(
    "FP1 FP2 F7 F3 FZ F4 F8 T7 C3 CZ C4 T8 P7 P3 PZ P4 P8 O1 O2".split()
)

# Names of the older 10-20 nomenclature (Klem et al., 1999).
_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}

_INDEX = {name: i for i, name in enumerate(ELECTRODES)}


@lru_cache(maxsize=10_000)
def canonical_name(name: str) -> str:
    """Bring a channel name to the table's spelling: upper case, no trailing dots, no old names.

    Examples
    --------
    >>> canonical_name("Fc5."), canonical_name("t3")
    ('FC5', 'T7')
    """
    plain = str(name).strip().rstrip(".").upper()
    return _OLD_NAMES.get(plain, plain)


def canonical_names(names: Sequence[str], owner: str = "ch_names") -> tuple[str, ...]:
    """Canonical names of a montage, refusing one electrode that appears twice.

    Raises
    ------
    ValueError
        If two names mean the same electrode, such as ``"T3"`` and ``"T7"``.
    """
    if isinstance(names, set | frozenset | dict) or not all(isinstance(n, str) for n in names):
        raise ValueError(f"{owner} must be a sequence of strings in order, got {names!r}.")
    canonical = tuple(canonical_name(name) for name in names)
    seen: dict[str, str] = {}
    for name, plain in zip(names, canonical, strict=True):
        if plain in seen:
            raise ValueError(
                f"{owner} holds the electrode {plain} twice (as {seen[plain]!r} and {name!r}): "
                "every channel must be another electrode, so drop or rename one of them."
            )
        seen[plain] = name
    return canonical


def electrode_index(name: str) -> int | None:
    """Row of `name` in the encoder's channel embedding, or None if the encoder lacks it."""
    return _INDEX.get(canonical_name(name))


def target_electrodes(names: Sequence[str] | None, owner: str) -> tuple[str, ...]:
    """Canonical names of a ``target_channels`` parameter; None is the 19 of the 10-20 system.

    Raises
    ------
    ValueError
        If there are none, or some are not in the encoder's table.
    """
    names = canonical_names(TEN_TWENTY if names is None else names, "target_channels")
    unknown = [name for name in names if electrode_index(name) is None]
    if unknown or not names:
        raise ValueError(
            f"target_channels of {owner} must be electrodes of the encoder's table, got "
            f"{', '.join(unknown) or 'none'}."
        )
    return names
