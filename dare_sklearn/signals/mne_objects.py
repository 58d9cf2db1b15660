"""MNE's epochs and recordings as signals."""

from __future__ import annotations

import os
import sys
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from .container import LazyEpochs, Signals
from .electrodes import electrode_name, not_eeg
from .errors import SignalError, SignalTypeError, listed, tell
from .interpolation import info_positions, template_positions
from .recordings import lazy_recording

MOVED = 0.01  # metres between places of an electrode that are not the same


def is_raw(X: Any) -> bool:
    """Whether `X` is a continuous recording of MNE."""
    mne = sys.modules.get("mne")  # an MNE object exists only where mne is imported
    return mne is not None and isinstance(X, mne.io.BaseRaw)


def is_epochs(X: Any) -> bool:
    """Whether `X` is epochs of MNE."""
    mne = sys.modules.get("mne")
    return mne is not None and isinstance(X, mne.BaseEpochs)


def refuse_evoked(X: Any) -> None:
    """Say how to pass an average."""
    mne = sys.modules.get("mne")
    if mne is not None and isinstance(X, mne.Evoked):
        raise SignalTypeError(
            "cannot read an mne.Evoked as X, which is one average: pass evoked.data[None], with "
            "ch_names=evoked.ch_names, sfreq=evoked.info['sfreq'] and unit='V'."
        )


def by_layout(objects: list) -> list[list]:
    """Runs of neighbours: epochs that can be stacked (in the order of the labels), and others."""
    import mne

    def layout(obj: Any) -> tuple | None:
        if not is_epochs(obj):
            return None
        info = obj.info
        names = info["ch_names"]
        # get_channel_types looks up its `picks` anew, for every epoch that scikit-learn has cut out
        types = tuple(mne.channel_type(info, i) for i in range(len(names)))
        return tuple(names), types, frozenset(info["bads"]), info["sfreq"], len(obj.times)

    return [list(run) for _, run in groupby(objects, key=layout)]


def from_epochs(objects: list) -> Signals:
    """``mne.Epochs`` that share one layout."""
    first = objects[0]
    picks = eeg_picks(first.info, "MNE object", "")
    objects = settle(objects)
    counts = tuple(map(len, objects))
    if not sum(counts):
        raise SignalError("X has 0 sample(s): all epochs are dropped, and 1 is required.")
    _tell_moved(objects)
    if all(epochs.preload for epochs in objects):
        blocks = [epochs.get_data(picks=picks, copy=False) for epochs in objects]
        data = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    else:
        how = {"copy": False, "verbose": "error"}
        readers = tuple(partial(epochs.get_data, picks, **how) for epochs in objects)
        data = LazyEpochs(readers, counts, len(picks), len(first.times))
    file = getattr(first, "filename", None)
    return Signals(
        data,
        y=np.concatenate([epochs.events[:, 2] for epochs in objects]),
        unit="V",
        tmin=float(first.times[0]),
        name=os.path.basename(file) if file and len(objects) == 1 else "",
        **describe(first.info, picks),
    )


def _tell_moved(objects: list) -> None:
    """Warn of electrodes that only their positions place, and which these put in several places."""
    known, first = template_positions(), objects[0].info["chs"]
    strange = [i for i, ch in enumerate(first) if electrode_name(ch["ch_name"]) not in known]
    if not strange:
        return
    places = np.array([[epochs.info["chs"][i]["loc"][:3] for i in strange] for epochs in objects])
    with np.errstate(invalid="ignore"):  # NaN: no position
        moved = (np.linalg.norm(places - places[0], axis=2) > MOVED).any(axis=0)
    if moved.any():
        names = [first[i]["ch_name"] for i in np.array(strange)[moved]]
        tell(
            f"the montages of X put {listed(names, 4)} in different places (people were "
            "digitised, say), and all epochs are read as by the first one: bring them to one "
            "montage (interpolate_to), or transform each by itself."
        )


