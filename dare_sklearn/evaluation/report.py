"""Is one pipeline better than the others? A verdict, and the report: one HTML file and tables."""

import base64
import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader

from .. import viz
from ..signals.errors import listed
from ..viz._axes import spelled
from ..weights.files import in_place_of
from . import statistics as stats

ALPHA = 0.05
BETTER, WORSE, OPEN, UNTESTED = "better", "worse", "no difference shown", "not tested"
_IN_WORDS = {
    BETTER: "better than every rival",
    WORSE: "worse than at least one rival",
    OPEN: "neither shown to be better nor worse than its rivals",
    UNTESTED: "not tested (there is a single score)",
}

# text as paths: the same on every machine, whatever its fonts; no date: equal runs, equal files
_SVG = {"svg.fonttype": "path", "svg.hashsalt": "dare_sklearn"}
_CURVES = {
    "learning_curve": ("Fewer labelled epochs", "n_labels"),
    "lost_electrodes": ("Lost electrodes", "share"),
}


def report(
    table: pd.DataFrame,
    out: Any,
    *,
    title: str = "Comparison of pipelines",
    candidate: str | None = None,
    rivals: Sequence[str] | None = None,
    learning_curve: pd.DataFrame | None = None,
    lost_electrodes: pd.DataFrame | None = None,
    figures: Iterable[tuple[str, Any, str]] = (),
    context: Mapping[str, Any] | None = None,
) -> Path:
    """Write a report of a comparison: one HTML file that needs no other, and tables as CSV.

    Parameters
    ----------
    table : DataFrame
        Of `compare`; several data sets are stacked with `pandas.concat`.
    out : path
        Folder, created if it does not exist; tables of an earlier report in it are replaced.
    title : str, default="Comparison of pipelines"
    candidate, rivals : str or None, sequence of str or None, default=None, None
        The pipeline that the report is about (None: the first one of `table`), and those that it is
        judged against (None: all others).
    learning_curve, lost_electrodes : DataFrame or None, default=None
        Results of the functions of these names.
    figures : iterable of (str, Figure, str), default=()
        Further figures, each with a title and a caption.
    context : mapping of str to object, or None, default=None
        Facts that the report lists under "What was run": data, versions, the command, notes.

    Returns
    -------
    Path
        The file ``report.html``.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from dare_sklearn.evaluation import compare, report
    >>> table = compare({"naive Bayes": GaussianNB()}, *load_iris(return_X_y=True))
    >>> report(table, tempfile.mkdtemp()).name
    'report.html'
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"table of report must be a table of compare, got {type(table).__name__}.")
    if not len(table):
        raise ValueError("table of report has no rows: in compare, every cell failed.")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    extra = {"learning_curve": learning_curve, "lost_electrodes": lost_electrodes}
    extra = {name: part for name, part in extra.items() if part is not None and len(part)}
    verdicts = judge(table, candidate, rivals)
    datasets = [_dataset(part, verdicts, extra) for _, part in table.groupby("dataset", sort=False)]
    made = {name: pd.concat([d[name] for d in datasets]) for name in ("summary", "pairs")}
    tables = {"scores": table, **made, "verdicts": verdicts, **extra}
    for name in (*tables, *_CURVES):  # those of an earlier report would be of other data
        (folder / f"{name}.csv").unlink(missing_ok=True)
    tables = {f"{name}.csv": part for name, part in tables.items() if len(part)}
    for name, part in tables.items():
        part.to_csv(folder / name, index=False)
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    page = environment.get_template("report.html").render(
        title=title, answer=sentence(verdicts), datasets=datasets, files=list(tables),
        candidate=verdicts["candidate"].iloc[0] if len(verdicts) else "",
        rivals=[n for n in table["pipeline"].unique() if rivals is None or n in rivals],
        verdicts=[{**v, "form": _form(v["metric"])} for v in verdicts.to_dict("records")],
        context=dict(context or {}),
        figures=[_drawn(*figure) for figure in figures],
    )  # fmt: skip
    with in_place_of(folder / "report.html") as part:
        part.write_text(page, encoding="utf-8")
    return folder / "report.html"


def _dataset(table: pd.DataFrame, verdicts: pd.DataFrame, extra: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of one data set."""
    metrics = stats.score_columns(table)
    main, summary = metrics[0], stats.summarize(table, metrics)
    several = table["pipeline"].nunique() > 1 and len(stats.observations(table, main)[0]) > 1
    pairs = [stats.pairwise(table, metric) for metric in metrics] if several else []
    by_metric = {m: part.set_index("pipeline") for m, part in summary.groupby("metric", sort=False)}
    order = by_metric[main].sort_values("mean", ascending=False)
    beside = [c for c in stats.BESIDE if c in summary and summary[c].notna().any()]
    one = table[table["pipeline"] == table["pipeline"].iloc[0]]
    folds = one.groupby("fold")
    each = folds["n_train"].max(), folds["n_test"].sum()
    ends = ((counts.min(), counts.max()) for counts in each)
    sizes = [f"{low:,}" if low == high else f"{low:,} to {high:,}" for low, high in ends]
    who = f" Each of {summary['n'].iloc[0]} subjects is tested separately."
    who = who if summary["unit"].iloc[0] == "subject" else ""
    return {
        "name": table["dataset"].iloc[0],
        "facts": f"{one['fold'].nunique()} folds, each with {sizes[0]} training and {sizes[1]} "
        f"test epochs.{who} {table['pipeline'].nunique()} pipelines.",
        "summary": summary,
        "metrics": [
            {"words": spelled(m), "form": _form(m), "chance": by_metric[m]["chance"].notna().any()}
            for m in metrics
        ],
        "beside": [(c, *stats.BESIDE[c][1:]) for c in beside],
        "rows": [
            {**row, "pipeline": name, "scores": [by_metric[m].loc[name].to_dict() for m in metrics]}
            for name, row in order.iterrows()
        ],
        "figures": [_drawn(*f) for f in _figures(table, main, summary, pairs, verdicts, extra)],
        "pairs": pd.concat(pairs) if pairs else pd.DataFrame(),
    }


