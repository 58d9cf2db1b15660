"""
Tokens in pyriemann
===================

With ``pooling="tokens"`` the embedder gives every electrode a series of numbers of its own,
``(n_epochs, n_electrodes, n_patches * n_dims)``. That has the form of a signal, so everything that
pyriemann does with signals it does with tokens: covariances of electrodes, tangent space,
distances.
"""

import matplotlib.pyplot as plt
import mne
import numpy as np
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline

from dare_sklearn import DAREEmbedder, simulate_epochs
from dare_sklearn.evaluation import compare, summarize
from dare_sklearn.transformers import classical_pipelines
from dare_sklearn.viz import plot_scores

# %%
# Imagined movement of the left or the right hand, six people.
montage = "F3 Fz F4 FC5 FC3 FC1 FC2 FC4 FC6 C5 C3 C1 Cz C2 C4 C6 CP5 CP3 CP4 CP6 P3 Pz P4".split()
epochs = simulate_epochs(
    "motor", n_subjects=6, n_epochs=40, duration=2.0, ch_names=montage, random_state=0
)
X = epochs.get_data(units="uV")
layout = {"ch_names": epochs.ch_names, "sfreq": epochs.info["sfreq"], "unit": "uV"}
y, subject = epochs.metadata["label"].to_numpy(), epochs.metadata["subject"].to_numpy()

# %%
# Each electrode is encoded by itself, so that it is still known *where* a token comes from.
embedder = DAREEmbedder(views="electrodes", pooling="tokens", cache="memory", **layout)
tokens = embedder.fit_transform(X)
print(X.shape, "->", tokens.shape)

# %%
# The pipeline is that of pyriemann's own examples, with one step before it.


def tangent_space(encoder):
    return make_pipeline(
        DAREEmbedder(encoder, views="electrodes", pooling="tokens", cache="memory", **layout),
        Covariances("oas"),
        TangentSpace(),
        LogisticRegression(C=0.1, max_iter=5_000),
    )


scores = compare(
    {
        "tokens + tangent space + LR": tangent_space("nano"),
        "untrained tokens + tangent space + LR": tangent_space(None),
        "signals, 8 to 30 Hz, + tangent space + LR": classical_pipelines("rhythm", **layout)[
            "tangent space + LR"
        ],
    },
    X,
    y,
    groups=subject,
    cv=LeaveOneGroupOut(),
    scoring="roc_auc",
    random_state=0,
    dataset="left or right hand",
)
plot_scores(scores, "roc_auc", summarize(scores), chance=0.5)

# %%
# The untrained encoder is the control: the difference is due to pretraining. The last pipeline
# knows the band of the rhythms, which the other two do not.

# %%
# What is in these covariances? Their diagonal is the variance of an electrode's tokens: how much
# its signal changes from patch to patch, and in how many ways. The difference between the classes
# is taken within each person, and averaged over people.
covariances = Covariances("oas").transform(tokens - tokens.mean(axis=0))
log_variance = np.log(np.diagonal(covariances, axis1=1, axis2=2))
differences = [
    log_variance[(subject == person) & (y == "left_hand")].mean(axis=0)
    - log_variance[(subject == person) & (y == "right_hand")].mean(axis=0)
    for person in np.unique(subject)
]
difference = np.mean(differences, axis=0)
figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
limit = np.abs(difference).max()
image, _ = mne.viz.plot_topomap(
    difference,
    epochs.info,
    axes=ax,
    cmap="RdBu_r",
    vlim=(-limit, limit),
    extrapolate="local",
    show=False,
)
figure.colorbar(image, ax=ax, label="log variance of tokens, left minus right")
ax.set_title("Where the tokens of the two hands differ")

# %%
# On a public data set
# --------------------
# .. code-block:: python
#
#     from moabb.datasets import BNCI2014_001
#     from moabb.paradigms import LeftRightImagery
#
#     epochs, y, meta = LeftRightImagery(fmin=1, fmax=40, tmax=2.0).get_data(
#         BNCI2014_001(), return_epochs=True
#     )
#     X, subject = epochs.get_data(units="uV"), meta["subject"].to_numpy()
#
# ``DAREEmbedder(views="electrodes", pooling="covariance")`` is the same in one step, with the mean
# token of the training set removed.
