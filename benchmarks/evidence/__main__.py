"""Everything that is claimed of the shipped encoder, measured by one command.

Run: python -m benchmarks.evidence --data FOLDER --out FOLDER --cells FOLDER [--tasks ...]
     [--parts scores labels electrodes invariance] [--encoders nano=nano untrained= ...]
     [--rows default classical readings probe networks] [--curves ...]

--data holds the folders that benchmarks.tasks names. An encoder is NAME=SOURCE: a shipped name, a
folder, nothing for an untrained encoder, or seed1, seed2, ... for one of another seed. --curves are
the tasks of labels and electrodes. Networks, which train for minutes a fold, are measured if --rows
names them. Finished cells are kept in --cells and not computed again; --out gets the report and its
tables.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import mne
import pandas as pd
import sklearn

from benchmarks.evidence.figures import overview, panels
from benchmarks.evidence.folds import InnerFolds
from benchmarks.evidence.rows import KINDS, READINGS, metric_of, pipelines_of
from benchmarks.tasks import TASKS, Task
from dare_sklearn.evaluation import compare, learning_curve, lost_electrodes, report, summarize
from dare_sklearn.evaluation.report import judge
from dare_sklearn.inspection import mask_invariance

SIZES = (8, 16, 32, 64, 128)
SHARES = (0.0, 0.25, 0.5, 0.75)
CURVES = ("default", "classical")  # what is drawn against labels and lost electrodes
PARTS = ("scores", "labels", "electrodes", "invariance")


def measured(part: str, task: Task, args: argparse.Namespace) -> pd.DataFrame:
    """The folds of one task, for one part of the evidence."""
    kinds = args.rows if part == "scores" else [kind for kind in args.rows if kind in CURVES]
    rows, grids = pipelines_of(task, args.encoders, kinds)
    options: dict[str, Any] = {
        "groups": task.groups, "cv": task.cv, "scoring": metric_of(task), "param_grids": grids,
        "inner_cv": InnerFolds(), "random_state": 0, "dataset": task.name,
        "cache_dir": args.cells, "each_subject": task.groups is not None and not task.per_person,
    }  # fmt: skip
    if part == "scores":
        table = compare(rows, task.epochs, task.y, **options)
        if task.per_person:  # windows of a person are not observations of their own
            people = table["n_subjects"]
            table = table.assign(n_train=len(set(task.groups)) - people, n_test=people)
        return table
    if part == "electrodes":
        return lost_electrodes(rows, task.epochs, task.y, SHARES, n_draws=3, **options)
    train = min(len(train) for train, _ in task.cv.split(task.y, task.y, task.groups))
    sizes = [*(n for n in SIZES if n < train), train]
    return learning_curve(rows, task.epochs, task.y, sizes, **options)


def encoder(text: str) -> tuple[str, str | None]:
    name, equals, source = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=SOURCE, got {text!r}")
    return name, source or None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True)
    default = [("nano", "nano"), ("untrained", None)]
    parser.add_argument("--encoders", nargs="+", type=encoder, default=default)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--rows", nargs="+", choices=KINDS, default=KINDS[:-1])
    # of labels that people do not share, and not of fists within people, which take hours
    no_curve = ("left_right_within", "person", "depressed", "epilepsy")
    curves = [name for name in TASKS if not name.startswith(no_curve)]
    parser.add_argument("--curves", nargs="+", choices=TASKS, default=curves)
    args = parser.parse_args()
    args.encoders = dict(args.encoders)
    mne.set_log_level("error")
    # channels that are interpolated or lost are meant to be
    warnings.filterwarnings("ignore", category=UserWarning)
    sklearn.set_config(enable_metadata_routing=True)  # whole people in the folds of the reading
    args.out.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list] = {part: [] for part in PARTS[:3]}
    for part in [part for part in PARTS[:3] if part in args.parts]:
        for name in args.tasks if part == "scores" else args.curves:
            table = measured(part, TASKS[name](args.data), args)
            tables[part].append(table)
            print(summarize(table).to_string(index=False, float_format="%.3f"), flush=True)
    found = {part: pd.concat(some) for part, some in tables.items() if some}
    if "scores" in found:
        write(found, args)
    if "invariance" in args.parts:
        invariance(args)


def write(found: dict[str, pd.DataFrame], args: argparse.Namespace) -> None:
    """The report of `evaluation`, what is claimed from it, and figures."""
    scores, (first, *controls) = found["scores"], args.encoders
    known = dict.fromkeys(scores["pipeline"])
    fields = [name for name in known if ", " not in name]
    ours = [name for name in (f"default, {name}" for name in args.encoders) if name in known]
    if ours:
        report(
            scores,
            args.out,
            title="The shipped encoder on real recordings",
            candidate=ours[0],
            rivals=fields,
            learning_curve=found.get("labels"),
            lost_electrodes=found.get("electrodes"),
        )
    for file, whats in {"gain": ["default"], "readings": [*READINGS, "conv-linear"]}.items():
        pairs = [[f"{what}, {name}" for name in (first, *controls[:1])] for what in whats]
        pairs = [pair for pair in pairs if len(pair) == 2 and pair[0] in known]
        if pairs:
            gains = [judge(scores[scores["pipeline"].isin(p)], p[0], p[1:]) for p in pairs]
            pd.concat(gains).to_csv(args.out / f"{file}.csv", index=False)
    if fields and len(ours) > 1:
        overview(pd.read_csv(args.out / "summary.csv"), ours, fields).savefig(
            args.out / "evidence.png", dpi=140
        )
    for part, x in (("labels", "n_labels"), ("electrodes", "share")):
        if part in found:
            panels(summarize(found[part]), x).savefig(args.out / f"{part}.png", dpi=110)


def invariance(args: argparse.Namespace) -> None:
    """Retrieval of the other view of a trial, of trials that no encoder saw."""
    epochs = TASKS["person"](args.data).epochs
    table = pd.concat(
        mask_invariance(source, epochs, n_draws=20, random_state=0).assign(encoder=name)
        for name, source in args.encoders.items()
    )
    columns = ["positive_cosine", "negative_cosine", "retrieval"]
    summary = table.groupby(["encoder", "overlap"])[columns].agg(["mean", "std"])
    summary.columns = ["_".join(column) for column in summary.columns]
    summary.reset_index().to_csv(args.out / "mask_invariance.csv", index=False)


if __name__ == "__main__":
    main()