def _figures(
    table: pd.DataFrame, metric: str, summary: pd.DataFrame, pairs: list[pd.DataFrame],
    verdicts: pd.DataFrame, extra: dict[str, pd.DataFrame],
) -> Iterator[tuple[str, Any, str]]:  # fmt: skip
    """Title, figure and caption of each figure of a data set."""
    dataset, words = table["dataset"].iloc[0], spelled(metric)
    figure = viz.plot_scores(table, metric, summary)
    dots = "subjects in a fold" if table.duplicated(["pipeline", "fold"]).any() else "folds"
    yield "Scores", figure, f"{words}: dots are {dots}, diamonds are means with 95 % intervals."
    scores, unit, _ = stats.observations(table, metric)
    judged = verdicts[verdicts["dataset"] == dataset] if len(verdicts) else verdicts
    for a, b in zip(judged.get("rival", ()), judged.get("candidate", ()), strict=True):
        figure = viz.plot_paired(scores, a, b, metric=metric, unit=unit)
        yield f"{b} beside its best rival", figure, f"{words}, one line per {unit}."
    if pairs and table["pipeline"].nunique() > 2:
        figure = viz.plot_significance(pairs[0])
        note = "row minus column, and p corrected for the number of pairs"
        yield "All pairs", figure, f"{words}: {note}."
    for name, part in extra.items():
        title, x = _CURVES[name]
        part = part[part["dataset"] == dataset]
        if metric in part and part[x].nunique() > 1:
            points = stats.summarize(part, metric).rename(columns={"mean": metric})
            figure = viz.plot_curve(points, x, metric, log_x=x == "n_labels")
            yield title, figure, f"{words}: bands are 95 % intervals of the mean."
    if {"fit_seconds", "predict_seconds"} <= set(summary):
        yield "Cost", viz.plot_cost(summary, metric), f"{words} against seconds per fold."


