"""Running a suite: every pipeline on every fold of every data set, and again with fewer epochs."""

from __future__ import annotations

import json
import platform
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .checks import SuiteError
from .curve import ALL, comparable, incomplete
from .energy import EnergyMeter
from .pipelines import build, role
from .sources import Context, Recordings
from .splits import InnerFolds, fewer, scorers
from .suite import DatasetSpec, PipelineSpec, Suite

UNTRAINED = "untrained"  # --encoder untrained: an encoder before any pretraining


@dataclass
class Options:
    """What the command line decides beside the suite.

    Attributes
    ----------
    out : Path
        Folder of results; made if it is not there.
    encoder : str, default="nano"
        As `DAREEmbedder`'s, or ``"untrained"``.
    device : str, default="auto"
    n_jobs : int or None, default=None
        Folds at once, as joblib counts them.
    context : Context
        Where the data lie.
    progress : bool, default=True
        A bar on standard error.
    command : str, default=""
        The call that the report shows, so that it can be repeated.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dare_sklearn.benchmark import Context, Options
    >>> options = Options(Path("results"), context=Context(data=Path("recordings")), n_jobs=2)
    >>> options.encoder
    'nano'
    """

    out: Path
    encoder: str = "nano"
    device: str = "auto"
    n_jobs: int | None = None
    context: Context = field(default_factory=Context)
    progress: bool = True
    command: str = ""


@dataclass
class Results:
    """What a run found.

    Attributes
    ----------
    suite : Suite
    scores : DataFrame
        One row per data set, pipeline and fold, as `compare` gives it, and columns that tell the
        fold's ``seed`` and what was ``tested``.
    curve : DataFrame
        The same at smaller training sizes, with the column ``n_trials``.
    datasets : dict of str to dict
        What is known of each data set: sizes, classes, split, notes, hash.
    energy : DataFrame
        Kilowatt-hours of cells, where codecarbon measured them.
    failures, warnings : list of str
    about : dict
        Versions, hashes, machine, command, dates.

    Examples
    --------
    See `run_suite`.
    """

    suite: Suite
    scores: pd.DataFrame
    curve: pd.DataFrame
    datasets: dict[str, dict[str, Any]]
    energy: pd.DataFrame
    failures: list[str]
    warnings: list[str]
    about: dict[str, Any]

    def roles(self) -> dict[str, str]:
        """What each pipeline stands for, by name."""
        specs = [*self.suite.pipelines]
        for dataset in self.suite.datasets or ():
            specs += dataset.pipelines or ()
        return {spec.name: role(spec) for spec in specs}


def run_suite(suite: Suite, options: Options) -> Results:
    """Run a suite, and write its tables.

    Finished cells lie in ``cells/`` below the folder of results and are not computed again, so that
    a run that was stopped in any way goes on with the same call.

    Parameters
    ----------
    suite : Suite
        Of `read_suite`.
    options : Options

    Returns
    -------
    Results
        Also written below ``options.out``: ``scores.csv``, ``learning_curve.csv``, ``run.json``.

    Raises
    ------
    SuiteError
        If the suite does not fit the data, or nothing could be scored.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from dare_sklearn.benchmark import Options, read_suite, run_suite, write_report
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "mine.yaml").write_text('''
    ... suite: mine
    ... title: Two pipelines on simulated EEG
    ... candidate: DARE embeddings + LR
    ... pipelines: [DARE embeddings + LR, band power + LR]
    ... datasets:
    ...   - {name: oddball, kind: simulated, paradigm: erp, subjects: 3, epochs: 12,
    ...      split: {kind: leave-one-subject-out}, metrics: [roc_auc]}
    ... ''')
    >>> suite = read_suite(folder / "mine.yaml")
    >>> results = run_suite(suite, Options(folder / "out", progress=False))
    >>> results.scores.groupby("pipeline")["fold"].count().to_dict()
    {'DARE embeddings + LR': 3, 'band power + LR': 3}
    >>> write_report(results, folder / "out").name
    'report.html'
    """
    if suite.datasets is None:
        raise SuiteError("This suite takes its data sets from a map: pass read_map's.")
    if options.out.exists() and not options.out.is_dir():
        raise SuiteError(f"The folder of results {str(options.out)!r} is a file: pass another.")
    options.out.mkdir(parents=True, exist_ok=True)
    started = datetime.now(UTC)
    runner = _Runner(suite, options)
    for spec in suite.datasets:
        try:
            runner.run(spec)
        except Exception as error:  # of files, a download, a split: the other data sets go on
            if len(suite.datasets) == 1:
                raise
            runner.fail(spec.name, error)
    if not runner.rows:
        raise SuiteError(f"Nothing could be scored. {runner.failures[0]}")
    results = Results(
        suite=suite,
        scores=pd.concat(runner.rows, ignore_index=True),
        curve=pd.concat(runner.curve, ignore_index=True) if runner.curve else pd.DataFrame(),
        datasets=runner.datasets,
        energy=runner.meter.table(),
        failures=runner.failures,
        warnings=sorted(runner.warnings),
        about=_about(options, started),
    )
    write_tables(results, options.out)
    return results


