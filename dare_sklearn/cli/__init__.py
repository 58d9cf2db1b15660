"""The command line: ``dare-sklearn benchmark | pretrain | embed | info``."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from .. import __version__
from . import benchmark, embed, info, pretrain

COMMANDS = (benchmark, pretrain, embed, info)
OK, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130

_EPILOG = """\
examples:
  dare-sklearn benchmark                       simulated EEG, no download, a few minutes
  dare-sklearn benchmark recordings --data DIR your own recordings
  dare-sklearn embed DIR --window 4 --out embeddings.csv
  dare-sklearn pretrain DIR --out encoder
  dare-sklearn info encoder

exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped with Ctrl-C
"""


class UsageError(ValueError):
    """Something that the user has to say differently."""


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="dare-sklearn",
        description="The DARE-EEG foundation model: benchmark it, pretrain it, embed with it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dare-sklearn {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        name = command.__name__.rsplit(".", 1)[-1]
        sub = commands.add_parser(
            name,
            help=command.HELP,
            description=command.DESCRIPTION,
            epilog=command.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(sub)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        sub.add_argument("-q", "--quiet", action="store_true", help="no progress bars")
        sub.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str or None, default=None
        Arguments; None takes those of the process.

    Returns
    -------
    int
        Exit code: 0 done, 1 failed, 2 wrong usage, 130 stopped with Ctrl-C.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        args = make_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has said what is wrong
        return int(stop.code or 0)
    args.command_line = " ".join(["dare-sklearn", *map(_quoted, argv)])
    os.environ.setdefault("MPLBACKEND", "agg")
    with warnings.catch_warnings():
        _plain_warnings(args.debug)
        try:
            return int(args.run(args) or OK)
        except KeyboardInterrupt:
            _say("Stopped." + getattr(args, "after_stop", ""))
            return INTERRUPTED
        except BrokenPipeError:  # who read the output has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK
        except Exception as error:
            if args.debug:
                raise
            usage = _is_usage(error)
            _say(_explain(error))
            return USAGE if usage else FAILURE


def _is_usage(error: Exception) -> bool:
    from ..benchmark.checks import SuiteError

    return isinstance(error, SuiteError | UsageError | FileNotFoundError)


def _explain(error: Exception) -> str:
    """One message; what nobody foresaw says how to learn more."""
    text = " ".join(str(error).split()) or type(error).__name__
    foreseen = isinstance(error, ValueError | TypeError | OSError | ImportError | RuntimeError)
    if foreseen:
        return f"error: {text}"
    return f"error: {type(error).__name__}: {text}. Run again with --debug for the traceback."


def _plain_warnings(debug: bool) -> None:
    """Our own warnings and those of users' data in one line each; deprecations of others never."""
    if debug:
        return
    warnings.simplefilter("ignore")
    for category in (UserWarning, RuntimeWarning):
        warnings.simplefilter("once", category)

    def show(message, category, filename, lineno, file=None, line=None):
        _say(f"warning: {' '.join(str(message).split())}")

    warnings.showwarning = show


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _quoted(text: str) -> str:
    return f"'{text}'" if not text or any(c in text for c in " *?{}'\"$") else text
