"""The whole library in a minute: simulate, embed, compare, report; no download.

Simulates an oddball task, imagined movement and flicker of several people, and classifies epochs of
each by cross-validation that leaves one person out. The same six pipelines, with the same settings,
do all three: the default reading of the shipped encoder, the conv-linear probe, and four classical
ones, each of which was made for one of the tasks. Ends with a table and a report.
Run: python examples/demo.py [--subjects 6]
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
TASKS = {"erp": "oddball", "motor": "imagery", "steady_state": "flicker"}
DARE = "DARE default reading"
CLASSICAL = (
    "downsampled + LDA", "Xdawn + tangent space + LR", "tangent space + LR", "CCA + LR",
)  # fmt: skip
RATES = (10.0, 12.0, 15.0)  # Hz of the flicker, which canonical correlation is told


def make_pipelines(encoder: str) -> dict:
    """What is compared; every pipeline takes the same mne.Epochs."""
    classical = classical_pipelines("all", frequencies=RATES)
    return {
        DARE: DAREClassifier(encoder, adaptation="linear"),
        "DARE conv-linear probe": DAREClassifier(encoder),
        **{name: classical[name] for name in CLASSICAL},
    }


def score(pipelines: dict, epochs, dataset: str, bar) -> pd.DataFrame:
    """Scores of all pipelines, person by person, so that every step of the bar takes as long."""
    y, people = (epochs.metadata[name].to_numpy() for name in ("label", "subject"))
    tables = []
    for number, (train, test) in enumerate(LeaveOneGroupOut().split(y, y, people)):
        bar.set_description(f"{dataset} without {people[test[0]]}")
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
    parser.add_argument("--encoder", default="nano", help="shipped name or folder")
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=40, help="epochs per subject")
    parser.add_argument("--report", type=Path, default=Path("demo_report"))
    args = parser.parse_args()

    size = f"{args.subjects} people, {args.epochs} epochs each"
    print(f"Simulating EEG ({', '.join(TASKS.values())}) of {size} ...")
    how = {"n_subjects": args.subjects, "n_epochs": args.epochs, "duration": 2.0}
    epochs = {
        name: simulate_epochs(paradigm, ch_names=MONTAGE, random_state=0, **how)
        for paradigm, name in TASKS.items()
    }
    sklearn.set_config(enable_metadata_routing=True)  # whole people in the folds of the reading
    pipelines = make_pipelines(args.encoder)
    encoders = {args.encoder: args.encoder, "untrained": None}
    with tqdm(total=args.subjects * len(TASKS) + len(encoders), unit="step") as bar:
        scores = pd.concat(score(pipelines, epochs[name], name, bar) for name in epochs)
        views = compare_views(encoders, epochs["oddball"], bar)
        bar.set_description("done")
    who = {"candidate": DARE, "rivals": CLASSICAL}
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
    gist = summarize(scores)
    table = gist.pivot(index="pipeline", columns="dataset", values="mean")
    table["seconds"] = (
        gist.groupby("pipeline")[["fit_seconds", "predict_seconds"]].mean().sum(axis=1)
    )
    print(f"\n{sentence(judge(scores, **who))}\n")
    print("Area under the ROC curve (chance 0.5) by task, and seconds per fold:\n")
    table = (
        table.loc[list(pipelines), [*epochs, "seconds"]].rename_axis(None).rename_axis(None, axis=1)
    )
    print(table.to_string(float_format="%.2f"))
    print(f"\nReport: {page}")


if __name__ == "__main__":
    main()
