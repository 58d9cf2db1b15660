"""Each kind of input: where its values, names, rate and targets are; and corpora, taken apart."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array

from .container import LazyEpochs, Signals
from .datasets import from_dataset, is_dataset, leaves, unwrap
from .electrodes import canonical_names, electrode_index
from .errors import SignalError, SignalTypeError
from .files import find_files, holds_epochs, open_epochs, open_file
from .mne_objects import (
    by_layout,
    check_continuous,
    from_epochs,
    from_raw,
    is_epochs,
    is_raw,
    refuse_evoked,
    tell_differences,
)
from .recordings import bad_segments, overlapping

ACCEPTED = (
    "an array or tensor (n_epochs, n_chans, n_times), a 2-D array (n_epochs, n_times) of one "
    "channel, mne.Epochs or a list of them, a braindecode data set of windows, a torch Subset or "
    "skorch SliceDataset of one, or a list of its (x, y, ...) items"
)


class Layout(NamedTuple):
    """What a fitted estimator knows of its input."""

    ch_names: Sequence[str] | None
    sfreq: float
    unit: str


class Defaults(NamedTuple):
    """What is known of inputs that do not say it themselves, and what an earlier fit saw."""

    ch_names: Sequence[str] | None = None
    sfreq: float | None = None
    like: Layout | None = None
    unit: str = "auto"


def find_sources(X: Any, defaults: Defaults, *, continuous: bool) -> Iterator[Signals]:
    """The parts of any accepted input as they came.

    Their names are not yet canonical and their values not yet microvolts: `unit` is "V" where they
    are volts by definition, and "auto" elsewhere.
    """
    X = unwrap(X)
    refuse_evoked(X)
    if is_raw(X):
        check_continuous(continuous)
        yield from_raw(X)
    elif is_epochs(X):
        yield from_epochs([X])
    elif continuous and isinstance(X, str | os.PathLike):
        yield from_raw(open_file(X), "file", " on the opened recording, and pass that")
    elif is_dataset(X):
        yield from from_dataset(X)
    elif isinstance(X, list | tuple) and len(X) and not isinstance(X[0], int | float | str):
        yield from _from_list(X, defaults, continuous)
    else:
        yield _from_array(X, None, defaults)


def _from_list(X: Sequence, defaults: Defaults, continuous: bool) -> Iterator[Signals]:
    items = list(X)
    refuse_evoked(items[0])
    if all(is_dataset(x) or is_epochs(x) or is_raw(x) for x in items):
        if not continuous:
            tell_differences(items)
        for run in by_layout(items):
            if is_epochs(run[0]):
                yield from_epochs(run)
                continue
            for item in run:
                yield from find_sources(item, defaults, continuous=continuous)
    elif all(isinstance(x, tuple) and len(x) >= 2 and np.ndim(x[0]) == 2 for x in items):
        # what scikit-learn's splitters make of a braindecode data set
        if len({np.shape(item[0]) for item in items}) > 1:
            raise SignalError("X has windows of different shapes: cut them alike first.")
        values = np.stack([np.asarray(_without_torch(x)) for x, *_ in items])
        yield _from_array(values, np.asarray([item[1] for item in items]), defaults)
    elif any(hasattr(x, "columns") for x in items):
        raise SignalTypeError(
            "X is a list of data frames, which do not say whether rows or columns are channels: "
            "pass an array (n_epochs, n_chans, n_times), such as np.stack([frame.T for frame in X])"
            " where each column is a channel."
        )
    elif len(items) > 1 and np.ndim(items[0]) == 2 and np.ndim(items[1]) == 0:
        raise SignalTypeError(
            "X looks like one (x, y, ...) item of a data set: pass a list of items, X=[item]."
        )
    else:
        yield _from_array(items, None, defaults)


def _without_torch(x: Any) -> Any:
    """A tensor as an array; anything else as it is."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(x, torch.Tensor):
        return x
    if x.layout != torch.strided or x.is_quantized or x.is_meta:
        raise SignalTypeError(
            "X is a sparse, quantized or meta tensor, which is not supported: pass a dense one."
        )
    x = x.detach().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


def _from_array(X: Any, targets: np.ndarray | None, defaults: Defaults) -> Signals:
    """An array, which carries neither names nor rate; one in a file is read when it is needed."""
    is_list = isinstance(X, list | tuple)
    X = [_without_torch(x) for x in X] if is_list else _without_torch(X)
    _refuse_table_of_samples(X)
    values = _checked(X)
    if values.ndim == 2:
        _refuse_one_epoch(values, defaults)
        values = values[:, None, :]
    if values.ndim != 3:
        raise SignalError(
            f"X is an array of {values.ndim} dimensions {values.shape}: expected {ACCEPTED}."
        )
    if 0 in values.shape:
        raise SignalError(f"X is an empty array of shape {values.shape}.")
    n_chans, (ch_names, sfreq, like, _) = values.shape[1], defaults
    if like is not None:
        sfreq = like.sfreq if sfreq is None else sfreq
        if ch_names is None and like.ch_names is not None and len(like.ch_names) == n_chans:
            ch_names = like.ch_names  # the caller refuses a wrong number of channels
    if sfreq is None:
        raise SignalError(
            "X came without a sampling rate: pass sfreq=... in Hz (mne.Epochs carry it; arrays and "
            "the items of a data set do not: wrap it in skorch.helper.SliceDataset)."
        )
    if ch_names is not None and len(ch_names) != n_chans:
        if like is not None:
            raise SignalError(
                f"X has {n_chans} channels, and the fit had {len(ch_names)}: pass the same "
                "channels in the same order."
            )
        raise SignalError(
            f"ch_names holds {len(ch_names)} names, but X has {n_chans} channels: pass one name "
            "per channel, in order."
        )
    names = None if ch_names is None else canonical_names(ch_names)
    if _is_mapped(X):
        values = LazyEpochs((values.__getitem__,), values.shape[:1], *values.shape[1:])
    return Signals(values, names, sfreq, y=targets)


