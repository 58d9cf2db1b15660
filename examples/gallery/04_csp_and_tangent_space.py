"""
DARE next to CSP and tangent space
==================================

Is the foundation model worth it on this task? Only a comparison on the same folds can answer that,
against what the field has used for years: common spatial patterns (CSP) and Riemannian tangent
space.
"""

from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dare_sklearn import DAREClassifier, DAREEmbedder, simulate_epochs
from dare_sklearn.evaluation import compare, pairwise, summarize
from dare_sklearn.transformers import classical_pipelines
from dare_sklearn.viz import plot_scores, plot_significance

# %%
# Motor imagery of ten people: left or right hand, which differ in the rhythms over the motor cortex
# of the other side.
montage = "F3 Fz F4 FC5 FC3 FC1 FC2 FC4 FC6 C5 C3 C1 Cz C2 C4 C6 CP5 CP3 CP4 CP6 Pz".split()
epochs = simulate_epochs(
    "motor", n_subjects=10, n_epochs=24, duration=2.0, ch_names=montage, random_state=0
)
# An array: splitting `mne.Epochs` again and again, epoch by epoch, would take most of the time
X = epochs.get_data(units="uV")
layout = {"ch_names": epochs.ch_names, "sfreq": epochs.info["sfreq"], "unit": "uV"}
y, subject = epochs.metadata["label"].to_numpy(), epochs.metadata["subject"].to_numpy()

# %%
# DARE takes part twice: with its default reading, which weighs several readings of the encoder by
# the training labels, and with its plainest embeddings, averaged over electrodes and time, before a
# logistic regression. The control is the same architecture *untrained*: without it, nothing can be
# said about pretraining.
classical = classical_pipelines("rhythm", **layout)
reading = DAREClassifier("nano", adaptation="linear", cache="memory", random_state=0, **layout)
averages = make_pipeline(
    DAREEmbedder("nano", pooling="mean", cache="memory", **layout),
    StandardScaler(),
    LogisticRegression(max_iter=5_000),
)
pipelines = {
    "CSP + LDA": classical["CSP + LDA"],
    "tangent space + LR": classical["tangent space + LR"],
    "DARE, default reading": reading,
    "untrained, default reading": clone(reading).set_params(encoder=None),
    "DARE, averaged tokens + LR": averages,
}

# %%
# Everything that is chosen (here C) is chosen by a search inside the training folds; the default
# reading needs none. The conv-linear probe would be one line more, ``DAREClassifier("nano")``.
scores = compare(
    pipelines,
    X,
    y,
    groups=subject,
    cv=LeaveOneGroupOut(),
    scoring="roc_auc",
    param_grids={"DARE, averaged tokens + LR": {"logisticregression__C": [0.001, 0.01, 0.1]}},
    random_state=0,
    dataset="simulated motor imagery",
)
summarize(scores)[["pipeline", "mean", "low", "high", "n"]].round(3)

# %%
# Each point is one person, whom the model has not seen.
plot_scores(scores, "roc_auc", summarize(scores), chance=0.5)

# %%
# Which differences are more than luck? Up to 14 people, all permutations of the signs of the
# differences are counted (up to 19 a random 10,000 of them; from 20 on it is Wilcoxon's test), and
# p-values corrected for the number of pairs (Holm). Rows minus columns: a blue row loses. What is
# not significant stays grey. With ten people the smallest p-value of a pair is 2 / 1024, and a
# difference must be regular to be seen: grey does not mean equal.
pairs = pairwise(scores, "roc_auc")
plot_significance(pairs)

# %%
# The signals were simulated with just the effect that CSP and tangent space are made for: the
# power of rhythms at fixed places. The default reading is level with them without being told the
# band, but so is that of the untrained encoder: pretraining adds nothing here. Averaged tokens stay
# at chance: the average has lost where a rhythm was.

# %%
# On a public data set
# --------------------
# BCI Competition IV 2a (nine people, left against right hand), through MOABB:
#
# .. code-block:: python
#
#     from moabb.datasets import BNCI2014_001
#     from moabb.paradigms import LeftRightImagery
#
#     epochs, y, meta = LeftRightImagery(fmin=1, fmax=40, tmax=2.0).get_data(
#         BNCI2014_001(), return_epochs=True
#     )
#     X, subject = epochs.get_data(units="uV"), meta["subject"].to_numpy()
#     layout = {"ch_names": epochs.ch_names, "sfreq": epochs.info["sfreq"], "unit": "uV"}
#
# The command line does all of this, with a report: ``dare-sklearn benchmark`` (see
# :doc:`/api/command_line`).
