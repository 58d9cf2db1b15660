"""Pretrain an encoder on unlabelled recordings.

Learn an encoder from recordings without labels (masked reconstruction, mask alignment and anchor
alignment), and write a folder that every --encoder, and encoder= in Python, takes. Recordings may
mix montages, sampling rates and lengths. They stay on disk, unless --band filters them.

A run that was stopped continues with the same command: its checkpoints are in OUT/checkpoints.

examples:
  dare-sklearn pretrain DIR --out encoder
  dare-sklearn pretrain DIR --out larger --size small --epochs 50 --batch-size 64 --device cuda
  dare-sklearn pretrain DIR --weights nano --out adapted --epochs 10

Leave out the recordings that you will test on.
"""

import argparse

from . import _options as opt
from ._options import INTERRUPTED, check_network, doing, find, open_recording, refuse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    opt.add_file_arguments(parser)
    add = parser.add_argument
    add("--out", type=opt.folder, required=True, help="folder of the encoder")
    add("--size", default="nano", choices=("nano", "light", "small", "base", "deep"),
        help="from 0.6 to 78 million parameters (%(default)s)")  # fmt: skip
    add("--weights", type=opt.text, help="weights to start from: shipped name, folder or .ckpt")
    count = {"type": opt.whole(1), "metavar": "N"}
    add("--epochs", default=200, help="passes through all windows (%(default)s)", **count)
    add("--batch-size", default=216, help="windows per batch (%(default)s)", **count)
    add("--lr", type=opt.positive, default=5e-4, help="peak learning rate (%(default)s)")
    add("--window", type=opt.length, default=4.0, metavar="S",
        help="seconds per window (%(default)s)")  # fmt: skip
    add("--seed", type=opt.whole(0), default=0, metavar="N",
        help="of all that is random (%(default)s)")  # fmt: skip
    add("--workers", type=opt.whole(0, 256), default=0, metavar="N",
        help="background processes that read files (%(default)s)")  # fmt: skip
    add("--save-every", help="steps between checkpoints within an epoch", **count)


def run(args: argparse.Namespace) -> int:
    if args.weights is not None:
        refuse(args, ["size"], "with --weights, which have a size of their own")
    files = find(args)
    doing(f"Pretraining on {len(files)} file{'s' * (len(files) > 1)}")
    check_network(args.device, args.weights, "weights")
    from ..transformers import DAREPretrainer

    corpus: list = list(files)
    if args.channels is not None or args.band is not None:
        why = "with --channels or --band, for which files are opened first"
        refuse(args, ["on_error", "workers"], why)
        corpus = [opt.pick_and_filter(open_recording(file), file, args) for file in files]
    args.after_stop = " The same command continues from the last checkpoint."
    pretrainer = DAREPretrainer(
        args.size, weights=args.weights, unknown_channels=args.unknown_channels,
        window_s=args.window, max_epochs=args.epochs, batch_size=args.batch_size, lr=args.lr,
        on_error=args.on_error, n_workers=args.workers, device=args.device,
        checkpoint_dir=args.out, checkpoint_every=args.save_every, random_state=args.seed,
        verbose=0 if args.quiet else 1,
    )  # fmt: skip
    try:
        pretrainer.fit(corpus)
    except ValueError as error:
        raise ValueError(str(error).replace("on_error='skip'", "--on-error skip")) from error
    done = pretrainer.n_iter_
    if done < args.epochs:
        print(f"Stopped after {done} of {args.epochs} epochs.{args.after_stop}")
        return INTERRUPTED
    pretrainer.save_pretrained(args.out)
    pretrainer.history_.to_csv(args.out / "history.csv", index=False)
    print(f"{args.out}: encoder after {done} epochs; losses in history.csv")
    return 0
