"""braindecode's data sets of windows as signals."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from .container import LazyEpochs, Signals
from .errors import SignalError, SignalTypeError
from .mne_objects import describe, eeg_picks


def is_dataset(X: Any) -> bool:
    """Whether `X` is a data set of torch, as braindecode's are."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(X, torch.utils.data.Dataset)


def unwrap(X: Any) -> Any:
    """The data set under skorch's ``SliceDataset``, by which scikit-learn splits it lazily."""
    helper = sys.modules.get("skorch.helper")
    if helper is None or not isinstance(X, helper.SliceDataset):
        return X
    if type(X).transform is not helper.SliceDataset.transform:
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
    from braindecode.datasets import EEGWindowsDataset, WindowsDataset

    for leaf, index, transforms in leaves(dataset, None):
        if not isinstance(leaf, WindowsDataset | EEGWindowsDataset):
            raise SignalTypeError(
                f"cannot read a {type(leaf).__name__} as X: expected a data set of windows of "
                "braindecode (its recordings are [part.raw for part in X.datasets])."
            )
        if not len(leaf):  # a recording of which no windows are left
            continue
        source = leaf.windows if isinstance(leaf, WindowsDataset) else leaf.raw
        info = source.info
        channels = np.arange(len(info["ch_names"]))
        if getattr(leaf, "targets_from", "metadata") == "channels":  # misc channels are the targets
            channels = np.setdiff1d(channels, mne.pick_types(info, misc=True))
        hint = " (on the recordings; braindecode's create_from_X_y makes all channels 'misc')"
        picks = eeg_picks(info, "data set", hint)
        rows = np.searchsorted(channels, picks)
        index = np.arange(len(leaf)) if index is None else np.asarray(index)
        reader = partial(_read_windows, leaf, index, rows, len(channels))
        if source.preload:
            data = reader(np.arange(len(index)))
        else:
            shape = reader(np.arange(1)).shape
            data = LazyEpochs((reader,), (len(index),), *shape[1:])
        yield Signals(data, y=_targets(leaf, index, transforms), **describe(info, picks))


def _read_windows(
    leaf: Any, index: np.ndarray, rows: np.ndarray, n_chans: int, which: np.ndarray
) -> np.ndarray:
    index = index[which]
    windows = [np.asarray(leaf[int(i)][0]) for i in index]
    if len({window.shape for window in windows}) > 1:
        raise SignalError(
            f"the windows of X (a {type(leaf).__name__}) differ in length: cut them alike first "
            "(window_size_samples)."
        )
    if hasattr(leaf, "windows"):
        n_times = len(leaf.windows.times)
    else:
        _, start, stop = leaf.crop_inds[index[0]]
        n_times = int(stop - start)
    if windows[0].shape != (n_chans, n_times):
        raise SignalError(
            f"the transform of X (a {type(leaf).__name__}) makes {windows[0].shape} of windows of "
            f"{(n_chans, n_times)}, so that the names of the channels and the sampling rate are no "
            "longer known: preprocess the recordings instead."
        )
    return np.stack(windows)[:, rows]


def _targets(leaf: Any, index: np.ndarray, transforms: Sequence) -> np.ndarray:
    in_signals = leaf.targets_from != "metadata"
    targets = [leaf[int(i)][1] if in_signals else leaf.y[i] for i in index]
    for transform in transforms:
        targets = [transform(target) for target in targets]
    return np.asarray(targets)


def leaves(dataset: Any, index: Sequence[int] | None, transforms: Sequence = ()) -> Iterator:
    """Recordings of a nested data set, window numbers (or None: all), transforms of targets."""
    import torch

    if index is not None:
        n_items = len(dataset)
        index = [i + n_items if i < 0 else i for i in index]
    if isinstance(dataset, torch.utils.data.Subset):
        inner = [int(i) for i in dataset.indices]
        inner = inner if index is None else [inner[i] for i in index]
        yield from leaves(dataset.dataset, inner, transforms)
    elif isinstance(dataset, torch.utils.data.ConcatDataset):
        own = getattr(dataset, "target_transform", None)
        transforms = transforms if own is None else (own, *transforms)
        if index is None:
            for part in dataset.datasets:
                yield from leaves(part, None, transforms)
            return
        ends = np.asarray(dataset.cumulative_sizes)
        which = np.searchsorted(ends, index, side="right")
        # runs of neighbours from one recording, so that the order of the windows is kept
        for run in np.split(np.arange(len(index)), np.flatnonzero(np.diff(which)) + 1):
            if not len(run):
                return
            part = int(which[run[0]])
            start = 0 if part == 0 else int(ends[part - 1])
            yield from leaves(dataset.datasets[part], [index[i] - start for i in run], transforms)
    elif index is None or len(index):
        yield dataset, index, transforms
