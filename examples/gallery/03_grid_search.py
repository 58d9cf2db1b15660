"""
A grid search that embeds once
==============================

In a grid search the same epochs are embedded again and again: in every fold, and for every
parameter of the classifier behind it. With ``cache="memory"`` each epoch is embedded once per way
of pooling.
"""

import time

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from dare_sklearn import DAREEmbedder, simulate_epochs
from dare_sklearn.viz import plot_curve

montage = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()
epochs = simulate_epochs("erp", n_subjects=6, n_epochs=40, ch_names=montage, random_state=3)
# An array: scikit-learn splits `mne.Epochs` epoch by epoch, which would take longer than the rest
X = epochs.get_data(units="uV")
layout = {"ch_names": epochs.ch_names, "sfreq": epochs.info["sfreq"], "unit": "uV"}
y, subject = epochs.metadata["label"].to_numpy(), epochs.metadata["subject"].to_numpy()
grid = {
    "embed__pooling": ["mean", "mean_std", "flatten"],
    "lr__C": [1e-4, 1e-3, 1e-2, 1e-1],
}


def search(cache):
    """The search, and how long it took (s)."""
    pipeline = Pipeline(
        [
            ("embed", DAREEmbedder("nano", pooling="mean", cache=cache, **layout)),
            ("scale", StandardScaler()),
            ("lr", LogisticRegression(max_iter=5_000)),
        ]
    )
    start = time.perf_counter()
    found = GridSearchCV(pipeline, grid, cv=LeaveOneGroupOut(), scoring="roc_auc")
    found.fit(X, y, groups=subject)
    return found, time.perf_counter() - start


# %%
# Without and with the cache. The answer is the same; a folder instead of "memory" lets several
# processes (``n_jobs``) share what was computed.
plain, plain_seconds = search(None)
cached, cached_seconds = search("memory")
print("the same best parameters:", plain.best_params_ == cached.best_params_)
print(f"{plain_seconds / cached_seconds:.1f} times as fast with the cache")

# %%
# What was chosen. Evoked responses live in the time course, which only "flatten" keeps. Points are
# means over the six people; bars are seconds on the machine that built this page.
results = pd.DataFrame(cached.cv_results_)
folds = results.melt(
    ["param_embed__pooling", "param_lr__C"],
    [f"split{k}_test_score" for k in range(6)],
    value_name="roc_auc",
).rename(columns={"param_embed__pooling": "pooling", "param_lr__C": "C"})

figure, axes = plt.subplots(
    1, 2, figsize=(10, 4), layout="constrained", gridspec_kw={"width_ratios": [3, 1]}
)
points = folds.astype({"C": float}).groupby(["pooling", "C"], as_index=False)["roc_auc"].mean()
plot_curve(points, "C", "roc_auc", "pooling", log_x=True, chance=0.5, ax=axes[0])
axes[0].set(xlabel="C of the logistic regression", title="Score of each candidate")
axes[0].xaxis.set_major_formatter("{x:g}")
axes[1].bar(["no cache", "cache"], [plain_seconds, cached_seconds], color=["0.7", "tab:blue"])
axes[1].set(ylabel="seconds", title="The whole search")
axes[1].spines[["top", "right"]].set_visible(False)

# %%
# The best score of a search is too good, because it was chosen as the best: the folds that chose
# it also score it. For a score to report, put the search inside another cross-validation, over
# people who were not in it: :func:`dare_sklearn.evaluation.compare` with ``param_grids`` does so
# for every pipeline, and its inner folds keep people whole (see
# :ref:`sphx_glr_gallery_04_csp_and_tangent_space.py`).
#
# On a public data set
# --------------------
# .. code-block:: python
#
#     from moabb.datasets import BNCI2014_009
#     from moabb.paradigms import P300
#
#     epochs, y, meta = P300(resample=256).get_data(
#         BNCI2014_009(), subjects=[1, 2, 3], return_epochs=True
#     )
#     X, subject = epochs.get_data(units="uV"), meta["subject"].to_numpy()
#     layout = {"ch_names": epochs.ch_names, "sfreq": epochs.info["sfreq"], "unit": "uV"}
#     found, seconds = search("memory")
