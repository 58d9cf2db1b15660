"""
A folder of clinical recordings
===============================

Clinical systems write channels as ``EEG FP1-REF``, use the older names T3 to T6, and put the ECG
among the EEG. Nothing has to be renamed: DARE reads these names as they are.
"""

import tempfile
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix
from sklearn.model_selection import LeaveOneGroupOut

from dare_sklearn import DAREClassifier, simulate_epochs
from dare_sklearn.inspection import channel_importance
from dare_sklearn.viz import plot_channel_relevance

mne.set_log_level("ERROR")

# %%
# First the folder: EDF files of six patients with photic stimulation at three rates, as a clinical
# system would write them, with a channel of the heart and with the rates as annotations.
MONTAGE = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()
OLD = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
WINDOW_S = 2.0
folder = tempfile.TemporaryDirectory()

simulated = simulate_epochs(
    "steady_state", n_subjects=6, n_epochs=30, duration=WINDOW_S, ch_names=MONTAGE, random_state=0
)
for patient, rows in simulated.metadata.reset_index(drop=True).groupby("subject"):
    signals = simulated[rows.index].get_data(copy=False).transpose(1, 0, 2)
    signals = signals.reshape(len(MONTAGE), -1)
    beats = 5e-4 * (np.arange(signals.shape[1]) % 220 < 8)
    names = [f"EEG {OLD.get(name, name).upper()}-REF" for name in MONTAGE] + ["ECG"]
    raw = mne.io.RawArray(
        np.vstack([signals, beats]),
        mne.create_info(names, simulated.info["sfreq"], ["eeg"] * len(MONTAGE) + ["ecg"]),
    )
    onsets = np.arange(len(rows)) * WINDOW_S
    raw.set_annotations(mne.Annotations(onsets, WINDOW_S, "photic " + rows["label"].to_numpy()))
    raw.export(Path(folder.name, f"{patient}.edf"), physical_range="channelwise")

# %%
# Now the view of someone who receives the folder:
files = sorted(Path(folder.name).glob("*.edf"))
print(mne.io.read_raw_edf(files[0]).ch_names)

# %%
# Filter the continuous recording, cut it at the annotations, remember the patient. MNE reads every
# channel of an EDF file as EEG, so set the type of the ECG. (If you forget that, DARE leaves such a
# channel out by its name, and warns.) `tmax` is the window's last sample, so that 2 s make eight
# whole patches.
parts, patient = [], []
for file in files:
    raw = mne.io.read_raw_edf(file, preload=True)
    raw.set_channel_types({"ECG": "ecg"}).pick("eeg").filter(1.0, 45.0)
    last = WINDOW_S - 1 / raw.info["sfreq"]
    events, ids = mne.events_from_annotations(raw)
    part = mne.Epochs(raw, events, ids, tmin=0.0, tmax=last, baseline=None, preload=True)
    parts.append(part)
    patient += [file.stem] * len(part)
epochs = mne.concatenate_epochs(parts)
rates = {code: name.removeprefix("photic ") for name, code in epochs.event_id.items()}
y, patient = pd.Series(epochs.events[:, 2]).map(rates).to_numpy(), np.array(patient)

# %%
# And the model, with the names as they are: ``EEG T3-REF`` is read as T7. Each patient is
# predicted by a model of the others. How much does the score of that patient fall when one channel
# is shuffled across epochs?
model = DAREClassifier("nano", adaptation="linear", cache="memory", random_state=0)
predicted, importances = np.empty_like(y), []
for train, test in LeaveOneGroupOut().split(y, groups=patient):
    model.fit(epochs[train], y[train], groups=patient[train])
    predicted[test] = model.predict(epochs[test])
    found = channel_importance(
        model, epochs[test], y[test], scoring="roc_auc_ovr", n_repeats=1, random_state=0
    )
    importances.append(found.importances)
print("read as:", *model.ch_names_in_)
print(f"right: {np.mean(predicted == y):.2f} (chance 0.33)")

# %%
order = ["10 Hz", "12 Hz", "15 Hz"]
display = ConfusionMatrixDisplay(
    confusion_matrix(y, predicted, labels=order, normalize="true"), display_labels=order
).plot(cmap="Blues", values_format=".0%", colorbar=False)
display.ax_.set(xlabel="predicted rate", ylabel="rate of the flicker")
display.ax_.set_title("Photic stimulation of patients\nwhom the model has not seen")
figure = display.figure_

# %%
# Is it the visual cortex? The score is the area under the ROC curve; a thick edge marks channels
# whose mean over patients lies two standard deviations above zero.
relevance = plot_channel_relevance(np.hstack(importances), model.ch_names_in_)
relevance.axes[0].set_title("Mean of six patients")

# %%
# On a public data set
# --------------------
# The Temple University Hospital corpus has these names (a form has to be filled in for it). The
# encoder can be pretrained on such a folder, without labels and without reading it into memory:
#
# .. code-block:: python
#
#     from dare_sklearn import DAREPretrainer
#
#     pretrainer = DAREPretrainer("nano", on_error="skip", checkpoint_dir="runs/tuh")
#     pretrainer.fit("tuh_eeg/edf")
#
# Bipolar montages (``FP1-F7``) are not single electrodes: for those use the conv-linear probe,
# ``DAREClassifier("nano")``, which reads channels as they were recorded.
