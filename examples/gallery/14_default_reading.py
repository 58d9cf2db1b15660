"""
One reading for imagery and for evoked responses
================================================

Common spatial patterns read the power of rhythms, Xdawn reads the time course of evoked responses,
and the user has to know which of the two a task needs. The default reading of the frozen encoder,
``DAREClassifier(adaptation="linear")``, is the same for both: here it is compared with each
paradigm's own pipeline, and with that of the other one.
"""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.model_selection import LeaveOneGroupOut

from dare_sklearn import DAREClassifier, simulate_epochs
from dare_sklearn.evaluation import compare, summarize
from dare_sklearn.transformers import classical_pipelines
from dare_sklearn.viz import plot_scores

# %%
# Two tasks of the same five people: imagined movement of the left or the right hand, which changes
# rhythms over the motor cortex, and rare targets among other stimuli, which evoke a P3b.
montage = "Fp1 Fp2 F3 Fz F4 FC5 FC1 FC2 FC6 C3 Cz C4 CP5 CP1 CP2 CP6 P3 Pz P4 O1 O2".split()
people = {"n_subjects": 5, "ch_names": montage, "random_state": 0}
tasks = {
    "imagined movement": simulate_epochs("motor", n_epochs=40, duration=2.0, **people),
    "evoked responses": simulate_epochs("erp", n_epochs=60, target_fraction=0.4, **people),
}

# %%
# DARE does not know the paradigm, and searches nothing: the reading weighs its blocks by
# predictions of held-out training epochs. The untrained encoder is the control.
parts, models = [], {}
for task, epochs in tasks.items():
    X = epochs.get_data(units="uV")
    layout = {"ch_names": epochs.ch_names, "sfreq": epochs.info["sfreq"], "unit": "uV"}
    y = epochs.metadata["label"].to_numpy()
    subject = epochs.metadata["subject"].to_numpy()

    def reading(encoder, layout=layout):
        return DAREClassifier(
            encoder, adaptation="linear", cache="memory", random_state=0, **layout
        )

    classical = classical_pipelines(**layout)
    pipelines = {
        "DARE, default reading": reading("nano"),
        "untrained, default reading": reading(None),
        "CSP + LDA": classical["CSP + LDA"],
        "Xdawn + tangent space + LR": classical["Xdawn + tangent space + LR"],
    }
    parts.append(
        compare(
            pipelines,
            X,
            y,
            groups=subject,
            cv=LeaveOneGroupOut(),
            scoring="roc_auc",
            random_state=0,
            dataset=task,
        )
    )
    models[task] = reading("nano").fit(X, y, groups=subject)
scores = pd.concat(parts, ignore_index=True)

# %%
# Each point is one person, whom the model has not seen. A classical pipeline on the other
# paradigm shows what a wrong choice costs: it is near chance. The default reading has no such
# choice to make. It need not win: the simulated P3b is just what Xdawn is made for, and on signals
# like these an untrained encoder scores as high.
plot_scores(scores, "roc_auc", summarize(scores), chance=0.5)

# %%
# Where does the answer come from? The fitted model knows the share of each block: tokens of all
# electrodes together (joint), tokens of each electrode by itself (electrodes), their covariance,
# their power, the signal at a low rate (evoked), covariances in the bands of the encoder's
# principal filters (bands) and in all of them together (broadband), and how far each frequency
# rises above its surroundings (rhythms).
shares = pd.DataFrame({task: pd.Series(model.linear_.weights_) for task, model in models.items()})
shares = shares / shares.sum()
figure, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
shares.T.iloc[::-1].plot.barh(stacked=True, ax=ax, width=0.6, legend=False)
ax.set(xlabel="share in the decision", xlim=(0, 1))
ax.spines[["top", "right"]].set_visible(False)
figure.legend(loc="outside upper center", ncols=4, frameon=False)

# %%
# On a public data set
# --------------------
# Imagined movements of nine people, and an oddball task of ten, through MOABB:
#
# .. code-block:: python
#
#     from moabb.datasets import BNCI2014_001, BNCI2014_009
#     from moabb.paradigms import P300, LeftRightImagery
#
#     imagery = LeftRightImagery(fmin=1, fmax=40, tmax=2.0)
#     tasks = {
#         "imagined movement": imagery.get_data(BNCI2014_001(), return_epochs=True),
#         "evoked responses": P300(resample=256).get_data(BNCI2014_009(), return_epochs=True),
#     }
#     for task, (epochs, y, meta) in tasks.items():
#         X, subject = epochs.get_data(units="uV"), meta["subject"].to_numpy()
#
# Scores of the default reading on recordings are in the :doc:`model card </model_cards>`.