def _checked(X: Any) -> np.ndarray:
    """An array of numbers, by scikit-learn's check, or a sentence on what else it is."""
    if np.ma.isMaskedArray(X) and np.ma.is_masked(X):
        raise SignalError(
            "cannot read a masked array as X: drop what is masked, or pass X.filled(...)."
        )
    if not (hasattr(X, "__array__") or isinstance(X, list | tuple) or issparse(X)):
        raise SignalTypeError(f"cannot read a {type(X).__name__} as X: expected {ACCEPTED}.")
    if isinstance(X, list | tuple) and X and isinstance(X[0], str | os.PathLike):
        raise SignalTypeError(
            "cannot read names of files as X: pass a list of mne.Epochs, each from "
            "mne.read_epochs(name)."
        )
    try:
        # check_values names the channels that hold NaN
        values = check_array(X, allow_nd=True, ensure_all_finite=False, input_name="X")
    except (TypeError, ValueError) as error:
        reason = str(error).split("\n")[0].rstrip(".:")  # the caller's numbers may follow
        kind = SignalTypeError if isinstance(error, TypeError) else SignalError
        raise kind(
            f"cannot read X as signals ({reason}). Reshape your data or convert them: expected "
            f"{ACCEPTED}."
        ) from None
    if values.dtype.kind not in "iufb":
        raise SignalTypeError(
            f"cannot read X as signals (dtype {values.dtype}): convert it to numbers."
        )
    return values.astype(np.float32) if values.dtype == bool else values


def _is_mapped(X: Any) -> bool:
    """Whether an array lies in a file (`numpy.memmap`), also below views of it."""
    while X is not None:
        if isinstance(X, np.memmap):
            return True
        X = getattr(X, "base", None)
    return False


def _refuse_table_of_samples(X: Any) -> None:
    """A data frame with one column per electrode is a recording, not epochs of one channel."""
    names = [name for name in getattr(X, "columns", ()) if isinstance(name, str)]
    known = [name for name in names if electrode_index(name) is not None]
    if len(known) >= 2 and 2 * len(known) >= len(names):
        raise SignalError(
            f"X is a data frame with a column per electrode ({', '.join(known[:3])}, ...) and a "
            "row per sample, which is a recording and not epochs: cut it into an array (n_epochs, "
            "n_chans, n_times), for instance by mne.io.RawArray and mne.make_fixed_length_epochs."
        )


def _refuse_one_epoch(values: np.ndarray, defaults: Defaults) -> None:
    """A 2-D array is epochs of one channel; ``X[0]`` of several channels is not."""
    names = defaults.ch_names
    if names is None and defaults.like is not None:
        names = defaults.like.ch_names
    if names is not None and not isinstance(names, str) and len(names) == len(values) > 1:
        raise SignalError(
            f"X of shape {values.shape} looks like one epoch of {len(values)} channels: pass "
            "X[None] (a 2-D X is read as epochs of one channel)."
        )


def split_corpus(
    X: Any, open_epochs: Callable[[Path], Any] = open_epochs
) -> list[tuple[Any, bool]]:
    """Items of a corpus in order, and whether each is a continuous recording.

    Recordings are paths of files (those in a folder one by one) and ``mne.io.Raw`` objects. Files
    of epochs are opened here by `open_epochs`, and left out where it gives None. What lies between
    recordings stays together, as it came.
    """
    members = X if isinstance(X, list | tuple) else [X]
    found = [item for x in members for item in _items(x, open_epochs)]
    if not any(is_recording for _, is_recording in found):
        if not any(isinstance(x, str | os.PathLike) for x in members):
            return [(X, False)]
        return [([item for item, _ in found], False)] if found else []
    if not isinstance(X, list | tuple):
        return found
    items: list[tuple[Any, bool]] = []
    for is_recording, run in groupby(found, key=lambda item: item[1]):
        run = list(run)
        items += run if is_recording else [([item for item, _ in run], False)]
    return items


def _items(x: Any, open_epochs: Callable[[Path], Any]) -> Iterator[tuple[Any, bool]]:
    if isinstance(x, str | os.PathLike):
        try:
            files = find_files(x)
        except ValueError as error:
            raise SignalError(f"cannot read X: {error}") from None
        for path in files:
            if not holds_epochs(path):
                yield path, True
                continue
            epochs = open_epochs(path)
            if epochs is not None:
                yield epochs, False
    elif is_raw(x):
        yield x, True
    else:
        yield x, False


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

    bad = np.concatenate([_bad_windows(leaf, index) for leaf, index, _ in leaves(X, None)] or [[]])
    if not bad.any():
        return X, 0
    return torch.utils.data.Subset(X, np.flatnonzero(~bad).tolist()), int(bad.sum())


def _bad_windows(leaf: Any, index: list[int] | None) -> np.ndarray:
    """Which of these windows of a recording overlap a bad segment."""
    from braindecode.datasets import EEGWindowsDataset

    index = np.arange(len(leaf)) if index is None else index
    segments = bad_segments(leaf.raw) if isinstance(leaf, EEGWindowsDataset) else ()
    if not segments:
        return np.zeros(len(index), dtype=bool)
    seconds = leaf.crop_inds[index] / leaf.raw.info["sfreq"]
    return overlapping(segments, seconds[:, 1], seconds[:, 2])
