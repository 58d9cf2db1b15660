"""How CPU seconds and peak memory grow with the epochs, the electrodes and the length of an epoch.

    python -m benchmarks.speed.growth --out speed_results
    python -m benchmarks.speed.growth --figure speed_results/growth.csv docs/_static/growth.png

Embedding (joint, mean over patches), the fit of the default reading and the conv-linear
probe with its default start, all with nano, one thread, float32 arrays at 256 Hz in memory. One
axis varies at a time, from small to large; a point runs in a process of its own. A point is left
out where its input exceeds `MOST_GB`, or where the point before it says that it would take longer
than `--longest` seconds. Memory is the peak above that of the process with its input.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

BASE = {"epochs": 1000, "electrodes": 22, "seconds": 4}
AXES = {
    "epochs": (100, 300, 1000, 3000, 10_000, 30_000, 100_000),
    "electrodes": (4, 8, 22, 62),
    "seconds": (1, 2, 4, 10, 30),
}
WORK = ("embedding", "linear fit", "probe fit")
LABELS = {"embedding": "embedding", "linear fit": "linear fit", "probe fit": "conv-linear fit"}
SFREQ, MOST_GB = 256, 10.0


def measure(work: str, n_epochs: int, n_chans: int, seconds: int) -> dict[str, float]:
    """CPU seconds, and megabytes above the input, of one point in this process."""
    import resource
    import time

    import numpy as np
    import torch

    from dare_sklearn import DAREClassifier, DAREEmbedder
    from dare_sklearn.signals.electrodes import ELECTRODES

    torch.set_num_threads(1)
    # spread over the head, whatever their number
    names = [ELECTRODES[i] for i in np.linspace(0, 61, n_chans).astype(int)]
    given = {"ch_names": names, "sfreq": SFREQ, "unit": "uV"}
    model = {
        "embedding": DAREEmbedder("nano", pooling="mean", **given),
        "linear fit": DAREClassifier("nano", adaptation="linear", **given),
        "probe fit": DAREClassifier("nano", random_state=0, **given),
    }[work]
    rng = np.random.default_rng(0)
    few = 10 * rng.standard_normal((32, n_chans, seconds * SFREQ), np.float32)
    model.fit(few, np.arange(32) % 2)  # imports, weights
    X = rng.standard_normal((n_epochs, n_chans, seconds * SFREQ), np.float32)
    X *= 10
    y = np.arange(n_epochs) % 2
    X[1::2, 0] *= 1.2  # what the second class differs in
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    if work == "embedding":
        model.transform(X)
    else:
        model.fit(X, y)
    took = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"cpu_s": took, "mb": (peak - before) / 1000}


def points(longest: float, works: list[str], axes: list[str]) -> list[dict]:
    """All points that fit, each measured in a process of its own."""
    rows: list[dict] = []
    for work in works:
        known: dict[tuple, dict] = {}
        for axis in axes:
            before = None
            for value in AXES[axis]:
                sizes = {**BASE, axis: value}
                key = tuple(sizes.values())
                gb = 4 * SFREQ * sizes["epochs"] * sizes["electrodes"] * sizes["seconds"] / 1e9
                slow = before and before["cpu_s"] * value / before[axis] > longest
                if gb > MOST_GB or slow:
                    break
                if key not in known:
                    command = [sys.executable, "-m", "benchmarks.speed.growth", "--point", work]
                    done = subprocess.run(
                        [*command, *map(str, key)], capture_output=True, text=True, check=False
                    )
                    if done.returncode:
                        print(f"{work} {sizes}: {done.stderr.strip().splitlines()[-1:]}")
                        break
                    known[key] = json.loads(done.stdout.splitlines()[-1])
                before = {"work": work, "axis": axis, **sizes, "input_gb": gb, **known[key]}
                rows.append(before)
                print(before, flush=True)
    return rows


def draw(table: pd.DataFrame, file: Path) -> None:
    """Seconds and memory over each axis, both on logarithmic scales."""
    import matplotlib.pyplot as plt

    figure, places = plt.subplots(2, len(AXES), figsize=(10, 5.6), sharey="row", sharex="col")
    axis_names = {"epochs": "epochs", "electrodes": "electrodes", "seconds": "seconds of an epoch"}
    for column, axis in enumerate(AXES):
        for row, (name, label) in enumerate({"cpu_s": "CPU s", "mb": "MB above input"}.items()):
            place = places[row, column]
            for work in WORK:
                its = table[(table["axis"] == axis) & (table["work"] == work)]
                place.loglog(its[axis], its[name], "o-", ms=4, label=LABELS[work])
            place.grid(alpha=0.3)
            if not column:
                place.set_ylabel(label)
            if row:
                place.set_xlabel(axis_names[axis])
                there = [value for value in AXES[axis] if value in set(table[axis])]
                ticks = there[:: 2 if axis == "epochs" else 1]
                place.set_xticks(ticks, [f"{value:,}" for value in ticks])
                place.set_xticks([], minor=True)
    places[0, 0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(file, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("speed_results"))
    parser.add_argument("--longest", type=float, default=150.0, help="CPU seconds of a point")
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--axes", nargs="+", choices=list(AXES), default=list(AXES))
    parser.add_argument("--figure", nargs=2, type=Path, metavar=("CSV", "FILE"))
    parser.add_argument("--point", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        print(json.dumps(measure(args.point[0], *map(int, args.point[1:]))))
    elif args.figure:
        draw(pd.read_csv(args.figure[0]), args.figure[1])
    else:
        args.out.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame(points(args.longest, args.work, args.axes))
        table.to_csv(args.out / "growth.csv", index=False)


if __name__ == "__main__":
    main()
