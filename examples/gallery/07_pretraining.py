"""
Pretraining on your own recordings
==================================

:class:`~dare_sklearn.DAREPretrainer` learns an encoder from signals without labels. This
page takes ten minutes of simulated recordings, and half a minute: enough to see the loss terms at
work, far too little for a good encoder.
"""

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dare_sklearn import DAREEmbedder, DAREPretrainer, simulate_epochs
from dare_sklearn.evaluation import compare, summarize
from dare_sklearn.inspection import mask_invariance
from dare_sklearn.viz import plot_losses, plot_mask_invariance, plot_scores

MONTAGE = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()

# %%
# Your recordings may be a folder of EDF, BDF, FIF or SET files (``fit("folder")``), a list of
# `mne.io.Raw` that are not loaded, epochs, or braindecode data sets, also of different montages.
recordings = simulate_epochs(
    "erp", n_subjects=10, n_epochs=60, duration=1.0, ch_names=MONTAGE, random_state=10
)
pretrainer = DAREPretrainer("nano", max_epochs=10, batch_size=64, random_state=0)
pretrainer.fit(recordings)
pretrainer.history_.iloc[[0, -1]].round(3)

# %%
# The loss terms. *Reconstruction*: predict the hidden channels from the visible ones (a flat line
# scores 1.0). *Anchor alignment*: predict what the momentum encoder makes of the complete
# signal. *Mask alignment*: find the other view of the same window among all windows of the batch
# (chance is the logarithm of their number). The *activation penalty* keeps embeddings small. A
# falling total does not mean that the encoder has become useful; the next two figures ask that.
plot_losses(pretrainer)

# %%
# Do two views of an epoch with different electrodes get the same embedding? The new encoder is
# compared with the one that comes with the library, and with an untrained one, on people whom no
# encoder has seen.
others = simulate_epochs("erp", n_subjects=4, n_epochs=64, ch_names=MONTAGE, random_state=20)
encoders = {"this one": pretrainer, "nano (shipped)": "nano", "untrained": None}
views = pd.concat(
    mask_invariance(
        encoder, others, overlaps=(0.0, 0.4, 0.8), n_chans=8, n_draws=5, random_state=0
    ).assign(encoder=name)
    for name, encoder in encoders.items()
)
plot_mask_invariance(views)

# %%
# And does it help? Labels of the new people, by logistic regression on frozen embeddings.
y, subject = others.metadata["label"].to_numpy(), others.metadata["subject"].to_numpy()
scores = compare(
    {
        name: make_pipeline(
            DAREEmbedder(encoder, pooling="flatten", cache="memory"),
            StandardScaler(),
            LogisticRegression(C=0.01, max_iter=5_000),
        )
        for name, encoder in encoders.items()
    },
    others,
    y,
    groups=subject,
    cv=LeaveOneGroupOut(),
    scoring="roc_auc",
    random_state=0,
    dataset="targets of new people",
)
plot_scores(scores, "roc_auc", summarize(scores), chance=0.5)

# %%
# Check that "this one" is above "untrained" before you trust a pretraining; after so short a run it
# need not be. The paper takes 200 passes through its recordings, in batches of 216 windows.
summarize(scores)[["pipeline", "mean", "low", "high"]].round(3)

# %%
# A fitted pretrainer is an encoder for all other estimators (``encoder=pretrainer``), and a folder
# after ``pretrainer.save_pretrained("encoders/mine")``, from which ``encoder="encoders/mine"``
# reads it.
#
# On a public data set
# --------------------
# Resting EEG of EEGBCI (PhysioNet). Files stay on disk and are read window by window:
#
# .. code-block:: python
#
#     import mne
#     from mne.datasets import eegbci
#
#     files = eegbci.load_data(subjects=list(range(1, 21)), runs=[1, 2])
#     recordings = [mne.io.read_raw(file) for file in files]
#     for raw in recordings:
#         eegbci.standardize(raw)
#     DAREPretrainer("nano", n_workers=2, checkpoint_dir="runs/eegbci").fit(recordings)
