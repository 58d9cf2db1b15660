"""
From windows to recordings
==========================

A diagnosis is a label of a person, and a recording has hundreds of windows. Windows of one person
agree with each other, so they are not independent observations. Leave out whole people, average
what the model says of their windows, and score people.
"""

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from dare_sklearn import DAREClassifier, simulate_epochs

# %%
# Twenty people, thirty windows of two seconds each. Half of them are made patients: their theta
# rhythm (4 to 7 Hz) is amplified, in everyone by another factor, in some hardly at all.
MONTAGE = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()
rng = np.random.default_rng(0)
epochs = simulate_epochs(
    "motor", n_subjects=20, n_epochs=30, duration=2.0, ch_names=MONTAGE, effect=0, random_state=0
)
person = epochs.metadata["subject"].to_numpy()
everyone = np.unique(person)
patients = rng.permutation(everyone)[:10]
y = np.where(np.isin(person, patients), "patient", "control")

X, sfreq = epochs.get_data(units="uV"), epochs.info["sfreq"]
for patient in patients:
    own = X[person == patient]
    recording = own.transpose(1, 0, 2).reshape(len(MONTAGE), -1)  # windows follow each other
    theta = mne.filter.filter_data(recording, sfreq, 4.0, 7.0, verbose="error")
    theta = theta.reshape(len(MONTAGE), len(own), -1).transpose(1, 0, 2)
    X[person == patient] = own + rng.uniform(0.1, 0.6) * theta

# %%
# Whole people are left out, patients and controls in equal parts. Metadata routing also passes the
# people to ``fit``, which weighs its blocks by people that it holds out.
model = DAREClassifier(
    "nano",
    adaptation="linear",
    ch_names=MONTAGE,
    sfreq=sfreq,
    unit="uV",
    cache="memory",
    random_state=0,
)
folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
with config_context(enable_metadata_routing=True):
    model.set_fit_request(groups=True)
    windows = cross_val_predict(
        model, X, y, params={"groups": person}, cv=folds, method="predict_proba"
    )[:, 1]

# %%
# One score per person, and one label.
people = (
    pd.DataFrame({"score": windows, "label": y})
    .groupby(person)
    .agg({"score": "mean", "label": "first"})
)
score, diagnosis, who = (x.to_numpy() for x in (people["score"], people["label"], people.index))
auc_windows = roc_auc_score(y == "patient", windows)
auc_people = roc_auc_score(diagnosis == "patient", score)

# %%
# A small dot is a window, a large one a person. Windows overlap between the groups, and people much
# less. Report the score of people with *their* number: twenty observations, not six hundred.
order = np.argsort(score)
figure, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
for label, shade in (("control", "C0"), ("patient", "C3")):
    places = np.flatnonzero(diagnosis[order] == label)
    for place in places:
        own = windows[person == who[order[place]]]
        x = place + rng.uniform(-0.2, 0.2, len(own))
        ax.scatter(x, own, s=8, color=shade, alpha=0.3, linewidths=0)
    ax.scatter(places, score[order][places], s=70, color=shade, edgecolor="white", label=label)
ax.axhline(0.5, color="0.5", linestyle="--", linewidth=1)
ax.set(
    ylim=(0, 1),
    xticks=range(len(who)),
    ylabel="probability of being a patient",
    title=f"Area under the ROC curve: windows {auc_windows:.2f}, people {auc_people:.2f}",
)
ax.set_xticklabels(who[order], rotation=60)
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="upper left")

# %%
# On a public data set
# --------------------
# Depression at rest, from OpenNeuro (ds003478), once its files are on your disk:
#
# .. code-block:: python
#
#     from pathlib import Path
#
#     import mne
#
#     parts, person = [], []
#     for file in sorted(Path("ds003478").glob("sub-*/eeg/*_run-01_eeg.set")):
#         raw = mne.io.read_raw_eeglab(file, preload=True).pick("eeg").filter(1.0, 40.0)
#         part = mne.make_fixed_length_epochs(raw, duration=2.0, preload=True)
#         parts.append(part)
#         person += [file.name[:7]] * len(part)
#     epochs = mne.concatenate_epochs(parts)
#
# The labels are in its ``participants.tsv``, one per person.
