"""
First embeddings
================

From :class:`mne.Epochs` to a table of numbers, one row per epoch, and to a first look at what is
in it.

An *embedding* is what the encoder makes of an epoch: a short vector. Nothing is trained here.
"""

import matplotlib.pyplot as plt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dare_sklearn import DAREEmbedder, simulate_epochs
from dare_sklearn.viz import plot_attention, plot_embedding_map

# %%
# Simulated EEG of five people, who watch lights that flicker at three rates. These are ordinary
# epochs of MNE; yours go in the same way.
epochs = simulate_epochs("steady_state", n_subjects=5, n_epochs=40, duration=2.0, random_state=0)
frequency, subject = epochs.metadata["label"].to_numpy(), epochs.metadata["subject"].to_numpy()
epochs.metadata.groupby(["subject", "label"]).size().unstack()

# %%
# ``pooling`` says how the encoder's outputs for every 250 ms are combined: "mean" averages them
# over the epoch, and learns nothing from it. (Without it, ``DAREEmbedder`` reads more and learns
# principal components, which belongs into the folds of a cross-validation.) The columns have names
# (summary token, dimension).
embedder = DAREEmbedder("nano", pooling="mean").set_output(transform="pandas")
Z = embedder.fit_transform(epochs)
Z.iloc[:5, :6].round(2)

# %%
# A map of the embeddings in two dimensions, a point per epoch. Only neighbourhoods mean something.
figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
colours = {"who the person is": subject, "what the person looked at": frequency}
for ax, (what, labels) in zip(axes, colours.items(), strict=True):
    plot_embedding_map(Z.to_numpy(), labels, method="tsne", ax=ax)
    ax.set_title(f"Colour: {what}")

# %%
# A map is not a test. How well can a linear model tell people apart, and frequencies? Both scores
# are the share of correct answers over five folds of epochs, so each person is in training and in
# test: this asks what the embeddings hold, not whether it carries over to new people.
linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=5_000))
for name, target in {"person": subject, "frequency": frequency}.items():
    score = cross_val_score(linear, Z, target, cv=5).mean()
    chance = 1 / len(set(target))
    print(f"{name}: {score:.2f} (chance {chance:.2f})")

# %%
# Who a signal comes from is usually easier to tell than what the person did: heads and rhythms
# differ more than trials do. That is why people, and not epochs, should be left out in
# cross-validation: see :ref:`sphx_glr_gallery_02_probe_over_subjects.py`.
#
# Where does the encoder look? Each summary token gathers from all electrodes of its 250 ms. This
# is where the encoder takes its numbers from, not where the flicker is: it knows no labels.
plot_attention(embedder, epochs)

# %%
# On a public data set
# --------------------
# EEGBCI (PhysioNet, 109 people) comes with MNE. Motor imagery of hands and feet:
#
# .. code-block:: python
#
#     import mne
#     from mne.datasets import eegbci
#
#     raw = mne.concatenate_raws(
#         [mne.io.read_raw(f, preload=True) for f in eegbci.load_data(subjects=1, runs=[6, 10, 14])]
#     )
#     eegbci.standardize(raw)  # names of electrodes without dots
#     raw.annotations.rename({"T1": "hands", "T2": "feet"})
#     epochs = mne.Epochs(
#         raw, event_id=["hands", "feet"], tmin=0, tmax=2, baseline=None, preload=True
#     )
#     Z = DAREEmbedder("nano").fit_transform(epochs)
