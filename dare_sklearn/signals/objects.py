"""MNE's epochs and recordings, and braindecode's data sets of windows of them, as signals."""

import os
import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from numbers import Real
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from .container import LazyEpochs, Signals, bad_segments, read_whole
from .electrodes import electrode_name, read_channels, template_positions
from .errors import SignalError, SignalTypeError, listed, tell
from .files import find_files, holds_epochs, open_epochs
from .grid import overlapping

AVERAGE = 10  # MNE's FIFFV_PROJ_ITEM_EEG_AVREF, the kind of a projector
MOVED = 0.01  # metres between places of an electrode that are not the same


def _is_of(library: str, kind: str, X: Any) -> bool:
    """Whether `X` is an object of a library; there is none where that was not imported."""
    return library in sys.modules and isinstance(X, attrgetter(kind)(sys.modules[library]))


is_raw = partial(_is_of, "mne", "io.BaseRaw")
is_epochs = partial(_is_of, "mne", "BaseEpochs")
is_evoked = partial(_is_of, "mne", "Evoked")
is_dataset = partial(_is_of, "torch", "utils.data.Dataset")  # as those of braindecode are


def is_path(x: Any) -> bool:
    """Whether it is the path of a file or folder."""
    return isinstance(x, str | os.PathLike)


def are_signals(items: list) -> bool:
    """Whether all are objects of MNE or data sets."""
    return all(is_dataset(x) or is_epochs(x) or is_raw(x) for x in items)


def from_objects(items: list, continuous: bool) -> Iterator[Signals]:
    """Objects of MNE and data sets; recordings are refused unless `continuous`."""
    if not continuous:
        if any(map(is_raw, items)):
            raise SignalTypeError(
                "cannot read continuous recordings (Raw) as X here: cut epochs first, for "
                "instance with mne.make_fixed_length_epochs (only DAREPretrainer.fit takes "
                "recordings)."
            )
        begins = sorted({round(epochs.tmin, 6) for epochs in filter(is_epochs, items)})
        if len(begins) > 1:
            tell(
                f"the epochs of X begin at different times ({listed(begins, 4)} s), and are read "
                "as if they began at one: crop them alike, if it matters when something happens."
            )
        if len({_changes(epochs.info) for epochs in filter(is_epochs, items)}) > 1:
            tell(
                "some epochs of X were referenced anew (set_eeg_reference), or cleaned by "
                "projectors (SSP), and others were not: bring all to one reference and to the same "
                "projectors."
            )
    kept = [x for x in settle(items) if not is_epochs(x) or len(x)]
    if not kept:
        raise SignalError("X has 0 sample(s): all epochs are dropped, and 1 is required.")
    runs = by_layout(kept)
    for run in runs if continuous else [kept]:  # what is read as if it had one montage
        tell_moved(list(filter(is_epochs, run)))
    for run in runs:
        if is_epochs(run[0]):
            yield from_epochs(run)
            continue
        for item in run:
            if is_raw(item):
                yield from_raw(item)
            else:
                yield from from_dataset(item)


def _changes(info: Any) -> tuple:
    """Whether signals have another reference than that of their recording; their projectors."""
    import mne

    eeg = {info["ch_names"][i] for i in mne.pick_types(info, eeg=True, exclude=())}
    applied = [proj for proj in info["projs"] if proj["active"]]
    kinds = [proj["kind"] for proj in applied if eeg & set(proj["data"]["col_names"])]
    # how many others: those of each person have names of their own
    return bool(info["custom_ref_applied"]) or AVERAGE in kinds, len(kinds) - kinds.count(AVERAGE)


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
        applied = tuple(proj["active"] for proj in info["projs"])
        return tuple(names), types, frozenset(info["bads"]), info["sfreq"], len(obj.times), applied

    return [list(run) for _, run in groupby(objects, key=layout)]


def from_epochs(objects: list) -> Signals:
    """Settled ``mne.Epochs`` that share one layout."""
    first = objects[0]
    picks, known = eeg_picks(first.info)
    counts = tuple(map(len, objects))
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
        **known,
    )


