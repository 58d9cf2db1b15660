"""The DARE-EEG foundation model: benchmark it, pretrain it, embed with it.

examples:
  dare-sklearn benchmark                           simulated EEG, no download
  dare-sklearn benchmark sub-*-epo.fif --label condition --groups subject
  dare-sklearn embed DIR --window 4 --out embeddings.csv
  dare-sklearn pretrain DIR --out encoder
  dare-sklearn info encoder

exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped with Ctrl-C
"""

import argparse
import os
import shlex
import sys
import warnings
from collections.abc import Sequence

from .. import __version__
from . import benchmark, embed, info, pretrain
from ._options import FAILURE, INTERRUPTED, OK, USAGE, UsageError, Warnings, path, say

# They import what they need when they run, so that help and usage errors come at once.
COMMANDS = (benchmark, pretrain, embed, info)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; the docstrings of their modules are the help."""
    how = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    about, _, examples = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser("dare-sklearn", description=about, epilog=examples, **how)
    parser.add_argument("--version", action="version", version=f"dare-sklearn {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        first, _, text = (command.__doc__ or "").partition("\n\n")
        description, _, examples = text.partition("examples:")
        sub = commands.add_parser(
            command.__name__.rsplit(".", 1)[-1], help=first, epilog=f"examples:{examples}",
            description=description, **how,
        )  # fmt: skip
        command.add_arguments(sub)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        sub.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (of the process, if `argv` is None) and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parse(argv)
    except SystemExit as stop:  # argparse has said what is wrong
        return int(stop.code or 0)
    os.environ.setdefault("MPLBACKEND", "agg")
    with warnings.catch_warnings():
        args.warnings = Warnings()
        if not args.debug:
            args.warnings.install()
        try:
            return int(args.run(args) or OK)
        except KeyboardInterrupt:
            say("Stopped." + getattr(args, "after_stop", ""))
            return INTERRUPTED
        except BrokenPipeError:  # the reader of the output has closed it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK
        except Exception as error:
            if args.debug:
                raise
            text = " ".join(str(error).split()) or type(error).__name__
            if not isinstance(error, ValueError | TypeError | OSError | ImportError | RuntimeError):
                text = f"{type(error).__name__}: {text}. Run again with --debug for the traceback."
            say(f"error: {text}")
            return USAGE if isinstance(error, UsageError | FileNotFoundError) else FAILURE
        finally:
            args.warnings.finish()


def _parse(argv: list[str]) -> argparse.Namespace:
    """The arguments; ``given`` holds the options on the command line."""
    parser = make_parser()
    args, rest = parser.parse_known_args(argv)
    # before Python 3.13, argparse takes an optional list of files to be empty where an option comes
    # first
    if rest and args.command == "benchmark" and not any(word.startswith("-") for word in rest):
        args.files = [*args.files, *map(path, rest)]
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.given = {word.split("=")[0] for word in argv if word.startswith("--")}
    args.command_line = shlex.join(["dare-sklearn", *argv])
    return args
