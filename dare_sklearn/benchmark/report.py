"""The report: one HTML file that needs nothing else, and the tables beside it as CSV."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .answer import BETTER, OPEN, UNTESTED, WORSE, Verdict, judge, paragraph, signed
from .run import Results
from .text import STYLE, Html, escape, interval, listing, table

_TAGS = {BETTER: "better", WORSE: "worse", OPEN: "open", UNTESTED: "none"}
_PROTOCOLS = {
    "here": "This run",
    "paper": "The DARE-EEG paper",
    "independent": "Independent benchmarks",
    "sources": "Sources",
}


def write_report(results: Results, out: str | Path) -> Path:
    """Write ``report.html``, ``summary.csv``, ``pairs.csv`` and ``answers.csv``.

    Parameters
    ----------
    results : Results
        Of `run_suite`.
    out : str or path
        Folder.

    Returns
    -------
    Path
        Of the HTML file.

    Examples
    --------
    See `run_suite`.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    verdicts = judge(results)
    summary, pairs = summary_table(results), pairs_table(results)
    summary.to_csv(out / "summary.csv", index=False)
    pairs.to_csv(out / "pairs.csv", index=False)
    everyone = [v for name in _candidates(results) for v in judge(results, name)]
    pd.DataFrame([vars(v) for v in everyone]).to_csv(out / "answers.csv", index=False)
    page = "".join(_page(results, verdicts, everyone, summary))
    scratch = out / "report.html.part"
    scratch.write_text(page, encoding="utf-8")
    os.replace(scratch, out / "report.html")
    return out / "report.html"


def summary_table(results: Results) -> pd.DataFrame:
    """Mean scores with intervals, chance, and costs, per data set, pipeline and metric."""
    from ..evaluation import summarize

    tables = [
        summarize(table, results.datasets[dataset]["metrics"])
        for dataset, table in results.scores.groupby("dataset", sort=False)
    ]
    summary = pd.concat(tables, ignore_index=True)
    if len(results.energy):
        summary = summary.merge(results.energy, on=["dataset", "pipeline"], how="left")
    return summary


def pairs_table(results: Results) -> pd.DataFrame:
    """Tests of every pair of pipelines, per data set and metric; none of a single fold."""
    from ..evaluation import pairwise

    tables = [
        pairwise(table, metric)
        for dataset, table in results.scores.groupby("dataset", sort=False)
        if table["pipeline"].nunique() > 1 and _n_units(table) > 1
        for metric in results.datasets[dataset]["metrics"]
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _n_units(scores: pd.DataFrame) -> int:
    return int(scores.groupby("pipeline")["fold"].count().min())


def _candidates(results: Results) -> list[str]:
    """Pipelines of DARE, the candidate first."""
    roles = results.roles()
    there = list(dict.fromkeys(results.scores["pipeline"]))
    dare = [name for name in there if roles[name] == "dare"]
    return sorted(dare, key=lambda name: name != results.suite.candidate)


def _page(
    results: Results, verdicts: list[Verdict], everyone: list[Verdict], summary: pd.DataFrame
) -> Iterator[str]:
    suite, about = results.suite, results.about
    yield (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(suite.title)}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{escape(suite.title)}</h1>"
    )
    if suite.description:
        yield f"<p>{escape(suite.description)}</p>"
    yield (
        f'<p class="muted">Suite {escape(suite.name)}, encoder {escape(about["encoder"]["name"])}, '
        f"finished {escape(about['finished'][:16].replace('T', ' '))} UTC. Tables: "
        + ", ".join(f'<a href="{name}">{name}</a>' for name in _files(results))
        + ".</p>"
    )
    if results.failures:
        yield '<div class="answer"><h2 class="worse">Not everything ran</h2>'
        yield listing(results.failures) + "</div>"
    yield (
        '<div class="answer"><h2>Should I use this on my data?</h2>'
        f"<p>{escape(paragraph(results))}</p></div>"
    )
    if everyone:
        yield "<h3>The answer, data set by data set</h3>" + _answers(everyone)
    yield _how_to_read()
    yield from _across(results, verdicts)
    by_name = {verdict.dataset: verdict for verdict in verdicts}
    for dataset, scores in results.scores.groupby("dataset", sort=False):
        part = summary[summary["dataset"] == dataset]
        yield from _dataset(results, dataset, scores, part, by_name.get(dataset))
    yield _what_was_run(results)
    yield "</main></body></html>\n"


