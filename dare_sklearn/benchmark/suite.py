"""Suites: what is compared on which data and how, as declarative YAML that is read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from . import checks
from .checks import Keys, SuiteError
from .sources import KINDS, Cut, Source
from .splits import Split, read_split

FOLDER = Path(__file__).parent / "suites"
FROM_MAP = "map"  # in place of a list of data sets: they stand in a file beside the recordings
MAX_BYTES = 1_000_000
PROTOCOLS = ("here", "paper", "independent", "sources")


@dataclass(frozen=True)
class PipelineSpec:
    """One pipeline: its name in the tables, what it is, and what is set or searched."""

    name: str
    kind: str
    params: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, list] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetSpec:
    """One question to one data set."""

    name: str
    kind: str
    source: Source
    cut: Cut
    split: Split
    metrics: tuple[str, ...]
    pipelines: tuple[PipelineSpec, ...] | None  # None: those of the suite
    protocol: dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """Training sizes at which some pipelines are scored too."""

    sizes: tuple[int, ...]
    pipelines: tuple[str, ...]


@dataclass(frozen=True)
class Suite:
    """Everything that decides the results of a benchmark."""

    name: str
    title: str
    description: str
    datasets: tuple[DatasetSpec, ...] | None  # None: they come from a map
    pipelines: tuple[PipelineSpec, ...]
    candidate: str
    seeds: tuple[int, ...]
    n_permutations: int
    curve: Curve | None
    text: str


def suite_names() -> list[str]:
    """Suites that come with the library.

    Examples
    --------
    >>> from dare_sklearn.benchmark import suite_names
    >>> "recordings" in suite_names()
    True
    """
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_suite(source: str | Path) -> Suite:
    """Read a suite.

    Parameters
    ----------
    source : str or path
        Name of a suite that comes with the library, or a YAML file.

    Returns
    -------
    Suite

    Raises
    ------
    SuiteError
        If there is none, or a key or value of it is wrong; the message names it.

    Examples
    --------
    >>> from dare_sklearn.benchmark import read_suite
    >>> [dataset.kind for dataset in read_suite("simulated").datasets]
    ['simulated', 'simulated', 'simulated']
    """
    path = FOLDER / f"{source}.yaml" if str(source) in suite_names() else Path(source)
    if not path.is_file():
        raise SuiteError(
            f"There is no suite {str(source)!r}: pass one of {', '.join(suite_names())}, or the "
            "path of a YAML file."
        )
    text, content = _load(path)
    keys = Keys(content, path.name)
    name = keys.take("suite", checks.text)
    pipelines = keys.take("pipelines", lambda value: value)
    curve = keys.take("learning_curve", checks.mapping, None)
    suite = Suite(
        name=name,
        title=keys.take("title", checks.text),
        description=keys.take("description", checks.text, ""),
        datasets=None,
        pipelines=_pipelines(pipelines, f"{path.name}: pipelines"),
        candidate=keys.take("candidate", checks.text),
        seeds=tuple(keys.take("seeds", checks.integers, [0])),
        n_permutations=keys.take("permutations", checks.count, 0),
        curve=None if curve is None else _curve(curve, f"{path.name}: learning_curve"),
        text=text,
    )
    datasets = keys.take("datasets", lambda value: value)
    keys.end()
    _check_candidate(suite, path.name)
    if datasets == FROM_MAP:
        return suite
    return replace(suite, datasets=_datasets(datasets, path.name))


def read_map(path: Path) -> tuple[str, tuple[DatasetSpec, ...]]:
    """Text and data sets of a map of recordings.

    Parameters
    ----------
    path : Path
        A YAML file with the key ``datasets`` alone.

    Returns
    -------
    text : str
        The file's.
    datasets : tuple
        For the ``datasets`` of a suite.

    Raises
    ------
    SuiteError
        As `read_suite`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from dare_sklearn.benchmark import read_map
    >>> path = Path(tempfile.mkdtemp(), "recordings.yaml")
    >>> _ = path.write_text('''
    ... datasets:
    ...   - name: left or right hand
    ...     files: "sub-{subject}_raw.fif"
    ...     classes: {left: left, right: right}
    ...     window: [0.5, 2.5]
    ...     split: {kind: leave-one-subject-out}
    ...     metrics: [accuracy]
    ... ''')
    >>> text, datasets = read_map(path)
    >>> datasets[0].name
    'left or right hand'
    """
    text, content = _load(path)
    keys = Keys(content, path.name)
    datasets = keys.take("datasets", lambda value: value)
    keys.end()
    return text, _datasets(datasets, path.name, default_kind="recordings")


def choose_pipelines(suite: Suite, names: list[str] | None, deep: bool) -> Suite:
    """The suite with other pipelines: those named, and braindecode's networks if asked for.

    Raises
    ------
    SuiteError
        If a name is unknown.
    """
    specs = suite.pipelines
    if names:
        known = {spec.name: spec for spec in specs}
        specs = tuple(
            known.get(name) or _pipelines([name], "--pipelines")[0] for name in dict.fromkeys(names)
        )
    if deep:
        specs = _with_deep(specs)
    curve, datasets = suite.curve, suite.datasets
    if names or deep:
        there = {spec.name for spec in specs}
        # names go for every data set; networks join the pipelines that a data set has of its own
        datasets = None if datasets is None else tuple(
            replace(dataset, pipelines=None if names else _with_deep(dataset.pipelines))
            for dataset in datasets
        )  # fmt: skip
        if curve is not None:
            left = tuple(name for name in curve.pipelines if name in there)
            curve = replace(curve, pipelines=left) if left else None
    candidate = suite.candidate
    if candidate not in {spec.name for spec in specs}:
        candidate = next((s.name for s in specs if s.kind.startswith("DARE")), candidate)
    return replace(suite, pipelines=specs, curve=curve, datasets=datasets, candidate=candidate)


def _with_deep(specs: tuple[PipelineSpec, ...] | None) -> tuple[PipelineSpec, ...] | None:
    from .pipelines import DEEP

    if specs is None:
        return None
    there = {spec.name for spec in specs}
    return (*specs, *(PipelineSpec(name, name) for name in DEEP if name not in there))


def _load(path: Path) -> tuple[str, dict]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SuiteError(f"{path.name} is too large for a suite.")
        text = path.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SuiteError(f"{path.name} is no valid YAML: {reason}") from None
    if not isinstance(content, dict):
        raise SuiteError(f"{path.name} must hold keys and values, got {type(content).__name__}.")
    return text, content


class _StrictLoader(yaml.SafeLoader):
    """Plain values only, and no key twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {sorted(twice)[0]!r} stands there twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _datasets(values: Any, where: str, default_kind: str | None = None) -> tuple[DatasetSpec, ...]:
    if not isinstance(values, list) or not values:
        raise SuiteError(f"{where}: datasets must be a list of one or more.")
    specs = tuple(
        _dataset(value, f"{where}: datasets[{i}]", default_kind) for i, value in enumerate(values)
    )
    names = [spec.name for spec in specs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SuiteError(f"{where}: two data sets are called {twice!r}.")
    return specs


def _dataset(value: Any, where: str, default_kind: str | None) -> DatasetSpec:
    keys = Keys(value, where)
    name = keys.take("name", checks.text)
    keys.where = where = f"{where} ({name})"
    kind = keys.take("kind", checks.one_of(*KINDS), default_kind or checks.REQUIRED)
    pipelines = keys.take("pipelines", lambda value: value, None)
    protocol = keys.take("protocol", checks.mapping, {})
    for key in protocol:
        if key not in PROTOCOLS:
            raise SuiteError(
                f"{where}: protocol has the unknown key {key!r}; known: {', '.join(PROTOCOLS)}."
            )
    classes = keys.take("classes", checks.classes, None)
    spec = DatasetSpec(
        name=name,
        kind=kind,
        cut=Cut(
            window=keys.take("window", checks.span, None),
            band=keys.take("band", checks.band, None),
            sfreq=keys.take("sfreq", checks.positive, None),
            channels=keys.take("channels", checks.names, None),
            rename=keys.take("rename", checks.texts, None),
            classes=classes,
        ),
        split=read_split(keys.take("split", checks.mapping), f"{where}: split"),
        metrics=tuple(keys.take("metrics", checks.metrics)),
        pipelines=None if pipelines is None else _pipelines(pipelines, f"{where}: pipelines"),
        protocol=protocol,
        source=KINDS[kind].read(keys),
    )
    keys.end()
    return spec


def _pipelines(values: Any, where: str) -> tuple[PipelineSpec, ...]:
    from .pipelines import KNOWN

    if not isinstance(values, list) or not values:
        raise SuiteError(f"{where} must be a list of one or more.")
    specs = []
    for number, value in enumerate(values):
        if isinstance(value, str):
            value = {"name": value}
        keys = Keys(value, f"{where}[{number}]")
        name = keys.take("name", checks.text)
        kind = keys.take("kind", checks.text, name)
        params = keys.take("params", checks.mapping, {})
        grid = keys.take("grid", checks.grid, {})
        keys.end()
        if kind not in KNOWN:
            raise SuiteError(
                f"{where}: there is no pipeline {kind!r}{checks.hint(kind, KNOWN)}. "
                f"Known: {', '.join(KNOWN)}."
            )
        specs.append(PipelineSpec(name, kind, params, grid))
    names = [spec.name for spec in specs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SuiteError(f"{where}: two pipelines are called {twice!r}.")
    return tuple(specs)


def _curve(values: Mapping, where: str) -> Curve:
    keys = Keys(values, where)
    curve = Curve(
        sizes=tuple(sorted(set(keys.take("sizes", checks.integers)))),
        pipelines=tuple(keys.take("pipelines", checks.names)),
    )
    keys.end()
    if min(curve.sizes) < 1:
        raise SuiteError(f"{where}: sizes must be positive.")
    return curve


def _check_candidate(suite: Suite, where: str) -> None:
    names = [spec.name for spec in suite.pipelines]
    asked = {"candidate": [suite.candidate]}
    if suite.curve is not None:
        asked["learning_curve: pipelines"] = list(suite.curve.pipelines)
    for key, wanted in asked.items():
        for name in wanted:
            if name not in names:
                raise SuiteError(
                    f"{where}: {key} names {name!r}, which is not among its pipelines"
                    f"{checks.hint(name, names)}."
                )
