"""One reader for every kind of input: float32 microvolts with names and a rate, as in ``fit``."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array

from . import objects
from . import validation as checks
from .container import LazyEpochs, Recording, Signals
from .electrodes import canonical_names, electrode_index, electrode_name, not_eeg
from .errors import SignalError, SignalTypeError, about, listed, tell
from .files import open_file

PLAUSIBLE_HZ = (1.0, 200_000.0)
# What encoders are pretrained on: rhythms up to beta and faster, and amplitudes of scalp EEG. No
# length or choice of electrodes is unusual, since patches are encoded one by one, from any choice.
BETA_HZ = 30.0
USUAL_UV = (0.5, 500.0)
# Later signals whose spread differs from that of `fit` by more than this factor are reported.
# People, caps and filters differ by two to five; a single epoch may be quieter or noisier.
FAR_FROM_FIT = 10.0
FAR_OF_ONE_EPOCH = 30.0
ONE_MONTAGE = "pick the same channels in all, or restore bad ones with interpolate_bads()"
_OTHER_CHANNELS = "X has {} channels, and the fit had {}: pass the same channels in the same order."


def read_signals(
    X: Any, *, like: Signals | None = None, takes_fewer: bool = False, **how: Any
) -> Signals:
    """Read any accepted input that has one montage, rate and length, as `read_parts`.

    `like` is what an earlier ``fit`` saw (without values; without `data` after a fit on several
    layouts, which are no template). The channels get its order, `takes_fewer` says whether some of
    them may be missing, and another layout is a SignalError.
    """
    signals = merge(list(read_parts(X, continuous=False, like=like, **how)))
    if like is None or like.data is None:
        return signals
    n_epochs, n_chans, n_times = signals.data.shape
    _, n_fitted_chans, n_fitted = like.data.shape
    if signals.ch_names is not None and like.ch_names is not None:
        signals = signals.reorder(_shared_channels(signals, like, takes_fewer))
    elif n_chans != n_fitted_chans:
        raise SignalError(_OTHER_CHANNELS.format(n_chans, n_fitted_chans))
    if not np.isclose(signals.sfreq, like.sfreq):
        raise SignalError(
            f"X was sampled at {signals.sfreq:g} Hz, and the fit had {like.sfreq:g} Hz: resample X."
        )
    if n_times != n_fitted:
        raise SignalError(
            f"X has {n_times} samples per epoch, and the fit had {n_fitted}: cut epochs of the "
            "same length."
        )
    far = FAR_FROM_FIT if n_epochs > 1 else FAR_OF_ONE_EPOCH
    size, fitted = signals.typical, like.typical
    if size > 0 and fitted > 0 and not 1 / far <= size / fitted <= far:
        factor, how = max(size / fitted, fitted / size), "larger" if size > fitted else "smaller"
        tell(
            f"X is {factor:.3g} times {how} than the signals of fit (typical standard deviation "
            f"{size:.3g} µV, there {fitted:.3g} µV): check its unit, reference and filter.",
            f"{how} than in fit",
        )
    return signals


def _shared_channels(signals: Signals, like: Signals, takes_fewer: bool) -> list[str]:
    """The fitted channels that X has; those that only X has were marked bad at the fit, say.

    Where X both lacks channels and has others, the two are taken for different montages, unless the
    channels are there and were left out.
    """
    fitted, there = like.ch_names, signals.ch_names
    missing = [name for name in fitted if name not in there]
    extra = [name for name in there if name not in fitted]
    left_out = {electrode_name(name) for name in like.ignored}
    only_bads = set(extra) <= left_out and set(missing) <= set(signals.bads)
    too_few = missing and (not takes_fewer or len(missing) == len(fitted))
    if too_few or (missing and extra and not only_bads):
        bad = [name for name in missing if name in signals.bads]
        hint = f" ({', '.join(bad)} marked bad: interpolate_bads() restores them)"
        raise SignalError(
            f"of the channels of the fit, {listed(missing)} are missing and {listed(extra)} are "
            f"new in X{hint if bad else ''}: pick the fitted channels."
        )
    if extra:
        tell(f"channels of X that the fit did not have are not used: {', '.join(extra)}.")
    if missing:
        tell(
            f"X lacks {len(missing)} of the {len(fitted)} channels of the fit "
            f"({', '.join(missing)}): the others are used."
        )
    return [name for name in fitted if name in there]


def tell_ignored(signals: Signals) -> None:
    """Name the channels that were left out."""
    if signals.ignored:
        tell(
            f"left out {', '.join(signals.ignored)}: channels that are not EEG, by their type or "
            "name, or are marked bad."
        )


def tell_unusual(signals: Signals) -> None:
    """Warn of signals that are far from those that encoders are pretrained on."""
    highest = signals.sfreq / 2
    if highest < BETA_HZ:
        tell(
            f"X was sampled at {signals.sfreq:g} Hz, so it holds nothing above {highest:g} Hz, and "
            "encoders are pretrained on faster rhythms too: pass it at the rate of its recording."
        )
    low, high = USUAL_UV
    if not low <= signals.typical <= high:
        tell(
            f"X has a typical standard deviation of {signals.typical:.3g} µV, and encoders are "
            f"pretrained on scalp EEG of {low:g} to {high:g} µV: check its unit and filter."
        )


def merge(parts: Sequence[Signals]) -> Signals:
    """Join parts of one layout; channels that are marked bad in some are left out of all."""
    if not parts:
        raise SignalError("X has 0 sample(s), and at least 1 is required.")
    parts = _without_bads_of_some(parts)
    first = parts[0]
    for part in parts[1:]:
        if part.layout() != first.layout():
            raise SignalError(
                f"X has epochs that differ in {_difference(first, part)}: bring them to one "
                "montage, sampling rate and length first (only DAREPretrainer.fit takes a mixed "
                "corpus)."
            )
    if len(parts) == 1:
        return first
    targets = [part.y for part in parts]
    lazy = all(isinstance(part.data, LazyEpochs) for part in parts)
    if lazy and len({part.data.unit for part in parts}) == 1:
        data = replace(
            first.data,
            readers=tuple(reader for part in parts for reader in part.data.readers),
            counts=tuple(count for part in parts for count in part.data.counts),
            digests=None,
        )
    else:
        data = np.concatenate([part.data[:] for part in parts])
    return replace(
        first,
        data=data,
        y=None if any(y is None for y in targets) else np.concatenate(targets),
        ignored=tuple(dict.fromkeys(name for part in parts for name in part.ignored)),
        bads=tuple(dict.fromkeys(name for part in parts for name in part.bads)),
        typical=float(np.median([part.typical for part in parts])),
    )


def _without_bads_of_some(parts: Sequence[Signals]) -> Sequence[Signals]:
    if len({part.ch_names for part in parts}) == 1 or any(part.ch_names is None for part in parts):
        return parts
    bads = {name for part in parts for name in part.bads}
    common = [n for n in parts[0].ch_names if all(n in part.ch_names for part in parts)]
    lost = list(dict.fromkeys(n for part in parts for n in part.ch_names if n not in common))
    if not common or not set(lost) <= bads:
        return parts
    if lost:  # else only their order differs
        them = ", ".join(lost)
        tell(f"left out of all epochs are the channels that are marked bad in some: {them}.")
    return [part.reorder(common) for part in parts]


def _difference(a: Signals, b: Signals) -> str:
    if a.ch_names is not None and b.ch_names is not None and a.ch_names != b.ch_names:
        only = [n for n in (*a.ch_names, *b.ch_names) if (n in a.ch_names) != (n in b.ch_names)]
        return f"channels ({listed(only)} only in some)"
    (_, *size), (_, *other) = a.data.shape, b.data.shape
    if size[0] != other[0]:
        return f"channels ({size[0]} and {other[0]})"
    if a.sfreq != b.sfreq:
        return f"sampling rate ({a.sfreq:.10g} and {b.sfreq:.10g} Hz)"
    return f"length ({size[1]} and {other[1]} samples)"


def read_parts(
    X: Any,
    *,
    ch_names: Sequence[str] | None = None,
    sfreq: float | None = None,
    unit: str = "auto",
    like: Signals | None = None,
    continuous: bool = True,
    summary_of: Callable[[Any], checks.Summary] = checks.summarize,
) -> Iterator[Signals]:
    """Read any accepted input, part by part; the parts may differ in layout.

    `X` is what `ACCEPTED` says; if `continuous`, also ``mne.io.Raw`` objects and files, each as one
    long epoch (a `Recording`). `ch_names`, `sfreq` and `unit` are those of inputs that do not carry
    their own, and `like` is what an earlier ``fit`` saw, which such inputs are taken to share.
    `summary_of` looks through the values of epochs. Raises SignalTypeError if `X` is of no accepted
    kind, and SignalError if it holds no EEG, or lacks names or a rate.
    """
    wanted = None if ch_names is None else canonical_names(ch_names)
    # several layouts are no template
    template = None if like is None or like.data is None else like
    known = {"ch_names": wanted, "sfreq": sfreq, "like": template}
    for source in find_sources(X, continuous=continuous, **known):
        with about(source.name):
            signals = _read_part(source, wanted, sfreq, unit, like, summary_of)
        yield signals


def _read_part(
    source: Signals, wanted: Sequence[str] | None, sfreq: float | None, unit: str,
    like: Signals | None, summary_of: Callable[[Any], checks.Summary],
) -> Signals:  # fmt: skip
    low, high = PLAUSIBLE_HZ
    if isinstance(source.sfreq, bool) or not low <= source.sfreq <= high:
        raise SignalError(
            f"sfreq must be from {low:g} to {high:g} Hz, got {source.sfreq!r}: pass Hz, not kHz."
        )
    if like is not None and not source.positions:
        source = replace(source, positions=like.positions)
    data, names = source.data, source.ch_names
    # parameters that contradict what the input says of itself
    if sfreq is not None and not np.isclose(source.sfreq, sfreq):
        raise SignalError(
            f"sfreq={sfreq:g}, but X was sampled at {source.sfreq:g} Hz: resample X, or "
            "leave sfreq=None to take the rate that X carries."
        )
    if wanted is not None and names is not None:
        meant = set(wanted) - {*source.bads, *not_eeg(wanted)}
        if meant != set(names):
            raise SignalError(
                f"ch_names and the channels of X differ in {', '.join(sorted(meant ^ set(names)))}:"
                " pick the channels of X first, or leave ch_names=None to take those that X "
                "carries."
            )
    lazy = isinstance(data, LazyEpochs)
    if lazy:
        data = replace(data, ch_names=names)
    summary = data if isinstance(data, Recording) else summary_of(data)
    checks.check_values(summary, names, fitted=like is not None)
    in_volts = source.unit == "V"
    fitted = like is not None and like.unit != "auto" and not in_volts
    if fitted and unit == "auto":
        unit = like.unit
    unit = checks.decide_unit(summary.typical, unit, in_volts, fitted)
    if lazy:
        data = replace(data, unit=unit)
    elif summary.digests is not None:  # they may be known, so that nobody needs their microvolts
        reader, count, shape = data.__getitem__, len(data), data.shape[1:]
        data = LazyEpochs((reader,), (count,), *shape, unit, names, summary.digests)
    elif summary is not data:
        data = checks.to_microvolts(data, unit)
    typical = summary.typical * (1e6 if unit == "V" else 1.0)
    signals = replace(source, data=data, sfreq=float(source.sfreq), unit=unit, typical=typical)
    if wanted is not None and names is not None:  # the order that the parameter gives
        signals = signals.reorder([name for name in wanted if name in names])
    return signals


ACCEPTED = (
    "an array or tensor (n_epochs, n_chans, n_times), a 2-D array (n_epochs, n_times) of one "
    "channel, mne.Epochs or a list of them, a braindecode data set of windows, a torch Subset or "
    "skorch SliceDataset of one, or a list of its (x, y, ...) items (DAREPretrainer.fit takes "
    "recordings, files and folders too)"
)


def find_sources(X: Any, *, continuous: bool, **known: Any) -> Iterator[Signals]:
    """The parts of any accepted input, with values as they came.

    Their `unit` is "V" where they are volts by definition, and "auto" elsewhere. What is `known` of
    inputs that do not say it themselves: `ch_names` (canonical), `sfreq` and `like`.
    """
    X = objects.unwrap(X)
    if isinstance(X, list | tuple) and not len(X):
        raise SignalError(f"X is an empty {type(X).__name__}: it has 0 sample(s), 1 is required.")
    is_list = isinstance(X, list | tuple)
    items = list(X) if is_list else [X]
    if objects.is_evoked(items[0]):
        raise SignalTypeError(
            "cannot read an mne.Evoked as X, which is one average: call evoked.pick('eeg', "
            "exclude='bads') and pass evoked.data[None], with ch_names=evoked.ch_names, "
            "sfreq=evoked.info['sfreq'] and unit='V'."
        )
    if continuous and objects.is_path(X):
        yield objects.from_raw(open_file(X), "file", " on the opened recording, and pass that")
    elif objects.are_signals(items):
        yield from objects.from_objects(items, continuous)
    elif all(isinstance(x, tuple) and len(x) >= 2 and np.ndim(x[0]) == 2 for x in items):
        # what scikit-learn's splitters make of a braindecode data set
        if len({np.shape(item[0]) for item in items}) > 1:
            raise SignalError("X has windows of different shapes: cut them alike first.")
        signals = _from_array([x for x, *_ in items], **known)
        yield replace(signals, y=np.asarray([item[1] for item in items]))
    elif is_list and any(hasattr(x, "columns") for x in items):
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
        yield _from_array(X, **known)


def read_as_stored(X: Any, *, fitted: bool, one_rate: bool) -> Signals:
    """Epochs of one set of channels as one array, in the unit that they have.

    `fitted` is as in `check_values`. The rate of an array, which does not say it, is 1; `one_rate`
    refuses several.
    """
    first, *_ = sources = list(find_sources(X, continuous=False, sfreq=1.0))
    names, sets = first.ch_names, [set(source.ch_names or ()) for source in sources]
    if odd := set.union(*sets) - set.intersection(*sets):
        raise SignalError(
            f"X has epochs that differ in channels ({', '.join(sorted(odd))} only in some, or "
            f"marked bad in others): {ONE_MONTAGE}."
        )
    rates = sorted({round(source.sfreq, 6) for source in sources})
    if one_rate and len(rates) > 1:
        raise SignalError(
            f"X has epochs of {', '.join(f'{rate:g}' for rate in rates)} Hz, and filters are for "
            "one rate: resample them to one."
        )
    if len({source.data.shape[2] for source in sources}) > 1:
        raise SignalError("X has epochs that differ in length: cut them alike first.")
    blocks = [(source if names is None else source.reorder(names)).data for source in sources]
    # what lies in files is read
    blocks = [b.read(np.arange(len(b))) if isinstance(b, LazyEpochs) else b for b in blocks]
    data = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    summary = checks.summarize(data)
    checks.check_values(summary, names, fitted=fitted)
    return replace(first, data=data, typical=summary.typical)


def _without_torch(x: Any) -> Any:
    """A tensor as an array; anything else as it is."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(x, torch.Tensor):
        return x
    x = x.detach().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


