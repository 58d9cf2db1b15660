"""
Losing electrodes at prediction
===============================

Electrodes dry out and come off. A model that was fitted on all of them can continue with those that
are left: the encoder was trained to see the same through any of its electrodes.
"""

import warnings

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dare_sklearn import DAREEmbedder, simulate_epochs
from dare_sklearn.transformers import classical_pipelines
from dare_sklearn.viz import plot_curve

MONTAGE = (
    "Fp1 Fp2 F7 F3 Fz F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 CP5 CP1 CP2 CP6 P7 P3 Pz P4 P8 O1 Oz O2"
).split()

# %%
# Fitted once, on five people with all 28 electrodes. The other three people lose some.
epochs = simulate_epochs("erp", n_subjects=8, n_epochs=60, ch_names=MONTAGE, random_state=0)
y, subject = epochs.metadata["label"].to_numpy(), epochs.metadata["subject"].to_numpy()
train = np.isin(subject, ["S001", "S002", "S003", "S004", "S005"])
new, y_new, who = epochs[~train], y[~train], subject[~train]


def embeddings(encoder):
    return make_pipeline(
        DAREEmbedder(encoder, pooling="flatten", random_state=0),
        StandardScaler(),
        LogisticRegression(C=0.001, max_iter=5_000),
    )


dare = embeddings("nano").fit(epochs[train], y[train])
untrained = embeddings(None).fit(epochs[train], y[train])
xdawn = classical_pipelines("erp")["Xdawn + tangent space + LR"].fit(epochs[train], y[train])

# %%
# The remaining channels go straight into ``predict``: the embedder accepts a part of its channels,
# with a warning that names the others. Here it is expected, and therefore silenced.
left = new.copy().drop_channels(["Pz", "P3"])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    dare.predict(left[:2])
print(caught[0].message)

# %%
# A classical pipeline has a weight for every channel and needs all of them. MNE can fill the gaps
# from the neighbours (spherical splines). That is good practice, so it is compared, also in
# front of the encoder.
rng = np.random.default_rng(0)
rows = []
for share in (0.0, 0.2, 0.4, 0.6, 0.8):
    for draw in range(1 if share == 0 else 4):
        lost = list(rng.choice(MONTAGE, round(share * len(MONTAGE)), replace=False))
        dropped, filled = new.copy().drop_channels(lost), new.copy()
        filled.info["bads"] = lost
        if lost:
            filled.interpolate_bads(verbose="error")
        candidates = {
            "DARE nano, what is left": (dare, dropped),
            "DARE nano, interpolated": (dare, filled),
            "untrained, what is left": (untrained, dropped),
            "Xdawn + tangent space, interpolated": (xdawn, filled),
        }
        for name, (model, signals) in candidates.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                p = model.predict_proba(signals)[:, 1]
            auc = np.mean(
                [roc_auc_score(y_new[who == s] == "target", p[who == s]) for s in set(who)]
            )
            rows.append({"share": share, "model": name, "draw": draw, "roc_auc": auc})
scores = pd.DataFrame(rows)
scores.pivot_table(index="model", columns="share", values="roc_auc").round(3)

# %%
# Scores are areas under the ROC curve, averaged over the three new people; the bands reach from the
# worst to the best choice of lost electrodes. Compare the slopes, and the line of the
# untrained encoder: only the difference from it is due to pretraining.
points = scores.groupby(["model", "share"])["roc_auc"].agg(["mean", "min", "max"]).reset_index()
points["metric"] = "roc_auc"
plot_curve(points, "share", hue="model", low="min", high="max", chance=0.5)

# %%
# On a public data set
# --------------------
# .. code-block:: python
#
#     from moabb.datasets import BNCI2014_009
#     from moabb.paradigms import P300
#
#     epochs, y, meta = P300(resample=256).get_data(BNCI2014_009(), return_epochs=True)
#     y = np.where(y == "Target", "target", "nontarget")
#     subject = meta["subject"].to_numpy()
#     train = meta["subject"].isin(range(1, 8)).to_numpy()
#
# The paper's conv-linear probe (``spatial_init="spline"``) has a weight for every channel, like
# CSP, and needs all of them. The default probe refits its filters to the channels that are left,
# and the default reading (``adaptation="linear"``) does without lost ones too.
