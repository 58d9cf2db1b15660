"""The whole library in a minute: simulate, embed, compare, report; no download.

Simulates an oddball task of several people and tells targets from other stimuli in four ways, by
cross-validation that leaves one person out at a time: with the shipped encoder, one reading of it
and all of them weighed, and with two classical pipelines. Ends with a table and a report.
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
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from dare_sklearn import DAREClassifier, DAREEmbedder, simulate_epochs
from dare_sklearn.evaluation import compare, summarize
from dare_sklearn.inspection import mask_invariance
from dare_sklearn.transformers import classical_pipelines
from dare_sklearn.viz import plot_mask_invariance, plot_scores

MONTAGE = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2 FC5 FC6 CP5 CP6".split()
METRIC = "roc_auc_ovr"  # 0.5 is chance, however rare a class is
CLASSICAL = {
    "erp": ("downsampled + LDA", "Xdawn + tangent space + LR"),
    "motor": ("band power + LR", "tangent space + LR"),
    "steady_state": ("band power + LR", "tangent space + LR"),
}


def make_pipelines(encoder: str, paradigm: str) -> dict:
    """What is compared; every pipeline takes the same mne.Epochs."""
    classical = classical_pipelines()
    return {
        "DARE embeddings + LR": make_pipeline(
            DAREEmbedder(encoder, pooling="flatten"),
            StandardScaler(),
            LogisticRegression(C=0.01, max_iter=5_000),
        ),
        "DARE, all readings weighed": DAREClassifier(encoder, adaptation="linear"),
        **{name: classical[name] for name in CLASSICAL[paradigm]},
    }


def score(pipelines: dict, epochs, paradigm: str) -> pd.DataFrame:
    """Scores of all pipelines, person by person, so that every step of the bar takes as long."""
    y, people = (epochs.metadata[name].to_numpy() for name in ("label", "subject"))
    folds = list(LeaveOneGroupOut().split(y, y, people))
    tables = []
    with tqdm(folds, unit="person") as bar:
        for number, (train, test) in enumerate(bar):
            bar.set_description(f"{people[test[0]]} left out, {len(pipelines)} pipelines")
            table = compare(
                pipelines,
                epochs,
                y,
                groups=people,
                cv=[(train, test)],
                scoring=METRIC,
                random_state=0,
                dataset=f"simulated {paradigm}",
            )
            tables.append(table.assign(fold=number))
    return pd.concat(tables, ignore_index=True)


def write_report(folder: Path, table: pd.DataFrame, scores: pd.DataFrame, views: pd.DataFrame):
    """One HTML page with the table and two figures."""
    folder.mkdir(exist_ok=True)
    plot_scores(scores, METRIC, summarize(scores)).savefig(folder / "scores.png", dpi=120)
    plot_mask_invariance(views).savefig(folder / "views.png", dpi=120)
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>dare_sklearn demo</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse}}td,th{{padding:.3rem .8rem;border-bottom:1px solid #ccc;
text-align:right}}img{{max-width:100%}}.wide{{overflow-x:auto}}</style>
<h1>dare_sklearn demo</h1>
<p>Simulated EEG; every score is the area under the ROC curve on one person whom the model has not
seen. The encoder was pretrained on other simulated people. Simulated signals show that the parts
work together; what the encoder is worth on recordings stands in its model card.</p>
<div class="wide">{table.to_html(float_format="%.3f", index=False)}</div>
<img src="scores.png" alt="Scores of each person left out, per pipeline">
<h2>Two halves of the electrodes, one embedding</h2>
<p>How alike the encoder sees two views of an epoch that share few electrodes, or none, against an
untrained encoder.</p>
<img src="views.png" alt="Cosine similarity and retrieval against the overlap of two views">
</html>"""
    (folder / "report.html").write_text(page, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paradigm", default="erp", choices=list(CLASSICAL), help="the task")
    parser.add_argument("--encoder", default="nano", help="shipped name or folder")
    parser.add_argument("--subjects", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=40, help="epochs per subject")
    parser.add_argument("--report", type=Path, default=Path("demo_report"))
    args = parser.parse_args()

    print(
        f"Simulating {args.paradigm} EEG of {args.subjects} people, {args.epochs} epochs each ..."
    )
    epochs = simulate_epochs(
        args.paradigm,
        n_subjects=args.subjects,
        n_epochs=args.epochs,
        duration=2.0,
        ch_names=MONTAGE,
        random_state=0,
    )
    scores = score(make_pipelines(args.encoder, args.paradigm), epochs, args.paradigm)
    print("Comparing views of the same epochs through different electrodes ...")
    views = pd.concat(
        mask_invariance(encoder, epochs, n_chans=8, n_draws=10, random_state=0).assign(encoder=name)
        for name, encoder in ((args.encoder, args.encoder), ("untrained", None))
    )
    columns = ["pipeline", "mean", "low", "high", "n", "fit_seconds", "predict_seconds"]
    table = summarize(scores)[columns]
    write_report(args.report, table, scores, views)
    print(f"\nSimulated {args.paradigm} EEG, {args.subjects} people, one left out at a time: area")
    print("under the ROC curve (chance 0.5) with its 95 % interval, and seconds per fold:\n")
    print(table.to_string(index=False, float_format="%.3f"))
    print(f"\nReport: {args.report / 'report.html'}")


if __name__ == "__main__":
    main()
