"""
What the probe's spatial filters look like on the scalp
=======================================================

The paper's conv-linear probe learns a map from your channels to the encoder's electrodes. Is what
it learned plausible? Four questions, four figures: with which weights, to which sources, which
channels does the score depend on, and which channels does the decision on a trial depend on.
"""

from dare_sklearn import DAREClassifier, simulate_epochs
from dare_sklearn.inspection import channel_importance, gradient_relevance
from dare_sklearn.viz import plot_channel_relevance, plot_spatial_filters

# %%
# An oddball task, whose targets evoke a P3b: a wave that is largest over the middle of the parietal
# cortex (around Pz). That is where a plausible model should look.
montage = "Fp1 Fp2 F7 F3 Fz F4 F8 FC5 FC6 T7 C3 Cz C4 T8 CP5 CP6 P7 P3 Pz P4 P8 O1 O2".split()
epochs = simulate_epochs("erp", n_subjects=4, n_epochs=60, ch_names=montage, random_state=0)
y, subject = epochs.metadata["label"].to_numpy(), epochs.metadata["subject"].to_numpy()
new = subject == "S004"
probe = DAREClassifier(
    "nano", spatial_init="spline", max_epochs=40, class_weight="balanced", random_state=0
)
probe.fit(epochs[~new], y[~new])

# %%
# **Filters**: the weights themselves, for four of the 19 targets. Training starts at
# spherical-spline interpolation, in which a target takes its signal from the channels around it. A
# large weight does not mean that a channel carries the signal of interest: filters also subtract
# noise.
plot_spatial_filters(probe, targets=["Fz", "Cz", "Pz", "O1"])

# %%
# **Patterns**: how many microvolts of each channel go with a filter's output. These may be read as
# to where a signal comes from (Haufe and others, 2014).
plot_spatial_filters(probe, epochs[~new], targets=["Fz", "Cz", "Pz", "O1"])

# %%
# **Relevance**: how much the score on a new person falls when one channel is shuffled across
# epochs. Channels with a thick edge stand out from the shufflings' own scatter. Neighbours that
# carry the same signal can stand in for each other, so a pale channel may still matter.
importances = channel_importance(
    probe, epochs[new], y[new], scoring="roc_auc", n_repeats=5, random_state=0
)
figure = plot_channel_relevance(importances, info=epochs.info)
figure.axes[0].set_title("Shuffled: what the score depends on")

# %%
# **Gradients**: by how much the decision changes when a channel becomes stronger, averaged over the
# targets of the new person. Red channels speak for "target", blue ones against it. This needs no
# labels and no score, and every trial has a map of its own. It works for any fitted pipeline: where
# torch has no gradient (``adaptation="linear"``, CSP), decisions on signals that are 1 % stronger
# and weaker are compared.
gradients = gradient_relevance(probe, epochs[new])
towards_target = gradients.relevance[y[new] == "target"].mean(axis=0)
gradient_figure = plot_channel_relevance(towards_target, gradients.ch_names, label=gradients.label)
gradient_figure.axes[0].set_title("Gradient: what speaks for a target")

# %%
# On a public data set
# --------------------
# .. code-block:: python
#
#     from moabb.datasets import BNCI2014_009
#     from moabb.paradigms import P300
#
#     epochs, y, meta = P300(resample=256).get_data(
#         BNCI2014_009(), subjects=[1, 2, 3, 4], return_epochs=True
#     )
#     new = (meta["subject"] == 4).to_numpy()