def _files(results: Results) -> list[str]:
    names = ["summary.csv", "scores.csv", "pairs.csv", "answers.csv"]
    if len(results.curve):
        names.append("learning_curve.csv")
    return [*names, "run.json", "suite.yaml"]


def _answers(verdicts: list[Verdict]) -> str:
    """A table per candidate."""
    names = dict.fromkeys(verdict.candidate for verdict in verdicts)
    tables = ((name, _answer([v for v in verdicts if v.candidate == name])) for name in names)
    return "".join(f"<h4>{escape(name)}</h4>{table}" for name, table in tables)


def _answer(verdicts: list[Verdict]) -> str:
    rows = []
    for v in verdicts:
        tag = Html(f'<span class="tag {_TAGS[v.kind]}">{escape(v.kind)}</span>')
        difference = signed(v.difference)
        if v.n > 1:
            difference += f" [{v.bounds()}]"
        rows.append(
            [
                v.dataset,
                tag,
                difference,
                "–" if np.isnan(v.p) else "< 0.001" if v.p < 0.001 else f"{v.p:.3f}",
                f"{v.n} {v.unit}{'s' * (v.n > 1)}",
                f"{v.mean:.3f}",
                Html(f'<span class="named">{v.rival_mean:.3f}<br>{escape(v.rival)}</span>'),
            ]
        )
    return table(
        ["data set", "answer", "difference [95 %]", "p", "over", "score", "best classical"], rows
    )


def _how_to_read() -> str:
    return """<details open><summary>How to read this</summary>
<p>Every pipeline saw the same folds. It was fitted on the training epochs alone, its search for
parameters included, and answered for test epochs that it had not seen: no scaling, selection or
tuning looks at them. Where folds test one person each, a person's mean score is one observation,
and pipelines are compared by a paired permutation test (from 20 people on by Wilcoxon's signed
ranks), as MOABB does. Where folds share one person's recordings they are no independent
observations; intervals and tests are widened for it (Nadeau and Bengio). Intervals are 95 %
intervals of the mean over these people or folds.</p>
<p><b>p</b> is how often chance alone would make two equally good pipelines differ this much;
<b>no difference shown</b> does not mean that they are equally good: look at the interval, which
says how large a difference in either direction remains possible. The p-values in the matrices are
corrected for the number of pairs within one data set (Holm), not across data sets. <b>Chance</b> is
the mean score of the same answers against shuffled labels. The best classical pipeline was chosen
with the same scores that it is shown with, which flatters it a little. Differences between
pipelines on your own recordings may be others: run the suite <code>recordings</code> on
them.</p></details>"""


def _across(results: Results, verdicts: list[Verdict]) -> Iterator[str]:
    from .figures import across

    pictures = list(across(results, verdicts))
    if pictures:
        yield "<h2>All data sets together</h2>"
        yield _grid(pictures)


def _grid(pictures: list[tuple[str, str]]) -> str:
    return (
        '<div class="grid">'
        + "".join(f"<div><h3>{escape(title)}</h3>{body}</div>" for title, body in pictures)
        + "</div>"
    )


