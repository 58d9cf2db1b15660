"""
Regression: how large is the response?
======================================

Not every question has classes. :class:`~dare_sklearn.DARERegressor` predicts a number for each
epoch, with the same choices as the classifier.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dare_sklearn import DARERegressor, simulate_epochs
from dare_sklearn.transformers import DownsampledSignals

# %%
# Targets of an oddball task whose P3b has another size in each trial, from none (0) to double (2).
# The simulation draws the same signals whatever the size of the effect, so mixing "none" and
# "double" trial by trial grades it.
montage = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()
settings = dict(n_subjects=4, n_epochs=80, ch_names=montage, target_fraction=0.9, random_state=0)
none = simulate_epochs("erp", effect=0.0, **settings)
double = simulate_epochs("erp", effect=2.0, **settings)
size = np.random.default_rng(0).uniform(0, 2, len(none))
epochs = double.copy()
epochs._data = none.get_data() + size[:, None, None] / 2 * (double.get_data() - none.get_data())
is_target = (epochs.metadata["label"] == "target").to_numpy()
epochs, size = epochs[is_target], size[is_target]
subject = epochs.metadata["subject"].to_numpy()

# %%
# Three ways, each scored on people who were left out.
models = {
    "downsampled signals + ridge": make_pipeline(
        DownsampledSignals(), StandardScaler(), RidgeCV(np.logspace(0, 6, 13))
    ),
    "DARE nano, default reading": DARERegressor("nano", adaptation="linear", random_state=0),
    "DARE nano, conv-linear probe": DARERegressor("nano", random_state=0),
}
predicted = {
    name: cross_val_predict(model, epochs, size, groups=subject, cv=LeaveOneGroupOut())
    for name, model in models.items()
}

# %%
# Every point is a trial, every colour a person whom the model has not seen. R² is the share of the
# variance that is explained: the mean of all trials would reach 0. Noise makes the predictions of
# every regression flatter than the diagonal: they keep to the middle.
figure, axes = plt.subplots(1, 3, figsize=(10, 3.8), sharey=True, layout="constrained")
for ax, (name, p) in zip(axes, predicted.items(), strict=True):
    for person in np.unique(subject):
        ax.scatter(size[subject == person], p[subject == person], s=10, alpha=0.6, label=person)
    ax.plot([0, 2], [0, 2], color="0.4", linestyle="--", linewidth=1)
    ax.set(title=f"{name}\nR² = {r2_score(size, p):.2f}", xlabel="true size of the response")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set(ylabel="predicted size", ylim=(-0.3, 3))
axes[0].legend(frameon=False, loc="upper left")

# %%
# On a public data set
# --------------------
# Reaction times of a flanker task (ERP CORE, one person, comes with MNE):
#
# .. code-block:: python
#
#     import mne
#
#     path = mne.datasets.erp_core.data_path() / "ERP-CORE_Subject-001_Task-Flankers_eeg.fif"
#     raw = mne.io.read_raw_fif(path, preload=True).filter(0.5, 40)
#     events, names = mne.events_from_annotations(raw)
#     stimuli = [name for name in names if name.startswith("stimulus")]
#     metadata, events, event_id = mne.epochs.make_metadata(
#         events, names, tmin=0.0, tmax=1.5, sfreq=raw.info["sfreq"], row_events=stimuli,
#         keep_first=["stimulus", "response"],
#     )
#     answered = metadata["response"].between(0.2, 1.5).to_numpy()
#     epochs = mne.Epochs(
#         raw, events[answered], tmin=0, tmax=0.8, baseline=None,
#         metadata=metadata[answered], preload=True,
#     )
#     seconds = epochs.metadata["response"].to_numpy()
#
# With one person, leave out blocks of trials (``KFold(5)`` does not shuffle) instead of people.