def _from_array(
    X: Any, ch_names: tuple[str, ...] | None = None, sfreq: float | None = None,
    like: Signals | None = None,
) -> Signals:  # fmt: skip
    """An array, which carries neither names nor rate; one in a file is read when it is needed."""
    values = _checked(X)
    if values.ndim == 2:  # epochs of one channel, which X[0] of several channels is not
        names = like.ch_names if ch_names is None and like is not None else ch_names
        if names is not None and len(names) == len(values) > 1:
            raise SignalError(
                f"X of shape {values.shape} looks like one epoch of {len(values)} channels: pass "
                "X[None] (a 2-D X is read as epochs of one channel)."
            )
        values = values[:, None, :]
    if values.ndim != 3:
        raise SignalError(
            f"X is an array of {values.ndim} dimensions {values.shape}: expected {ACCEPTED}."
        )
    if 0 in values.shape:
        raise SignalError(f"X is an empty array of shape {values.shape}.")
    n_chans = values.shape[1]
    if like is not None:
        sfreq = like.sfreq if sfreq is None else sfreq
        if ch_names is None and like.ch_names is not None and len(like.ch_names) == n_chans:
            ch_names = tuple(like.ch_names)  # `read_signals` refuses a wrong number of channels
    if sfreq is None:
        raise SignalError(
            "X came without a sampling rate: pass sfreq=... in Hz (mne.Epochs carry it; arrays and "
            "the items of a data set do not: wrap it in skorch.helper.SliceDataset)."
        )
    if ch_names is not None and len(ch_names) != n_chans:
        of_array = (
            "ch_names holds {1} names, but X has {0} channels: pass one per channel, in order."
        )
        message = of_array if like is None else _OTHER_CHANNELS
        raise SignalError(message.format(n_chans, len(ch_names)))
    while not isinstance(X, np.memmap | None):  # also below views of it
        X = getattr(X, "base", None)
    if X is not None:
        values = LazyEpochs((values.__getitem__,), values.shape[:1], *values.shape[1:])
    source = Signals(values, ch_names, sfreq)
    others = not_eeg(ch_names or ())  # triggers, eyes, muscles or the like
    if not others:
        return source
    kept = [name for name in ch_names if name not in others]
    if not kept:
        raise SignalError(f"X has no EEG channel: {', '.join(others)} are not EEG, by their names.")
    return replace(source.reorder(kept), ignored=tuple(others))


