"""Everything that is claimed of the shipped encoder, measured by one command.

Run: python -m benchmarks.evidence --data FOLDER --out FOLDER
     [--encoders shipped=nano untrained= ...]
     [--parts transfer labels electrodes invariance] [--tasks ...] [--probes ...]
     [--jobs 2]

--data holds eegbci/, uci_eeg/ and muse/. An encoder is NAME=SOURCE (a shipped name or a folder; an
empty source is an untrained encoder); it must not have seen the recordings that it is scored on.
--out gets a CSV and a figure per part; finished cells are kept there and not computed again.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import matplotlib
import mne

from benchmarks.evidence import electrodes, figures, invariance, labels, transfer
from benchmarks.tasks import TASKS

PARTS = {
    "transfer": transfer.run,
    "labels": labels.run,
    "electrodes": electrodes.run,
    "invariance": invariance.run,
}


def encoder(text: str) -> tuple[str, str | None]:
    name, equals, source = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=SOURCE, got {text!r}")
    return name, source or None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    default = [("shipped", "nano"), ("untrained", None)]
    parser.add_argument("--encoders", nargs="+", type=encoder, default=default)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--probes", nargs="*", help="transfer: encoders to probe; default: all")
    args = parser.parse_args()
    mne.set_log_level("error")
    matplotlib.use("agg")
    # unknown channels are interpolated, electrodes are left out: both on purpose here
    warnings.filterwarnings("ignore", category=UserWarning, module="dare_sklearn")
    warnings.filterwarnings("ignore", message="X lacks", category=UserWarning)
    args.out.mkdir(parents=True, exist_ok=True)
    args.encoders = dict(args.encoders)
    args.probes = list(args.encoders) if args.probes is None else args.probes
    for part in args.parts:
        PARTS[part](args)
        figures.draw(args.out)


if __name__ == "__main__":
    main()
