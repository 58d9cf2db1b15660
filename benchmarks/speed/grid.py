"""A grid search over cached embeddings against the same grid over features computed before.

    python -m benchmarks.speed.grid

288 trials x 22 channels x 4 s; 24 candidates x 5 folds. The cached search starts from an empty
cache, so it embeds every trial once; its rival is one pass of embedding and the grid on the result.
"""

from __future__ import annotations

import tempfile

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.speed.measure import arguments, interleave, report, row
from dare_sklearn import DAREEmbedder, DAREPretrainer
from dare_sklearn.base import cache as _cache
from dare_sklearn.signals.electrodes import ELECTRODES

N_TRIALS, N_CHANS, SFREQ = 288, 22, 250.0
GRID = {"logisticregression__C": np.logspace(-4, 3, 24)}
SIGNALS = {"ch_names": ELECTRODES[:N_CHANS], "sfreq": SFREQ, "unit": "uV"}


# Small features make the rival fast: what the cache costs per call weighs most there.
CASES = (("nano", "mean"), ("nano", "flatten"), ("light", "mean"))


def rows_of(size: str, pooling: str, n_runs: int) -> list[dict]:
    rng = np.random.default_rng(0)
    X = 10 * rng.normal(size=(N_TRIALS, N_CHANS, int(4 * SFREQ))).astype(np.float32)
    y = np.arange(N_TRIALS) % 2
    X[y == 1, 8] *= 1.1
    encoder = DAREPretrainer(size, max_epochs=0, random_state=0, **SIGNALS).fit(X[:8])
    params = {"pooling": pooling, **SIGNALS}
    search = {"param_grid": GRID, "cv": 5}
    scores = {}

    def cached(cache) -> None:
        embedder = DAREEmbedder(encoder, cache=cache, **params)
        model = make_pipeline(embedder, StandardScaler(), LogisticRegression(max_iter=1000))
        scores["cached"] = GridSearchCV(model, **search).fit(X, y).cv_results_["mean_test_score"]

    def in_memory() -> None:
        _cache._OPEN.clear()
        cached("memory")

    def in_folder() -> None:
        _cache._OPEN.clear()
        with tempfile.TemporaryDirectory() as folder:
            cached(folder)

    def precomputed() -> None:
        Z = DAREEmbedder(encoder, **params).fit_transform(X)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        scores["before"] = GridSearchCV(model, **search).fit(Z, y).cv_results_["mean_test_score"]

    ways = {"precomputed": precomputed, "memory": in_memory, "folder": in_folder}
    seconds = interleave(ways, n_runs, 1)
    same = float(np.abs(scores["cached"] - scores["before"]).max())
    return [
        {
            **row(
                f"grid of 24 x 5, {size}, {pooling}, cache={way}",
                seconds,
                slow=way,
                fast="precomputed",
                goal=1.3,
            ),
            "score_difference": same,
        }
        for way in ("memory", "folder")
    ]


def main() -> None:
    args = arguments(__doc__).parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    report([line for case in CASES for line in rows_of(*case, args.runs)], "grid", args.out)
    print("ratio: time of the cached search over that of its rival; the goal is at most 1.3")


if __name__ == "__main__":
    main()
