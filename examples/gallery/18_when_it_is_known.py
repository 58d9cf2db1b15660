"""
When is it known?
=================

The tokens keep time: one per patch of 250 ms. MNE's sliding and generalising estimators therefore
work on them as on signals, and show when a response can be decoded, and whether it looks alike at
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
# An oddball task of five people. Epochs of 1.5 s are six patches.
montage = "Fp1 Fp2 F3 Fz F4 T7 C3 Cz C4 T8 CP1 CP2 P7 P3 Pz P4 P8 O1 O2".split()
epochs = simulate_epochs(
    "erp", n_subjects=5, n_epochs=80, duration=1.5, ch_names=montage, random_state=0
)
y = (epochs.metadata["label"] == "target").to_numpy()
subject = epochs.metadata["subject"].to_numpy()

# %%
# With ``pooling="tokens"`` an epoch is (electrodes, patches * dimensions). MNE wants time last:
# each electrode's 64 numbers become rows, and patches columns.
tokens = DAREEmbedder("nano", views="electrodes", pooling="tokens").fit_transform(epochs)
n_patches = epochs.times.size // 64
by_time = tokens.reshape(len(tokens), len(montage), n_patches, -1).transpose(0, 1, 3, 2)
by_time = by_time.reshape(len(tokens), -1, n_patches)
print(tokens.shape, "->", by_time.shape)

# %%
# A classifier is fitted at every patch and tested at every patch, on people left out.
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
# Left: the diagonal, one line per person; the simulated P3b is in the second patch. Right: all
# pairs of times. Responses that differ from moment to moment stay on the diagonal, lasting ones
# make a square. Blue is below chance: there the response has the opposite sign.
edges = 250 * np.arange(n_patches + 1)
centres = edges[:-1] + 125
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.axhline(0.5, color="0.5", linestyle="--", linewidth=1)
for person in scores:
    left.plot(centres, np.diag(person), color="C0", alpha=0.35, linewidth=1)
left.plot(centres, np.diag(matrix), color="black", marker="D", label="mean of people")
left.set(xlabel="time after the stimulus (ms)", ylabel="area under the ROC curve", xticks=edges)
left.spines[["top", "right"]].set_visible(False)
left.legend(frameon=False)
reach = np.abs(matrix - 0.5).max()
image = right.pcolormesh(edges, edges, matrix, cmap="RdBu_r", vmin=0.5 - reach, vmax=0.5 + reach)
right.set(xlabel="tested at (ms)", ylabel="trained at (ms)", aspect="equal")
right.set(xticks=edges, yticks=edges)
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
# A patch lasts 250 ms. For a finer time axis, embed epochs that are cut some samples later.