def tell_moved(objects: list) -> None:
    """Warn of electrodes that only their positions place, and which these put in several places."""
    if len(objects) < 2:
        return
    known, places = template_positions(), defaultdict(list)
    # each name once: scikit-learn cuts out thousands of single epochs
    names = {name for epochs in objects for name in epochs.info["ch_names"]}
    strange = {name: own for name in names if (own := electrode_name(name)) not in known}
    for epochs in objects if strange else ():
        for ch in epochs.info["chs"]:
            if ch["ch_name"] in strange:
                places[strange[ch["ch_name"]]].append(ch["loc"][:3])
    with np.errstate(invalid="ignore"):  # NaN: no position
        far = {name: np.linalg.norm(np.array(its) - its[0], axis=1) for name, its in places.items()}
    if names := [name for name, distances in far.items() if (distances > MOVED).any()]:
        tell(
            f"the montages of X put {listed(names, 4)} in different places (people were "
            "digitised, say), and all epochs are read as by the first one: bring them to one "
            "montage (interpolate_to), or transform each by itself."
        )


def event_codes(X: Any, known: dict[str, int]) -> dict[str, int]:
    """Codes of the events of epochs by name, and those that are `known`.

    Refused if an event has several, or a code several events, so that codes are no targets:
    ``mne.events_from_annotations`` numbers the events of every recording anew.
    """
    codes, advice = dict(known), "(event_id=... of mne.events_from_annotations and mne.Epochs)"
    for epochs in filter(is_epochs, X if isinstance(X, list | tuple) else [X]):
        before = {code: name for name, code in codes.items() if name not in epochs.event_id}
        for name, code in epochs.event_id.items():
            if codes.get(name, code) != code:
                raise SignalError(
                    f"the event {name!r} has the code {codes[name]} in some epochs and {code} in "
                    f"others: pass y, or give it one code in all {advice}."
                )
            if name not in codes and code in before:
                raise SignalError(
                    f"the code {code} is {before[code]!r} in some epochs and {name!r} in others: "
                    f"pass y, or give each event a code of its own {advice}."
                )
        codes |= epochs.event_id
    return codes


def from_raw(raw: Any, what: str = "MNE object", hint: str = "") -> Signals:
    """A continuous recording."""
    picks, known = eeg_picks(raw.info, what, hint)
    return Signals(read_whole(raw, picks), unit="V", **known)


def eeg_picks(
    info: Any, what: str = "MNE object", hint: str = ""
) -> tuple[np.ndarray, dict[str, Any]]:
    """Numbers of the EEG channels that are not marked bad; their names, rate and positions.

    A channel of type EEG whose name says otherwise was read with the wrong type. Warns of
    projectors that the signals still lack.
    """
    import mne

    good = mne.pick_types(info, eeg=True, exclude="bads")
    others, canonical, positions = read_channels([info["chs"][i] for i in good])
    picks = good[[info["ch_names"][i] not in others for i in good]]
    names = [info["ch_names"][i] for i in picks]
    if not names:
        types = sorted(set(info.get_channel_types()))
        reason = f"set the types of its channels, which are {types}, with set_channel_types{hint}"
        if others:
            reason = f"{', '.join(others)} are not EEG, by their names"
        elif "eeg" in types:
            reason = "all are marked bad: change info['bads'], or interpolate the bad channels"
        elif "csd" in types:
            reason = (
                "encoders read potentials, and these are current source densities (V/m²): pass "
                "what mne.preprocessing.compute_current_source_density was given"
            )
        elif {"seeg", "ecog", "dbs"} & set(types):
            reason = f"encoders read EEG of the scalp, and its channels are {types}"
        raise SignalError(f"X has no good EEG channel in the {what}: {reason}.")
    pending = [proj for proj in info["projs"] if not proj["active"]]
    if lacking := [p["desc"] for p in pending if set(names) & set(p["data"]["col_names"])]:
        tell(
            f"the projectors {lacking} of X are not applied, and it is read without: call "
            "apply_proj() on X, if they should be."
        )
    return picks, {
        "ch_names": canonical,
        "sfreq": info["sfreq"],
        "ignored": tuple(name for name in info["ch_names"] if name not in names),
        "bads": tuple(electrode_name(name) for name in info["bads"]),
        "positions": positions,
    }


def settle(X: Any) -> Any:
    """MNE objects without epochs that break their own rejection rules; others as they are.

    MNE finds those epochs when it first reads them; the caller's object stays as it is.
    """
    if isinstance(X, list | tuple):
        return type(X)(settle(x) for x in X) if any(map(is_epochs, X)) else X
    return X.copy().drop_bad(verbose="error") if is_epochs(X) and not X._bad_dropped else X