def _drawn(title: str, figure: Any, words: str) -> dict[str, Any]:
    """A figure as SVG inside the page."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(_SVG), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about layouts
        figure.savefig(
            buffer, format="svg", bbox_inches="tight", pad_inches=0.1, metadata={"Date": None},
            facecolor="white",
        )  # fmt: skip
    svg = buffer.getvalue()
    width = round(float(svg.split(b'width="', 1)[1].split(b"pt", 1)[0]) * 4 / 3)
    data = base64.b64encode(svg).decode("ascii")
    return {"title": title, "words": words[0].upper() + words[1:], "width": width, "data": data}


def _form(metric: str) -> str:
    """How scores are written: errors may be of any size."""
    return ".3f" if stats.bounds_of(metric)[1] == 1 else ".3g"


def judge(
    results: pd.DataFrame, candidate: str | None = None, rivals: Sequence[str] | None = None
) -> pd.DataFrame:
    """Judge the candidate (None: the first pipeline) against its rivals (None: all others).

    By the first metric of each data set, it is **better** if it beats every rival (each paired test
    at 0.05: an intersection-union test, which needs no correction), and **worse** if a rival beats
    it (with Holm's correction over the rivals). Otherwise **no difference** is **shown**.

    Returns one row per data set that has the candidate and a rival: ``dataset, metric, candidate,
    rival`` (the one with the highest mean, by the same scores, which favours it), ``verdict, mean,
    rival_mean, difference`` (candidate minus rival), ``low, high`` (its 95 % interval), ``p`` (of
    the pair, two-sided), ``n, unit`` and ``smallest_p`` that is possible with so many observations.
    A ValueError if no data set has the candidate, or pipelines were not scored on the same folds.
    """
    candidate = results["pipeline"].iloc[0] if candidate is None else candidate
    known = results["pipeline"].unique()
    names = ", ".join(map(str, known))
    if candidate not in known:
        raise ValueError(f"candidate must be one of the pipelines {names}, got {candidate!r}.")
    if unknown := [name for name in (() if rivals is None else rivals) if name not in known]:
        raise ValueError(f"rivals must be pipelines ({names}), got {unknown}.")
    rows = []
    for dataset, table in results.groupby("dataset", sort=False):
        there = table["pipeline"].unique().tolist()
        others = [n for n in there if n != candidate and (rivals is None or n in rivals)]
        if candidate not in there or not others:
            continue
        metric = stats.score_columns(table)[0]
        # tests take pairs in order of appearance
        table = pd.concat([table[table["pipeline"] == name] for name in (candidate, *others)])
        scores, unit, ratio = stats.observations(table, metric)
        means, n = scores.mean(), len(scores)
        rival = means[others].idxmax()
        least, most = stats.bounds_of(metric)
        differences, bounds = scores[candidate] - scores[rival], (least - most, most - least)
        low, high = stats.mean_interval(differences, ratio, bounds)
        verdict, p, smallest_p = UNTESTED, np.nan, 1.0
        if n > 1:
            pairs = stats.pairwise(table, metric)
            pairs = pairs[pairs["pipeline_a"] == candidate].set_index("pipeline_b")
            # if ranks and means point in opposite directions, nothing was shown
            lower = (pairs["difference"] < 0) & (pairs["p_less"] < pairs["p_greater"])
            higher = (pairs["difference"] > 0) & (pairs["p_greater"] < pairs["p_less"])
            better = (higher & (pairs["p"] < ALPHA)).all()
            worse = (lower & (stats.holm(pairs["p"]) < ALPHA)).any()
            verdict = WORSE if worse else BETTER if better else OPEN
            exact = pairs["test"].iloc[0] == "permutation" and n <= stats.EXACT_UP_TO
            p, smallest_p = pairs.loc[rival, "p"], 2.0 * 0.5**n if exact else 0.0
        rows.append({
            "dataset": dataset, "metric": metric, "candidate": candidate, "rival": rival,
            "verdict": verdict, "mean": means[candidate], "rival_mean": means[rival],
            "difference": means[candidate] - means[rival], "low": low, "high": high, "p": p,
            "n": n, "unit": unit, "smallest_p": smallest_p,
        })  # fmt: skip
    return pd.DataFrame(rows)


def sentence(verdicts: pd.DataFrame) -> str:
    """The answer in one sentence, with the scores if there is one data set."""
    if verdicts.empty:
        return "There is no other pipeline to compare with."
    row, total, parts = verdicts.iloc[0], len(verdicts), []
    for kind, words in _IN_WORDS.items():
        sets = verdicts.loc[verdicts["verdict"] == kind, "dataset"].tolist()
        if sets and total > 1:
            parts.append(f"{words} on {len(sets)} of {total} data sets ({listed(sets, 6)})")
        elif sets:
            ours, theirs = (f"{row[name]:{_form(row.metric)}}" for name in ("mean", "rival_mean"))
            best = f"{spelled(row.metric)} {ours}, the best rival {row.rival} {theirs}"
            parts.append(f"{words} on {row.dataset} ({best})")
    few = verdicts[(verdicts["verdict"] == OPEN) & (verdicts["smallest_p"] > ALPHA)]
    for n, unit in few[["n", "unit"]].drop_duplicates().itertuples(index=False):
        parts.append(f"{n} {unit}s are too few to show it with this test")
    return f"{row.candidate} is {'; '.join(parts)}."
