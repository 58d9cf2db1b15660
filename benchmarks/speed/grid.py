"""A grid search over cached embeddings against the same grid over features computed before.

    python -m benchmarks.speed.grid

288 trials x 22 channels x 4 s; 24 candidates x 5 folds, in CPU seconds. The cached search starts
from an empty cache, so it embeds every trial once; its rival is one pass of embedding and the grid
on the result. The rival's folds are small features. "lookup" searches on the signals too, and does
the least that a cache can do: it hashes a fold in one piece and looks for its features.
"""

from __future__ import annotations

import tempfile
import time

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xxhash import xxh3_128_digest

from benchmarks.speed.measure import arguments, interleave, report, row
from dare_sklearn import DAREEmbedder, DAREPretrainer
from dare_sklearn.base import cache as _cache
from dare_sklearn.signals.electrodes import ELECTRODES

N_TRIALS, N_CHANS, SFREQ = 288, 22, 250.0
GRID = {"logisticregression__C": np.logspace(-4, 3, 24)}
SIGNALS = {"ch_names": ELECTRODES[:N_CHANS], "sfreq": SFREQ, "unit": "uV"}


# Small features make the rival fast: what the cache costs per call weighs most there.
CASES = (("nano", "mean"), ("nano", "flatten"), ("light", "mean"))


class Lookup(TransformerMixin, BaseEstimator):
    """Features of arrays by their content, and of new ones from an embedder."""

    def __init__(self, embedder: DAREEmbedder, known: dict[bytes, np.ndarray]) -> None:
        self.embedder, self.known = embedder, known

    def __sklearn_clone__(self) -> Lookup:
        return self

    def fit(self, X: np.ndarray, y: np.ndarray | None = None) -> Lookup:
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        key = xxh3_128_digest(X)
        if key not in self.known:
            self.known[key] = self.embedder.fit_transform(X)
        return self.known[key]


def rows_of(size: str, pooling: str, n_runs: int) -> list[dict]:
    rng = np.random.default_rng(0)
    X = 10 * rng.normal(size=(N_TRIALS, N_CHANS, int(4 * SFREQ))).astype(np.float32)
    y = np.arange(N_TRIALS) % 2
    X[y == 1, 8] *= 1.1
    encoder = DAREPretrainer(size, max_epochs=0, random_state=0, **SIGNALS).fit(X[:8])
    params = {"pooling": pooling, **SIGNALS}
    search = {"param_grid": GRID, "cv": 5}
    scores = {}

    def score(name, X, *steps) -> None:
        model = make_pipeline(*steps, StandardScaler(), LogisticRegression(max_iter=1000))
        scores[name] = GridSearchCV(model, **search).fit(X, y).cv_results_["mean_test_score"]

    def cached(cache) -> None:
        score("cached", X, DAREEmbedder(encoder, cache=cache, **params))

    def in_memory() -> None:
        _cache._OPEN.clear()
        cached("memory")

    def in_folder() -> None:
        _cache._OPEN.clear()
        with tempfile.TemporaryDirectory() as folder:
            cached(folder)

    def lookup() -> None:
        _cache._OPEN.clear()
        score("lookup", X, Lookup(DAREEmbedder(encoder, cache="memory", **params), {}))

    def precomputed() -> None:
        score("before", DAREEmbedder(encoder, **params).fit_transform(X))

    ways = {
        "precomputed": precomputed,
        "memory": in_memory,
        "folder": in_folder,
        "lookup": lookup,
    }
    seconds = interleave(ways, n_runs, 1, time.process_time)
    same = float(np.abs(scores["cached"] - scores["before"]).max())
    work, more = f"grid of 24 x 5, {size}, {pooling}", {"score_difference": same}
    return [
        row(f"{work}, {way}", seconds, slow=way, fast="precomputed", **more)
        for way in ("memory", "folder", "lookup")
    ]


def main() -> None:
    args = arguments(__doc__).parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    report([line for case in CASES for line in rows_of(*case, args.runs)], "grid", args.out)
    print("ratio: CPU time of the search over that of its rival")


if __name__ == "__main__":
    main()