def replace_data(epochs: Any, data: np.ndarray) -> Any:
    """A copy of settled `epochs` with `data` in it: volts of all channels."""
    # a new object would refuse repeated events, and classes that have lost all their epochs
    loaded = epochs.copy().load_data()
    return loaded.apply_function(lambda _: data, picks="all", channel_wise=False, verbose="error")


def unwrap(X: Any) -> Any:
    """The data set under skorch's ``SliceDataset``, by which scikit-learn splits it lazily."""
    if not _is_of("skorch.helper", "SliceDataset", X):
        return X
    if type(X).transform is not sys.modules["skorch.helper"].SliceDataset.transform:
        raise SignalTypeError(
            f"X is a {type(X).__name__}, whose own transform would be passed over: give the "
            "transform to its data set."
        )
    if not is_dataset(X.dataset):
        return X
    if X.idx != 0:
        raise SignalError(f"a SliceDataset of element idx={X.idx} as X: the signals are idx=0.")
    import torch

    return torch.utils.data.Subset(X.dataset, X.indices_)


def from_dataset(dataset: Any) -> Iterator[Signals]:
    """braindecode windows and torch Subsets of them, recording by recording."""
    import mne

    for leaf, index, transforms in leaves(dataset):
        source = leaf.windows if hasattr(leaf, "windows") else leaf.raw
        info = source.info
        channels = np.arange(len(info["ch_names"]))
        if leaf.targets_from == "channels":  # misc channels are the targets
            channels = np.setdiff1d(channels, mne.pick_types(info, misc=True))
        hint = " (on the recordings; braindecode's create_from_X_y makes all channels 'misc')"
        picks, known = eeg_picks(info, "data set", hint)
        rows = np.searchsorted(channels, picks)
        lengths = {int(n) for n in np.ptp(leaf.crop_inds[index, 1:], axis=1)}
        if hasattr(leaf, "windows"):  # whose crops count samples from before a resampling
            lengths = {len(source.times)}
        if len(lengths) > 1:
            raise SignalError(
                f"the windows of X (a {type(leaf).__name__}) differ in length: cut them alike "
                "first (window_size_samples)."
            )
        shape = len(channels), *lengths
        reader = partial(_read_windows, leaf, index, rows, shape)
        data = LazyEpochs((reader,), (len(index),), len(rows), shape[1])
        if source.preload:
            data = reader(np.arange(len(index)))
        in_signals = leaf.targets_from == "channels"
        targets = [leaf[int(i)][1] if in_signals else leaf.y[i] for i in index]
        for transform in transforms:
            targets = [transform(target) for target in targets]
        yield Signals(data, y=np.asarray(targets), **known)


def _read_windows(
    leaf: Any, index: np.ndarray, rows: np.ndarray, shape: tuple[int, int], which: np.ndarray
) -> np.ndarray:
    windows = [np.asarray(leaf[int(i)][0]) for i in index[which]]
    if (found := next((its.shape for its in windows if its.shape != shape), None)) is not None:
        raise SignalError(
            f"the transform of X (a {type(leaf).__name__}) makes {found} of windows of {shape}, so "
            "that the names of the channels and the sampling rate are no longer known: preprocess "
            "the recordings instead."
        )
    return np.stack(windows)[:, rows]


def leaves(dataset: Any, index: Any = slice(None), transforms: Sequence = ()) -> Iterator:
    """Recordings of a nested data set, numbers of their windows, and transforms of targets."""
    import torch
    from braindecode.datasets import EEGWindowsDataset, WindowsDataset

    nested = torch.utils.data.Subset | torch.utils.data.ConcatDataset
    if not isinstance(dataset, nested | WindowsDataset | EEGWindowsDataset):
        raise SignalTypeError(
            f"cannot read a {type(dataset).__name__} as X: expected a data set of windows of "
            "braindecode (its recordings are [part.raw for part in X.datasets])."
        )
    index = np.arange(len(dataset))[index]
    if isinstance(dataset, torch.utils.data.Subset):
        inner = np.asarray(dataset.indices, dtype=int)
        yield from leaves(dataset.dataset, inner[index], transforms)
    elif isinstance(dataset, torch.utils.data.ConcatDataset):
        own = getattr(dataset, "target_transform", None)
        transforms = transforms if own is None else (own, *transforms)
        ends = dataset.cumulative_sizes
        # runs of neighbours from one recording, so that the order of the windows is kept
        for part, run in groupby(index.tolist(), key=partial(bisect_right, ends)):
            inner = np.array(list(run)) - (ends[part - 1] if part else 0)
            yield from leaves(dataset.datasets[part], inner, transforms)
    elif len(index):
        yield dataset, index, transforms