def tell_differences(objects: list) -> None:
    """Warn of epochs that begin at different times, or of which some lack their projections."""
    objects = [obj for obj in objects if is_epochs(obj)]
    active = [[p["active"] for p in epochs.info["projs"]] for epochs in objects]
    if len({all(its) for its in active if its}) > 1:
        tell(
            "projectors (of an average reference, say) are applied to some epochs of X and not to "
            "others: call apply_proj() on all of them."
        )
    begins = sorted({round(epochs.tmin, 6) for epochs in objects})
    if len(begins) > 1:
        tell(
            f"the epochs of X begin at different times ({listed(begins, 4)} s), and are read as if "
            "they began at one: crop them alike, if it matters when something happens."
        )


def event_codes(X: Any, known: dict[str, int]) -> dict[str, int]:
    """Codes of the events of epochs by name, and those that are `known`.

    Refused if an event has several, so that codes are no targets: ``mne.events_from_annotations``
    numbers the events of every recording anew.
    """
    codes = dict(known)
    for epochs in filter(is_epochs, X if isinstance(X, list | tuple) else [X]):
        for name, code in epochs.event_id.items():
            if codes.setdefault(name, code) != code:
                raise SignalError(
                    f"the event {name!r} has the code {codes[name]} in some epochs and {code} in "
                    "others: pass y, or give it one code in all (event_id=... of "
                    "mne.events_from_annotations and mne.Epochs)."
                )
    return codes


def from_raw(raw: Any, what: str = "MNE object", hint: str = "") -> Signals:
    """A continuous recording."""
    picks = eeg_picks(raw.info, what, hint)
    return Signals(lazy_recording(raw, picks), unit="V", **describe(raw.info, picks))


def describe(info: Any, picks: np.ndarray) -> dict[str, Any]:
    """Names, rate and positions of the picked channels."""
    names = [info["ch_names"][i] for i in picks]
    return {
        "ch_names": tuple(names),
        "sfreq": info["sfreq"],
        "ignored": tuple(name for name in info["ch_names"] if name not in names),
        "bads": tuple(electrode_name(name) for name in info["bads"]),
        "positions": info_positions([info["chs"][i] for i in picks]),
    }


def eeg_picks(info: Any, what: str, hint: str) -> np.ndarray:
    """Numbers of the EEG channels that are not marked bad.

    A channel of type EEG whose name says otherwise was read with the wrong type.
    """
    import mne

    eeg = mne.pick_types(info, eeg=True, exclude=())
    good = mne.pick_types(info, eeg=True, exclude="bads")
    others = not_eeg([info["ch_names"][i] for i in good])
    picks = np.array([i for i in good if info["ch_names"][i] not in others], dtype=int)
    if len(picks):
        return picks
    types = sorted(set(info.get_channel_types()))
    if len(good):
        reason = f"{', '.join(others)} are not EEG, by their names"
    elif len(eeg):
        reason = "all are marked bad: change info['bads'], or interpolate the bad channels"
    elif "csd" in types:
        reason = (
            "encoders read potentials, and these are current source densities (V/m²): pass what "
            "mne.preprocessing.compute_current_source_density was given"
        )
    else:
        reason = f"set the types of its channels, which are {types}, with set_channel_types{hint}"
    raise SignalError(f"X has no good EEG channel in the {what}: {reason}.")


def settle(X: Any) -> Any:
    """MNE objects without epochs that break their own rejection rules; others as they are.

    MNE finds those epochs when it first reads them; the caller's object stays as it is.
    """
    if isinstance(X, list | tuple):
        return type(X)(settle(x) for x in X) if any(map(is_epochs, X)) else X
    return X.copy().drop_bad(verbose="error") if is_epochs(X) and not X._bad_dropped else X


def check_continuous(allowed: bool) -> None:
    """Refuse a continuous recording where epochs are expected."""
    if not allowed:
        raise SignalTypeError(
            "cannot read continuous recordings (Raw) as X here: cut epochs first, for instance "
            "with mne.make_fixed_length_epochs (only DAREPretrainer.fit takes recordings)."
        )


def replace_data(epochs: Any, data: np.ndarray) -> Any:
    """A copy of settled `epochs` with `data` in it: volts of all channels."""
    # a new object would refuse repeated events, and classes that have lost all their epochs
    loaded = epochs.copy().load_data()
    return loaded.apply_function(lambda _: data, picks="all", channel_wise=False, verbose="error")