def write_tables(results: Results, out: Path) -> None:
    """``scores.csv``, ``learning_curve.csv`` and ``run.json``."""
    results.scores.to_csv(out / "scores.csv", index=False)
    (out / "learning_curve.csv").unlink(missing_ok=True)  # of an earlier run
    if len(results.curve):
        results.curve.to_csv(out / "learning_curve.csv", index=False)
    content = {
        "suite": results.suite.name,
        **results.about,
        "datasets": results.datasets,
        "failures": results.failures,
        "warnings": results.warnings,
    }
    (out / "run.json").write_text(json.dumps(content, indent=1, default=str) + "\n", "utf-8")
    (out / "suite.yaml").write_text(results.suite.text, "utf-8")


class _Runner:
    """The state of one run."""

    def __init__(self, suite: Suite, options: Options) -> None:
        self.suite, self.options = suite, options
        self.rows: list[pd.DataFrame] = []
        self.curve: list[pd.DataFrame] = []
        self.datasets: dict[str, dict[str, Any]] = {}
        self.failures: list[str] = []
        self.warnings: set[str] = set()
        self.meter = EnergyMeter(options.out)
        self.encoder = None if options.encoder == UNTRAINED else options.encoder
        # what is wrong is told before anything is computed
        self._check_encoder()
        for spec in (suite, *(suite.datasets or ())):
            for pipeline in spec.pipelines or ():
                self.build(pipeline)

    def _check_encoder(self) -> None:
        from ..weights.load import locate

        try:
            if self.encoder is not None:
                locate(self.encoder)
        except FileNotFoundError as error:
            raise SuiteError(str(error)) from None

    def build(self, spec: PipelineSpec, layout: dict[str, Any] | None = None) -> Any:
        return build(spec, self.encoder, self.options.device, layout)

    def fail(self, dataset: str, error: Exception) -> None:
        """Note what went wrong, and say it at once: the end may be hours away."""
        text = " ".join(str(error).split()) or type(error).__name__
        known = isinstance(error, SuiteError | RuntimeError)
        text = text if known else f"{type(error).__name__}: {text}"
        self.failures.append(text if text.startswith(dataset) else f"{dataset}: {text}")
        print(f"failed: {self.failures[-1]}", file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """A warning for the report, said at once."""
        if text not in self.warnings:
            self.warnings.add(text)
            print(f"warning: {text}", file=sys.stderr, flush=True)

    def run(self, spec: DatasetSpec) -> None:
        """All cells of one data set."""
        pipelines = spec.pipelines or self.suite.pipelines
        if self.encoder is None:  # the control is the candidate itself
            pipelines = tuple(p for p in pipelines if role(p) != "control")
        with _Bar(spec.name, self.options.progress) as bar:
            parts, known = [], None
            seen: set[str] = set()
            for part, alone in self._parts(spec):
                spec = _with_possible_folds(spec, part)
                if spec.split.by is not None:
                    seen.update(part.meta[spec.split.by])
                try:
                    found = self._score(spec, pipelines, part, alone, bar)
                except SuiteError as error:
                    if alone or not spec.split.within_subject:
                        raise
                    person = part.meta["subject"].iloc[0]
                    self.fail(spec.name, SuiteError(f"{person} is left out. {error}"))
                    continue
                known = _describe(spec, part, known)
                parts.append(found)
            if known is None:
                return
            if self.options.context.n_subjects is None and (
                unknown := [name for name in spec.split.named if name not in seen]
            ):
                self.fail(spec.name, SuiteError(f"there is no {spec.split.by} {unknown}."))
            self.datasets[spec.name] = known
            tables = [table for part in parts for table in part[0]]
            curves = [table for part in parts for table in part[1]]
        if tables:
            table = self._complete(spec, pd.concat(tables, ignore_index=True))
            if len(table):
                self.rows.append(table)
        if curves:
            curve, notes = comparable(pd.concat(curves, ignore_index=True))
            known["notes"] += notes
            if len(curve):
                self.curve.append(_renumbered(curve))

    def _parts(self, spec: DatasetSpec) -> Iterator[tuple[Recordings, bool]]:
        """The data, and whether it is all; person by person where each has folds of their own."""
        context = self.options.context
        try:
            subjects = spec.source.subjects(context) if spec.split.within_subject else None
            if subjects is not None:
                for subject in subjects:
                    yield spec.source.load(spec.cut, context, [subject]), len(subjects) == 1
                return
            whole = spec.source.load(spec.cut, context, None)
        except SuiteError as error:
            raise SuiteError(f"{spec.name}: {error}") from error
        if not spec.split.within_subject:
            yield whole, True
            return
        people = list(dict.fromkeys(whole.meta["subject"]))
        for subject in people:
            part = whole.of_subject(subject)
            part.notes, whole.notes = whole.notes, []
            yield part, len(people) == 1

    def _score(
        self,
        spec: DatasetSpec,
        pipelines: Iterable[PipelineSpec],
        data: Recordings,
        alone: bool,
        bar: _Bar,
    ) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
        tables, curves = [], []
        curve = self.suite.curve
        signals = data.signals()
        drawn: set[frozenset[bytes]] = set()
        if data.n_overlapping and spec.split.groups(data.meta) is None:
            self.warn(
                f"{spec.name}: {data.n_overlapping} epochs share samples with another one, and "
                "folds of single trials test on samples that were trained on, so that scores are "
                "too high: cut shorter windows, or split by recording, run or session."
            )
        for seed in self.suite.seeds:
            try:
                folds = spec.split.folds(data.y, data.meta, seed)
            except SuiteError as error:
                raise SuiteError(f"{spec.name}: {error}") from error
            # copies of a fold are no new observations; scores of one person are averaged
            content = frozenset(test.tobytes() for _, test in folds)
            averaged = not alone or _test_one_person_each(folds, data.meta)
            if content in drawn and not averaged:
                data.notes.append(f"Seed {seed} is left out: it draws the folds of an earlier one.")
                continue
            drawn.add(content)
            jobs = [(pipeline, None, folds) for pipeline in pipelines]
            if curve is not None:
                most = min(len(train) for train, _ in folds)
                for size in curve.sizes:
                    # inner folds need three epochs of every class
                    if 3 * len(data.classes) <= size < most:
                        cut = [(fewer(data.y, a, size, seed), b) for a, b in folds]
                        jobs += [(p, size, cut) for p in pipelines if p.name in curve.pipelines]
                jobs_full = {p.name for p in pipelines if p.name in curve.pipelines}
            bar.add(sum(len(cut) for _, _, cut in jobs))
            for pipeline, size, cut in jobs:
                table = self._cells(spec, pipeline, data, signals, cut, seed, size, bar)
                if table is None:
                    continue
                if size is None:
                    tables.append(table)
                    if curve is not None and pipeline.name in jobs_full:
                        curves.append(table.assign(n_trials=ALL))
                else:
                    curves.append(table.assign(n_trials=size))
        return tables, curves

    def _cells(
        self,
        spec: DatasetSpec,
        pipeline: PipelineSpec,
        data: Recordings,
        signals: tuple[Any, dict[str, Any]],
        folds: list,
        seed: int,
        size: int | None,
        bar: _Bar,
    ) -> pd.DataFrame | None:
        """One pipeline on these folds: one by one, or all at once where there are several jobs."""
        from ..evaluation import compare

        X, layout = signals
        model = self.build(pipeline, layout)
        groups = spec.split.groups(data.meta)
        settings = {
            "groups": groups,
            "scoring": scorers(spec.metrics),
            "param_grids": {pipeline.name: pipeline.grid} if pipeline.grid else None,
            "inner_cv": InnerFolds(),
            "n_jobs": self.options.n_jobs,
            "random_state": seed,
            "dataset": spec.name,
            "cache_dir": self.options.out / "cells",
            "n_permutations": 0 if size is not None else self.suite.n_permutations,
        }
        bar.tell(pipeline.name if size is None else f"{pipeline.name}, {size} trials")
        several = self.options.n_jobs not in (None, 1)
        batches = [folds] if several else [[fold] for fold in folds]
        found = []
        for batch in batches:
            with warnings.catch_warnings(record=True) as caught, self.meter.measure() as energy:
                warnings.simplefilter("always")
                try:
                    table = compare({pipeline.name: model}, X, data.y, cv=batch, **settings)
                except RuntimeError as error:
                    self.fail(spec.name, error)
                    bar.skip(len(folds) - len(found))
                    return None
            self._note(caught)
            found.append(table)
            if size is None:
                self.meter.store(energy, spec.name, pipeline.name, batch, data, seed)
            bar.step(len(batch))
        table = pd.concat(found, ignore_index=True)
        table["fold"] = np.arange(len(table))
        tested = [_tested(groups, test) for _, test in folds]
        if spec.split.within_subject:
            table["subject"], table["n_subjects"] = data.meta["subject"].iloc[0], 1
        else:
            people = [np.unique(data.meta["subject"].to_numpy()[test]) for _, test in folds]
            table["n_subjects"] = [len(names) for names in people]
            table["subject"] = [
                n[0] if len(n) == 1 else f"{n[0]} and {len(n) - 1} more" for n in people
            ]
        return table.assign(
            tested=tested,
            seed=seed,
            n_chans=len(data.epochs.ch_names),
            n_times=len(data.epochs.times),
            sfreq=data.epochs.info["sfreq"],
            n_classes=len(data.classes),
        )

    def _note(self, caught: list) -> None:
        for warning in caught:
            if issubclass(warning.category, UserWarning | RuntimeWarning):
                self.warnings.add(" ".join(str(warning.message).split())[:300])

    def _complete(self, spec: DatasetSpec, table: pd.DataFrame) -> pd.DataFrame:
        """Without pipelines that failed somewhere: statistics need all to have the same folds."""
        table = _renumbered(table)
        short = incomplete(table)
        for name in short:
            self.failures.append(
                f"{spec.name}: {name!r} is left out of the tables, since it has no scores of some "
                "people or seeds."
            )
        return table[~table["pipeline"].isin(short)]


class _Bar:
    """A progress bar whose total grows while data are loaded."""

    def __init__(self, name: str, shown: bool) -> None:
        from tqdm.auto import tqdm

        self._bar = tqdm(
            total=0, desc=name[:32], unit="cell", disable=not shown, file=sys.stderr,
            dynamic_ncols=True, mininterval=0.5,
        )  # fmt: skip

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.set_postfix_str("")
        self._bar.close()

    def add(self, count: int) -> None:
        self._bar.total += count
        self._bar.refresh()

    def tell(self, what: str) -> None:
        self._bar.set_postfix_str(what)

    def step(self, count: int) -> None:
        self._bar.update(count)

    def skip(self, count: int) -> None:
        self._bar.update(count)


def _with_possible_folds(spec: DatasetSpec, data: Recordings) -> DatasetSpec:
    """No more folds of whole people than there are people, as with --subjects."""
    n_people = data.meta["subject"].nunique()
    if spec.split.kind != "subjects" or n_people >= spec.split.n_splits:
        return spec
    return replace(spec, split=replace(spec.split, n_splits=max(2, n_people)))


def _renumbered(table: pd.DataFrame) -> pd.DataFrame:
    """Folds numbered over people and seeds, the same for all pipelines (and training sizes)."""
    by = ["pipeline", "n_trials"] if "n_trials" in table else ["pipeline"]
    return table.assign(fold=table.groupby(by, sort=False).cumcount())


def _test_one_person_each(folds: list, meta: pd.DataFrame) -> bool:
    people = [meta["subject"].to_numpy()[test] for _, test in folds]
    return meta["subject"].nunique() > 1 and all(len(np.unique(names)) == 1 for names in people)


def _tested(groups: np.ndarray | None, test: np.ndarray) -> str:
    """What a fold tests, where it tests whole groups."""
    if groups is None:
        return ""
    names = np.unique(groups[test]).tolist()
    return " + ".join(map(str, names)) if len(names) <= 4 else f"{len(names)} of them"


def _describe(spec: DatasetSpec, part: Recordings, known: dict | None) -> dict[str, Any]:
    """What is known of a data set, with another part of it added."""
    from ..evaluation._identity import describe, digest, digest_signals

    counts = {name: int((part.y == i).sum()) for i, name in enumerate(part.classes)}
    content = digest(digest_signals(part.epochs), describe([part.y, part.meta.to_numpy()]))
    if known is not None:
        known["n_epochs"] += len(part.y)
        known["n_subjects"] += part.meta["subject"].nunique()
        known["classes"] = {
            name: known["classes"].get(name, 0) + counts.get(name, 0)
            for name in [*known["classes"], *(n for n in counts if n not in known["classes"])]
        }
        known["notes"] += [note for note in part.notes if note not in known["notes"]]
        known["hash"] = digest(known["hash"], content)
        return known
    return {
        "kind": spec.kind,
        "n_epochs": len(part.y),
        "n_subjects": int(part.meta["subject"].nunique()),
        "n_chans": len(part.epochs.ch_names),
        "ch_names": list(part.epochs.ch_names),
        "sfreq": float(part.epochs.info["sfreq"]),
        "seconds": round(len(part.epochs.times) / part.epochs.info["sfreq"], 4),
        "band": spec.cut.band,
        "classes": counts,
        "split": spec.split.describe(),
        "metrics": list(spec.metrics),
        "notes": list(part.notes),
        "hash": content,
    }


def _about(options: Options, started: datetime) -> dict[str, Any]:
    from .. import __version__
    from ..evaluation._identity import versions

    return {
        "command": options.command,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "encoder": describe_encoder(options.encoder),
        "device": options.device,
        "rehearsal": options.context.rehearse,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "versions": {**versions(), "dare-sklearn": __version__},
    }


def describe_encoder(encoder: str) -> dict[str, Any]:
    """Name and hash of an encoder, and whether it says what it was pretrained on."""
    if encoder == UNTRAINED:
        return {"name": UNTRAINED, "sha256": "none: random weights", "card": None}
    from ..weights.files import WEIGHTS_NAME, sha256
    from ..weights.load import locate

    path = locate(encoder)
    weights = path / WEIGHTS_NAME if path.is_dir() else path
    card = path / "README.md" if path.is_dir() else None
    return {
        "name": encoder,
        "sha256": sha256(weights),
        "card": "README.md" if card is not None and card.is_file() else None,
    }


def with_map(suite: Suite, text: str, datasets: tuple[DatasetSpec, ...]) -> Suite:
    """A suite with the data sets of a map."""
    return replace(suite, datasets=datasets, text=f"{suite.text}\n# the map:\n{text}")
