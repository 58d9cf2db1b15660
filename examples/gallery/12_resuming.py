"""
Resuming an interrupted run
===========================

A pretraining takes hours, and machines fail. With ``checkpoint_dir``, the same ``fit`` call
continues where the last one stopped, and ends with the same bits (on a CPU) as if nothing had
happened.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from skorch.callbacks import Callback

from dare_sklearn import DAREPretrainer, simulate_epochs

montage = "Fp1 Fp2 F3 Fz F4 T7 C3 Cz C4 T8 P3 Pz P4 O1 O2".split()
recordings = simulate_epochs("motor", n_subjects=4, n_epochs=48, ch_names=montage, random_state=0)
folder = tempfile.TemporaryDirectory()

# %%
# The failure: an error in the middle of the fifth epoch. Pulling the plug has the same
# consequence. Ctrl-C and SIGTERM, which clusters send before they stop a job, are kinder: the step
# is finished and saved first.


class PowerCut(Callback):
    def on_batch_end(self, net, training=None, **kwargs):
        if len(net.history) == 5 and len(net.history[-1, "batches"]) == 2:
            raise RuntimeError("power cut")


def run(callbacks=None, checkpoint_dir=None):
    pretrainer = DAREPretrainer(
        "nano",
        max_epochs=8,
        batch_size=48,
        checkpoint_dir=checkpoint_dir,
        checkpoint_every=1,  # also within an epoch; None: only after epochs
        callbacks=callbacks,
        random_state=0,
    )
    return pretrainer.fit(recordings)


try:
    run([PowerCut()], folder.name)
except RuntimeError as error:
    print("stopped by:", error)
print(sorted(path.name for path in Path(folder.name).iterdir()))

# %%
# The same call again, and a run that was never stopped, for comparison.
resumed = run(checkpoint_dir=folder.name)
whole = run()

Z_resumed, Z_whole = resumed.transform(recordings[:20]), whole.transform(recordings[:20])
print("the same embeddings, bit for bit:", np.array_equal(Z_resumed, Z_whole))
losses = ["reconstruction", "anchor_alignment", "mask_alignment"]
print("the same losses:", resumed.history_[losses].equals(whole.history_[losses]))

# %%
# The curve of the resumed run lies on that of the other one.
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name in losses:
    (line,) = ax.plot(whole.history_["epoch"], whole.history_[name], linewidth=7, alpha=0.3)
    ax.plot(
        resumed.history_["epoch"], resumed.history_[name], "o-", color=line.get_color(),
        markersize=4, linewidth=1.5, label=name.replace("_", " "),
    )  # fmt: skip
ax.axvline(5, color="0.3", linestyle="--", linewidth=1)
ax.annotate("power cut", (5, ax.get_ylim()[1]), (5, -4), textcoords="offset points", va="top")
ax.set(xlabel="epoch", ylabel="loss", title="wide: never stopped; thin: stopped and resumed")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))

# %%
# A folder that holds a run of other parameters or another corpus is refused, so that two runs
# cannot be mixed up. ``compare(..., cache_dir=...)`` and ``dare-sklearn benchmark`` can be resumed
# too.
folder.cleanup()

# %%
# On a public data set
# --------------------
# .. code-block:: python
#
#     import mne
#     from mne.datasets import eegbci
#
#     files = eegbci.load_data(subjects=list(range(1, 21)), runs=[1, 2])
#     raws = [mne.io.read_raw(file) for file in files]
#     for raw in raws:
#         eegbci.standardize(raw)
#     DAREPretrainer(checkpoint_dir="runs/eegbci", checkpoint_every=100, random_state=0).fit(raws)
