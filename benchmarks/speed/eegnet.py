"""A conv-linear fit against EEGNet trained until it says as much of the same validation epochs.

    python -m benchmarks.speed.eegnet

500 simulated motor-imagery epochs x 22 electrodes x 4 s of four people to learn from, 300 later
ones of the same people to be told. EEGNet (braindecode's, AdamW, batch 32) learns epoch by epoch
until its balanced accuracy reaches that of the conv-linear fit, or for `--passes` passes. CPU
seconds of one thread; the validation of EEGNet does not count.
"""

from __future__ import annotations

import time

import mne
import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score

from benchmarks.speed.measure import arguments
from dare_sklearn import DAREClassifier, simulate_epochs
from dare_sklearn.evaluation import BraindecodeClassifier

SFREQ, N_TRAIN, N_PEOPLE, N_EACH = 256.0, 500, 4, 200
NAMES = tuple(
    "FZ FC3 FC1 FCZ FC2 FC4 C5 C3 C1 CZ C2 C4 C6 CP3 CP1 CPZ CP2 CP4 P1 PZ P2 POZ".split()
)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--passes", type=int, default=100, help="most passes of EEGNet")
    parser.add_argument("--effect", type=float, default=1.0, help="of the classes")
    args = parser.parse_args()
    torch.set_num_threads(args.threads or 1)
    mne.set_log_level("error")
    epochs = simulate_epochs(
        n_subjects=N_PEOPLE,
        n_epochs=N_EACH,
        duration=4.0,
        sfreq=SFREQ,
        ch_names=NAMES,
        effect=args.effect,
        random_state=0,
    )
    X = epochs.get_data(units="uV").astype(np.float32)
    y = epochs.events[:, 2]
    trial = np.tile(np.arange(N_EACH), N_PEOPLE)  # of its person
    train = trial < N_TRAIN // N_PEOPLE

    ours = DAREClassifier(ch_names=NAMES, sfreq=SFREQ, unit="uV", random_state=0)
    ours.fit(X[:32], y[:32])  # imports, weights
    start = time.process_time()
    ours.fit(X[train], y[train])
    took = time.process_time() - start
    reached = balanced_accuracy_score(y[~train], ours.predict(X[~train]))
    print(f"conv-linear  {took:7.1f} s  balanced accuracy {reached:.3f}")

    rival = BraindecodeClassifier(max_epochs=1, random_state=0)
    targets = np.unique(y[train], return_inverse=True)[1]
    took, best = 0.0, 0.0
    for n_passes in range(1, args.passes + 1):
        start = time.process_time()
        if n_passes == 1:
            rival.fit(X[train], y[train])
        else:
            rival.net_.partial_fit(X[train] / rival.scale_, targets)
        took += time.process_time() - start
        best = max(best, balanced_accuracy_score(y[~train], rival.predict(X[~train])))
        if best >= reached:
            break
    print(f"EEGNet       {took:7.1f} s  balanced accuracy {best:.3f}, {n_passes} passes")


if __name__ == "__main__":
    main()
