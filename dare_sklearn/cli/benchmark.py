"""Compare DARE with classical EEG pipelines, and write a report.

Score DARE and classical EEG pipelines on the same folds, and write an HTML
report with its tables as CSV. A stopped run continues with the same command.

examples:
  dare-sklearn benchmark *-epo.fif --label condition --groups subject
  dare-sklearn benchmark --moabb BNCI2014-001 --subjects 3
"""

import argparse
import platform
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .. import __version__
from . import _moabb
from . import _options as opt
from . import _pipelines as pipes
from ._options import UsageError, check_network, doing, refuse, say

SIZES = (16, 32, 64)
FOLDS = 5  # of trials, without groups
N_PERMUTATIONS = 100
_OF_FILES = ("label", "groups", "classes", "channels", "lost")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "dare-sklearn benchmark [FILE-epo.fif ... | --moabb NAME ...] [options]"
    add, text = parser.add_argument, opt.text
    # fmt: off
    add("files", nargs="*", type=opt.path, metavar="FILE",
        help="saved mne.Epochs, or folders of them")
    add("--label", type=text, metavar="NAME", help="metadata column of labels, or 'event'")
    add("--groups", type=text, metavar="NAME", help="metadata column of people, or 'file'")
    add("--classes", nargs="+", type=text, metavar="NAME", help="only epochs of these labels")
    add("--channels", nargs="+", type=text, metavar="NAME", help="only these channels")
    add("--lost", nargs="+", type=opt.share, metavar="X",
        help="also score without these shares of the electrodes")
    add("--sizes", nargs="+", type=opt.whole(2), metavar="N",
        help=f"training epochs of the learning curve ({' '.join(map(str, SIZES))})")
    add("--no-curve", action="store_true", help="no learning curve")
    add("--moabb", nargs="+", type=text, metavar="NAME",
        help=f"public data sets, downloaded by MOABB: {' '.join(_moabb.PROTOCOLS)}, or any of "
        "MOABB's classes")
    add("--subjects", type=opt.whole(1), metavar="N", help="only the first N people of each")
    add("--cv", type=_cv, metavar="HOW",
        help="folds: a number, leave-one-out (of groups; default with --groups), for --moabb "
        "within-session, cross-session or cross-subject (default: the protocol's)")
    add("--pipelines", nargs="+", type=text, metavar="NAME",
        help="only these; 'list' shows them")
    add("--encoder", type=text, default="nano", metavar="E",
        help="name, folder, .ckpt, Hub id or 'untrained' (nano)")
    add("--device", type=text, default="auto", metavar="D", help="auto, cpu, cuda, cuda:1, mps")
    add("--jobs", type=opt.whole(1), default=1, metavar="N", help="folds at once (1)")
    add("--seed", type=opt.whole(0), default=0, metavar="N", help="seed of folds and networks (0)")
    add("--out", type=opt.folder, default=Path("benchmark_results"), metavar="DIR",
        help="folder of results (benchmark_results)")
    add("-q", "--quiet", action="store_true", help="no progress bars")
    # fmt: on
    parser.set_defaults(band=None)


def _cv(value: str) -> int | str:
    if value == "leave-one-out" or value in _moabb.EVALUATIONS:
        return value
    return opt.whole(2)(value)


def run(args: argparse.Namespace) -> int:
    if args.pipelines == ["list"]:
        others = sorted({word[2:] for word in args.given} - {"pipelines"})
        refuse(args, others, "with --pipelines list")
        print("Pipelines that --pipelines can name (* are compared by default):")
        for name in pipes.KNOWN:
            print(f"{'*' if name in pipes.DEFAULT else ' '} {name}")
        return 0
    names = pipes.choose(args.pipelines, args.encoder)
    _check_effect(args, names)
    what = ", ".join(map(str, args.moabb or args.files)) or "simulated EEG"
    doing(f"Comparing {len(names)} pipelines on {what}")
    check_network(args.device, args.encoder)
    args.about_encoder = pipes.about(args.encoder)
    args.after_stop = " The same command continues from what is finished."
    import mne
    import sklearn

    from ._epochs import from_files, simulated

    found = SimpleNamespace(scores=[], curve=[], lost=[], facts={}, failures=[])
    # groups reach the folds by which readings are weighed; MOABB has its own way
    routing = sklearn.config_context(enable_metadata_routing=not args.moabb)
    with mne.use_log_level("error"), routing:
        if args.moabb:
            _of_moabb(args, names, found)
        else:
            for data in [from_files(args)] if args.files else simulated():
                found.facts[f"data: {data.name}"] = [data.facts(), *data.notes]
                for note in data.notes:
                    say(f"note: {note}")
                _score(data, args, names, found)
    return _write(args, names, found)


