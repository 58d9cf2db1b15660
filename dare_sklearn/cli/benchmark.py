"""``dare-sklearn benchmark``: pipelines against each other, and a report."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

HELP = "compare DARE with classical EEG pipelines, and write a report"
DESCRIPTION = """\
Score DARE and classical EEG pipelines on the same folds, and write a report with statistics,
pictures and costs: one HTML file, and tables as CSV.

A suite says what is compared on which data and how. Those that come with the library:
  simulated   simulated EEG of three paradigms; no download, a few minutes on two cores
  recordings  your own EDF, BDF, FIF, SET or VHDR files, with a map of their labels (below)
  published   public data sets through MOABB and braindecode, which download them
or pass the path of a YAML file of your own (see --show).

A run that was stopped goes on with the same command: what is finished is kept.
"""
EPILOG = """\
the map of a folder of recordings (FOLDER/recordings.yaml, or --map FILE):
  datasets:
    - name: left or right
      files: "sub-{subject}/*_run-{run}.edf"    # also {session}; * is anything
      classes: {T1: left hand, T2: right hand}  # labels in the files, and their names
      window: [0.0, 4.0]                        # seconds around an event
      band: [7, 30]                             # Hz, of the continuous recording
      split: {kind: leave-one-subject-out}
      metrics: [balanced_accuracy]
Events are found in annotations, a stim channel, or a table beside each file (NAME.csv with the
columns onset and label). Without a map, the command tells which labels it sees and writes a first
one for you to complete.

examples:
  dare-sklearn benchmark
  dare-sklearn benchmark recordings --data my_study --encoder nano
  dare-sklearn benchmark simulated --pipelines 'DARE embeddings + LR' 'CSP + LDA' --out quick
  dare-sklearn benchmark published --datasets BNCI2014_001 --subjects 2
  dare-sklearn benchmark published --rehearse    fake signals: does everything run here?
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("suite", nargs="?", default="simulated", help="name or YAML file")
    parser.add_argument("--out", type=Path, help="folder of results (benchmark_SUITE)")
    parser.add_argument("--data", type=Path, help="folder of recordings")
    parser.add_argument("--map", type=Path, help="map of the recordings (DATA/recordings.yaml)")
    parser.add_argument(
        "--encoder",
        default="nano",
        help="shipped name, folder, .ckpt, Hub id, or 'untrained' (%(default)s)",
    )
    parser.add_argument("--pipelines", nargs="+", metavar="NAME", help="only these (see --show)")
    parser.add_argument("--deep", action="store_true", help="also braindecode's deep networks")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="only these of the suite")
    parser.add_argument("--subjects", type=int, metavar="N", help="only the first N people")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="other seeds")
    parser.add_argument("--no-curve", action="store_true", help="full training size only")
    parser.add_argument("--jobs", type=int, default=1, help="cells at once (%(default)s)")
    parser.add_argument("--device", default="auto", help="of torch: auto, cpu, cuda, mps")
    parser.add_argument(
        "--rehearse", action="store_true", help="fake signals in place of MOABB and braindecode"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bars")
    parser.add_argument("--show", action="store_true", help="print the suite and all pipelines")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from .. import benchmark
    from ..benchmark.pipelines import KNOWN
    from ..benchmark.run import with_map
    from ..benchmark.suite import choose_pipelines

    suite = benchmark.read_suite(args.suite)
    if args.show:
        print(suite.text)
        print("Pipelines that --pipelines and suites can name:")
        print("\n".join(f"  {name}" for name in KNOWN))
        return 0
    for name in ("subjects", "jobs"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise benchmark.SuiteError(f"--{name} must be 1 or more, got {value}.")
    if suite.datasets is None:
        text, datasets = benchmark.read_map(_map(args))
        suite = with_map(suite, text, datasets)
    elif args.map is not None:
        raise benchmark.SuiteError(f"The suite {suite.name!r} takes no map.")
    suite = choose_pipelines(suite, args.pipelines, args.deep)
    suite = _choose_datasets(suite, args.datasets)
    if args.seeds:
        suite = replace(suite, seeds=tuple(dict.fromkeys(args.seeds)))
    if args.no_curve:
        suite = replace(suite, curve=None)
    out = args.out or Path(f"benchmark_{suite.name}")
    args.after_stop = " The same command goes on from what is finished."
    _quiet_libraries()
    options = benchmark.Options(
        out=out,
        encoder=args.encoder,
        device=args.device,
        n_jobs=args.jobs,
        context=benchmark.Context(args.data, args.rehearse, args.subjects),
        progress=not args.quiet,
        command=args.command_line,
    )
    results = benchmark.run_suite(suite, options)
    page = benchmark.write_report(results, out)
    _tell(results, page)
    return 1 if results.failures else 0


def _map(args: argparse.Namespace) -> Path:
    from ..benchmark import Context, SuiteError

    if args.map is not None:
        if not args.map.is_file():
            raise SuiteError(f"There is no map {str(args.map)!r}.")
        return args.map
    folder = Context(args.data).folder("The suite recordings")
    path = folder / "recordings.yaml"
    if not path.is_file():
        raise SuiteError(_advise(folder))
    return path


def _advise(folder: Path) -> str:
    """What the folder holds, and how a map of it may begin."""
    from ..benchmark.sources.recordings import describe_folder

    _quiet_libraries()
    files, labels = describe_folder(folder)
    example = files[0].relative_to(folder).as_posix()
    shown = ", ".join(f"{label} ({count})" for label, count in labels.most_common(12))
    classes = ", ".join(f"'{label}': name" for label, _ in labels.most_common(2))
    print(
        f"""\
# A first map of {folder}: {len(files)} recordings, such as {example};
# labels in the first of them: {shown or "none"}.
datasets:
  - name: my task
    files: "{example}"     # put {{subject}}, {{session}}, {{run}} or * where names differ
    classes: {{{classes or "'label': name"}}}
    window: [0.0, 1.0]
    split: {{kind: leave-one-subject-out}}
    metrics: [balanced_accuracy]"""
    )
    return (
        f"{str(folder)!r} has no recordings.yaml, which says what its labels mean. A first one was "
        "printed: complete it, save it there (or anywhere, with --map), and run again."
    )


def _choose_datasets(suite: Any, names: list[str] | None) -> Any:
    from ..benchmark import SuiteError
    from ..benchmark.checks import hint

    if not names:
        return suite
    there = {spec.name: spec for spec in suite.datasets}
    for name in names:
        if name not in there:
            raise SuiteError(
                f"The suite {suite.name!r} has no data set {name!r}{hint(name, there)}; it has "
                f"{', '.join(there)}."
            )
    return replace(suite, datasets=tuple(there[name] for name in dict.fromkeys(names)))


def _tell(results: Any, page: Path) -> None:
    import pandas as pd

    columns = ["dataset", "pipeline", "metric", "mean", "low", "high", "fit_seconds"]
    table = pd.read_csv(page.with_name("summary.csv"))[columns]
    print(table.to_string(index=False, float_format="%.3f"))
    if count := len(results.failures):
        print(f"{count} failure{'s' * (count > 1)}; the report lists them.", file=sys.stderr)
    print(f"Report: {page}")


def _quiet_libraries() -> None:
    import logging

    import mne

    mne.set_log_level("error")
    logging.getLogger("moabb").setLevel(logging.ERROR)
