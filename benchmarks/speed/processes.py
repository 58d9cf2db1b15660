"""What a second process saves, in seconds of wall time on idle cores.

    python -m benchmarks.speed.processes

Pretraining: passes over 512 windows of 58 channels x 4 s with 64 windows a step, by one process
with one thread, one with two, and two with one thread and 32 windows each (torchrun, gloo): the
median of the later passes. Cross-validation: five folds of the default reading by `cross_val_score`
in this process and with ``n_jobs=2``, in which each worker first loads the libraries. Efficiency is
the share of twofold speed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

PASSES = """
import sys
import numpy as np, torch
from dare_sklearn import DAREPretrainer
from dare_sklearn.signals.electrodes import ELECTRODES

size, n_threads, batch_size, n_passes, file = sys.argv[1:]
torch.set_num_threads(int(n_threads))
X = 10 * np.random.default_rng(0).standard_normal((512, 58, 1024), np.float32)
pretrainer = DAREPretrainer(
    size, ch_names=ELECTRODES[:58], sfreq=256, unit="uV", batch_size=int(batch_size),
    max_epochs=int(n_passes), random_state=0, device="cpu",
)
pretrainer.fit(X)
pretrainer.history_.to_csv(file)
"""
WAYS = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes": (2, 1)}
SFREQ, N_CHANS = 256, 22


def seconds_of_a_pass(size: str, n_processes: int, n_threads: int, n_passes: int) -> float:
    """The median of all passes but the first."""
    with tempfile.TemporaryDirectory() as folder:
        script, history = Path(folder) / "passes.py", Path(folder) / "history.csv"
        script.write_text(PASSES)
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        subprocess.run(
            [
                sys.executable, *(launcher if n_processes == 2 else []), str(script), size,
                str(n_threads), str(64 // n_processes), str(n_passes), str(history),
            ],
            env={**os.environ, "OMP_NUM_THREADS": str(n_threads), "ACCELERATE_USE_CPU": "true"},
            check=True, capture_output=True,
        )  # fmt: skip
        return float(pd.read_csv(history)["seconds"].iloc[1:].median())


def cross_validation(n_epochs: int) -> dict[str, float]:
    """Seconds with one and with two processes, each from its start."""
    from sklearn.model_selection import cross_val_score

    from dare_sklearn import DAREClassifier
    from dare_sklearn.signals.electrodes import ELECTRODES

    X = 10 * np.random.default_rng(0).standard_normal((n_epochs, N_CHANS, 4 * SFREQ), np.float32)
    y = np.arange(n_epochs) % 2
    names = list(ELECTRODES[:N_CHANS])
    model = DAREClassifier(adaptation="linear", ch_names=names, sfreq=SFREQ, unit="uV")
    cross_val_score(model, X[:20], y[:20], cv=2)  # what this process loads
    found = {}
    for name, n_jobs in {"1 process": 1, "2 processes": 2}.items():
        start = time.perf_counter()
        cross_val_score(model, X, y, cv=5, n_jobs=n_jobs)
        found[name] = time.perf_counter() - start
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", default=["nano", "light"])
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--epochs", nargs="*", type=int, default=[100, 300, 1000, 3000])
    args = parser.parse_args()
    for size in args.sizes:
        took = {name: seconds_of_a_pass(size, *way, args.passes) for name, way in WAYS.items()}
        first = took["1 process, 1 thread"]
        for name, seconds in took.items():
            share = (
                f", efficiency {first / seconds / 2:.2f}" if name != "1 process, 1 thread" else ""
            )
            print(f"pretraining {size}, {name}: {seconds:.2f} s{share}", flush=True)
    for n_epochs in args.epochs:
        took = cross_validation(n_epochs)
        efficiency = took["1 process"] / took["2 processes"] / 2
        seconds = ", ".join(f"{name} {value:.1f} s" for name, value in took.items())
        print(
            f"five folds of {n_epochs} epochs: {seconds}, efficiency {efficiency:.2f}", flush=True
        )


if __name__ == "__main__":
    main()
