"""One reader for every kind of input, to float32 microvolts with names and rate."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array

from .container import Signals
from .electrodes import canonical_names
from .units import check_fitted_unit, decide_unit, to_microvolts
from .validation import check_values

ACCEPTED = (
    "an array or tensor (n_epochs, n_chans, n_times), a 2-D array (n_epochs, n_times) of one "
    "channel, mne.Epochs or a list of them, a braindecode data set of windows, a torch Subset of "
    "one, or a list of its (x, y, ...) items"
)


class Layout(NamedTuple):
    """What a fitted estimator knows of its input."""

    ch_names: Sequence[str] | None
    sfreq: float
    unit: str


class _Defaults(NamedTuple):
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


def read_signals(
    X: Any,
    *,
    ch_names: Sequence[str] | None = None,
    sfreq: float | None = None,
    unit: str = "auto",
    like: Layout | None = None,
    owner: str = "dare_sklearn",
) -> Signals:
    """Read any accepted input that has one montage, rate and length.

    Parameters
    ----------
    X : see `ACCEPTED`
    ch_names, sfreq : optional
        Channel names and sampling rate (Hz) of inputs that do not carry their own.
    unit : {"auto", "uV", "V"}
        Unit of the values. MNE objects hold volts, and "auto" takes them so.
    like : Layout, optional
        What an earlier ``fit`` saw: names, rate and unit of inputs that do not carry their own.
    owner : str
        Who asks, for messages.

    Returns
    -------
    Signals

    Raises
    ------
    TypeError
        If `X` is of no accepted kind.
    ValueError
        If its parts do not share one layout, or the values are no EEG.
    """
    parts = read_parts(X, ch_names=ch_names, sfreq=sfreq, unit=unit, like=like, owner=owner)
    return merge(list(parts), owner)


def warn_ignored(signals: Signals, owner: str) -> None:
    """Name the channels that were left out."""
    if signals.ignored:
        warnings.warn(
            f"{owner} uses EEG channels only, without those marked bad: left out "
            f"{', '.join(signals.ignored)}.",
            UserWarning,
            stacklevel=2,
        )


def merge(parts: Sequence[Signals], owner: str) -> Signals:
    """Join parts that share one layout into one array.

    Raises
    ------
    ValueError
        If they differ in channels, rate or length.
    """
    if not parts:
        raise ValueError(f"{owner} got 0 sample(s), and at least 1 is required.")
    first = parts[0]
    for part in parts[1:]:
        if part.layout() != first.layout():
            what = _difference(first, part)
            raise ValueError(
                f"{owner} got epochs that differ in {what}: bring them to one montage, sampling "
                "rate and length first (DAREPretrainer.fit alone takes a mixed corpus)."
            )
    if len(parts) == 1:
        return first
    targets = [part.y for part in parts]
    return Signals(
        data=np.concatenate([part.data for part in parts]),
        sfreq=first.sfreq,
        ch_names=first.ch_names,
        y=None if any(y is None for y in targets) else np.concatenate(targets),
        unit=first.unit,
        ignored=tuple(dict.fromkeys(name for part in parts for name in part.ignored)),
        positions=first.positions,
    )


def _difference(a: Signals, b: Signals) -> str:
    if a.ch_names != b.ch_names or a.n_chans != b.n_chans:
        return f"channels ({a.n_chans} and {b.n_chans}: {a.ch_names} and {b.ch_names})"
    if a.sfreq != b.sfreq:
        return f"sampling rate ({a.sfreq:g} and {b.sfreq:g} Hz)"
    return f"length ({a.n_times} and {b.n_times} samples)"


def read_parts(
    X: Any,
    *,
    ch_names: Sequence[str] | None = None,
    sfreq: float | None = None,
    unit: str = "auto",
    like: Layout | None = None,
    owner: str = "dare_sklearn",
) -> Iterator[Signals]:
    """Read any accepted input, part by part; the parts may differ in layout.

    Beside what `read_signals` takes, continuous ``mne.io.Raw`` objects and braindecode's
    ``RawDataset`` are read here, as one long epoch each.
    """
    for source in _sources(X, _Defaults(ch_names, sfreq, like), owner):
        values, own_names, own_sfreq, targets, ignored, positions, volts = source
        names = None if own_names is None else canonical_names(own_names, f"The input of {owner}")
        _check_agreement(names, own_sfreq, ch_names, sfreq, owner)
        if ch_names is not None and names is not None:  # the order that the parameter gives
            order = [names.index(name) for name in canonical_names(ch_names)]
            values, names = values[:, order], tuple(names[i] for i in order)
        check_values(values, names, owner, fitted=like is not None)
        if like is not None and not volts:
            decided = check_fitted_unit(values, like.unit if unit == "auto" else unit, owner)
        else:
            decided = decide_unit(values, unit, owner, volts_by_definition=volts)
        yield Signals(
            data=to_microvolts(values, decided, owner),
            sfreq=float(own_sfreq),
            ch_names=names,
            y=targets,
            unit=decided,
            ignored=ignored,
            positions=positions,
        )


def _check_agreement(names, own_sfreq, ch_names, sfreq, owner) -> None:
    """Refuse parameters that contradict what the input says of itself."""
    if sfreq is not None and not np.isclose(own_sfreq, sfreq):
        raise ValueError(
            f"{owner} has sfreq={sfreq:g}, but X was sampled at {own_sfreq:g} Hz: resample X, or "
            "leave sfreq=None to take the rate that X carries."
        )
    if ch_names is not None and names is not None:
        told = set(canonical_names(ch_names))
        if told != set(names):
            raise ValueError(
                f"ch_names of {owner} and the channels of X differ in "
                f"{', '.join(sorted(told ^ set(names)))}: pick the channels of X first, or leave "
                "ch_names=None to take those that X carries."
            )


def _sources(X, defaults, owner):
    """Raw values of each part: (values, names, sfreq, targets, ignored, positions, volts)."""
    mne = sys.modules.get("mne")  # an MNE object exists only where mne is imported
    if mne is not None and isinstance(X, mne.BaseEpochs | mne.io.BaseRaw):
        yield _from_mne([X], owner)
    elif _is_dataset(X):
        yield from _from_dataset(X, owner)
    elif isinstance(X, list | tuple) and len(X) and not isinstance(X[0], int | float | str):
        yield from _from_list(list(X), defaults, owner)
    else:
        yield _from_array(X, None, defaults, owner)


def _from_list(items, defaults, owner):
    mne = sys.modules.get("mne")
    if mne is not None and all(isinstance(x, mne.BaseEpochs | mne.io.BaseRaw) for x in items):
        for group in _by_layout(items):
            yield _from_mne(group, owner)
    elif items and all(_is_dataset(item) for item in items):
        for item in items:
            yield from _from_dataset(item, owner)
    elif all(isinstance(x, tuple) and len(x) >= 2 and np.ndim(x[0]) == 2 for x in items):
        # what scikit-learn's splitters make of a braindecode data set
        values = np.stack([np.asarray(item[0]) for item in items])
        targets = np.asarray([item[1] for item in items])
        yield _from_array(values, targets, defaults, owner)
    else:
        yield _from_array(items, None, defaults, owner)


def _by_layout(objects):
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


def _from_mne(objects, owner):
    """Values of MNE objects that share one layout."""
    import mne

    first = objects[0]
    picks = mne.pick_types(first.info, eeg=True, exclude="bads")
    if not len(picks):
        raise ValueError(
            f"{owner} found no EEG channel in the MNE object (channel types: "
            f"{sorted(set(first.get_channel_types()))}): set them with set_channel_types."
        )
    if isinstance(first, mne.BaseEpochs):
        blocks = [epochs.get_data(picks=picks, copy=False, verbose="error") for epochs in objects]
        targets = np.concatenate([epochs.events[:, 2] for epochs in objects])
    else:
        blocks = [raw.get_data(picks=picks, verbose="error")[None] for raw in objects]
        targets = None
    values = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    if not len(values):
        raise ValueError(f"{owner} got 0 sample(s): all epochs are dropped, and 1 is required.")
    names = [first.ch_names[i] for i in picks]
    ignored = tuple(name for name in first.ch_names if name not in names)
    return values, names, first.info["sfreq"], targets, ignored, _positions(first.info, picks), True


def _positions(info, picks) -> dict[str, np.ndarray]:
    from .electrodes import canonical_name

    located = {}
    for i in picks:
        xyz = np.asarray(info["chs"][i]["loc"][:3], dtype=float)
        if np.isfinite(xyz).all() and xyz.any():
            located[canonical_name(info["ch_names"][i])] = xyz
    return located


def _is_dataset(X) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(X, torch.utils.data.Dataset)


def _from_dataset(dataset, owner):
    """Values of braindecode data sets and torch Subsets of them, one part per recording."""
    from braindecode.datasets import EEGWindowsDataset, RawDataset, WindowsDataset

    for leaf, index, transforms in _leaves(dataset, None):
        if isinstance(leaf, WindowsDataset):
            info = leaf.windows.info
        elif isinstance(leaf, EEGWindowsDataset | RawDataset):
            info = leaf.raw.info
        else:
            raise TypeError(
                f"{owner} cannot read a {type(leaf).__name__}, which carries neither channel names "
                f"nor a sampling rate: expected {ACCEPTED}."
            )
        if isinstance(leaf, RawDataset):
            values, targets = leaf.raw.get_data(verbose="error")[None], None
        else:
            items = [leaf[i] for i in (range(len(leaf)) if index is None else index)]
            values = np.stack([np.asarray(item[0]) for item in items])
            targets = [item[1] for item in items]
            for transform in transforms:
                targets = [transform(target) for target in targets]
            targets = np.asarray(targets)
        import mne

        channels = np.arange(len(info["ch_names"]))
        if getattr(leaf, "targets_from", "metadata") == "channels":  # misc channels are the targets
            channels = np.setdiff1d(channels, mne.pick_types(info, misc=True))
        picks = mne.pick_types(info, eeg=True, exclude="bads")
        if not len(picks):
            raise ValueError(
                f"{owner} found no EEG channel in the data set (types: "
                f"{sorted(set(info.get_channel_types()))}): call set_channel_types on its "
                "recordings; braindecode's create_from_X_y makes all channels 'misc'."
            )
        values = values[:, np.searchsorted(channels, picks)]
        names = [info["ch_names"][i] for i in picks]
        ignored = tuple(name for name in info["ch_names"] if name not in names)
        yield values, names, info["sfreq"], targets, ignored, _positions(info, picks), False


def _leaves(dataset, index, transforms=()):
    """Recordings of a nested data set: (recording, window numbers or None for all, transforms of
    the targets)."""
    import torch

    if index is not None:
        n_items = len(dataset)
        index = [i + n_items if i < 0 else i for i in index]
    if isinstance(dataset, torch.utils.data.Subset):
        inner = [int(i) for i in dataset.indices]
        inner = inner if index is None else [inner[i] for i in index]
        yield from _leaves(dataset.dataset, inner, transforms)
    elif isinstance(dataset, torch.utils.data.ConcatDataset):
        own = getattr(dataset, "target_transform", None)
        transforms = transforms if own is None else (own, *transforms)
        if index is None:
            for part in dataset.datasets:
                yield from _leaves(part, None, transforms)
            return
        ends = np.asarray(dataset.cumulative_sizes)
        which = np.searchsorted(ends, index, side="right")
        # runs of neighbours from one recording, so that the order of the windows is kept
        for run in np.split(np.arange(len(index)), np.flatnonzero(np.diff(which)) + 1):
            if not len(run):
                return
            part = int(which[run[0]])
            start = 0 if part == 0 else int(ends[part - 1])
            yield from _leaves(dataset.datasets[part], [index[i] - start for i in run], transforms)
    elif index is None or len(index):
        yield dataset, index, transforms


def _holds_objects(X) -> bool:
    """Whether a list holds anything but numbers, arrays and tensors."""
    while isinstance(X, list | tuple) and len(X):
        X = X[0]
    return not (hasattr(X, "__array__") or isinstance(X, int | float | complex | list | tuple))


def _from_array(X, targets, defaults, owner):
    """Values of an array, which carries neither names nor rate."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.Tensor):
        X = X.detach().cpu()
        X = (X.float() if X.dtype == torch.bfloat16 else X).numpy()
    if issparse(X):
        raise TypeError(f"{owner} does not support sparse input: pass X.toarray().")
    if isinstance(X, str | bytes) or not (
        hasattr(X, "__array__") or (isinstance(X, list | tuple) and not _holds_objects(X))
    ):
        raise TypeError(f"{owner} cannot read a {type(X).__name__} as X: expected {ACCEPTED}.")
    values = check_array(
        X,
        dtype="numeric",
        allow_nd=True,
        ensure_all_finite=False,  # check_values names the channels
        estimator=owner,
        input_name="X",
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
            "it; arrays and the items of a data set do not)."
        )
    if not np.isfinite(sfreq) or sfreq <= 0:
        raise ValueError(f"sfreq of {owner} must be a positive number of Hz, got {sfreq!r}.")
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
    names = None if ch_names is None else list(ch_names)
    return values, names, sfreq, targets, (), {}, False
