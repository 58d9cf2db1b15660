"""The model card of a shipped encoder: its origin, its scores, and its limits.

Run: python -m benchmarks.pretrain.card NAME --evidence FOLDER
to renew the results in the card of a shipped encoder; `ship` writes the whole card.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.evidence.figures import WORDS, observed
from benchmarks.pretrain.run import RunConfig
from dare_sklearn.weights.load import SHIPPED_FOLDER

LICENCES = {
    "eegbci": "PhysioNet EEG Motor Movement/Imagery (Schalk et al. 2004), ODC-BY 1.0: one person "
    "with hands or feet, 16 others with left or right fist",
    "uci": "UCI EEG Database, 10 people (Begleiter 1999), CC BY 4.0",
    "muse": "muse-lsl, visual P300 and SSVEP of two people with a headband, BSD-3-Clause",
    "depression_rest": "Rest, 12 depressed or healthy people (Mumtaz et al. 2017, figshare "
    "4244171), CC BY 4.0",
    "mental_arithmetic": "Mental arithmetic, 8 students (Zyma et al. 2019, PhysioNet eegmat), "
    "ODC-BY 1.0",
    "epilepsy_rest": "Rest in the field, 12 people with epilepsy or without (van Hees et al. 2018, "
    "Zenodo 1252141), CC BY 4.0",
    "ssvep_led": "Flicker of LEDs, 8 people (Kalunga et al. 2016, Zenodo 2392979), CC0",
}
TESTS = """\
The encoder has seen none of them. But choices were made by scores on some of these tasks, which are
therefore a little too good:

- the recipe (masks, amplitude unit, steps, contents of the corpus), and the penalty and stacking of
  the default reading: hands or feet, stimulus, person, Muse P300 and Muse SSVEP;
- the block of bands, with the number and stride of its filters: hands or feet, arithmetic and both
  kinds of flicker (P300 and epilepsy were looked at);
- the block of evoked signals: simulated evoked responses (hands or feet, stimulus and headband
  flicker were looked at);
- the block of rhythms (its surroundings, window and frequencies), and the tangent space for the
  block of bands: both tasks of four rates, headband flicker, hands or feet, arithmetic and eyes
  (stimulus and left or right fists were looked at);
- equal weights of all blocks with a handful of epochs: learning curves of hands or feet, headband
  flicker and arithmetic.

Person and depression were scored once with each block, after the choice."""
NEGATIVE = """\
The encoder has seen no real EEG, because no recipe with real EEG scored better. Real EEG came from
`benchmarks.pretrain.recordings`: 148 people, 15 hours, without the people of the tasks.

- From scratch for up to 3,000 steps (table above): most encoders scored worse than an untrained
  one, so recipes can be compared only after more steps. Shorter windows and simulated EEG alone did
  the least harm, positives from the same recording and a learning rate of 3e-3 the most.
- From scratch for 17,500 of 25,000 steps (`configs/nano_real.yaml`, 90 % real; stopped within a
  schedule), scored by a development script with these weights beside it:
  hands or feet 0.956 (these weights 0.989), headband flicker 0.983 (0.983), arithmetic 0.774
  (0.785), four classes of flicker across people 0.773 (0.770), stimulus 0.793 (0.806).
- Continued from these weights for 4,500 steps of 64 windows of 4 s, 90 % real, visible share 0.02
  to 0.6, learning rate 1e-3: no task became better, none clearly worse (default reading without
  the block of evoked signals, before and after: hands or feet 0.967, 0.944; stimulus 0.783,
  0.765; headband flicker 0.976, 0.969; eyes 0.734, 0.717; arithmetic 0.792, 0.783; four classes
  of flicker within people 0.745, 0.754, across 0.519, 0.527; person 1.000, 1.000; epilepsy 0.875,
  0.875)."""
RESULTS = """\
`python -m benchmarks.evidence --data FOLDER --out FOLDER --cells FOLDER` computes every number;
tables with more columns, and figures, are in `benchmarks/evidence/results`.

"Default" is `DAREClassifier("{name}", adaptation="linear")` with its defaults; "untrained" is the
same with `encoder=None`. The best classical pipeline of a task has the highest mean over the test
folds among those that the field uses for such tasks (`transformers.classical.BEST`); choosing it
by these scores favours it. Intervals are 95 % intervals over people (Muse: over recordings), each
scored separately with the model of the fold. With a single person, with persons as classes, and
with one label per person, they are intervals over folds, corrected for shared training data.
Hands or feet and Muse say nothing about other people than the one or two recorded. Depression and
epilepsy have 12 people each, three in a fold."""
LIMITS = """\
- All simulated people are healthy adults with a spherical head: no pathology, sleep, infants or
  implants, and rhythms that wax and wane more simply than real ones.
- The encoder reads 62 electrodes of the 10-10 system at 256 Hz, 250 ms at a time: a token holds
  nothing slower than that, and nothing above 128 Hz.
