"""
braindecode data sets and models
================================

Estimators take braindecode's windows as they are, labels included. The network also exists as a
braindecode model, for training with braindecode's own tools.
"""

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd
import torch
from braindecode import EEGClassifier
from braindecode.datasets import BaseConcatDataset, RawDataset
from braindecode.preprocessing import create_windows_from_events
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.helper import SliceDataset, predefined_split

from dare_sklearn import DAREEmbedder, DAREModel, simulate_epochs
from dare_sklearn.viz import plot_losses

# %%
# Continuous recordings of four people, with the onsets of trials as annotations: what braindecode's
# data sets hold.
montage = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()
epochs = simulate_epochs("erp", n_subjects=4, n_epochs=60, ch_names=montage, random_state=0)


def recording(person):
    part = epochs[epochs.metadata["subject"] == person]
    raw = mne.io.RawArray(
        part.get_data(copy=False).transpose(1, 0, 2).reshape(len(montage), -1),
        part.info,
        verbose="error",
    )
    raw.set_annotations(mne.Annotations(range(len(part)), 1.0, part.metadata["label"]))
    return RawDataset(raw, description={"subject": person})


people = list(epochs.metadata["subject"].unique())
recordings = BaseConcatDataset([recording(person) for person in people])
windows = create_windows_from_events(
    recordings, mapping={"nontarget": 0, "target": 1}, preload=True, verbose="error"
)
windows.description.head()

# %%
# With scikit-learn
# -----------------
# An embedder takes the data set itself. braindecode does not define the unit of windows, so
# pass it to the embedder.
Z = DAREEmbedder("nano", pooling="flatten", unit="V").fit_transform(windows)
print(Z.shape)

# %%
# For cross-validation, ``SliceDataset`` of skorch makes it something that scikit-learn can split
# without loading it, and names of channels stay.
X, y = SliceDataset(windows, idx=0), [label for _, label, _ in windows]
subject = np.repeat(people, [len(part) for part in windows.datasets])
model = make_pipeline(
    DAREEmbedder("nano", pooling="flatten", unit="V"),
    StandardScaler(),
    LogisticRegression(C=0.01, max_iter=5_000),
)
p = cross_val_predict(model, X, y, groups=subject, cv=LeaveOneGroupOut(), method="predict_proba")[
    :, 1
]

# %%
# The probability of "target", by a model that has not seen the person. The classes overlap: a
# logistic regression of embeddings is a weak reading of evoked responses
# (:ref:`sphx_glr_gallery_14_default_reading.py` has a better one).
y = np.array(y)
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
bins = np.linspace(0, 1, 31)
for label, name, colour in ((0, "nontarget", "0.6"), (1, "target", "tab:orange")):
    ax.hist(p[y == label], bins, density=True, alpha=0.7, color=colour, label=name)
ax.set(
    xlabel="predicted probability of a target",
    ylabel="density of epochs",
    title=f"New people: area under the ROC curve {roc_auc_score(y, p):.2f}",
)
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)

# %%
# With braindecode
# ----------------
# :class:`~dare_sklearn.DAREModel` is the conv-linear probe as a braindecode model. Its encoder is
# frozen here, so that training is quick; ``EEGClassifier`` is braindecode's.
train = windows.split(by="subject")
test = train.pop("S004")
train = BaseConcatDataset(list(train.values()))
network = DAREModel(
    n_outputs=2,
    chs_info=windows.datasets[0].raw.info["chs"],
    n_times=256,
    sfreq=256.0,
    encoder="nano",
    unit="V",
)
classifier = EEGClassifier(
    network,
    criterion=torch.nn.CrossEntropyLoss,
    optimizer=torch.optim.AdamW,
    optimizer__lr=5e-3,
    train_split=predefined_split(test),
    batch_size=64,
    max_epochs=8,
    classes=[0, 1],
    verbose=0,
)
torch.manual_seed(0)
classifier.fit(train, y=None)

# %%
# The loss on the three people that it learns from, and on the fourth. That curve is only for
# looking at: picking the best epoch from it would be tuning on the test data.
history = pd.DataFrame(
    {
        "epoch": classifier.history[:, "epoch"],
        "loss of training": classifier.history[:, "train_loss"],
        "loss on a new person": classifier.history[:, "valid_loss"],
    }
)
plot_losses(history)

# %%
# On a public data set
# --------------------
# .. code-block:: python
#
#     from braindecode.datasets import MOABBDataset
#
#     recordings = MOABBDataset("BNCI2014_001", subject_ids=[1, 2, 3])
#     windows = create_windows_from_events(recordings, preload=True)
#
# The recordings are in volts, and hold more than EEG: pick it first with
# ``preprocess(recordings, [Preprocessor("pick", picks="eeg")])`` of ``braindecode.preprocessing``.
