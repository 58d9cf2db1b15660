"""``dare-sklearn pretrain``: an encoder from unlabelled recordings."""

from __future__ import annotations

import argparse
from pathlib import Path

from ._signals import add_file_arguments, check_band, find_files, read_file

HELP = "pretrain an encoder on unlabelled recordings"
DESCRIPTION = """\
Learn an encoder from recordings without labels (masked reconstruction, mask alignment and anchor
alignment), and write a folder that every --encoder, and encoder= in Python, takes. Recordings may
mix montages, sampling rates and lengths.

A run that was stopped goes on with the same command: checkpoints lie in OUT/checkpoints.
"""
EPILOG = """\
examples:
  dare-sklearn pretrain DIR --out encoder
  dare-sklearn pretrain DIR --out larger --size small --epochs 50 --batch-size 64 --device cuda
  dare-sklearn pretrain DIR --weights nano --out adapted --epochs 10

Leave the recordings out that you will test on.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    add_file_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the encoder")
    parser.add_argument(
        "--size", default="nano", choices=("nano", "light", "small", "base", "deep"),
        help="from 0.6 to 78 million parameters (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--weights", help="start from these: shipped name, folder or .ckpt")
    parser.add_argument("--epochs", type=int, default=200, help="passes through all (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=216, help="windows (%(default)s)")
    parser.add_argument("--lr", type=float, default=5e-4, help="peak learning rate (%(default)s)")
    parser.add_argument("--window", type=float, default=4.0, help="seconds (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="%(default)s")
    parser.add_argument(
        "--save-every", type=int, metavar="STEPS", help="checkpoints within an epoch too"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from ..transformers import DAREPretrainer
    from . import INTERRUPTED, UsageError

    args.band = check_band(args.band)
    for name in ("epochs", "batch_size", "window", "lr"):
        if getattr(args, name) <= 0:
            raise UsageError(f"--{name.replace('_', '-')} must be positive.")
    files = find_files(args.files)
    corpus = [read_file(path, args.channels, args.band, preload=False) for path in files]
    print(f"{len(corpus)} recordings")
    args.after_stop = " The same command goes on from the last checkpoint."
    pretrainer = DAREPretrainer(
        args.size,
        weights=args.weights,
        window_s=args.window,
        max_epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr,
        device=args.device,
        checkpoint_dir=args.out / "checkpoints",
        checkpoint_every=args.save_every,
        random_state=args.seed,
        verbose=0 if args.quiet else 1,
    ).fit(corpus)
    done = pretrainer.n_iter_
    if done < args.epochs:
        print(f"Stopped after {done} of {args.epochs} epochs.{args.after_stop}")
        return INTERRUPTED
    pretrainer.save_pretrained(args.out)
    pretrainer.history_.to_csv(args.out / "history.csv", index=False)
    print(f"{args.out}: encoder after {done} epochs; losses in history.csv")
    return 0
