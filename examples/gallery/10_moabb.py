"""
MOABB
=====

MOABB evaluates pipelines on many public data sets with fixed protocols. Estimators of this
library are pipelines like any other. This page uses a simulated data set; with one of MOABB's, the
same lines download it.
"""

import os
import tempfile
import warnings

import mne
import sklearn
from moabb.datasets.base import BaseDataset
from moabb.evaluations import CrossSubjectEvaluation
from moabb.paradigms import P300
from sklearn.pipeline import make_pipeline

from dare_sklearn import DAREClassifier, simulate_epochs
from dare_sklearn.transformers import classical_pipelines
from dare_sklearn.viz import plot_paired, plot_scores

# MOABB keeps results and configuration: here in a temporary folder
folder = tempfile.TemporaryDirectory()
for name in ("MNE_DATA", "MOABB_RESULTS", "_MNE_FAKE_HOME_DIR"):
    os.environ[name] = folder.name

mne.set_log_level("ERROR")

MONTAGE = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()
TRIAL_S = 1.0

# %%
# A data set of MOABB is a class that returns the continuous recordings of a person, by session and
# run. Your own recordings become one in the same way.


class Simulated(BaseDataset):
    """An oddball task of five people, one session each."""

    def __init__(self):
        super().__init__(
            subjects=[1, 2, 3, 4, 5],
            sessions_per_subject=1,
            events={"Target": 2, "NonTarget": 1},
            code="Simulated",
            interval=[0, TRIAL_S],
            paradigm="p300",
        )
        self.epochs = simulate_epochs(
            "erp", n_subjects=5, n_epochs=60, duration=TRIAL_S, ch_names=MONTAGE, random_state=0
        )

    def _get_single_subject_data(self, subject):
        part = self.epochs[self.epochs.metadata["subject"] == f"S{subject:03d}"]
        signals = part.get_data(copy=False).transpose(1, 0, 2).reshape(len(MONTAGE), -1)
        raw = mne.io.RawArray(signals, part.info)
        onsets = [k * TRIAL_S for k in range(len(part))]
        names = part.metadata["label"].map({"target": "Target", "nontarget": "NonTarget"})
        raw.set_annotations(mne.Annotations(onsets, TRIAL_S, names))
        return {"0": {"0": raw}}

    def data_path(self, subject, path=None, force_update=False, update_path=None, verbose=None):
        return []


# %%
# With ``return_epochs=True``, MOABB passes `mne.Epochs`, which carry their channels, rate and unit.
# Without it, MOABB passes arrays: then give ``ch_names=..., sfreq=..., unit="uV"``. MOABB also
# offers the people of the training epochs, as ``subjects``, to steps of a pipeline that ask for
# them: the default reading then weighs its blocks on folds of whole people.
model = DAREClassifier("nano", adaptation="linear", random_state=0)
with sklearn.config_context(enable_metadata_routing=True):
    model.set_fit_request(groups="subjects")
pipelines = {
    "DARE nano, default reading": make_pipeline(model),
    **classical_pipelines("erp"),
}
evaluation = CrossSubjectEvaluation(
    paradigm=P300(fmin=0.5, fmax=40, tmin=0, tmax=TRIAL_S - 1 / 256),
    datasets=[Simulated()],
    return_epochs=True,
    random_state=0,
    hdf5_path=folder.name,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MOABB's notes on versions of its own dependencies
    results = evaluation.process(pipelines)
results.pivot_table(index="subject", columns="pipeline", values="score").round(3)

# %%
# MOABB's table works with the figures and the statistics of this library once its columns are
# renamed. Scores are areas under the ROC curve of people who were left out.
table = results.rename(columns={"score": "roc_auc"}).assign(
    fold=results.groupby("pipeline").cumcount()
)
plot_scores(table, "roc_auc", chance=0.5)

# %%
# Person by person.
people = results.pivot_table(index="subject", columns="pipeline", values="score")
plot_paired(
    people,
    "Xdawn + tangent space + LR",
    "DARE nano, default reading",
    metric="roc_auc",
    unit="subject",
)

# %%
folder.cleanup()

# %%
# On a public data set
# --------------------
# .. code-block:: python
#
#     from moabb.datasets import BNCI2014_009
#
#     evaluation = CrossSubjectEvaluation(
#         paradigm=P300(fmin=0.5, fmax=40, resample=256),
#         datasets=[BNCI2014_009()],
#         return_epochs=True,
#     )
#     results = evaluation.process(pipelines)
