"""The model card of a shipped encoder: where it comes from, what it is worth, where it ends."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from benchmarks.pretrain.run import RunConfig

LICENCES = {
    "eegbci": "PhysioNet EEG Motor Movement/Imagery, one person (Schalk et al. 2004), ODC-BY 1.0",
    "uci": "UCI EEG Database, 10 people (Begleiter 1999), CC BY 4.0",
    "muse": "muse-lsl, visual P300 and SSVEP of two people with a headband, BSD-3-Clause",
}
CAPTIONS = {
    "transfer.csv": "Transfer: mean score over folds with its 95 % confidence interval",
    "transfer_gain.csv": "What pretraining adds: the score above that of the untrained encoder, "
    "paired by fold, with its 95 % interval (corrected where folds share trials)",
    "mask_invariance.csv": "Mask invariance on UCI trials: cosines of pairs, and retrieval@1",
    "mask_invariance_distance.csv": "Which views are hard: retrieval@1 without a common electrode, "
    "against the distance between the two views on the scalp",
    "missing_electrodes.csv": "Score against the share of electrodes lost at prediction",
    "label_efficiency.csv": "Score against the number of labelled training trials",
}
LIMITS = """\
- Simulated people are all healthy adults with a spherical head: no pathology, sleep, infants or
  implants, and rhythms that wax and wane more simply than real ones.
- It reads 62 electrodes of the 10-10 system at 256 Hz, 250 ms at a time: nothing slower than that
  within a token, and nothing above 128 Hz.
- Signals must be in microvolts on the scale of scalp EEG; the encoder does not normalise amplitude.
- Not a medical device. Scores on the tasks below say little about other tasks: compare with
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
        f"{config.steps:,} steps of {corpus['batch_size']} windows, {made['hours']:g} hours of one "
        f"CPU core, torch {made['torch']}, seed {config.seed}. Recipe: "
        f"`benchmarks/pretrain/configs/{made['recipe']}`. Beside the paper: amplitude unit "
        f"{written['model']['amplitude_uv']:g} µV, visible channels per patch "
        f"{config.visible_share[0]:.0%} to {config.visible_share[1]:.0%}, "
        f"{config.hidden_target_share:.0%} of the channels of wholly hidden patches are targets, "
        f"weights of the loss terms {config.objective or 'as in the paper'}.",
        "Mean losses of the last 500 steps: "
        + ", ".join(f"{key.replace('_', ' ')} {value:.3f}" for key, value in last.items())
        + ".",
        f"SHA-256 of `model.safetensors`: `{written['sha256']}`.",
        "## Results",
        "On recordings that the encoder has not seen, unless a row says so. "
        "`python -m benchmarks.evidence` makes every number.",
    ]
    for file, caption in CAPTIONS.items():
        if evidence is not None and (evidence / file).exists():
            table = pd.read_csv(evidence / file)
            sections += [f"### {caption}", _markdown(table)]
    sections += ["## Limits", LIMITS]
    return "\n\n".join(sections) + "\n"


def _markdown(table: pd.DataFrame) -> str:
    """A table in Markdown, numbers with three decimals."""
    rows = [list(table.columns), ["---"] * table.shape[1]]
    for row in table.itertuples(index=False):
        rows.append([f"{v:.3f}" if isinstance(v, float) else str(v) for v in row])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
