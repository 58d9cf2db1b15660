"""
Two montages and two sampling rates, one encoder
================================================

A cap with 32 electrodes at 256 Hz and one with 16 at 200 Hz give arrays that fit no common
classifier. They do give embeddings of the same size, since the encoder knows electrodes by name
and brings signals to its own rate. Does what was learned on one cap hold on the other?
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dare_sklearn import DAREEmbedder, simulate_epochs

BIG = (
    "Fp1 Fp2 AF3 AF4 F7 F3 Fz F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 CP5 CP1 CP2 CP6 P7 P3 Pz P4 P8 "
    "PO3 PO4 O1 Oz O2"
).split()
SMALL = "AF3 F7 F3 FC5 T7 P7 O1 O2 P8 T8 FC6 F4 F8 AF4 Pz Cz".split()

# %%
# Both caps record the same brains at the same time, so that nothing differs but the cap. The small
# one is referenced to its own average.
brains = simulate_epochs("erp", n_subjects=8, n_epochs=60, sfreq=512, random_state=0)
y, subject = brains.metadata["label"].to_numpy(), brains.metadata["subject"].to_numpy()


def cap(names, sfreq):
    picked = brains.copy().pick(names).set_eeg_reference("average", verbose="error")
    return picked.resample(sfreq, verbose="error")


caps = {"32 electrodes, 256 Hz": cap(BIG, 256), "16 electrodes, 200 Hz": cap(SMALL, 200)}
for name, recorded in caps.items():
    print(name, recorded.get_data(copy=False).shape)

# %%
# One embedder per cap: ``fit`` reads its layout, and trains nothing. The embeddings have one size.
Z = {name: DAREEmbedder("nano", pooling="flatten").fit_transform(e) for name, e in caps.items()}
print({name: z.shape for name, z in Z.items()})

# %%
# Are two embeddings of one epoch, seen by different caps, more alike than embeddings of two epochs
# of the same person seen by one cap? (What all embeddings share is removed before the cosine.)


def unit_length(z):
    z = z - z.mean(axis=0)
    return z / np.linalg.norm(z, axis=1, keepdims=True)


big, small = (unit_length(z) for z in Z.values())
same_epoch = (big * small).sum(axis=1)
neighbour = np.arange(len(big)) + np.where(np.arange(len(big)) % 60 == 59, -1, 1)
other_epoch = (big * big[neighbour]).sum(axis=1)

# %%
# Train on four people with one cap, test on four others with either.
train = np.isin(subject, ["S001", "S002", "S003", "S004"])
rows = []
for learned, z_train in Z.items():
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=5_000))
    model.fit(z_train[train], y[train])
    for used, z_test in Z.items():
        for person in np.unique(subject[~train]):
            new = subject == person
            p = model.predict_proba(z_test[new])[:, 1]
            rows.append((learned, used, person, roc_auc_score(y[new] == "target", p)))
scores = pd.DataFrame(rows, columns=["trained on", "tested on", "person", "AUC"])
table = scores.pivot_table(index="trained on", columns="tested on", values="AUC")
table.round(3)

# %%
# Left: cosines. Right: every thin line is a person whom the model has not seen; thick lines are
# means.
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
bins = np.linspace(-1, 1, 50)
left.hist(other_epoch, bins, color="0.7", label="two epochs, one cap")
left.hist(same_epoch, bins, color="tab:blue", alpha=0.8, label="one epoch, two caps")
left.set(xlabel="cosine similarity", ylabel="pairs", title="Both caps embed an epoch alike")
left.legend(frameon=False, loc="upper left")
for colour, (learned, part) in zip(
    ["tab:blue", "tab:orange"], scores.groupby("trained on"), strict=True
):
    wide = part.pivot(index="person", columns="tested on", values="AUC")
    right.plot(wide.columns, wide.T, color=colour, alpha=0.3, linewidth=1)
    right.plot(wide.columns, wide.mean(), "o-", color=colour, linewidth=2.5, label=learned)
right.axhline(0.5, color="0.5", linestyle="--", linewidth=1)
right.annotate("chance", (1.3, 0.5), (-3, 3), textcoords="offset points", color="0.5", ha="right")
right.set(xlabel="tested on", ylabel="area under the ROC curve", xlim=(-0.3, 1.3), ylim=(0.45, 1))
right.set_title("Targets of new people, across caps")
right.legend(title="trained on", frameon=False, loc="upper right")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)

# %%
# Pretraining takes mixed caps too: ``DAREPretrainer().fit([epochs_of_one, epochs_of_the_other])``.
#
# On a public data set
# --------------------
# Imagery of the left and the right hand, with 64 electrodes at 160 Hz (EEGBCI) and 22 at 250 Hz
# (BCI Competition IV 2a):
#
# .. code-block:: python
#
#     from moabb.datasets import BNCI2014_001, PhysionetMI
#     from moabb.paradigms import LeftRightImagery
#
#     paradigm = LeftRightImagery(fmin=1, fmax=40, tmax=2.0)
#     a, y_a, _ = paradigm.get_data(PhysionetMI(), subjects=[1, 2, 3, 4], return_epochs=True)
#     b, y_b, _ = paradigm.get_data(BNCI2014_001(), subjects=[1, 2], return_epochs=True)
#     Z_a, Z_b = (DAREEmbedder("nano", pooling="mean_std").fit_transform(e) for e in (a, b))
