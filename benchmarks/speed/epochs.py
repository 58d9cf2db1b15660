"""Cross-validation on `mne.Epochs` against the same on an array, in CPU seconds.

    python -m benchmarks.speed.epochs

1,200 epochs x 22 channels x 1 s. scikit-learn cuts epochs out one by one: what that costs, and what
reading the list of them costs, are timed beside both.
"""

from __future__ import annotations

import time

import mne
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import _safe_indexing

from benchmarks.speed.measure import arguments, interleave
from dare_sklearn import DAREEmbedder
from dare_sklearn.signals.electrodes import ELECTRODES
from dare_sklearn.signals.readers import read_signals

N_EPOCHS, N_CHANS, SFREQ = 1200, 22, 250.0


def main() -> None:
    args = arguments(__doc__).parse_args()
    torch.set_num_threads(args.threads or 1)
    mne.set_log_level("error")
    rng = np.random.default_rng(0)
    X = 10 * rng.normal(size=(N_EPOCHS, N_CHANS, int(SFREQ)))
    y = np.arange(N_EPOCHS) % 2
    names = list(ELECTRODES[:N_CHANS])
    epochs = mne.EpochsArray(X * 1e-6, mne.create_info(names, SFREQ, "eeg"))
    known = {"ch_names": names, "sfreq": SFREQ, "unit": "uV"}
    rows = np.arange(N_EPOCHS)
    singles = [epochs[i] for i in rows]

    def score(embedder: DAREEmbedder, X: object) -> None:
        model = make_pipeline(embedder, LogisticRegression(max_iter=1000))
        cross_val_score(model, X, y, cv=5, error_score="raise")

    ways = {
        "cross_val_score, array": lambda: score(DAREEmbedder(pooling="mean", **known), X),
        "cross_val_score, epochs": lambda: score(DAREEmbedder(pooling="mean"), epochs),
        "scikit-learn cuts 1,200 epochs": lambda: _safe_indexing(epochs, rows),
        "reading them as a list": lambda: read_signals(singles),
        "reading them as one object": lambda: read_signals(epochs),
    }
    for name, values in interleave(ways, args.runs, 1, time.process_time).items():
        print(f"{name:32s} {np.median(values):7.3f} s")


if __name__ == "__main__":
    main()
