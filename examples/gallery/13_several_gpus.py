"""
Several GPUs
============

The script of a pretraining stays the same on one GPU and on many: accelerate starts it once per
GPU, and :class:`~dare_sklearn.DAREPretrainer` finds the others. This page shows how; it is not run
when these pages are built, except for the drawing.

.. code-block:: python

    # pretrain.py
    from dare_sklearn import DAREPretrainer

    pretrainer = DAREPretrainer(
        "base",
        batch_size=54,  # per process: 4 processes make the paper's 216
        max_epochs=200,
        checkpoint_dir="runs/base",  # a disk that all nodes see
        checkpoint_every=500,
        n_workers=4,  # processes that read files, for each GPU
        on_error="skip",
        precision="bfloat16",
        random_state=0,
    )
    pretrainer.fit("corpus")  # a folder of EDF, BDF, FIF or SET files
    pretrainer.save_pretrained("encoders/base")

.. code-block:: bash

    pip install accelerate
    accelerate launch --num_processes 4 pretrain.py
"""

import matplotlib.pyplot as plt
import numpy as np

# %%
# What the processes share. Mask alignment looks for the second view of each window among *all*
# windows of the step. Each process embeds its own part, the embeddings are gathered, and each
# computes its rows of the table of similarities: four processes with 54 windows make the step that
# one would make with 216. Only the embeddings (256 numbers per window) and the gradients travel.

n_processes, per_process = 4, 6
rng = np.random.default_rng(0)
table = rng.uniform(0, 0.35, (n_processes * per_process,) * 2) + np.diag(
    np.full(n_processes * per_process, 0.65)
)
figure, ax = plt.subplots(figsize=(6.5, 5), layout="constrained")
image = ax.imshow(table, cmap="Blues", vmin=0, vmax=1)
for k in range(n_processes):
    edge = k * per_process - 0.5
    ax.add_patch(
        plt.Rectangle(
            (-0.5, edge), len(table), per_process, fill=False, edgecolor=f"C{k}", linewidth=3
        )
    )
    ax.text(len(table), edge + per_process / 2, f"process {k}", color=f"C{k}", va="center")
ax.set(
    xlabel="second views of all windows (gathered)",
    ylabel="first views: each process its own",
    xticks=[],
    yticks=[],
    title="The table of similarities of one step (made-up numbers)",
)
ax.spines[:].set_visible(False)

# %%
# Good to know
# ------------
# - Losses and weights agree with those of a single process with the whole batch, to rounding. The
#   learning rate is not scaled.
# - Every process ends with the same fitted object; only the first one writes files.
# - On SIGTERM the step is finished and saved, and the process exits with code 143, so that a
#   cluster can put the job back into its queue: see :doc:`/guide/clusters` for a SLURM script.
# - A cross-validation or a grid search needs other tools, since its fits are independent:
#   joblib's ``n_jobs``, or its Dask backend.
#
# On a public data set
# --------------------
# EEGBCI of PhysioNet as the corpus. Download it first, in one process: several would do it at once.
#
# .. code-block:: python
#
#     import mne
#     from mne.datasets import eegbci
#
#     files = eegbci.load_data(subjects=list(range(1, 110)), runs=[1, 2])
#     raws = [mne.io.read_raw(file) for file in files]  # stays on disk
#     for raw in raws:
#         eegbci.standardize(raw)
#     pretrainer.fit(raws)