def without_bad_windows(X: Any) -> tuple[Any, int]:
    """Data sets whose windows overlap no bad segment of their recording, and how many did.

    MNE leaves such epochs out itself; braindecode's windows on continuous recordings keep them.
    """
    if isinstance(X, list | tuple) and any(is_dataset(x) for x in X):
        pairs = [without_bad_windows(x) for x in X]
        return [x for x, _ in pairs], sum(n_bad for _, n_bad in pairs)
    X = unwrap(X)
    if not is_dataset(X):
        return X, 0
    import torch

    bad = []
    for leaf, index, _ in leaves(X):
        raw = getattr(leaf, "raw", None)
        segments = () if raw is None else bad_segments(raw)
        starts, stops = leaf.crop_inds[index, 1:].T / (1 if raw is None else raw.info["sfreq"])
        bad.extend(overlapping(segments, starts, stops))
    if not any(bad):
        return X, 0
    return torch.utils.data.Subset(X, np.flatnonzero(np.logical_not(bad)).tolist()), int(sum(bad))


def split_corpus(
    X: Any, open_epochs: Callable[[Path], Any] = open_epochs
) -> list[tuple[Any, bool]]:
    """Items of a corpus in order, and whether each is a continuous recording.

    Recordings are paths of files (those in a folder one by one) and ``mne.io.Raw`` objects. Files
    of epochs are opened here by `open_epochs`, and left out where it gives None. Lists in a list
    are read as if their members stood there, and each array is an item. What lies between all these
    stays together.
    """
    members = X if isinstance(X, list | tuple) else [X]
    if not any(is_raw(x) or is_path(x) or _is_array(x) or _is_nested(x) for x in members):
        return [(X, False)]
    found: list[tuple[Any, bool | None]] = []  # None: an item by itself, but no recording
    for x in members:
        if _is_nested(x):
            found += [(item, recording or None) for item, recording in split_corpus(x, open_epochs)]
            continue
        if not is_path(x):
            found.append((x, None if _is_array(x) else is_raw(x)))
            continue
        try:
            files = find_files(x)
        except ValueError as error:
            raise SignalError(f"cannot read X: {error}") from None
        for path in files:
            if not holds_epochs(path):
                found.append((path, True))
            elif (epochs := open_epochs(path)) is not None:
                found.append((epochs, False))
    items: list[tuple[Any, bool]] = []
    for kind, run in groupby(found, key=itemgetter(1)):
        run = [item for item, _ in run]
        items += [(run, False)] if kind is False else [(item, bool(kind)) for item in run]
    return items


def _is_array(x: Any) -> bool:
    return len(getattr(x, "shape", ())) == 3


def _is_nested(x: Any) -> bool:
    """Whether it is a list of items of a corpus, not of numbers or of a data set's (x, y)."""
    kinds = is_epochs, is_raw, is_dataset, is_path, _is_array, _is_nested
    is_list = isinstance(x, list | tuple) and len(x) > 0
    return is_list and all(any(is_one(item) for is_one in kinds) for item in x)


def in_kind_of(X: Any, values: np.ndarray, names: list[str] | None) -> Any:
    """A container of the kind of `X` with values ``(n_epochs, n_chans, n_times)`` of channels."""
    parts = X if isinstance(X, list | tuple) else [X]
    if not all(map(is_epochs, parts)):
        has_shape = hasattr(X, "shape") or not hasattr(X, "__array__")
        is_table = len(getattr(X, "shape", ()) if has_shape else np.asarray(X).shape) == 2
        if isinstance(X, list | tuple) and isinstance(X[0], list | tuple | np.ndarray):
            is_table = isinstance(X[0][0], Real)
        return values[:, 0] if is_table else values
    done, ends = [], np.cumsum([len(epochs) for epochs in parts])
    for epochs, block in zip(parts, np.split(values, ends[:-1]), strict=True):
        picks, known = eeg_picks(epochs.info)
        data = epochs.get_data(copy=True)
        data[:, picks] = block[:, [names.index(name) for name in known["ch_names"]]]
        done.append(replace_data(epochs, data))
    return done if isinstance(X, list | tuple) else done[0]
