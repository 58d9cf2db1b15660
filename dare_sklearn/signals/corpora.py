"""A corpus for pretraining, taken apart: recordings one by one, and everything else together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from typing import Any

import numpy as np

from .datasets import is_dataset, leaves, unwrap
from .errors import SignalError
from .files import find_files, holds_epochs, open_epochs
from .mne_objects import is_raw
from .recordings import bad_segments, overlapping

Guard = Callable[[str], AbstractContextManager]


def split_corpus(X: Any, guard: Guard = nullcontext) -> list[tuple[Any, bool]]:
    """Items of a corpus in order, and whether each is a continuous recording.

    Recordings are paths of files (those in a folder one by one), ``mne.io.Raw`` objects and the
    parts of a braindecode data set of them. Files of epochs are opened here, each within
    ``guard(name)``, and left out where that swallows the error. What lies between recordings stays
    together, as it came.
    """
    members = X if isinstance(X, list | tuple) else [X]
    found = [item for x in members for item in _items(x, guard)]
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


def _items(x: Any, guard: Guard) -> Iterator[tuple[Any, bool]]:
    if isinstance(x, str | os.PathLike):
        try:
            files = find_files(x)
        except ValueError as error:
            raise SignalError(f"cannot read X: {error}") from None
        for path in files:
            if not holds_epochs(path):
                yield path, True
                continue
            epochs = None
            with guard(str(path)):
                epochs = open_epochs(path)
            if epochs is not None:
                yield epochs, False
    elif is_raw(x):
        yield x, True
    elif is_dataset(x := unwrap(x)):
        from braindecode.datasets import RawDataset

        parts = list(leaves(x, None))
        # the reader refuses a Subset of samples
        if parts and all(isinstance(part, RawDataset) and i is None for part, i, _ in parts):
            yield from ((part, True) for part, *_ in parts)
        else:
            yield x, False
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
