"""The model card of a shipped encoder: where it comes from, what it is worth, where it ends."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.pretrain.run import RunConfig

LICENCES = {
    "eegbci": "PhysioNet EEG Motor Movement/Imagery, one person (Schalk et al. 2004), ODC-BY 1.0",
    "uci": "UCI EEG Database, 10 people (Begleiter 1999), CC BY 4.0",
    "muse": "muse-lsl, visual P300 and SSVEP of two people with a headband, BSD-3-Clause",
}
CAPTIONS = {
    "transfer.csv": "Transfer: mean score over folds ± half of its 95 % confidence interval",
    "transfer_gain.csv": "What pretraining adds: the score above that of the untrained encoder, "
    "paired by fold, with its 95 % interval (corrected where folds share trials)",
    "mask_invariance.csv": "Mask invariance on UCI trials: retrieval@1 ± its SD over 20 draws",
    "mask_invariance_distance.csv": "Which views are hard: retrieval@1 without a common electrode, "
    "against the distance between the two views on the scalp",
    "missing_electrodes.csv": "Score against the share of electrodes lost at prediction",
    "label_efficiency.csv": "Score against the number of labelled training trials",
}
TASKS = """\
- SSVEP: 20 or 30 Hz flicker, six recordings of one person with a headband of four dry electrodes.
- P300: target or other picture, 16 recordings of one person with the same headband.
- Stimulus 1 or 2: first or second picture of a pair, ten people, one left out at a time.
- Person: which of the ten people a trial is from.
- Hands or feet: imagined movement, 45 trials of one person, ten random splits.

Where one person was recorded, nothing follows for other people. Every search (of C, and of the
pooling of embeddings) is nested in the training folds and keeps groups whole. "LR" is logistic
regression, "samples" are downsampled signals, "probe" is the conv-linear probe. "untrained" is the
same network before any pretraining. "full" is the recipe of this encoder at 2,000 steps, and the
rows "no-..." leave one part of the method out of that."""
LIMITS = """\
- Simulated people are all healthy adults with a spherical head: no pathology, sleep, infants or
  implants, and rhythms that wax and wane more simply than real ones.
- It reads 62 electrodes of the 10-10 system at 256 Hz, 250 ms at a time: nothing slower than that
  within a token, and nothing above 128 Hz.
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
        f"Simulated EEG of `dare_sklearn.simulate_epochs`, a new set of {3 * corpus['people']} "
        "people every "
        "block (heads, sources, artefacts, references, three paradigms), cut into windows of "
        f"{0.25 * corpus['n_patches']:g} s; no window comes twice. Random choices of electrodes "
        "and a random gain per window.",
        f"Real recordings mixed in: {mixed}.",
        "No recording is part of the package.",
        "## Training",
        f"{config.steps:,} steps of {corpus['batch_size']} windows"
        + (f", schedules anew from {_steps(config)} on" if config.restarts else "")
        + f"; {made['hours']:g} hours of one shared CPU core, torch {made['torch']}, "
        f"seed {config.seed}. Recipe: `benchmarks/pretrain/configs/{made['recipe']}`. "
        f"Beside the paper: amplitude unit {written['model']['amplitude_uv']:g} µV, "
        f"visible channels per patch {config.visible_share[0]:.0%} "
        f"to {config.visible_share[1]:.0%}, "
        f"{config.hidden_target_share:.0%} of the channels of wholly hidden patches are targets, "
        f"weights of the loss terms as in the paper{', but ' if config.objective else ''}"
        + ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in config.objective.items())
        + ".",
        "Mean losses of the last 500 steps: "
        + ", ".join(f"{key.replace('_', ' ')} {value:.3f}" for key, value in last.items())
        + ".",
        f"SHA-256 of `model.safetensors`: `{written['sha256']}`.",
        "## Test recordings",
        "The encoder has not seen them:",
        "\n".join(f"- {licence}" for licence in LICENCES.values()),
        "But its recipe (masks, amplitude unit, steps, what to leave out of the corpus) was chosen "
        "among others by scores on these recordings, which flatters the figures below a little.",
        "The tasks:",
        TASKS,
        "## Results",
        "`python -m benchmarks.evidence --data FOLDER --out FOLDER` makes every number; tables "
        "with more columns, and figures, are in `benchmarks/evidence/results`.",
    ]
    for file, caption in CAPTIONS.items():
        if evidence is not None and (evidence / file).exists():
            table = LAYOUTS.get(file, lambda table: table)(pd.read_csv(evidence / file))
            sections += [f"### {caption}", _markdown(table)]
    sections += ["## Limits", LIMITS]
    return "\n\n".join(sections) + "\n"


def _steps(config: RunConfig) -> str:
    return "step " + " and ".join(f"{step:,}" for step in config.restarts)


def _transfer(table: pd.DataFrame) -> pd.DataFrame:
    """A row per pipeline, a column per task."""
    half = (table["high"] - table["low"]) / 2
    pairs = zip(table["mean"], half, strict=True)
    table = table.assign(
        text=[f"{mean:.3f} ± {around:.3f}" for mean, around in pairs],
        task=table["dataset"] + ", " + table["metric"].str.replace("_", " "),
    )
    return _wide(table, ["pipeline"], "task", "text", str)


def _invariance(table: pd.DataFrame) -> pd.DataFrame:
    """Retrieval alone, a row per encoder."""
    pairs = zip(table["retrieval_mean"], table["retrieval_std"], strict=True)
    table = table.assign(text=[f"{mean:.3f} ± {std:.3f}" for mean, std in pairs])
    return _wide(table, ["encoder"], "overlap", "text", "{:.0%} common".format)


def _electrodes(table: pd.DataFrame) -> pd.DataFrame:
    return _wide(table, ["task", "metric", "model"], "share", "mean", "{:.0%} lost".format)


def _labels(table: pd.DataFrame) -> pd.DataFrame:
    whole = table["n_trials"] == table.groupby("dataset")["n_trials"].transform("max")
    table = table.assign(place=table["n_trials"].where(~whole, 1_000_000))
    names = {1_000_000: "all"}
    return _wide(
        table, ["dataset", "metric", "pipeline"], "place", "mean", lambda n: names.get(n, f"{n:g}")
    )


def _wide(table: pd.DataFrame, rows: list[str], columns: str, values: str, name) -> pd.DataFrame:
    """One column per value of `columns`, rows in the order of the table."""
    wide = table.pivot(index=rows, columns=columns, values=values)
    wide = wide.reindex(pd.MultiIndex.from_frame(table[rows].drop_duplicates())
                        if len(rows) > 1 else table[rows[0]].unique())  # fmt: skip
    wide.columns = [name(column) for column in wide.columns]
    return wide.reset_index(names=rows)


LAYOUTS = {
    "transfer.csv": _transfer,
    "mask_invariance.csv": _invariance,
    "missing_electrodes.csv": _electrodes,
    "label_efficiency.csv": _labels,
}


def _markdown(table: pd.DataFrame) -> str:
    """A table in Markdown, numbers with three decimals."""
    rows = [list(table.columns), ["---"] * table.shape[1]]
    for row in table.itertuples(index=False):
        rows.append([_cell(value) for value in row])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return "–" if np.isnan(value) else f"{value:.3f}"
