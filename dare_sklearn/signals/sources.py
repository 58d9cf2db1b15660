"""Each kind of input, and where its values, names, rate and targets lie."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array

from .electrodes import canonical_names, electrode_name
from .files import open_file, read_file
from .lazy import LazyEpochs
from .recordings import lazy_recording

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


class Source(NamedTuple):
    """Epochs of one recording, or of several that agree, as they came.

    Attributes
    ----------
    values : ndarray or LazyEpochs, shape (n_epochs, n_chans, n_times)
    ch_names : sequence of str, or None
    sfreq : float
    targets : ndarray, shape (n_epochs,), or None
    ignored : tuple of str
        Channels that were left out.
    positions : dict of str to ndarray, shape (3,)
    volts : bool
        Whether values are volts by definition.
    """

    values: np.ndarray | LazyEpochs
    ch_names: Sequence[str] | None
    sfreq: float
    targets: np.ndarray | None = None
    ignored: tuple[str, ...] = ()
    positions: dict[str, np.ndarray] = {}
    volts: bool = False


class Defaults(NamedTuple):
    """What is known of an array, which carries neither names nor rate."""

    ch_names: Sequence[str] | None
    sfreq: float | None
    like: Layout | None

    def for_array(self, n_chans: int) -> tuple[float | None, Sequence[str] | None]:
        sfreq, names = self.sfreq, self.ch_names
        if self.like is not None:
            sfreq = self.like.sfreq if sfreq is None else sfreq
            fitted = self.like.ch_names
            if names is None and fitted is not None and len(fitted) == n_chans:
                names = fitted  # a wrong number of channels is told by the caller
        return sfreq, names


def find_sources(X: Any, defaults: Defaults, owner: str, *, continuous: bool) -> Iterator[Source]:
    """The parts of any accepted input; continuous recordings where they make sense.

    Raises
    ------
    TypeError
        If `X` is of no accepted kind.
    ValueError
        If it holds no EEG, or lacks names or a rate.
    """
    X = unwrap(X, owner)
    if is_raw(X):
        _check_continuous(continuous, owner)
        yield _from_raw(X, owner)
    elif _is_mne(X):
        yield _from_epochs([X], owner)
    elif continuous and isinstance(X, str | os.PathLike):
        yield _from_file(X, owner)
    elif is_dataset(X):
        yield from _from_dataset(X, owner, continuous)
    elif isinstance(X, list | tuple) and len(X) and not isinstance(X[0], int | float | str):
        yield from _from_list(list(X), defaults, owner, continuous)
    else:
        yield _from_array(X, None, defaults, owner)


def unwrap(X: Any, owner: str) -> Any:
    """The data set under skorch's ``SliceDataset``, by which scikit-learn splits it lazily."""
    helper = sys.modules.get("skorch.helper")
    if helper is None or not isinstance(X, helper.SliceDataset):
        return X
    if type(X).transform is not helper.SliceDataset.transform:
        raise TypeError(
            f"{owner} reads the windows of a {type(X).__name__} straight from its data set, past "
            "its own transform: give the transform to the data set."
        )
    if not is_dataset(X.dataset):
        return X
    if X.idx != 0:
        raise ValueError(
            f"{owner} got a SliceDataset of element idx={X.idx} as X: the signals are idx=0."
        )
    import torch

    return torch.utils.data.Subset(X.dataset, X.indices_)


def _from_list(items: list, defaults: Defaults, owner: str, continuous: bool) -> Iterator[Source]:
    if all(_is_mne(x) for x in items):
        for group in _by_layout(items):
            if is_raw(group[0]):
                for raw in group:
                    yield from find_sources(raw, defaults, owner, continuous=continuous)
            else:
                yield _from_epochs(group, owner)
    elif all(is_dataset(x) or _is_mne(x) for x in items):  # a mixed corpus
        for item in items:
            yield from find_sources(item, defaults, owner, continuous=continuous)
    elif all(isinstance(x, tuple) and len(x) >= 2 and np.ndim(x[0]) == 2 for x in items):
        # what scikit-learn's splitters make of a braindecode data set
        if len({np.shape(item[0]) for item in items}) > 1:
            raise ValueError(f"{owner} got windows of different shapes: cut them alike first.")
        torch = sys.modules.get("torch")
        is_tensor = torch is not None and isinstance(items[0][0], torch.Tensor)
        values = np.stack(
            [_from_tensor(x, owner) if is_tensor else np.asarray(x) for x, *_ in items]
        )
        targets = np.asarray([item[1] for item in items])
        yield _from_array(values, targets, defaults, owner)
    else:
        yield _from_array(items, None, defaults, owner)