- Signals must be in microvolts on the scale of scalp EEG; the encoder does not normalise amplitude.
- Not a medical device. Scores on the tasks above say little about other tasks: compare with
  classical features on your own data."""


def model_card(
    name: str, written: dict, config: RunConfig, log: pd.DataFrame, evidence: Path | None
) -> str:
    """Markdown, from the configuration of the run, its log, and the tables of the evidence."""
    corpus = asdict(config.corpus)
    used = corpus.pop("recordings")
    share = corpus.pop("recordings_share")
    last = log.tail(10).drop(columns=["step", "seconds"]).mean()
    made = written["pretraining"]
    mixed = "; ".join(LICENCES[key] for key in used) + f" ({share:.0%} of batches)"
    mixed = mixed if used else "none"
    sections = [
        f"# DARE-EEG encoder `{name}`",
        f'Loaded by `load_encoder("{name}")`, and by `encoder="{name}"` in every estimator. '
        "Method: Shao, Gong, Dai, Zhang (2026), arXiv 2605.18298; the weights are our own, trained "
        "from scratch. They are under the licence of the package (BSD-3-Clause).",
        "## Corpus",
        f"Simulated EEG of `dare_sklearn.simulate_epochs`: each block has {3 * corpus['people']} "
        "new people (heads, sources, artefacts, references, three paradigms), and is cut into "
        f"windows of {0.25 * corpus['n_patches']:g} s with randomly chosen electrodes and a random "
        "gain. No window is used twice.",
        f"Real recordings mixed in: {mixed}.",
        "No recording is part of the package.",
        "## Training",
        f"{config.steps:,} steps of {corpus['batch_size']} windows"
        + (f", with schedules that restart at {_steps(config)}" if config.restarts else "")
        + f"; {made['hours']:g} hours of one shared CPU core, torch {made['torch']}, "
        f"seed {config.seed}. Recipe: `benchmarks/pretrain/configs/{made['recipe']}`. "
        f"Unlike the paper: amplitude unit {written['model']['amplitude_uv']:g} µV, "
        f"visible channels per patch {config.visible_share[0]:.0%} "
        f"to {config.visible_share[1]:.0%}, "
        f"{config.hidden_target_share:.0%} of the channels of wholly hidden patches are targets. "
        f"Weights of the loss terms as in the paper{', but ' if config.objective else ''}"
        + ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in config.objective.items())
        + ".",
        "Mean losses of the last 500 steps: "
        + ", ".join(f"{key.replace('_', ' ')} {value:.3f}" for key, value in last.items())
        + ".",
        f"SHA-256 of `model.safetensors`: `{written['sha256']}`.",
        "## Test recordings",
        "\n".join(f"- {licence}" for licence in LICENCES.values()),
        TESTS,
    ]
    if evidence is not None:
        sections.append(results(name, evidence))
    sections += ["## Limits", LIMITS]
    return "\n\n".join(sections) + "\n"


def results(name: str, evidence: Path) -> str:
    """The section of results, from the tables of benchmarks.evidence."""
    sections = ["## Results", RESULTS.format(name=name)]
    for file, (caption, layout) in TABLES.items():
        if (evidence / file).exists():
            sections += [f"### {caption}", _markdown(layout(pd.read_csv(evidence / file)))]
    sections += ["## What did not work", NEGATIVE]
    return "\n\n".join(sections)


def _steps(config: RunConfig) -> str:
    return "step " + " and ".join(f"{step:,}" for step in config.restarts)


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """A row per task: the default reading beside one rival, and their difference."""
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


METRICS = ("accuracy", "balanced_accuracy", "roc_auc", "roc_auc_of_people")
TABLES = {
    "verdicts.csv": ("The default reading and the best classical pipeline", _judged),
    "gain.csv": ("What pretraining adds: the default reading and its untrained control", _judged),
    "summary.csv": ("Everything that reads the encoder: mean and interval", _scores),
    "lost_electrodes.csv": ("Mean score against the share of electrodes lost at prediction", _lost),
    "learning_curve.csv": ("Mean score against the number of labelled training epochs", _labels),
    "mask_invariance.csv": ("Mask invariance on UCI trials: retrieval@1 ± SD of 20 draws",
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
    parser = argparse.ArgumentParser(description="Make the results of a card anew.")
    parser.add_argument("name")
    parser.add_argument("--evidence", type=Path, required=True)
    args = parser.parse_args()
    path = SHIPPED_FOLDER / args.name / "README.md"
    before, tests = path.read_text(encoding="utf-8").split("## Test recordings")
    listed = "\n".join(f"- {licence}" for licence in LICENCES.values())
    limits = tests[tests.index("## Limits") :]
    parts = [
        f"{before}## Test recordings",
        listed,
        TESTS,
        results(args.name, args.evidence),
        limits,
    ]
    path.write_text("\n\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
