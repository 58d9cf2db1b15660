"""Trained on one montage and rate, used on another: DARE as it is, and after interpolation.

Run: python -m benchmarks.portability --data FOLDER --out FOLDER --cells FOLDER [--tasks ...]

Every pipeline is trained on the 19 electrodes of the 10-20 system at the rate of the recording, and
predicts test epochs of all 19, of 8 and of 4 electrodes, at that rate and at half of it. DARE's
estimators take the electrodes that are there. For the others, and for DARE once more, those that
are missing are interpolated by spherical splines. Epochs at half the rate are brought back to the
rate of the training, since every pipeline refuses another one: what lies above the lower Nyquist
frequency is lost. "own" is the same pipeline trained on the small montage itself.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pandas as pd
import sklearn
from sklearn.metrics import get_scorer

from benchmarks.evidence.rows import pipelines_of
from benchmarks.tasks import TASKS, Task
from dare_sklearn import DAREClassifier
from dare_sklearn.evaluation import compare, summarize
from dare_sklearn.evaluation.curves import interpolated
from dare_sklearn.signals.electrodes import TEN_TWENTY, electrode_name

MONTAGES = {  # of which the smaller ones lie within the larger
    19: TEN_TWENTY,
    8: ("FP1", "FP2", "C3", "C4", "P7", "P8", "O1", "O2"),
    4: ("C3", "C4", "O1", "O2"),
}


def picked(epochs: mne.BaseEpochs, electrodes: tuple[str, ...]) -> mne.BaseEpochs:
    """A copy with these electrodes, by any of their names."""
    names = {electrode_name(name): name for name in epochs.ch_names}
    return epochs.copy().pick([names[electrode] for electrode in electrodes])


class Ported:
    """A metric of what a fitted pipeline predicts of another montage, or at another rate."""

    def __init__(self, scoring: str, size: int, half_rate: bool, filled: bool) -> None:
        self.scorer, self.size = get_scorer(scoring), size
        self.half_rate, self.filled = half_rate, filled

    def __call__(self, estimator: Any, X: mne.BaseEpochs, y: np.ndarray) -> float:
        X = X.copy().load_data()
        if self.half_rate:
            rate = X.info["sfreq"]
            X.resample(rate / 2).resample(rate)
        here = picked(X, MONTAGES[self.size])
        lost = [name for name in X.ch_names if name not in here.ch_names]
        if self.filled and lost:
            here = interpolated(X, lost)
        return self.scorer(estimator, here, y)


def measured(task: Task, cells: Path) -> pd.DataFrame:
    """Folds of one task in every montage and rate."""
    encoders = {"nano": "nano", "untrained": None}
    dare, _ = pipelines_of(task, encoders, ("default", "probe"))
    dare["joint, nano"] = DAREClassifier(
        "nano", adaptation="linear", views="joint", pooling="flatten", random_state=0
    )
    classical = dict(list(pipelines_of(task, encoders, ("classical",))[0].items())[:3])
    options: dict[str, Any] = {
        "groups": task.groups, "cv": task.cv, "random_state": 0, "dataset": task.name,
        "cache_dir": cells,
    }  # fmt: skip
    whole = picked(task.epochs, TEN_TWENTY)
    which = ["dataset", "pipeline", "fold", "subject", "n_subjects", "n_train", "n_test"]
    parts = []
    for pipelines, ways in ((dare, ("as it is", "interpolated")), (classical, ("interpolated",))):
        names = {
            f"{size} {half} {how}": (size, half, how)
            for size in MONTAGES for half in (False, True) for how in ways
        }  # fmt: skip
        scoring = {
            name: Ported(task.scoring, size, half, how == "interpolated")
            for name, (size, half, how) in names.items()
        }
        table = compare(pipelines, whole, task.y, scoring=scoring, **options)
        for name, (size, half, how) in names.items():
            part = table[[*which, name]].rename(columns={name: "score"})
            parts.append(part.assign(electrodes=size, half_rate=half, how=how))
    for size in (8, 4):
        own = compare(
            dare | classical, picked(task.epochs, MONTAGES[size]), task.y,
            scoring={"score": task.scoring}, **options,
        )[[*which, "score"]]  # fmt: skip
        parts.append(own.assign(electrodes=size, half_rate=False, how="own"))
    return pd.concat(parts, ignore_index=True).rename(columns={"score": task.scoring})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True)
    tasks = ["hands_feet", "stimulus", "arithmetic"]
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=tasks)
    args = parser.parse_args()
    mne.set_log_level("error")
    warnings.filterwarnings("ignore", category=UserWarning)  # channels that are missing are meant
    sklearn.set_config(enable_metadata_routing=True)  # whole people in the folds of the reading
    args.out.mkdir(parents=True, exist_ok=True)
    table = pd.concat([measured(TASKS[name](args.data), args.cells) for name in args.tasks])
    table.to_csv(args.out / "portability.csv", index=False, float_format="%.4f")
    ways = ["electrodes", "half_rate", "how"]
    parts = [
        summarize(part).assign(**dict(zip(ways, way, strict=True)))
        for way, part in table.groupby(ways, sort=False)
    ]
    summary = pd.concat(parts, ignore_index=True)
    summary.to_csv(args.out / "summary.csv", index=False, float_format="%.4f")
    wide = summary.pivot_table(
        index=["dataset", "pipeline"], columns=ways, values="mean", sort=False
    )
    print(wide.to_string(float_format="%.2f"))


if __name__ == "__main__":
    main()
