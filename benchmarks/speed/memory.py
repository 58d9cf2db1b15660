"""Peak memory of transform and fit on recordings that stay on disk, and on ten times as many.

    python -m benchmarks.speed.memory
    python -m benchmarks.speed.memory --linear 5000

Every case runs in a process of its own; what importing the library takes is measured apart.
`--linear` is the fit of the default reading on so many epochs of 62 electrodes by 4 s
instead.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

FILES = {"small": 2, "ten times": 20}
N_CHANS, SFREQ, N_EPOCHS = 32, 256.0, 100  # 100 epochs of 2 s in each file
WORK = ["transform", "fit of the probe", "fit of the pretrainer", "fit of the pretrainer on files"]


def write_recordings(folder: Path, n_files: int, n_chans: int, seconds: int) -> None:
    import mne
    import numpy as np

    from dare_sklearn.signals.electrodes import ELECTRODES

    info = mne.create_info(list(ELECTRODES[:n_chans]), SFREQ, "eeg")
    for number in range(n_files):
        rng = np.random.default_rng(number)
        data = rng.normal(0, 1e-5, (n_chans, N_EPOCHS, int(seconds * SFREQ)))
        data[:2, 1::2] *= 1.2  # what the second class differs in
        raw = mne.io.RawArray(data.reshape(n_chans, -1), info, verbose="error")
        raw.save(folder / f"{number:02d}_raw.fif", verbose="error")


def peak_mb(work: str, folder: Path, n_files: int, seconds: int) -> float:
    """Run one case here and tell the largest memory of this process, in megabytes."""
    import resource

    import mne
    import numpy as np

    from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer

    epochs, paths = [], sorted(folder.glob("*_raw.fif"))[:n_files]
    for path in paths:
        raw = mne.io.read_raw_fif(path, preload=False, verbose="error")
        epochs.append(
            mne.make_fixed_length_epochs(raw, duration=seconds, preload=False, verbose="error")
        )
    y = np.arange(n_files * N_EPOCHS) % 2
    if work == "linear fit":
        DAREClassifier("nano", adaptation="linear", random_state=0).fit(epochs, y)
    elif work == "transform":
        embedder = DAREEmbedder(None, pooling="mean", random_state=0).fit(epochs[:1])
        assert embedder.transform(epochs).shape == (n_files * N_EPOCHS, 64)
    elif work == "fit of the probe":
        DAREClassifier(None, spatial_init="spline", max_epochs=1, random_state=0).fit(epochs, y)
    else:
        # as many steps in both cases: the memory of a step depends on its masks, drawn at random
        n_passes = max(FILES.values()) // n_files
        params = {"max_epochs": n_passes, "window_s": 2.0, "batch_size": 64, "random_state": 0}
        if work == "fit of the pretrainer":
            DAREPretrainer(**params).fit(epochs)
        else:
            pretrainer = DAREPretrainer(robust_scale=10, **params).fit(paths)
            assert pretrainer.n_windows_ == n_files * N_EPOCHS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("speed_results"))
    parser.add_argument("--linear", type=int, metavar="EPOCHS")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        work, folder, *sizes = args.case
        print(json.dumps(peak_mb(work, Path(folder), *map(int, sizes))))
        return
    with tempfile.TemporaryDirectory() as folder:

        def measure(work: str, n_files: int, seconds: int = 2) -> float:
            command = [sys.executable, "-m", "benchmarks.speed.memory"]
            done = subprocess.run(
                [*command, "--case", work, folder, str(n_files), str(seconds)],
                capture_output=True,
                text=True,
                check=True,
            )
            return json.loads(done.stdout.splitlines()[-1])

        if args.linear:
            write_recordings(Path(folder), n_files := args.linear // N_EPOCHS, 62, 4)
            print(f"{n_files * N_EPOCHS} epochs: {measure('linear fit', n_files, 4):.0f} MB")
            return
        write_recordings(Path(folder), max(FILES.values()), N_CHANS, 2)
        rows = []
        for work in WORK:
            small, large = (measure(work, n_files) for n_files in FILES.values())
            data_mb = N_CHANS * 2 * SFREQ * N_EPOCHS * 4 / 1e6
            rows.append(
                {
                    "work": work,
                    "data_mb_float32": data_mb * FILES["small"],
                    "peak_mb": small,
                    "ten_times_mb_float32": data_mb * FILES["ten times"],
                    "peak_mb_ten_times": large,
                    "growth": large / small - 1,
                }
            )
    table = pd.DataFrame(rows)
    args.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out / "memory.csv", index=False)
    print(table.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
