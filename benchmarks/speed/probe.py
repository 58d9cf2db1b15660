"""One epoch of the conv-linear probe against braindecode's trainer on braindecode's EEGPT.

    python -m benchmarks.speed.probe

288 trials x 22 channels x 4 s at 256 Hz, batch 64. EEGPT has the same width, depth, heads, patch
length (no overlap) and number of summary tokens as our nano encoder; both encoders are frozen, and
both map the channels onto 19 by a convolution with bounded weights before them.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from braindecode import EEGClassifier
from braindecode.models import EEGPT
from skorch.callbacks import Callback

from benchmarks.speed.measure import arguments, report, row
from dare_sklearn import DAREClassifier
from dare_sklearn.modules.config import get_config
from dare_sklearn.signals.electrodes import ELECTRODES

N_TRIALS, N_CHANS, N_TIMES, BATCH = 288, 22, 1024, 64


class FreezeEncoder(Callback):
    """Freeze what is not read by gradient in conv-linear probing: the encoder."""

    def on_train_begin(self, net, **kwargs) -> None:
        net.module_.target_encoder.requires_grad_(False)


def main() -> None:
    args = arguments(__doc__).parse_args()
    logging.getLogger("braindecode").setLevel("ERROR")
    if args.threads:
        torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    X = 10 * rng.normal(size=(N_TRIALS, N_CHANS, N_TIMES)).astype(np.float32)
    y = np.arange(N_TRIALS) % 2
    config = get_config("nano")
    names = ELECTRODES[:N_CHANS]
    n_epochs = args.runs + 1

    ours = DAREClassifier(
        None,
        ch_names=names,
        sfreq=256.0,
        unit="uV",
        spatial_init="spline",
        max_epochs=n_epochs,
        batch_size=BATCH,
        random_state=0,
    )
    theirs = EEGClassifier(
        EEGPT,
        module__sfreq=256.0,
        module__chs_info=[{"ch_name": name} for name in names],
        module__patch_size=config.patch_size,
        module__patch_stride=config.patch_size,
        module__embed_num=config.embed_num,
        module__embed_dim=config.embed_dim,
        module__depth=config.depth[0],
        module__num_heads=config.num_heads,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        max_epochs=1,
        batch_size=BATCH,
        train_split=None,
        callbacks=[("freeze", FreezeEncoder())],
        classes=[0, 1],
        verbose=0,
    )
    # in turns, one epoch each; the first of each warms up
    seconds: dict[str, list[float]] = {"EEGPT": [], "ours": []}
    for _ in range(n_epochs):
        theirs.partial_fit(X, y)
        seconds["EEGPT"].append(theirs.history[-1, "dur"])
        ours.set_params(max_epochs=1).fit(X, y)
        seconds["ours"].append(ours.history_["seconds"].iloc[-1])
    timed = {name: np.array(values[1:]) for name, values in seconds.items()}
    work = "conv-linear probe, one epoch of 288 x 22 x 4 s"
    report([row(work, timed, slow="EEGPT", fast="ours")], "probe", args.out)


if __name__ == "__main__":
    main()
