"""The tables in the model card of a shipped encoder, made from the tables of benchmarks.evidence.

Run: python -m benchmarks.pretrain.card NAME --evidence FOLDER

The words of a card are written by hand (nano's is the template); each heading of `TABLES` in it is
followed by its table.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.evidence.figures import METRICS, WORDS, observed
from dare_sklearn.weights.load import SHIPPED_FOLDER


def renewed(card: str, evidence: Path) -> str:
    """The card with the tables that the folder of the evidence has."""
    for file, (caption, layout) in TABLES.items():
        if (evidence / file).exists():
            start = re.escape(f"### {caption}\n\n")
            if not re.search(start, card):
                raise SystemExit(f"The card has no heading '### {caption}'.")
            table = _markdown(layout(pd.read_csv(evidence / file)))
            card = re.sub(rf"({start})(?:\|.*\n)*", lambda found, t=table: f"{found[1]}{t}\n", card)
    return card


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """A row per task: a pipeline of ours beside one rival, and their difference."""
    return pd.DataFrame({
        "task": table["dataset"],
        "metric": table["metric"].str.replace("_", " "),
        "n": list(map(observed, table["dataset"], table["n"], table["unit"])),
        "default": table["mean"],
        "rival": table["rival"],
        "its score": table["rival_mean"],
        "difference": _between(table, "difference"),
        "verdict": table["verdict"],
    })  # fmt: skip


def _alone(table: pd.DataFrame) -> pd.DataFrame:
    """A row per task and reading."""
    reading = table["candidate"].str.split(", ").str[0]
    shown = _judged(table).rename(columns={"default": "pretrained", "its score": "untrained"})
    shown.insert(1, "reading", reading)
    return shown.drop(columns=["rival", "n"]).sort_values("task", kind="stable", key=_in_order)


def _in_order(tasks: pd.Series) -> pd.Series:
    return tasks.map({name: number for number, name in enumerate(tasks.unique())})


def _scores(table: pd.DataFrame) -> pd.DataFrame:
    """A row per task, a column per pipeline of the encoder."""
    ours = table[table["pipeline"].str.contains(", ")]
    return _wide(ours.assign(text=_between(ours, "mean")), ["dataset"], "pipeline", "text", str)


def _lost(table: pd.DataFrame) -> pd.DataFrame:
    table = _means(table, "share")
    return _wide(table, ["dataset", "pipeline"], "share", "score", "{:.0%} lost".format)


def _labels(table: pd.DataFrame) -> pd.DataFrame:
    whole = table["n_labels"] == table.groupby("dataset")["n_labels"].transform("max")
    table = _means(table.assign(n_labels=table["n_labels"].where(~whole, 1_000_000)), "n_labels")
    names = {1_000_000: "all"}
    return _wide(
        table, ["dataset", "pipeline"], "n_labels", "score", lambda n: names.get(n, f"{n:g}")
    )


def _means(table: pd.DataFrame, along: str) -> pd.DataFrame:
    """Mean over folds, whatever metric a task has."""
    metrics = [name for name in METRICS if name in table]
    table = table.assign(score=table[metrics].bfill(axis=1).iloc[:, 0])
    keys = ["dataset", "pipeline", along]
    return table.groupby(keys, sort=False)["score"].mean().reset_index()


def _invariance(table: pd.DataFrame) -> pd.DataFrame:
    """Only retrieval, a row per encoder."""
    pairs = zip(table["retrieval_mean"], table["retrieval_std"], strict=True)
    table = table.assign(text=[f"{mean:.3f} ± {std:.3f}" for mean, std in pairs])
    return _wide(table, ["encoder"], "overlap", "text", "{:.0%} common".format)


def _ablations(table: pd.DataFrame) -> pd.DataFrame:
    return _wide(table, ["encoder"], "dataset", "mean", str)


def _between(table: pd.DataFrame, column: str) -> list[str]:
    rows = zip(table[column], table["low"], table["high"], strict=True)
    return [f"{mean:.3f} ({low:.3f} to {high:.3f})" for mean, low, high in rows]


def _wide(table: pd.DataFrame, rows: list[str], columns: str, values: str, name) -> pd.DataFrame:
    """One column per value of `columns`, rows in the order of the table."""
    wide = table.pivot(index=rows, columns=columns, values=values)
    wide = wide.reindex(pd.MultiIndex.from_frame(table[rows].drop_duplicates())
                        if len(rows) > 1 else table[rows[0]].unique())  # fmt: skip
    wide.columns = [name(column) for column in wide.columns]
    return wide.reset_index(names=rows)


TABLES = {
    "verdicts.csv": ("The default reading and the best classical pipeline", _judged),
    "gain.csv": ("What pretraining adds: the default reading and its untrained control", _judged),
    "readings.csv": ("What pretraining adds to single readings and to the conv-linear probe",
                     _alone),
    "summary.csv": ("Everything that reads the encoder: mean and interval", _scores),
    "lost_electrodes.csv": ("Mean score against the share of electrodes lost at prediction", _lost),
    "learning_curve.csv": ("Mean score against the number of labelled training epochs", _labels),
    "mask_invariance.csv": ("Mask invariance on trials with pictures: retrieval ± SD of 20 draws",
                            _invariance),
    "recipe.csv": ("Recipes, from scratch on one GPU, 64 windows of 4 s, 90 % real, unless the row "
                   "says otherwise: the default reading without bands", lambda table: table),
    "ablations.csv": ("Parts of the method left out, 2,000 steps each: joint tokens + logistic "
                      "regression, as measured with the first version of the library", _ablations),
}  # fmt: skip


def _markdown(table: pd.DataFrame) -> str:
    """A table in Markdown, numbers with three decimals."""
    rows = [list(map(_cell, table.columns)), ["---"] * table.shape[1]]
    for row in table.itertuples(index=False):
        rows.append([_cell(value) for value in row])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return WORDS.get(str(value), str(value))
    return "–" if np.isnan(value) else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--evidence", type=Path, required=True)
    args = parser.parse_args()
    path = SHIPPED_FOLDER / args.name / "README.md"
    path.write_text(renewed(path.read_text(encoding="utf-8"), args.evidence), encoding="utf-8")


if __name__ == "__main__":
    main()