def _check_effect(args: argparse.Namespace, names: list[str]) -> None:
    """Refuse a command that lacks an option, or has one without effect."""
    if args.files and args.moabb:
        raise UsageError("--moabb and files are two comparisons: run one of them.")
    if args.files and args.label is None:
        raise UsageError("--label: say which metadata column holds the labels, or 'event'.")
    if args.cv is not None and (args.cv in _moabb.EVALUATIONS) != bool(args.moabb):
        known = f"{', '.join(_moabb.EVALUATIONS)} with --moabb, a number or leave-one-out without"
        raise UsageError(f"--cv {args.cv}: pass {known}.")
    for applies, options, why in (
        (args.moabb, (*_OF_FILES, "sizes", "no_curve"), "on --moabb"),
        (not args.moabb, ["subjects"], "without --moabb"),
        (not args.files, _OF_FILES, "without files of epochs"),
        (args.no_curve, ["sizes"], "with --no-curve"),
        (not set(names) & pipes.TORCH, ["device"], "on classical pipelines only"),
        (not set(names) & set(pipes.DARE), ["encoder"], "without a pipeline of DARE that uses it"),
    ):
        if applies:
            refuse(args, options, why)
    if args.files and args.cv == "leave-one-out" and args.groups is None:
        raise UsageError("--cv leave-one-out needs --groups: one group is left out at a time.")


def _complete(found: Any, table: Any, what: str, names: Iterable[str], n_rows: int) -> Any:
    """Rows of the pipelines with all their scores, which statistics need; others failed."""
    counts = table["pipeline"].value_counts()
    failed = [name for name in names if counts.get(name, 0) < n_rows]
    found.failures += [f"{what}: {name} failed and is left out." for name in failed]
    return table[~table["pipeline"].isin(failed)]


def _of_moabb(args: argparse.Namespace, names: list[str], found: Any) -> None:
    """Scores of public data sets."""
    from ..evaluation._identity import digest

    # MOABB finds finished results by pipeline and person, whatever else has changed
    suffix = digest(args.about_encoder, __version__, args.seed, args.subjects, args.cv)
    # errors come before anything is downloaded
    for name, protocol in {name: _moabb.find(name, args.cv) for name in args.moabb}.items():
        doing(f"{name}: MOABB loads and scores it")
        try:
            table = _moabb.evaluate(name, protocol, names, args, suffix)
        except Exception as error:  # a download, a pipeline: the other data sets continue
            if len(args.moabb) == 1:
                raise
            found.failures.append(f"{name}: {type(error).__name__}: {error}")
            continue
        found.scores.append(table)
        found.facts[f"data: {name}"] = f"{table['subject'].nunique()} people, {table.attrs['how']}"
    if not found.scores:
        raise ValueError(f"Nothing could be scored. {found.failures[0]}")


def _score(data: Any, args: Any, names: list[str], found: Any) -> None:
    """All cells of one data set."""
    from ..evaluation import compare, learning_curve, lost_electrodes

    folds = _folds(data, args)
    sizes = _sizes(data, folds, args)
    options = {
        "groups": data.groups, "cv": folds, "scoring": _metrics(data.y, folds), "on_error": "warn",
        "n_jobs": args.jobs, "random_state": args.seed,
        "dataset": data.name, "cache_dir": args.out / "cells", "verbose": 0 if args.quiet else 1,
    }  # fmt: skip
    pipelines = pipes.build(names, args.encoder, args.device)
    doing(f"{data.name}: {len(folds)} folds of {data.facts()}")
    table = compare(pipelines, data.epochs, data.y, n_permutations=N_PERMUTATIONS, **options)
    table = _complete(found, table, data.name, names, len(folds))
    if not len(table):
        raise ValueError(f"Every pipeline failed on {data.name}: see the warnings above.")
    found.scores.append(table)
    there = table["pipeline"].unique()
    some = pipes.build(there, args.encoder, args.device, cache="memory")
    if args.lost:
        doing(f"{data.name}: with lost electrodes")
        shares = sorted({0.0, *args.lost})
        lost = lost_electrodes(some, data.epochs, data.y, shares, **options)
        n_rows = len(folds) * len(shares)
        found.lost.append(_complete(found, lost, f"{data.name}, lost", some, n_rows))
    cheap = {name: pipeline for name, pipeline in some.items() if name not in pipes.TRAINED}
    if sizes and cheap:
        doing(f"{data.name}: learning curve at {', '.join(map(str, sizes))} epochs")
        curve = learning_curve(cheap, data.epochs, data.y, sizes, **options)
        curve = _complete(found, curve, f"{data.name}, curve", cheap, len(folds) * len(sizes))
        if len(curve):  # else all failed
            whole = table[table["pipeline"].isin(curve["pipeline"])]
            found.curve += [curve, whole.assign(n_labels=round(whole["n_train"].mean()))]


