"""
When is it known?
=================

Embeddings of short windows are a signal again: a vector at every time. MNE's sliding and
generalising estimators show when a response can be decoded from it, and whether it looks alike at
other times (temporal generalisation, King and Dehaene, 2014).
"""

import matplotlib.pyplot as plt
import numpy as np
from mne.decoding import GeneralizingEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dare_sklearn import DAREEmbedder, simulate_epochs

# %%
# An oddball task of five people.
montage = "Fp1 Fp2 F3 Fz F4 T7 C3 Cz C4 T8 CP1 CP2 P7 P3 Pz P4 P8 O1 O2".split()
epochs = simulate_epochs(
    "erp", n_subjects=5, n_epochs=80, duration=1.5, ch_names=montage, random_state=0
)
y = (epochs.metadata["label"] == "target").to_numpy()
subject = epochs.metadata["subject"].to_numpy()

# %%
# Windows of 250 ms (one patch), every 125 ms, and each embedded by itself. Do not take the patches
# of one long epoch for this: the encoder removes each channel's mean over what it is given, so that
# a large response shifts the rest of its epoch, and is decoded where nothing happens.
X, sfreq = epochs.get_data(units="uV"), epochs.info["sfreq"]
windows = np.lib.stride_tricks.sliding_window_view(X, 64, axis=-1)[:, :, ::32]
n_windows = windows.shape[2]
embedder = DAREEmbedder(
    "nano", views="electrodes", pooling="mean", ch_names=montage, sfreq=sfreq, unit="uV"
)
Z = embedder.fit_transform(windows.transpose(0, 2, 1, 3).reshape(-1, len(montage), 64))
by_time = Z.reshape(len(X), n_windows, -1).transpose(0, 2, 1)  # MNE wants time last
print(X.shape, "->", by_time.shape)

# %%
# A classifier is fitted at every window and tested at every window, on people left out.
model = GeneralizingEstimator(
    make_pipeline(StandardScaler(), LogisticRegression(C=1e-4, max_iter=5_000)),
    scoring="roc_auc",
    verbose="error",
)
scores = []
for train, test in LeaveOneGroupOut().split(by_time, y, subject):
    model.fit(by_time[train], y[train])
    scores.append(model.score(by_time[test], y[test]))
matrix = np.mean(scores, axis=0)

# %%
# Left: the diagonal, one line per person, at the middle of each window; after 750 ms the simulated
# P3b is over. Right: all pairs of times. Responses that differ from moment to moment stay on the
# diagonal, lasting ones make a square. Blue is below chance: there the response has the opposite
# sign, as the rise of the P3b (at 250 ms) and its fall (at 500 ms) do.
centres = 125 + 125 * np.arange(n_windows)
ticks = np.arange(0, 1501, 250)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.axhline(0.5, color="0.5", linestyle="--", linewidth=1)
for person in scores:
    left.plot(centres, np.diag(person), color="C0", alpha=0.35, linewidth=1)
left.plot(centres, np.diag(matrix), color="black", marker="D", label="mean of people")
left.set(xlabel="time after the stimulus (ms)", ylabel="area under the ROC curve", xticks=ticks)
left.spines[["top", "right"]].set_visible(False)
left.legend(frameon=False)
reach = np.abs(matrix - 0.5).max()
image = right.pcolormesh(
    centres, centres, matrix, cmap="RdBu_r", vmin=0.5 - reach, vmax=0.5 + reach, shading="nearest"
)
right.set(xlabel="tested at (ms)", ylabel="trained at (ms)", aspect="equal")
right.set(xticks=ticks, yticks=ticks)
figure.colorbar(image, ax=right, label="area under the ROC curve")

# %%
# On a public data set
# --------------------
# .. code-block:: python
#
#     from moabb.datasets import BNCI2014_009
#     from moabb.paradigms import P300
#
#     epochs, y, meta = P300(resample=256).get_data(BNCI2014_009(), return_epochs=True)
#     y, subject = y == "Target", meta["subject"].to_numpy()
#
# A window needs whole patches of 250 ms; smaller steps between windows give a finer time axis.