def _checked(X: Any) -> np.ndarray:
    """An array of numbers, by scikit-learn's check, or a sentence on what else it is."""
    if np.ma.isMaskedArray(X) and np.ma.is_masked(X):
        raise SignalError("cannot read a masked array as X: drop what is masked, or fill it in.")
    if not (hasattr(X, "__array__") or isinstance(X, list | tuple) or issparse(X)):
        raise SignalTypeError(f"cannot read a {type(X).__name__} as X: expected {ACCEPTED}.")
    if isinstance(X, list | tuple) and X and objects.is_path(X[0]):
        raise SignalTypeError(
            "cannot read names of files as X: pass a list of mne.Epochs, each from "
            "mne.read_epochs(name)."
        )
    names = [name for name in getattr(X, "columns", ()) if isinstance(name, str)]
    known = [name for name in names if electrode_index(name) is not None]
    if len(known) >= 2 and 2 * len(known) >= len(names):
        raise SignalError(
            f"X is a data frame with a column per electrode ({', '.join(known[:3])}, ...) and a "
            "row per sample, which is a recording and not epochs: cut it into an array (n_epochs, "
            "n_chans, n_times), for instance by mne.io.RawArray and mne.make_fixed_length_epochs."
        )
    try:
        X = list(map(_without_torch, X)) if isinstance(X, list | tuple) else _without_torch(X)
        # check_values names the channels that hold NaN
        values = check_array(X, allow_nd=True, ensure_all_finite=False, input_name="X")
    except (TypeError, ValueError, NotImplementedError) as error:
        reason = str(error).split("\n")[0].rstrip(".:")  # the caller's numbers may follow
        kind = SignalError if isinstance(error, ValueError) else SignalTypeError
        raise kind(
            f"cannot read X as signals ({reason}). Reshape your data or convert them: expected "
            f"{ACCEPTED}."
        ) from None
    if values.dtype.kind not in "iufb":
        raise SignalTypeError(
            f"cannot read X as signals (dtype {values.dtype}): convert it to numbers."
        )
    return values.astype(np.float32) if values.dtype == bool else values
