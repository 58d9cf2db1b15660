"""``dare-sklearn benchmark``: pipelines against each other, and a report."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ._options import UsageError, check_device, folder, path, refuse, share, text, whole
from ._pipelines import DARE, DEFAULT, KNOWN, TORCH, TRAINED, candidate, choose, rivals
from ._say import doing, say

HELP = "compare DARE with classical EEG pipelines, and write a report"
DESCRIPTION = """\
Score DARE and classical EEG pipelines on the same folds, and write an HTML
report with its tables as CSV. A stopped run continues with the same command.
"""
EPILOG = """\
examples:
  dare-sklearn benchmark                              simulated EEG, no download
  dare-sklearn benchmark *-epo.fif --label condition --groups subject
  dare-sklearn benchmark --moabb BNCI2014-001 --subjects 3
"""
SIZES = (16, 32, 64)
FOLDS = 5  # of trials, without groups
N_PERMUTATIONS = 100
_OF_FILES = ("label", "groups", "classes", "channels", "lost")
_OF_CURVES = ("sizes", "no_curve")


class _Narrow(argparse.RawDescriptionHelpFormatter):
    """A help of one screen."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=21, width=79)

    def _format_args(self, action: Any, default: str) -> str:
        return action.metavar or super()._format_args(action, default)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.formatter_class = _Narrow
    parser.usage = "dare-sklearn benchmark [FILE-epo.fif ... | --moabb NAME ...] [options]"
    add = parser.add_argument
    add("files", nargs="*", type=path, metavar="FILE", help="saved mne.Epochs, or folders of them")
    add("--label", type=text, metavar="NAME", help="metadata column of labels, or 'event'")
    add("--groups", type=text, metavar="NAME", help="metadata column of people, or 'file'")
    add("--classes", nargs="+", type=text, metavar="NAME ...", help="only epochs of these labels")
    add("--channels", nargs="+", type=text, metavar="NAME ...", help="only these channels")
    add("--lost", nargs="+", type=share, metavar="SHARE ...", help="also scores without such "
        "shares of the electrodes")  # fmt: skip
    add("--sizes", nargs="+", type=whole(2), metavar="N ...", help="training epochs of the "
        f"learning curve ({' '.join(map(str, SIZES))})")  # fmt: skip
    add("--no-curve", action="store_true", help="no learning curve")
    add("--moabb", nargs="+", type=text, metavar="NAME ...", help="public data sets, downloaded by "
        "MOABB: BNCI2014-001 PhysionetMI Lee2019 BI2014a Nakanishi2015 Wang2016 "
        "Schirrmeister2017 Hinss2021, or any of MOABB's classes")  # fmt: skip
    add("--subjects", type=whole(1), metavar="N", help="only the first N people of each")
    add("--cv", type=_cv, metavar="HOW", help="folds: a number, leave-one-out (of groups; "
        "default with --groups), of --moabb within-session, cross-session or cross-subject "
        "(default: the protocol's)")  # fmt: skip
    add("--pipelines", nargs="+", type=text, metavar="NAME ...", help="only these; 'list' shows "
        "them")  # fmt: skip
    add("--encoder", type=text, default="nano", metavar="E", help="shipped name, folder, .ckpt, "
        "Hub id or 'untrained' (nano)")  # fmt: skip
    add("--device", type=text, default="auto", metavar="D", help="auto, cpu, cuda, cuda:1, mps")
    add("--jobs", type=whole(1), default=1, metavar="N", help="folds at once (1)")
    add("--seed", type=whole(0), default=0, metavar="N", help="of folds and networks (0)")
    add("--out", type=folder, metavar="DIR", help="folder of results (benchmark_results)")
    add("-q", "--quiet", action="store_true", help="no progress bars")
    parser.set_defaults(band=None)


def _cv(value: str) -> int | str:
    from ._moabb import EVALUATIONS

    if value == "leave-one-out" or value in EVALUATIONS:
        return value
    return whole(2)(value)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.pipelines == ["list"]:
        refuse(args, sorted(set(args.given) - {"pipelines", "files"}), "with --pipelines list")
        print("Pipelines that --pipelines can name (* are compared by default):")
        for name in KNOWN:
            print(f"{'*' if name in DEFAULT else ' '} {name}")
        return 0
    names = choose(args.pipelines, args.encoder)
    _check_effect(args, names)
    out = args.out or Path("benchmark_results")
    what = ", ".join(args.moabb or ()) or ", ".join(map(str, args.files)) or "simulated EEG"
    doing(f"Comparing {len(names)} pipelines on {what}")
    check_device(args.device)
    args.after_stop = " The same command continues from what is finished."
    import mne

    with mne.use_log_level("error"):
        found = _of_moabb(args, names, out) if args.moabb else _of_epochs(args, names, out)
    return _write(args, names, out, *found)