def _by_layout(objects: list) -> list[list]:
    """Runs of neighbours that can be stacked; the order of the epochs is that of the labels."""
    import mne

    def layout(obj):
        info = obj.info
        return (
            isinstance(obj, mne.io.BaseRaw),
            tuple(zip(info["ch_names"], obj.get_channel_types(), strict=True)),
            frozenset(info["bads"]),
            info["sfreq"],
            len(obj.times),
        )

    return [list(run) for _, run in groupby(objects, key=layout)]


def _from_epochs(objects: list, owner: str) -> Source:
    """``mne.Epochs`` that share one layout."""
    first = objects[0]
    picks = _eeg_picks(first.info, "MNE object", "", owner)
    objects = settle(objects)
    counts = tuple(len(epochs) for epochs in objects)
    if not sum(counts):
        raise ValueError(f"{owner} got 0 sample(s): all epochs are dropped, and 1 is required.")
    readers = tuple(partial(_read_epochs, epochs, picks) for epochs in objects)
    if all(epochs.preload for epochs in objects):
        blocks = [reader(None) for reader in readers]
        values = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    else:
        values = LazyEpochs(readers, counts, len(picks), len(first.times))
    return Source(
        values,
        targets=np.concatenate([epochs.events[:, 2] for epochs in objects]),
        volts=True,
        **_described(first.info, picks),
    )


def _from_raw(raw: Any, owner: str) -> Source:
    """A continuous recording."""
    picks = _eeg_picks(raw.info, "MNE object", "", owner)
    return Source(lazy_recording(raw, picks), volts=True, **_described(raw.info, picks))


def _from_file(path: str | os.PathLike, owner: str) -> Source:
    """A recording in a file, which is opened when it is read."""
    raw, stamp = open_file(path)
    picks = _eeg_picks(raw.info, "file", " on the opened recording, and pass that", owner)
    values = lazy_recording(raw, picks, reader=partial(read_file, stamp, picks), name=stamp.path)
    return Source(values, volts=True, **_described(raw.info, picks))


def _described(info: Any, picks: np.ndarray) -> dict[str, Any]:
    """Names, rate and positions of a source."""
    names = [info["ch_names"][i] for i in picks]
    return {
        "ch_names": names,
        "sfreq": info["sfreq"],
        "ignored": tuple(name for name in info["ch_names"] if name not in names),
        "positions": _positions(info, picks),
    }


def _eeg_picks(info: Any, what: str, hint: str, owner: str) -> np.ndarray:
    """Numbers of the EEG channels that are not marked bad."""
    import mne

    picks = mne.pick_types(info, eeg=True, exclude="bads")
    if len(picks):
        return picks
    if len(mne.pick_types(info, eeg=True, exclude=())):
        raise ValueError(
            f"{owner} found no good EEG channel in the {what}: all are marked bad. Change "
            "info['bads'], or interpolate the bad channels."
        )
    raise ValueError(
        f"{owner} found no EEG channel in the {what} (channel types: "
        f"{sorted(set(info.get_channel_types()))}): set them with set_channel_types{hint}."
    )


def settle(X: Any) -> Any:
    """MNE objects without epochs that break their own rejection rules; others as they are.

    MNE finds those epochs when it first reads them; the caller's object stays as it is.
    """
    mne = sys.modules.get("mne")
    if mne is None:
        return X
    if isinstance(X, list | tuple):
        return type(X)(settle(x) for x in X) if any(isinstance(x, mne.BaseEpochs) for x in X) else X
    if isinstance(X, mne.BaseEpochs) and not X._bad_dropped:
        return X.copy().drop_bad(verbose="error")
    return X


