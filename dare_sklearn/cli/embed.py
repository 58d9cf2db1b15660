"""``dare-sklearn embed``: a table of embeddings of recordings."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from ._signals import add_file_arguments, check_band, find_files, read_file

HELP = "write embeddings of recordings as a table"
DESCRIPTION = """\
Embed epochs with a frozen encoder, and write one row per epoch: the file, the number and onset of
the epoch, its label and metadata where the file has them, and the features (dare_s0_d000, ...).

Continuous recordings are cut into windows of --window seconds, or around their annotations with
--around START STOP. Files named *-epo.fif hold epochs already and are taken as they are.
"""
EPILOG = """\
examples:
  dare-sklearn embed night.edf --window 30 --out night.csv
  dare-sklearn embed DIR --around -0.2 0.8 --labels target other --band 0.5 40 --out erp.csv
  dare-sklearn embed DIR --encoder my_encoder --pooling flatten --out table.parquet

.parquet needs pyarrow (pip install pyarrow).
"""
_FORMATS = (".csv", ".parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    add_file_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="table: .csv or .parquet")
    parser.add_argument(
        "--encoder",
        default="nano",
        help="shipped name, folder, .ckpt, Hub id, or 'untrained' (%(default)s)",
    )
    cut = parser.add_mutually_exclusive_group()
    cut.add_argument("--window", type=float, metavar="S", help="length of windows in seconds (4)")
    cut.add_argument(
        "--around", nargs=2, type=float, metavar=("START", "STOP"), help="seconds around events"
    )
    parser.add_argument("--labels", nargs="+", metavar="NAME", help="only events of these labels")
    parser.add_argument(
        "--pooling", choices=("mean", "mean_std", "flatten"), default="mean",
        help="over the patches of 250 ms of an epoch (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--cache", type=Path, help="folder that keeps embeddings between calls")
    parser.add_argument("--batch-size", type=int, default=64, help="%(default)s")


class _NoEpochs(Exception):
    """Why a file has none."""


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    import pandas as pd
    from tqdm.auto import tqdm

    _check(args)
    files = find_files(args.files)
    embedder = _embedder(args)
    tables = []
    for path in tqdm(files, unit="file", disable=args.quiet, file=sys.stderr):
        try:
            tables.append(_embed(embedder, path, args))
        except _NoEpochs as reason:  # it is left out, and never silently
            tqdm.write(f"{path.name} is left out: {reason}", file=sys.stderr)
    if not tables:
        raise ValueError("No epochs were found in any file.")
    whole = pd.concat(tables, ignore_index=True)
    features = [name for name in whole if name.startswith("dare_")]
    if whole[features].isna().to_numpy().any():
        raise ValueError(
            "Epochs differ in length, and with --pooling flatten so do features: use --window."
        )
    whole = whole[[*(name for name in whole if name not in features), *features]]
    _write(whole, args.out)
    print(f"{args.out}: {len(whole)} epochs of {len(tables)} files, {len(features)} features")
    return 0


def _check(args: argparse.Namespace) -> None:
    from importlib.util import find_spec

    from . import UsageError

    args.band = check_band(args.band)
    if args.out.suffix not in _FORMATS:
        raise UsageError(f"--out must end with {' or '.join(_FORMATS)}, got {args.out.name!r}.")
    if args.out.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise ImportError("Parquet needs pyarrow: pip install pyarrow, or write a .csv instead.")
    folder = args.out.parent
    folder.mkdir(parents=True, exist_ok=True)  # what cannot be written is told before the work
    if not os.access(folder, os.W_OK):
        raise UsageError(f"--out: nothing can be written to the folder {str(folder)!r}.")
    if args.window is not None and args.window <= 0:
        raise UsageError(f"--window must be positive, got {args.window:g}.")
    if args.around is not None and args.around[0] >= args.around[1]:
        raise UsageError("--around must rise: START, then STOP.")
    if args.labels and args.around is None:
        raise UsageError("--labels chooses among events: pass --around START STOP too.")
    if args.batch_size < 1:
        raise UsageError(f"--batch-size must be 1 or more, got {args.batch_size}.")


def _embedder(args: argparse.Namespace) -> Any:
    from ..transformers import DAREEmbedder

    return DAREEmbedder(
        None if args.encoder == "untrained" else args.encoder,
        pooling=args.pooling,
        batch_size=args.batch_size,
        cache=None if args.cache is None else str(args.cache),
        device=args.device,
        random_state=0,
    )


def _embed(embedder: Any, path: Path, args: argparse.Namespace) -> Any:
    """The table of one file."""
    import pandas as pd

    epochs, labels = _cut(path, args)
    if not len(epochs):
        raise _NoEpochs("no epoch lies within the recording and outside its bad segments.")
    values = embedder.fit_transform(epochs)
    names = embedder.get_feature_names_out()
    onsets = epochs.events[:, 0] / epochs.info["sfreq"]
    about = {
        "file": path.name,
        "epoch": range(len(epochs)),
        "onset_s": onsets.round(6),
        "label": labels,
    }
    table = pd.DataFrame(about)
    if epochs.metadata is not None:
        extra = epochs.metadata.reset_index(drop=True)
        table = table.join(extra[[name for name in extra if name not in table]])
    return pd.concat([table, pd.DataFrame(values, columns=names)], axis=1)


def _cut(path: Path, args: argparse.Namespace) -> tuple[Any, list[str]]:
    """Epochs of a file and their labels."""
    import mne

    from ..benchmark.sources.events import event_labels, find_events
    from ..benchmark.sources.files import holds_epochs, read_raw

    # before channels are picked, among which may be that of the events
    events = None
    if args.around is not None and not holds_epochs(path):
        events = find_events(read_raw(path), path)
    inst = read_file(path, args.channels, args.band)
    if isinstance(inst, mne.BaseEpochs):
        return inst, event_labels(inst)
    if events is not None:
        return _around_events(inst, *events, args)
    seconds = args.window or 4.0
    if inst.n_times < round(seconds * inst.info["sfreq"]):
        length = inst.n_times / inst.info["sfreq"]
        raise _NoEpochs(f"it lasts {length:.3g} s, and --window is {seconds:g} s.")
    epochs = mne.make_fixed_length_epochs(
        inst, seconds, preload=True, reject_by_annotation=False, verbose="error"
    )
    return _from_start(epochs, inst), [""] * len(epochs)


def _around_events(
    raw: Any, events: Any, labels: list[str], args: argparse.Namespace
) -> tuple[Any, list[str]]:
    import mne

    wanted = [i for i, label in enumerate(labels) if not args.labels or label in args.labels]
    if not wanted:
        found = ", ".join(sorted(set(labels))) or "none"
        asked = f" of the labels {', '.join(args.labels)}" if args.labels else ""
        raise _NoEpochs(f"it has no event{asked}; labels in the file: {found}.")
    start, stop = args.around
    epochs = mne.Epochs(
        raw, events[wanted], tmin=start, tmax=stop - 1 / raw.info["sfreq"], baseline=None,
        preload=True, event_repeated="drop", verbose="error",
    )  # fmt: skip
    labels = [labels[wanted[i]] for i in epochs.selection]
    return _from_start(epochs, raw), labels


def _from_start(epochs: Any, raw: Any) -> Any:
    """Events counted from the first sample of the file, as onsets are told."""
    epochs.events[:, 0] -= raw.first_samp
    return epochs


def _write(table: Any, path: Path) -> None:
    """In one step: no half a table under this name."""
    scratch = path.with_name(path.name + ".part")
    try:
        if path.suffix == ".parquet":
            table.to_parquet(scratch, index=False)
        else:
            table.to_csv(scratch, index=False)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
