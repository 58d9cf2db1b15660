"""The whole library in a minute: simulate, embed, compare, report; no download.

Simulates an oddball task of several people and tells targets from other stimuli in four ways, by
cross-validation that leaves one person out: by the default reading of the shipped encoder, by
the conv-linear probe, and two classical pipelines. Ends with a table and a report.
Run: python examples/demo.py [--paradigm motor]
"""

from __future__ import annotations

import argparse
from pathlib import Path

if __name__ == "__main__":
    print("Loading libraries ...", flush=True)

import matplotlib

matplotlib.use("Agg")

import pandas as pd
import sklearn
from sklearn.model_selection import LeaveOneGroupOut
from tqdm.auto import tqdm

from dare_sklearn import DAREClassifier, simulate_epochs
from dare_sklearn.evaluation import compare, report, summarize
from dare_sklearn.evaluation.report import judge, sentence
from dare_sklearn.inspection import mask_invariance
from dare_sklearn.transformers import classical_pipelines
from dare_sklearn.viz import plot_mask_invariance

MONTAGE = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2 FC5 FC6 CP5 CP6".split()
METRIC = "roc_auc_ovr"  # 0.5 is chance, however rare a class is
DARE = "DARE default reading"
TASK = {"erp": "oddball task", "motor": "motor imagery", "steady_state": "flicker"}
CLASSICAL = {
    "erp": ("downsampled + LDA", "Xdawn + tangent space + LR"),
    "motor": ("band power + LR", "tangent space + LR"),
    "steady_state": ("band power + LR", "tangent space + LR"),
}


def make_pipelines(encoder: str, paradigm: str) -> dict:
    """What is compared; every pipeline takes the same mne.Epochs."""
    classical = classical_pipelines()
    return {
        DARE: DAREClassifier(encoder, adaptation="linear"),
        "DARE conv-linear probe": DAREClassifier(encoder),
        **{name: classical[name] for name in CLASSICAL[paradigm]},
    }


def score(pipelines: dict, epochs, dataset: str, bar) -> pd.DataFrame:
    """Scores of all pipelines, person by person, so that every step of the bar takes as long."""
    y, people = (epochs.metadata[name].to_numpy() for name in ("label", "subject"))
    tables = []
    for number, (train, test) in enumerate(LeaveOneGroupOut().split(y, y, people)):
        bar.set_description(f"{len(pipelines)} pipelines without {people[test[0]]}")
        how = {"groups": people, "cv": [(train, test)], "scoring": METRIC, "random_state": 0}
        tables.append(compare(pipelines, epochs, y, dataset=dataset, **how).assign(fold=number))
        bar.update()
    return pd.concat(tables, ignore_index=True)


def compare_views(encoders: dict, epochs, bar) -> pd.DataFrame:
    """How alike each encoder sees an epoch through different electrodes."""
    tables = []
    for name, encoder in encoders.items():
        bar.set_description(f"views of epochs, encoder {name}")
        views = mask_invariance(encoder, epochs, n_chans=8, n_draws=5, random_state=0)
        tables.append(views.assign(encoder=name))
        bar.update()
    return pd.concat(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paradigm", default="erp", choices=list(CLASSICAL), help="the task")
    parser.add_argument("--encoder", default="nano", help="shipped name or folder")
    parser.add_argument("--subjects", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=40, help="epochs per subject")
    parser.add_argument("--report", type=Path, default=Path("demo_report"))
    args = parser.parse_args()

    size = f"{args.subjects} people, {args.epochs} epochs each"
    print(f"Simulating EEG ({TASK[args.paradigm]}) of {size} ...")
    epochs = simulate_epochs(
        args.paradigm,
        n_subjects=args.subjects,
        n_epochs=args.epochs,
        duration=2.0,
        ch_names=MONTAGE,
        random_state=0,
    )
    sklearn.set_config(enable_metadata_routing=True)  # whole people in the folds of the reading
    pipelines = make_pipelines(args.encoder, args.paradigm)
    encoders = {args.encoder: args.encoder, "untrained": None}
    with tqdm(total=args.subjects + len(encoders), unit="step") as bar:
        scores = score(pipelines, epochs, f"simulated {TASK[args.paradigm]}", bar)
        views = compare_views(encoders, epochs, bar)
        bar.set_description("done")
    who = {"candidate": DARE, "rivals": CLASSICAL[args.paradigm]}
    title = "Two halves of the electrodes, one embedding"
    words = (
        "how alike an encoder sees two views of an epoch that share few electrodes, or none: left "
        "the similarity of their embeddings, right how often the other view is the nearest of all."
    )
    page = report(
        scores,
        args.report,
        title="dare_sklearn demo",
        figures=[(title, plot_mask_invariance(views), words)],
        context={
            "note": "These signals are simulated, as are those that the encoder was pretrained on: "
            "this shows that the parts work together. The model card says what the encoder can do "
            "on real recordings."
        },
        **who,
    )
    table = summarize(scores)[["pipeline", "mean", "low", "high", "fit_seconds", "predict_seconds"]]
    print(f"\n{sentence(judge(scores, **who))}\n")
    print("Area under the ROC curve (chance 0.5) with its 95 % interval, and seconds per fold:\n")
    print(table.to_string(index=False, float_format="%.3f"))
    print(f"\nReport: {page}")


if __name__ == "__main__":
    main()