def _check_continuous(allowed: bool, owner: str) -> None:
    if not allowed:
        raise TypeError(
            f"{owner} cannot read continuous recordings (Raw) here: cut epochs first, for instance "
            "with mne.make_fixed_length_epochs (DAREPretrainer.fit alone takes recordings)."
        )


def _read_epochs(epochs: Any, picks: np.ndarray, index: np.ndarray | None) -> np.ndarray:
    return epochs.get_data(picks=picks, item=index, copy=False, verbose="error")


def _positions(info: Any, picks: np.ndarray) -> dict[str, np.ndarray]:
    located = {}
    for i in picks:
        xyz = np.asarray(info["chs"][i]["loc"][:3], dtype=float)
        if np.isfinite(xyz).all() and xyz.any():
            located[electrode_name(info["ch_names"][i])] = xyz
    return located


def is_raw(X: Any) -> bool:
    """Whether `X` is a continuous recording of MNE."""
    mne = sys.modules.get("mne")  # an MNE object exists only where mne is imported
    return mne is not None and isinstance(X, mne.io.BaseRaw)


def _is_mne(X: Any) -> bool:
    mne = sys.modules.get("mne")
    return mne is not None and isinstance(X, mne.BaseEpochs | mne.io.BaseRaw)


def is_dataset(X: Any) -> bool:
    """Whether `X` is a data set of torch, as braindecode's are."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(X, torch.utils.data.Dataset)


def _from_dataset(dataset: Any, owner: str, continuous: bool) -> Iterator[Source]:
    """braindecode data sets and torch Subsets of them, one part per recording."""
    import mne
    from braindecode.datasets import EEGWindowsDataset, RawDataset, WindowsDataset

    for leaf, index, transforms in leaves(dataset, None):
        if not isinstance(leaf, WindowsDataset | EEGWindowsDataset | RawDataset):
            raise TypeError(
                f"{owner} cannot read a {type(leaf).__name__}, which carries neither channel names "
                f"nor a sampling rate: expected {ACCEPTED}."
            )
        if isinstance(leaf, RawDataset):
            _check_continuous(continuous, owner)
            if index is not None or leaf.transform is not None:
                raise TypeError(
                    f"{owner} reads the recording of a RawDataset whole and as it is, and got a "
                    "Subset of its samples or one with a transform: crop or preprocess the "
                    "recording instead."
                )
        source = leaf.windows if isinstance(leaf, WindowsDataset) else leaf.raw
        info = source.info
        channels = np.arange(len(info["ch_names"]))
        if getattr(leaf, "targets_from", "metadata") == "channels":  # misc channels are the targets
            channels = np.setdiff1d(channels, mne.pick_types(info, misc=True))
        hint = " (on the recordings; braindecode's create_from_X_y makes all channels 'misc')"
        picks = _eeg_picks(info, "data set", hint, owner)
        rows = np.searchsorted(channels, picks)
        if isinstance(leaf, RawDataset):
            values, targets = lazy_recording(source, picks), None
        else:
            index = np.arange(len(leaf)) if index is None else np.asarray(index)
            reader = partial(_read_windows, leaf, index, rows, len(channels))
            targets = _targets(leaf, index, transforms)
            if source.preload:
                values = reader(np.arange(len(index)))
            else:
                shape = reader(np.arange(1)).shape
                values = LazyEpochs((reader,), (len(index),), *shape[1:])
        yield Source(values, targets=targets, **_described(info, picks))


def _read_windows(
    leaf: Any, index: np.ndarray, rows: np.ndarray, n_chans: int, which: np.ndarray
) -> np.ndarray:
    windows = [np.asarray(leaf[int(i)][0]) for i in index[which]]
    if len({window.shape for window in windows}) > 1:
        raise ValueError(
            f"The windows of a {type(leaf).__name__} differ in length: cut them alike first "
            "(window_size_samples)."
        )
    if hasattr(leaf, "windows"):
        n_times = len(leaf.windows.times)
    else:
        n_times = int(leaf.crop_inds[index[which[0]], 2] - leaf.crop_inds[index[which[0]], 1])
    if windows[0].shape != (n_chans, n_times):
        raise ValueError(
            f"The transform of a {type(leaf).__name__} makes {windows[0].shape} of windows of "
            f"{(n_chans, n_times)}, so that the names of the channels and the sampling rate are no "
            "longer known: preprocess the recordings instead."
        )
    return np.stack(windows)[:, rows]


def _targets(leaf: Any, index: np.ndarray, transforms: Sequence) -> np.ndarray:
    if leaf.targets_from == "metadata":
        targets = [leaf.y[i] for i in index]
    else:  # they lie in the signals
        targets = [leaf[int(i)][1] for i in index]
    for transform in transforms:
        targets = [transform(target) for target in targets]
    return np.asarray(targets)


def leaves(dataset: Any, index: Sequence[int] | None, transforms: Sequence = ()) -> Iterator:
    """Recordings of a nested data set: (recording, window numbers or None for all, transforms of
    the targets)."""
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


def _holds_objects(X) -> bool:
    """Whether a list holds anything but numbers, arrays and tensors."""
    while isinstance(X, list | tuple) and len(X):
        X = X[0]
    return not (hasattr(X, "__array__") or isinstance(X, int | float | complex | list | tuple))


def _from_tensor(x: Any, owner: str) -> np.ndarray:
    import torch

    if x.layout != torch.strided or x.is_quantized or x.is_meta:
        raise TypeError(
            f"{owner} does not support sparse, quantized or meta tensors: pass a dense one."
        )
    x = x.detach().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


def _from_array(X: Any, targets: np.ndarray | None, defaults: Defaults, owner: str) -> Source:
    """An array, which carries neither names nor rate."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.Tensor):
        X = _from_tensor(X, owner)
    elif torch is not None and isinstance(X, list | tuple):
        X = [_from_tensor(x, owner) if isinstance(x, torch.Tensor) else x for x in X]
    if np.ma.isMaskedArray(X) and np.ma.is_masked(X):
        raise ValueError(
            f"{owner} got a masked array as X, and would not see its mask: drop what is masked, or "
            "pass X.filled(...)."
        )
    if issparse(X):
        raise TypeError(f"{owner} does not support sparse input: pass X.toarray().")
    if isinstance(X, str | bytes) or not (
        hasattr(X, "__array__") or (isinstance(X, list | tuple) and not _holds_objects(X))
    ):
        raise TypeError(f"{owner} cannot read a {type(X).__name__} as X: expected {ACCEPTED}.")
    try:
        values = check_array(
            X,
            dtype="numeric",
            allow_nd=True,
            ensure_all_finite=False,  # check_values names the channels
            estimator=owner,
            input_name="X",
        )
    except (TypeError, ValueError) as error:
        first_line = str(error).split("\n")[0].rstrip(".:")
        # an error of the same kind in our words; the caller's numbers are no part of it
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"{owner} cannot read X as signals ({first_line}). Reshape your data or convert them: "
            f"expected {ACCEPTED}."
        ) from None
    if values.dtype.kind not in "iufb":
        raise TypeError(
            f"{owner} cannot read X as signals (dtype {values.dtype}): convert it to numbers."
        )
    if values.dtype == bool:
        values = values.astype(np.float32)
    if values.ndim == 2:
        values = values[:, None, :]
    if values.ndim != 3:
        raise ValueError(
            f"{owner} got an array of {values.ndim} dimensions {values.shape}: expected {ACCEPTED}."
        )
    if 0 in values.shape:
        raise ValueError(f"{owner} got an empty array of shape {values.shape}.")
    sfreq, ch_names = defaults.for_array(values.shape[1])
    if sfreq is None:
        raise ValueError(
            f"{owner} got signals without a sampling rate: pass sfreq=... in Hz (mne.Epochs carry "
            "it; arrays and the items of a data set do not: wrap it in skorch.helper.SliceDataset)."
        )
    if ch_names is not None and len(ch_names) != values.shape[1]:
        if defaults.like is not None:
            raise ValueError(
                f"X has {values.shape[1]} channels, but {owner} was fitted on {len(ch_names)}: "
                "pass the same channels in the same order."
            )
        raise ValueError(
            f"ch_names of {owner} holds {len(ch_names)} names, but X has {values.shape[1]} "
            "channels: pass one name per channel, in order."
        )
    names = None if ch_names is None else canonical_names(ch_names, f"ch_names of {owner}")
    return Source(values, names, sfreq, targets)
