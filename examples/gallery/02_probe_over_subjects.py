"""
A probe in ``cross_val_score``, over subjects
=============================================

:class:`~dare_sklearn.DAREClassifier` puts a small trainable layer in front of the frozen encoder,
from your channels to its electrodes, and a linear head behind it. It is scored on people that it
has not seen.
"""

import pandas as pd
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, cross_val_score

from dare_sklearn import DAREClassifier, simulate_epochs
from dare_sklearn.viz import plot_losses, plot_scores

# %%
# An oddball task: one stimulus in four is a target, and evokes a larger P3b.
montage = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()
epochs = simulate_epochs("erp", n_subjects=4, n_epochs=60, ch_names=montage, random_state=1)
y, subject = epochs.metadata["label"].to_numpy(), epochs.metadata["subject"].to_numpy()

# %%
# Leave one person out
# --------------------
# scikit-learn's own function and splitter. As targets are rare, accuracy would flatter: a model
# that never says "target" is right three times in four. The area under the ROC curve has its
# chance at 0.5 however rare a class is.
probe = DAREClassifier("nano", class_weight="balanced", random_state=0)
new_people = cross_val_score(
    probe, epochs, y, groups=subject, cv=LeaveOneGroupOut(), scoring="roc_auc"
)
print("AUC of each person left out:", new_people.round(2))

# %%
# The same people, other epochs
# -----------------------------
# If the model will be used on people of whom there are labelled epochs, leave out blocks of epochs
# that follow each other, within each person. Neighbouring trials share slow drifts; a random split
# would let the model use them.
block = epochs.metadata["trial"].to_numpy() // 15
same_people = cross_val_score(
    probe, epochs, y, groups=block, cv=GroupKFold(n_splits=4), scoring="roc_auc"
)
print("AUC of each block left out:", same_people.round(2))

# %%
# Points are folds, diamonds their means. The two answer different questions; neither is the wrong
# one, but they must not be mixed up.
table = pd.concat(
    pd.DataFrame({"dataset": "oddball task", "pipeline": name, "fold": range(4), "roc_auc": scores})
    for name, scores in {"new people": new_people, "same people, other blocks": same_people}.items()
)
plot_scores(table, "roc_auc", chance=0.5)

# %%
# The default probe is solved in closed form. The paper's is trained by gradient: was it trained for
# long enough? The history of a fit shows it. With ``validation_fraction`` and groups, ``fit`` holds
# out whole people of the training set, and stops when their loss rises: here it falls to the end,
# so that more ``max_epochs`` might help. (``cross_val_score`` hands groups to ``fit`` with metadata
# routing: see :doc:`/guide/leakage`.)
train = subject != "S004"
probe.set_params(spatial_init="spline", max_epochs=25, validation_fraction=0.25)
probe.fit(epochs[train], y[train], groups=subject[train])
plot_losses(probe)

# %%
# On a public data set
# --------------------
# A P300 speller of ten people, through MOABB (``pip install moabb``):
#
# .. code-block:: python
#
#     from moabb.datasets import BNCI2014_009
#     from moabb.paradigms import P300
#
#     epochs, y, meta = P300(resample=256).get_data(
#         BNCI2014_009(), subjects=[1, 2, 3, 4], return_epochs=True
#     )
#     scores = cross_val_score(
#         probe, epochs, y, groups=meta["subject"], cv=LeaveOneGroupOut(), scoring="roc_auc"
#     )
