"""Write embeddings of recordings as a table.

Embed epochs with a frozen encoder, and write one row per epoch: the file, the number and onset of
the epoch (s from the start of the recording; of saved epochs, from where their events count), its
label and metadata where the file has them, and the features (dare_s0_d000, ...).

Continuous recordings are cut into windows of --window seconds, or with --around START STOP around
their events (a stim channel or annotations). Of files named *-epo.fif, --labels chooses epochs.

examples:
  dare-sklearn embed night.edf --window 30 --out night_embedded.csv
  dare-sklearn embed DIR --around -0.2 0.8 --labels target other --band 0.5 40 --out erp.csv
  dare-sklearn embed DIR --encoder my_encoder --pooling flatten --out table.parquet

.parquet needs pyarrow (pip install pyarrow).
"""

import argparse
import os
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..signals.files import event_labels, event_seconds, find_events, holds_epochs
from . import _options as opt
from ._options import UsageError, check_network, doing, find, open_recording, refuse, rising, say

_FORMATS = (".csv", ".parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    opt.add_file_arguments(parser)
    add = parser.add_argument
    add("--out", type=opt.path, required=True, help="table: .csv or .parquet")
    add("--encoder", type=opt.text, default="nano",
        help="shipped name, folder, .ckpt, Hub id, or 'untrained' (%(default)s)")  # fmt: skip
    cut = parser.add_mutually_exclusive_group().add_argument
    cut("--window", type=opt.length, metavar="S", help="seconds of a window (4)")
    cut("--around", nargs=2, type=opt.number, metavar=("START", "STOP"),
        help="seconds around events")  # fmt: skip
    add("--labels", nargs="+", type=opt.text, metavar="NAME", help="only events of these labels")
    add("--pooling", choices=("mean", "mean_std", "flatten"), default="mean",
        help="how to pool the 250 ms patches of an epoch (%(default)s)")  # fmt: skip
    add("--cache", type=opt.folder, help="folder that keeps embeddings between calls")
    add("--batch-size", type=opt.whole(1), default=64, metavar="N",
        help="epochs per batch (%(default)s)")  # fmt: skip


class _NoEpochs(Exception):
    """The reason why a file gives no epochs."""


def run(args: argparse.Namespace) -> int:
    rising(args, "around")
    if args.around is not None and args.around[1] - args.around[0] < opt.PATCH:
        raise UsageError(f"--around must span {opt.PATCH} s (one patch) or more.")
    _check_out(args.out)
    files = find(args)
    for file, name in files.items():
        if holds_epochs(file):
            refuse(args, ["window", "around"], f"on epochs, which are cut already ({name})")
        elif args.around is None:
            refuse(args, ["labels"], f"on a recording without --around START STOP ({name})")
    doing(f"Embedding {len(files)} file{'s' * (len(files) > 1)} with {args.encoder}")
    check_network(args.device, args.encoder)
    import mne
    import pandas as pd
    from tqdm.auto import tqdm

    from ..transformers import DAREEmbedder
    from ..weights.files import in_place_of

    how = {
        "encoder": None if args.encoder == "untrained" else args.encoder, "pooling": args.pooling,
        "unknown_channels": args.unknown_channels, "batch_size": args.batch_size,
        "cache": args.cache and str(args.cache), "device": args.device, "random_state": 0,
    }  # fmt: skip
    tables: list[Any] = []
    args.labels_found = set()
    for file, name in tqdm(files.items(), unit="file", disable=args.quiet, file=sys.stderr):
        args.warnings.file = name
        try:
            with mne.use_log_level("error"):
                # a new one for each file: an embedder gives the same warning only once
                tables.append(_embed(DAREEmbedder(**how), file, name, args))
        except UsageError:
            raise
        except (_NoEpochs, ValueError, OSError, RuntimeError) as error:
            if args.on_error == "raise" and not isinstance(error, _NoEpochs):
                what = f"{name}: {error}".rstrip(".")
                raise ValueError(f"{what}. (--on-error skip leaves the file out.)") from error
            say(f"{name} is left out: {error}")
    args.warnings.file = ""
    if lacking := [label for label in args.labels or () if label not in args.labels_found]:
        found = ", ".join(sorted(args.labels_found)) or "none"
        raise UsageError(f"--labels: no file has an event {', '.join(lacking)}; there are {found}.")
    if not tables:
        raise ValueError("No epochs were found in any file.")
    table = pd.concat(tables, ignore_index=True)
    features = [name for name in table if name.startswith("dare_")]
    if table[features].isna().to_numpy().any():
        what = "Epochs differ in length, and so do their features with --pooling flatten"
        raise ValueError(f"{what}: pass --window, or another --pooling.")
    table = table[[*table.columns.difference(features, sort=False), *features]]
    write = table.to_parquet if args.out.suffix == ".parquet" else table.to_csv
    with in_place_of(args.out) as part:
        write(part, index=False)
    print(f"{args.out}: {len(table)} epochs of {len(tables)} files, {len(features)} features")
    return 0


def _check_out(out: Path) -> None:
    """Refuse, before any work, a table that cannot be written."""
    if out.suffix not in _FORMATS:
        raise UsageError(f"--out must end with {' or '.join(_FORMATS)}, got {out.name!r}.")
    if out.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise ImportError("Parquet needs pyarrow: pip install pyarrow, or write a .csv instead.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out: the folder {str(out.parent)!r} cannot be made: {error}") from None
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        raise UsageError(f"--out: {str(out)!r} cannot be written.")


def _embed(embedder: Any, file: Path, name: str, args: argparse.Namespace) -> Any:
    """The table of one file."""
    import pandas as pd

    if holds_epochs(file):
        epochs = opt.pick_and_filter(open_recording(file), file, args)
        epochs = epochs[_wanted(event_labels(epochs), args)].drop_bad(verbose="error")
        if not len(epochs):
            raise _NoEpochs("all its epochs are rejected.")
        labels, onsets = event_labels(epochs), event_seconds(epochs)
    else:
        epochs, labels, onsets = _from_recording(file, name, args)
    values = embedder.fit_transform(epochs)
    table = pd.DataFrame(
        {"file": name, "epoch": range(len(epochs)), "onset_s": onsets.round(6), "label": labels}
    )
    if epochs.metadata is not None:
        extra = epochs.metadata.reset_index(drop=True).rename(columns=str)
        taken = [n for n in extra if n in table or n.startswith("dare_")]
        table = table.join(extra.rename(columns={name: f"metadata_{name}" for name in taken}))
    return table.join(pd.DataFrame(values, columns=embedder.get_feature_names_out()))


def _from_recording(file: Path, name: str, args: argparse.Namespace) -> tuple[Any, list[str], Any]:
    """Windows of a recording, or epochs around its events, their labels and onsets."""
    import mne

    raw = open_recording(file)
    # events are found before channels are picked, among which may be that of the events
    found = None if args.around is None else find_events(raw)
    raw = opt.pick_and_filter(raw, file, args)
    sfreq = raw.info["sfreq"]
    if found is None:
        seconds, length = args.window or 4.0, raw.n_times / sfreq
        if raw.n_times < round(seconds * sfreq):
            raise _NoEpochs(f"it lasts {length:.3g} s, and --window is {seconds:g} s.")
        epochs = mne.make_fixed_length_epochs(raw, seconds, preload=False, verbose="error")
        labels = [""] * len(epochs.events)
    else:
        events, labels = found
        rows = _wanted(labels, args)
        labels = [labels[i] for i in rows]
        epochs = mne.Epochs(
            raw, events[rows], tmin=args.around[0], tmax=args.around[1] - 1 / sfreq, baseline=None,
            event_repeated="drop", preload=False, verbose="error",
        )  # fmt: skip
    epochs.drop_bad(verbose="error")
    lost = Counter(why[0] for why in epochs.drop_log if why and why[0] != "IGNORED")
    reasons = ", ".join(f"{count} {why}" for why, count in lost.items())
    if not len(epochs):
        raise _NoEpochs(f"no epoch lies within it and outside its bad segments ({reasons}).")
    if n := lost.total():
        say(f"{name}: {n} of {len(epochs) + n} epochs are left out ({reasons}).")
    onsets = (epochs.events[:, 0] - raw.first_samp) / sfreq
    return epochs, [labels[i] for i in epochs.selection], onsets


def _wanted(labels: list[str], args: argparse.Namespace) -> list[int]:
    """Numbers of the events of --labels."""
    args.labels_found.update(labels)
    rows = [i for i, label in enumerate(labels) if not args.labels or label in args.labels]
    if not rows:
        found = ", ".join(sorted(set(labels))) or "none"
        asked = f" of the labels {', '.join(args.labels)}" if args.labels else ""
        raise _NoEpochs(f"it has no event{asked}; labels in the file: {found}.")
    return rows