def _check_effect(args: argparse.Namespace, names: list[str]) -> None:
    """Refuse what is missing, and options that would be ignored."""
    if args.files and args.moabb:
        raise UsageError("--moabb and files are two comparisons: run one of them.")
    if args.moabb:
        refuse(args, (*_OF_FILES, *_OF_CURVES), "on --moabb")
        if args.cv is not None and (isinstance(args.cv, int) or args.cv == "leave-one-out"):
            raise UsageError(f"--cv {args.cv}: with --moabb pass within-session, cross-session or "
                             "cross-subject.")  # fmt: skip
    else:
        refuse(args, ["subjects"], "without --moabb")
        if isinstance(args.cv, str) and args.cv != "leave-one-out":
            raise UsageError(f"--cv {args.cv} needs --moabb: pass a number or leave-one-out.")
    if args.files and args.label is None:
        raise UsageError("--label: say which metadata column holds the labels, or 'event'.")
    if not args.files:
        refuse(args, _OF_FILES, "without files of epochs")
    elif args.cv == "leave-one-out" and args.groups is None:
        raise UsageError("--cv leave-one-out needs --groups: one group is left out at a time.")
    if args.no_curve:
        refuse(args, ["sizes"], "with --no-curve")
    if not set(names) & TORCH:
        refuse(args, ["device"], "on classical pipelines only")
    if not set(names) & set(DARE):
        refuse(args, ["encoder"], "without a pipeline of DARE that uses it")


def _of_moabb(args: argparse.Namespace, names: list[str], out: Path) -> tuple:
    """Scores, no curves, facts and failures of public data sets."""
    import pandas as pd

    from .. import __version__
    from ..evaluation._identity import digest
    from . import _moabb
    from ._pipelines import about

    suffix = digest(about(args.encoder), __version__)
    for name in args.moabb:  # what is wrong is told before anything is downloaded
        _moabb.find(name, args.cv)
    tables, facts, failures = [], {}, []
    for name in dict.fromkeys(args.moabb):
        doing(f"{name}: MOABB loads and scores it")
        try:
            table = _moabb.evaluate(name, names, args, out / "moabb", suffix)
        except Exception as error:  # a download, a pipeline: the other data sets continue
            if len(args.moabb) == 1:
                raise
            failures.append(f"{name}: {type(error).__name__}: {error}")
            say(f"failed: {failures[-1]}")
            continue
        tables.append(table)
        facts[f"data: {name}"] = f"{table['subject'].nunique()} people, {table.attrs['how']}"
    if not tables:
        raise ValueError(f"Nothing could be scored. {failures[0]}")
    return pd.concat(tables, ignore_index=True), None, None, facts, failures


def _of_epochs(args: argparse.Namespace, names: list[str], out: Path) -> tuple:
    """Scores, curves, facts and failures of files or simulated epochs."""
    import pandas as pd

    from ._epochs import from_files, simulated
    from ._pipelines import about

    about(args.encoder)
    parts: dict[str, list] = {"scores": [], "curve": [], "lost": []}
    facts: dict[str, Any] = {}
    failures: list[str] = []
    for data in [from_files(args)] if args.files else simulated():
        facts[f"data: {data.name}"] = [data.facts(), *data.notes]
        for note in data.notes:
            say(f"note: {note}")
        _score(data, args, names, out, parts, failures)
    joined = [pd.concat(p, ignore_index=True) if p else None for p in parts.values()]
    return *joined, facts, failures


def _score(
    data: Any, args: Any, names: list[str], out: Path, parts: dict[str, list], failures: list[str]
) -> None:
    """All cells of one data set."""
    from ..evaluation import compare, learning_curve, lost_electrodes
    from ..evaluation.folds import InnerFolds
    from ._epochs import with_positions
    from ._pipelines import build, grids

    folds = _folds(data, args)
    sizes = _sizes(data, folds, args)
    options = {
        "groups": data.groups, "cv": folds, "scoring": _metrics(data.y, folds), "on_error": "warn",
        "inner_cv": InnerFolds(), "n_jobs": args.jobs, "random_state": args.seed,
        "dataset": data.name, "cache_dir": out / "cells", "verbose": 0 if args.quiet else 1,
    }  # fmt: skip
    pipelines = build(names, args.encoder, args.device)
    doing(f"{data.name}: {len(folds)} folds of {data.facts()}")
    table = compare(
        pipelines, data.epochs, data.y, param_grids=grids(names), n_permutations=N_PERMUTATIONS,
        **options,
    )  # fmt: skip
    whole_ones, table = _complete(table, data.name, names, len(folds), failures)
    if not whole_ones:
        raise ValueError(f"Every pipeline failed on {data.name}: see the warnings above.")
    parts["scores"].append(table)
    if args.lost:
        doing(f"{data.name}: with lost electrodes")
        some = {name: pipelines[name] for name in whole_ones}
        epochs = with_positions(data.epochs)
        shares = [0.0, *args.lost]
        lost = lost_electrodes(some, epochs, data.y, shares, param_grids=grids(some), **options)
        n_rows = len(folds) * len(shares)
        parts["lost"].append(_complete(lost, f"{data.name}, lost", some, n_rows, failures)[1])
    cheap = {name: pipelines[name] for name in whole_ones if name not in TRAINED}
    if sizes and cheap:
        doing(f"{data.name}: learning curve at {', '.join(map(str, sizes))} epochs")
        curve = learning_curve(
            cheap, data.epochs, data.y, sizes, param_grids=grids(cheap), **options
        )
        n_rows = len(folds) * len(sizes)
        there, curve = _complete(curve, f"{data.name}, curve", cheap, n_rows, failures)
        full = table[table["pipeline"].isin(there)]
        parts["curve"] += [curve, full.assign(n_labels=round(full["n_train"].mean()))]


