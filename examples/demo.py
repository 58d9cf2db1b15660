"""The whole library in a few minutes: simulate, pretrain, embed, probe, compare, report.

Simulates an oddball task of several people, pretrains a nano encoder on *other* simulated people
without labels, and compares four ways of telling targets from other stimuli, by cross-validation
that leaves one person out at a time. Needs no download. Run: python examples/demo.py

With --paradigm motor it tells left from right hand. Expect DARE near chance there: so short a
pretraining learns evoked waveforms, not the strength of rhythms.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer, simulate_epochs

BANDS = {"theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}
SCORE = "roc_auc_ovr"  # 0.5 is chance, however rare a class is
MONTAGE = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2 FC5 FC6 CP5 CP6".split()


def as_array(epochs) -> np.ndarray:
    """Microvolts of Epochs, or of the list of one-epoch Epochs that a splitter makes."""
    parts = epochs if isinstance(epochs, list) else [epochs]
    return np.concatenate([part.get_data(units="uV") for part in parts])


def band_power(X: np.ndarray) -> np.ndarray:
    """Log power per band and channel, (n_epochs, n_bands * n_chans)."""
    power, freqs = mne.time_frequency.psd_array_welch(
        X, 256.0, fmin=4, fmax=45, n_fft=256, verbose="error"
    )
    bands = [power[..., (freqs >= low) & (freqs < high)].mean(-1) for low, high in BANDS.values()]
    return np.log(np.hstack(bands))


def make_pipelines(pretrainer: DAREPretrainer) -> dict:
    """What is compared; every pipeline takes the same mne.Epochs."""
    array = FunctionTransformer(as_array)

    def regression():
        return LogisticRegression(C=0.01, max_iter=5_000)

    return {
        "DARE embeddings + logistic regression": make_pipeline(
            DAREEmbedder(pretrainer, pooling="flatten"), StandardScaler(), regression()
        ),
        "DARE conv-linear probe": DAREClassifier(pretrainer, max_epochs=40, random_state=0),
        "Band power + logistic regression": make_pipeline(
            array, FunctionTransformer(band_power), StandardScaler(), regression()
        ),
        "Tangent space + logistic regression": make_pipeline(
            array, Covariances("oas"), TangentSpace(), StandardScaler(), regression()
        ),
        "Chance (class frequencies)": make_pipeline(array, DummyClassifier()),
    }


def write_report(folder: Path, table: pd.DataFrame, history: pd.DataFrame, scores: dict) -> None:
    """One HTML page with the table, and a figure of scores and losses."""
    folder.mkdir(exist_ok=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
    names = list(scores)[::-1]
    left.boxplot([scores[name] for name in names], orientation="horizontal")
    left.set_yticks(range(1, len(names) + 1), names)
    left.axvline(0.5, color="gray", linestyle=":", label="chance")
    left.set(xlabel="ROC AUC on a person left out", title="Scores over people")
    for term in ("reconstruction", "anchor_alignment", "mask_alignment"):
        right.plot(history["epoch"], history[term], marker="o", label=term.replace("_", " "))
    right.set(xlabel="pass through the corpus", ylabel="loss", title="Pretraining")
    right.legend()
    figure.savefig(folder / "demo.png", dpi=120)
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>dare_sklearn demo</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse}}td,th{{padding:.3rem .8rem;border-bottom:1px solid #ccc;
text-align:right}}th:first-child,td:first-child{{text-align:left}}img{{max-width:100%}}
.wide{{overflow-x:auto}}</style>
<h1>dare_sklearn demo</h1>
<p>Simulated EEG; every score is the area under the ROC curve on one person whom the model
has not seen. The encoder was pretrained for {len(history)} short passes on other simulated people:
this shows that the parts work together, not what a well trained encoder reaches.</p>
<div class="wide">{table.to_html(float_format="%.3f")}</div>
<img src="demo.png" alt="Scores over people, and the losses of pretraining">
</html>"""
    (folder / "report.html").write_text(page, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--paradigm", default="erp", choices=["motor", "erp", "steady_state"], help="the task"
    )
    parser.add_argument("--subjects", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=40, help="epochs per subject")
    parser.add_argument("--passes", type=int, default=40, help="passes of pretraining")
    parser.add_argument("--report", type=Path, default=Path("demo_report"))
    args = parser.parse_args()
    common = {"ch_names": MONTAGE, "duration": 2.0, "sfreq": 256.0}

    print(
        f"Simulating {args.paradigm} EEG of {args.subjects} people, {args.epochs} epochs each ..."
    )
    epochs = simulate_epochs(
        args.paradigm, n_subjects=args.subjects, n_epochs=args.epochs, random_state=0, **common
    )
    y = epochs.metadata["label"].to_numpy()
    groups = epochs.metadata["subject"].to_numpy()

    corpus = [
        simulate_epochs(paradigm, n_subjects=8, n_epochs=40, random_state=100 + i, **common)
        for i, paradigm in enumerate(("motor", "erp"))
    ]
    print(f"Pretraining nano for {args.passes} passes on other people, without labels ...")
    pretrainer = DAREPretrainer(
        "nano",
        max_epochs=args.passes,
        batch_size=64,
        lr=1e-3,
        window_s=1.0,
        random_state=0,
        verbose=1,
    ).fit(corpus)

    rows, scores = {}, {}
    for name, pipeline in make_pipelines(pretrainer).items():
        start = time.perf_counter()
        scores[name] = cross_val_score(
            pipeline,
            epochs,
            y,
            groups=groups,
            cv=LeaveOneGroupOut(),
            scoring=SCORE,
            error_score="raise",
        )
        rows[name] = {
            "mean ROC AUC": scores[name].mean(),
            "std over people": scores[name].std(ddof=1),
            "lowest": scores[name].min(),
            "highest": scores[name].max(),
            "seconds": time.perf_counter() - start,
        }
        print(f"  {name}: {scores[name].mean():.3f}")
    table = pd.DataFrame(rows).T
    write_report(args.report, table, pretrainer.history_, scores)
    print(f"\nSimulated {args.paradigm} EEG, {args.subjects} people, one left out at a time,")
    print("area under the ROC curve:\n")
    print(table.to_string(float_format="%.3f"))
    print(f"\nReport: {args.report / 'report.html'}")


if __name__ == "__main__":
    main()
