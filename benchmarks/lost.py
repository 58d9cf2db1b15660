"""Lost electrodes of linear readings: interpolated, as they are, or left out.

    python -m benchmarks.lost FOLDER hands_feet stimulus

Left out: what is of a lost electrode stands at its training mean, so that a linear reading does not
see it. Covariances mix electrodes and are interpolated in both. Five draws in every fold.
"""

from __future__ import annotations

import sys
import warnings
from itertools import product
from pathlib import Path

import mne
import numpy as np
import pandas as pd

from benchmarks.tasks import TASKS
from dare_sklearn import DAREClassifier
from dare_sklearn.base.embed import embed_each
from dare_sklearn.evaluation import lost_electrodes
from dare_sklearn.evaluation.statistics import mean_interval, observations

READINGS = {
    "default": {},
    "electrodes, flatten": {"views": "electrodes", "pooling": "flatten", "C": 1e-3},
    "electrodes, power": {"views": "electrodes", "pooling": "power", "C": 1e-2},
}


class LeftOut(DAREClassifier):
    """A linear reading that does not see lost electrodes."""

    def _say(self, X, method: str) -> np.ndarray:
        with self._asking():
            windows = self._load(X)
        model = getattr(self.linear_, method)
        left = windows.electrodes
        lost = [name not in left for name in self.electrodes_]

        def without(features: np.ndarray, means: np.ndarray) -> np.ndarray:
            features = features.reshape(len(features), len(lost), -1).copy()
            features[:, lost] = means.reshape(len(lost), -1)[lost]
            return features.reshape(len(features), -1)

        def say(_: slice, rows: np.ndarray) -> np.ndarray:
            if self.pooling != "auto":
                return model(without(rows.astype(np.float64), self.linear_[0].mean_))
            blocks = self.space_.transform(rows)
            for name in ("electrodes", "power", "evoked"):
                blocks[name] = without(blocks[name], self.linear_.scaling_[name][0])
            return model(blocks)

        return np.concatenate(embed_each(self, windows, say))


def main() -> None:
    mne.set_log_level("error")
    warnings.filterwarnings("ignore", category=UserWarning)  # channels are meant to be missing
    rows = []
    for name, (reading, params) in product(sys.argv[2:], READINGS.items()):
        task = TASKS[name](Path(sys.argv[1]))
        given = {"adaptation": "linear", "cache": "memory", "random_state": 0, **params}
        ways = {"interpolated": DAREClassifier(**given), "left out": LeftOut(**given)}
        table = lost_electrodes(
            ways, task.epochs, task.y, (0.0, 0.25, 0.5), n_draws=5, groups=task.groups,
            cv=task.cv, scoring={task.scoring: task.scoring}, dataset=task.name, random_state=0,
        )  # fmt: skip
        for share, its in table.groupby("share"):
            scores, _, ratio = observations(its, task.scoring)
            gain = scores["left out"] - scores["interpolated"]
            interval = np.round(mean_interval(gain, ratio), 3)
            rows.append([name, reading, share, *scores.mean(), gain.mean(), interval])
    columns = ["task", "reading", "lost", *scores.columns, "gain", "interval"]
    print(pd.DataFrame(rows, columns=columns).to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
