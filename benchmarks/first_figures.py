"""DARE beside the classical figure on three real tasks, with the spread over folds.

Run: python benchmarks/first_figures.py --data FOLDER [--encoder FOLDER] [--epochs 100] [--seed 0]

FOLDER holds eegbci/, uci_eeg/ and muse/. The encoder (a folder of save_pretrained; without it an
untrained one) must not have seen these recordings. Tasks: hands against feet imagery of one person
(EEGBCI runs 6, 10, 14; 7 to 30 Hz, 1 to 2 s; ten shuffle splits), first against second stimulus
(UCI, leave one of ten people out, balanced accuracy), visual P300 (Muse, person 1, five folds over
recordings, ROC AUC).
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from mne.decoding import CSP
from pyriemann.estimation import XdawnCovariances
from pyriemann.tangentspace import TangentSpace
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from dare_sklearn import DAREClassifier


def as_array(epochs) -> np.ndarray:
    """Microvolts of Epochs, or of the list of one-epoch Epochs that a splitter makes."""
    parts = epochs if isinstance(epochs, list) else [epochs]
    return np.concatenate([part.get_data(picks="eeg", units="uV") for part in parts])


def xdawn_tangent():
    return make_pipeline(
        FunctionTransformer(as_array),
        XdawnCovariances(2, estimator="oas"),
        TangentSpace(),
        LogisticRegression(max_iter=5_000),
    )


def hands_feet(data: Path) -> dict:
    raws = [
        mne.io.read_raw_edf(data / "eegbci" / f"S001R{run:02d}.edf", preload=True)
        for run in (6, 10, 14)
    ]
    raw = mne.concatenate_raws(raws)
    mne.datasets.eegbci.standardize(raw)
    raw.set_montage("colin27_1005").filter(7.0, 30.0)
    events, _ = mne.events_from_annotations(raw, event_id={"T1": 0, "T2": 1})
    epochs = mne.Epochs(
        raw, events, {"hands": 0, "feet": 1}, tmin=-1, tmax=4, baseline=None, preload=True
    ).crop(1.0, 2.0)
    return {
        "X": epochs,
        "y": epochs.events[:, 2],
        "groups": None,
        "cv": ShuffleSplit(10, test_size=0.2, random_state=42),
        "scoring": "accuracy",
        "classical": make_pipeline(
            FunctionTransformer(as_array), CSP(4), LinearDiscriminantAnalysis()
        ),
    }


def stimulus(data: Path) -> dict:
    epochs = mne.read_epochs(data / "uci_eeg" / "uci_eeg-epo.fif")
    return {
        "X": epochs,
        "y": (epochs.metadata["condition"] == "S1 obj").to_numpy().astype(int),
        "groups": epochs.metadata["subject"].to_numpy(),
        "cv": LeaveOneGroupOut(),
        "scoring": "balanced_accuracy",
        "classical": xdawn_tangent(),
    }


def p300(data: Path) -> dict:
    parts, groups = [], []
    for number, file in enumerate(sorted((data / "muse").glob("visual-P300_sub-1*_raw.fif"))):
        raw = mne.io.read_raw_fif(file, preload=True).filter(1.0, 30.0, picks="eeg")
        events = mne.find_events(raw, shortest_event=1, consecutive=True)
        epochs = mne.Epochs(
            raw,
            events,
            {"other": 1, "target": 2},
            tmin=-0.1,
            tmax=0.9,
            baseline=None,
            reject={"eeg": 100e-6},
            preload=True,
        )
        parts.append(epochs)
        groups += [number] * len(epochs)
    epochs = mne.concatenate_epochs(parts)
    return {
        "X": epochs,
        "y": (epochs.events[:, 2] == 2).astype(int),
        "groups": np.array(groups),
        "cv": GroupKFold(5),
        "scoring": "roc_auc",
        "classical": xdawn_tangent(),
    }


TASKS = {
    "hands or feet (EEGBCI)": hands_feet,
    "stimulus 1 or 2 (UCI)": stimulus,
    "P300 (Muse)": p300,
}


def probes(encoder, args) -> dict:
    shared = {"max_epochs": args.epochs, "lr": args.lr, "random_state": args.seed}
    return {
        "DARE conv-linear": DAREClassifier(encoder, **shared),
        "DARE conv-linear, temporal": DAREClassifier(encoder, temporal_kernel=15, **shared),
        "DARE linear": DAREClassifier(encoder, adaptation="linear", C=0.01),
        "DARE finetune": DAREClassifier(encoder, adaptation="finetune", **shared),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", help="folder of save_pretrained; default: untrained")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--lr", type=float, help="default: that of DAREClassifier")
    parser.add_argument("--models", nargs="*", help="words in the names of the models to run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    args = parser.parse_args()
    mne.set_log_level("error")
    warnings.filterwarnings("ignore", category=UserWarning, module="dare_sklearn")
    rows = []
    for task in args.tasks:
        setup = TASKS[task](args.data)
        models = {"classical": setup.pop("classical"), **probes(args.encoder, args)}
        for name, model in models.items():
            if args.models and not any(word in name for word in args.models):
                continue
            start = time.perf_counter()
            scores = cross_val_score(
                model,
                setup["X"],
                setup["y"],
                groups=setup["groups"],
                cv=setup["cv"],
                scoring=setup["scoring"],
                error_score="raise",
            )
            spent = time.perf_counter() - start
            rows.append([task, name, setup["scoring"], scores.mean(), scores.std(ddof=1), spent])
            print(f"{task}: {name} {scores.mean():.3f} ± {scores.std(ddof=1):.3f}", flush=True)
    columns = ["task", "model", "score", "mean", "std over folds", "seconds"]
    print(pd.DataFrame(rows, columns=columns).to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