def _sizes(data: Any, folds: list, args: Any) -> list[int]:
    """Training sizes of the learning curve."""
    least = 3 * len(set(data.y.tolist()))  # inner folds need three epochs of every label
    most = min(len(train) for train, _ in folds) - 1
    if wrong := [n for n in args.sizes or () if not least <= n <= most]:
        raise UsageError(
            f"--sizes {wrong[0]}: must lie between {least} (three epochs of every label) and "
            f"{most} (the smallest fold has one more)."
        )
    return [] if args.no_curve else [n for n in args.sizes or SIZES if least <= n <= most]


def _folds(data: Any, args: Any) -> list:
    """The folds, drawn once: groups are never divided."""
    import numpy as np
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold

    n_splits = args.cv
    if data.groups is None:
        n_splits = n_splits or FOLDS
        splitter: Any = StratifiedKFold(n_splits, shuffle=True, random_state=args.seed)
        fewest = int(np.unique(data.y, return_counts=True)[1].min())
        if fewest < n_splits:
            raise UsageError(f"--cv {n_splits}: a label has {fewest} epochs only.")
    else:
        n_groups = len(np.unique(data.groups))
        if n_groups < 2:
            raise UsageError(f"--groups {args.groups}: all epochs are of one group; leave it out "
                             "for folds of trials.")  # fmt: skip
        if n_splits in (None, "leave-one-out"):
            splitter = LeaveOneGroupOut()
        elif n_splits > n_groups:
            raise UsageError(f"--cv {n_splits}: there are {n_groups} groups only.")
        else:
            splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=args.seed)
    folds = list(splitter.split(np.zeros(len(data.y)), data.y, data.groups))
    for number, (train, _) in enumerate(folds):
        if missing := set(data.y) - set(data.y[train]):
            raise UsageError(f"The training epochs of fold {number} have no {sorted(missing)[0]!r}:"
                             " pass another --cv.")  # fmt: skip
    return folds


def _metrics(y: Any, folds: list) -> list[str]:
    """Metrics that every fold can be scored by."""
    n_classes = len(set(y.tolist()))
    if any(len(set(y[test].tolist())) < n_classes for _, test in folds):
        return ["accuracy"]
    return ["balanced_accuracy", *(["roc_auc"] if n_classes == 2 else [])]


def _complete(
    table: Any, what: str, names: Iterable[str], n_rows: int, failures: list[str]
) -> tuple[list[str], Any]:
    """Pipelines that have all their scores, as statistics need, and their rows."""
    counts = table["pipeline"].value_counts()
    there = [name for name in names if counts.get(name, 0) == n_rows]
    failures += [f"{what}: {name} failed and is left out." for name in names if name not in there]
    return there, table[table["pipeline"].isin(there)]


def _write(args: Any, names: list[str], out: Path, *found: Any) -> int:
    """The report, and its gist on standard output."""
    from ..evaluation import report, summarize
    from ..evaluation.verdict import judge, sentence

    scores, curve, lost, facts, failures = found
    there = [name for name in names if name in set(scores["pipeline"])]
    what = "public data sets" if args.moabb else "your epochs" if args.files else "simulated EEG"
    page = report(
        scores, out, title=f"DARE and classical EEG pipelines on {what}", rivals=rivals(there),
        candidate=candidate(there), learning_curve=curve, lost_electrodes=lost,
        context=_context(args, facts, failures),
    )  # fmt: skip
    gist = summarize(scores)[["dataset", "pipeline", "metric", "mean", "low", "high"]]
    print(f"\n{gist.to_string(index=False, float_format='%.3f')}\n")
    print(f"{sentence(judge(scores, candidate(there), rivals(there)))}\n")
    for failure in failures:
        say(f"failed: {failure}")
    print(f"Report: {page}")
    return 1 if failures else 0


def _context(args: Any, facts: dict[str, Any], failures: list[str]) -> dict[str, Any]:
    import platform

    from ..evaluation._identity import versions
    from ._pipelines import about

    context = {
        "command": args.command_line, **facts, "encoder": about(args.encoder), "seed": args.seed,
        "device": args.device,
        "machine": f"{platform.platform(terse=True)}, Python {platform.python_version()}",
        "versions": versions(), "failures": failures, "warnings": args.warnings.texts(),
    }  # fmt: skip
    if not args.files and not args.moabb:
        context["mind"] = (
            "These signals are simulated, and encoders of this library are pretrained on simulated "
            "signals too: this shows that the tool works, and says nothing about recordings."
        )
    return {name: value for name, value in context.items() if value not in ([], None)}
