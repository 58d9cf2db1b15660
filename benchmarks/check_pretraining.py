"""Does pretraining raise what frozen embeddings carry? Pretrain nano on simulated EEG and see.

Run: python benchmarks/check_pretraining.py --data FOLDER [--steps 2000] [--out FOLDER]

FOLDER holds the UCI recordings (uci_eeg/uci_eeg-epo.fif), which the pretraining never sees.
Prints, for the same encoder untrained and pretrained: accuracy of telling 10 people apart from
flattened frozen embeddings (logistic regression, 5 folds), and retrieval@1 between two views of a
trial that share no channel (all patches visible, 12 channels each, 256 trials, 20 draws).
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dare_sklearn import DAREEmbedder, DAREPretrainer, simulate_epochs
from dare_sklearn.signals.readers import read_signals
from dare_sklearn.transformers._grid import to_grid

N_DRAWS, N_TRIALS, N_CHANS = 20, 256, 12


def simulated_corpus(
    n_subjects: int, n_epochs: int, duration: float, seed: int
) -> list[mne.Epochs]:
    """Epochs of three paradigms, other people in each."""
    shape = {"n_subjects": n_subjects, "n_epochs": n_epochs, "duration": duration}
    return [
        simulate_epochs(paradigm, **shape, random_state=seed + i)
        for i, paradigm in enumerate(("motor", "erp", "steady_state"))
    ]


def person_accuracy(encoder, epochs: mne.Epochs) -> np.ndarray:
    """Accuracy per fold of telling people apart."""
    model = make_pipeline(
        DAREEmbedder(encoder, pooling="flatten", random_state=0),
        StandardScaler(),
        LogisticRegression(max_iter=5_000),
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return cross_val_score(model, epochs, epochs.metadata["subject"].to_numpy(), cv=folds)


@torch.inference_mode()
def retrieval(encoder, epochs: mne.Epochs, seed: int = 0) -> np.ndarray:
    """Share of trials, per draw, whose nearest second view is their own."""
    data, index = to_grid(
        read_signals(epochs), encoder.config, unknown="drop", owner="check_pretraining"
    )
    rng = np.random.default_rng(seed)
    shares = []
    for _ in range(N_DRAWS):
        trials = rng.choice(len(data), N_TRIALS, replace=False)
        drawn = rng.permutation(len(index))
        views = []
        for chosen in (drawn[:N_CHANS], drawn[N_CHANS : 2 * N_CHANS]):
            x = torch.from_numpy(data[trials][:, chosen])
            tokens = encoder(encoder.normalize(x), torch.from_numpy(index[chosen]))
            views.append(torch.nn.functional.normalize(tokens.mean(1).flatten(1), dim=-1))
        nearest = (views[0] @ views[1].T).argmax(dim=1)
        shares.append(float((nearest == torch.arange(N_TRIALS)).float().mean()))
    return np.array(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--subjects", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=25, help="simulated epochs per subject")
    parser.add_argument("--mask-alignment", type=float, default=0.1)
    parser.add_argument("--duration", type=float, default=2.0, help="seconds per simulated epoch")
    parser.add_argument("--window", type=float, default=1.0, help="seconds")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to save the pretrained model")
    args = parser.parse_args()

    corpus = simulated_corpus(args.subjects, args.epochs, args.duration, args.seed)
    n_windows = sum(len(part) for part in corpus) * max(1, int(args.duration // args.window))
    steps_per_epoch = -(-n_windows // args.batch_size)
    pretrainer = DAREPretrainer(
        "nano",
        max_epochs=max(1, round(args.steps / steps_per_epoch)),
        batch_size=args.batch_size,
        window_s=args.window,
        lr=args.lr,
        mask_alignment=args.mask_alignment,
        random_state=args.seed,
        verbose=1,
    ).fit(corpus)
    print(pretrainer.history_.to_string(index=False, float_format="%.4f"))
    if args.out is not None:
        pretrainer.save_pretrained(args.out)

    warnings.filterwarnings("ignore", message="DAREEmbedder")
    epochs = mne.read_epochs(args.data / "uci_eeg" / "uci_eeg-epo.fif", verbose="error")
    rows = []
    for name, encoder in {"untrained": None, "pretrained": pretrainer}.items():
        accuracy = person_accuracy(encoder, epochs)
        frozen = DAREEmbedder(encoder, random_state=0).fit(epochs).encoder_
        found = retrieval(frozen, epochs)
        rows.append([name, accuracy.mean(), accuracy.std(), found.mean(), found.std(), found.min()])
    columns = ["encoder", "person", "± folds", "retrieval@1", "± draws", "worst draw"]
    print(pd.DataFrame(rows, columns=columns).to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