def _dataset(
    results: Results,
    dataset: str,
    scores: pd.DataFrame,
    summary: pd.DataFrame,
    verdict: Verdict | None,
) -> Iterator[str]:
    from .figures import of_dataset

    known = results.datasets[dataset]
    metrics = known["metrics"]
    yield f"<h2>{escape(dataset)}</h2><p>{escape(_facts(known))}</p>"
    if known["notes"]:
        yield listing(known["notes"])
    if verdict is not None:
        yield f"<p>{escape(verdict.sentence())}</p>"
    order = summary[summary["metric"] == metrics[0]].sort_values("mean", ascending=False)
    by_metric = {
        metric: summary[summary["metric"] == metric].set_index("pipeline") for metric in metrics
    }
    has_chance = order["chance"].notna().any()
    rows = []
    for row in order.itertuples():
        values = [
            interval(r["mean"], r["low"], r["high"])
            for r in (by_metric[metric].loc[row.pipeline] for metric in metrics)
        ]
        memory = row.peak_memory_mb
        memory = "–" if np.isnan(memory) else f"{memory:.0f}" if memory >= 1 else "< 1"
        costs = [row.fit_seconds, row.predict_seconds, memory]
        if len(results.energy):
            costs.append(row.kwh * 1000 if pd.notna(row.kwh) else None)
        chance = [f"{row.chance:.3f}"] if has_chance else []
        rows.append([row.pipeline, *values, *chance, *costs])
    header = [
        "pipeline",
        *(f"{m.replace('_', ' ')} [95 %]" for m in metrics),
        *(["chance"] if has_chance else []),
        "fit (s)",
        "answer (s)",
        "memory (MB)",
        *(["energy (Wh)"] if len(results.energy) else []),
    ]
    yield table(header, rows, bold=rows[0][0])
    yield (
        '<p class="muted">Seconds are medians per fold, on this machine; memory is by how much the '
        "process grew at most in any fold"
        + ("; energy is that of all folds" if len(results.energy) else "")
        + ".</p>"
    )
    yield _grid(list(of_dataset(results, dataset, scores, verdict)))
    protocol = next(
        (spec.protocol for spec in results.suite.datasets or () if spec.name == dataset), {}
    )
    if protocol:
        lines = [(title, protocol[key]) for key, title in _PROTOCOLS.items() if protocol.get(key)]
        yield "<details><summary>Protocols: this run, the paper, independent benchmarks</summary>"
        yield "".join(f"<p><b>{escape(title)}.</b> {escape(text)}</p>" for title, text in lines)
        yield "</details>"


def _facts(known: dict[str, Any]) -> str:
    classes = ", ".join(f"{name} ({count})" for name, count in known["classes"].items())
    if len(known["classes"]) > 12:
        classes = f"{len(known['classes'])} classes"
    people = "1 person" if known["n_subjects"] == 1 else f"{known['n_subjects']} people"
    band = known["band"]
    filtered = ""
    if band is not None:
        low, high = ("open" if edge is None else f"{edge:g}" for edge in band)
        filtered = f", {low} to {high} Hz"
    return (
        f"{known['n_epochs']} epochs of {people}, {known['n_chans']} channels, "
        f"{known['seconds']:g} s at {known['sfreq']:g} Hz{filtered}. Classes: {classes}. "
        f"Split: {known['split']}."
    )


def _what_was_run(results: Results) -> str:
    about, suite = results.about, results.suite
    encoder = about["encoder"]
    facts = [
        ["command", Html(f"<code>{escape(about['command'])}</code>")],
        ["started, finished", f"{about['started']}, {about['finished']}"],
        ["encoder", f"{encoder['name']}, SHA-256 {encoder['sha256']}"],
        ["seeds", ", ".join(map(str, suite.seeds))],
        ["permutations for chance", suite.n_permutations],
        ["machine", f"{about['system']}, Python {about['python']}, device {about['device']}"],
        ["versions", ", ".join(f"{k} {v}" for k, v in about["versions"].items())],
        *([f"data: {name}", known["hash"]] for name, known in results.datasets.items()),
    ]
    body = "".join(
        f"<tr><th scope='row'>{escape(name)}</th>"
        f"<td>{value if isinstance(value, Html) else escape(value)}</td></tr>"
        for name, value in facts
    )
    parts = [
        "<h2>What was run</h2>",
        f'<div class="wide facts"><table><tbody>{body}</tbody></table></div>',
    ]
    if results.warnings:
        parts.append(
            f"<details><summary>Warnings ({len(results.warnings)})</summary>"
            f"{listing(results.warnings)}</details>"
        )
    parts.append(
        f"<details><summary>The suite</summary><pre>{escape(suite.text)}</pre></details>"
        '<p class="muted">The same command goes on where it was stopped, and computes nothing '
        "again that is finished. Hashes of data tell whether another run had the same epochs and "
        "labels.</p>"
    )
    return "".join(parts)