def _sizes(data: Any, folds: list, args: Any) -> list[int]:
    """Training sizes of the learning curve."""
    least = 3 * len(set(data.y.tolist()))  # readings are weighed by cross-validation
    most = min(len(train) for train, _ in folds) - 1
    if wrong := [n for n in args.sizes or () if not least <= n <= most]:
        ends = f"{least} (three epochs of every label) and {most} (the smallest fold has one more)"
        raise UsageError(f"--sizes {wrong[0]}: must lie between {ends}.")
    return [] if args.no_curve else sorted({n for n in args.sizes or SIZES if least <= n <= most})


def _folds(data: Any, args: Any) -> list:
    """The folds, drawn once: groups are never divided."""
    import numpy as np
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold

    how = {"shuffle": True, "random_state": args.seed}
    if data.groups is None:
        splitter: Any = StratifiedKFold(args.cv or FOLDS, **how)
    elif args.cv in (None, "leave-one-out"):
        splitter = LeaveOneGroupOut()
    else:
        splitter = StratifiedGroupKFold(args.cv, **how)
    try:
        with warnings.catch_warnings():
            if data.groups is None:  # a label that is rarer than there are folds
                warnings.simplefilter("error")
            folds = list(splitter.split(np.zeros(len(data.y)), data.y, data.groups))
    except (ValueError, UserWarning) as error:
        option = "--cv" if data.groups is None else "--groups and --cv"
        raise UsageError(f"{option} do not fit these epochs: {error}") from None
    for number, (train, _) in enumerate(folds):
        if missing := set(data.y.tolist()) - set(data.y[train].tolist()):
            raise UsageError(f"Fold {number} trains on no {min(missing)!r}: pass another --cv.")
    return folds


def _metrics(y: Any, folds: list) -> list[str]:
    """Metrics that every fold can be scored by."""
    n_classes = len(set(y.tolist()))
    if any(len(set(y[test].tolist())) < n_classes for _, test in folds):
        return ["accuracy"]
    return ["balanced_accuracy", *(["roc_auc"] if n_classes == 2 else [])]


def _write(args: Any, names: list[str], found: Any) -> int:
    """Write the report, and print its main results."""
    import pandas as pd

    from ..evaluation import report, summarize
    from ..evaluation._identity import versions
    from ..evaluation.report import judge, sentence

    scores, curve, lost = (
        pd.concat(some, ignore_index=True) if some else None
        for some in (found.scores, found.curve, found.lost)
    )
    there = [name for name in names if name in set(scores["pipeline"])]
    what = "public data sets" if args.moabb else "your epochs" if args.files else "simulated EEG"
    candidate = next((name for name in there if name in pipes.DARE), there[0])
    rivals = [name for name in there if name in pipes.CLASSICAL and name != candidate]
    who = {"candidate": candidate, "rivals": rivals or None}
    context = {
        "command": args.command_line, **found.facts, "encoder": args.about_encoder,
        "seed": args.seed, "device": args.device,
        "machine": f"{platform.platform(terse=True)}, Python {platform.python_version()}",
        "versions": versions(), "failures": found.failures, "warnings": list(args.warnings.files),
    }  # fmt: skip
    if not args.files and not args.moabb:
        context["note"] = (
            "These signals are simulated, as are those that the library's encoders are pretrained "
            "on: this shows that the tool works, and says nothing about real recordings."
        )
    page = report(
        scores, args.out, title=f"DARE and classical EEG pipelines on {what}", learning_curve=curve,
        lost_electrodes=lost, context={k: v for k, v in context.items() if v != []}, **who,
    )  # fmt: skip
    gist = summarize(scores)[["dataset", "pipeline", "metric", "mean", "low", "high"]]
    print(f"\n{gist.to_string(index=False, float_format='%.3f')}\n")
    print(f"{sentence(judge(scores, **who))}\n")
    for failure in found.failures:
        say(f"failed: {failure}")
    print(f"Report: {page}")
    return 1 if found.failures else 0
