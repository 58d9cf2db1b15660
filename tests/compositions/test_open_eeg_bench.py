"""OpenEEG-Bench's own code on DAREModel: its ridge probe, and its frozen strategy.

Data and weights come from this machine in place of the Hugging Face Hub.
"""

from __future__ import annotations

import warnings

import mne
import numpy as np
import pytest
import torch

from dare_sklearn import simulate_epochs
from dare_sklearn.models import DAREModel

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def bench():
    """The package with its parts, whose import needs peft, wandb and exca."""
    pytest.importorskip(
        "open_eeg_bench", reason="OpenEEG-Bench is not installed: pip install open-eeg-bench"
    )
    import open_eeg_bench.backbone
    import open_eeg_bench.dataset
    import open_eeg_bench.experiment
    import open_eeg_bench.finetuning
    import open_eeg_bench.head
    import open_eeg_bench.training

    return open_eeg_bench


@pytest.fixture(scope="module")
def simulated():
    epochs = simulate_epochs(
        "erp", n_subjects=5, n_epochs=40, ch_names=["Fz", "Cz", "Pz", "Oz", "POz"], sfreq=128.0,
        random_state=0,
    )  # fmt: skip
    return epochs, epochs.metadata["label"].to_numpy(), epochs.metadata["subject"].to_numpy()


@pytest.fixture(scope="module")
def recorded(recordings):
    """Stimulus 1 or 2 of ten people, at the benchmark's 100 Hz."""
    epochs = mne.read_epochs(recordings / "uci_eeg" / "uci_eeg-epo.fif", verbose="error")
    epochs = epochs.pick("eeg").resample(100.0, verbose="error")
    y = (epochs.metadata["condition"] == "S1 obj").to_numpy().astype(int)
    return epochs, y, epochs.metadata["subject"].to_numpy()


def as_hub_data(epochs, y, people):
    """Windows of every person in microvolts, as the benchmark's data sets hold them."""
    from braindecode.datasets import create_from_mne_epochs

    codes = np.unique(y, return_inverse=True)[1]
    parts = []
    for person in np.unique(people):
        rows = people == person
        events = np.c_[np.arange(rows.sum()) * 10_000, np.zeros(rows.sum(), int), codes[rows]]
        parts.append(
            mne.EpochsArray(
                1e6 * epochs.get_data()[rows], epochs.info, events.astype(int), verbose="error"
            )
        )
    n_times = len(epochs.times)
    with warnings.catch_warnings(), mne.use_log_level("error"):
        warnings.simplefilter("ignore")
        return create_from_mne_epochs(
            parts, n_times, n_times, False, mapping={0: 0, 1: 1},
            descriptions=[{"subject": str(person)} for person in np.unique(people)],
        )  # fmt: skip


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory):
    """What ``push_to_hub`` uploads, of the shipped encoder on another montage than the data's."""
    folder = tmp_path_factory.mktemp("hub")
    info = mne.create_info(["C3", "Cz", "C4"], 256.0, "eeg").set_montage("colin27_1005")
    DAREModel(
        2, chs_info=info["chs"], n_times=512, sfreq=256.0, encoder="nano", adaptation="linear",
        views="electrodes",
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture
def score(bench, hub_folder, monkeypatch):
    """The benchmark's score of one strategy, through `Experiment.run`."""

    def run(data, strategy, **params):
        import huggingface_hub

        monkeypatch.setattr(
            huggingface_hub, "hf_hub_download", lambda repo_id, filename: str(hub_folder / filename)
        )
        monkeypatch.setattr(bench.dataset.Dataset, "load", lambda self: as_hub_data(*data))
        people = sorted(map(str, np.unique(data[2])))
        split = {"train_values": people[:-2], "val_values": people[-2:-1]}
        splitter = bench.dataset.PredefinedSplitter(
            metadata_key="subject", test_values=people[-1:], **split
        )
        how = {
            "ridge_probe": lambda: {
                "head": bench.head.FlattenHead(),
                "training": bench.training.RidgeProbingTraining(max_features=400),
            },
            "frozen": lambda: {
                "head": bench.head.LinearHead(),
                "training": bench.training.Training(max_epochs=20, batch_size=16, lr=3e-3),
            },
        }  # fmt: skip
        experiment = bench.experiment.Experiment(
            backbone=bench.backbone.PretrainedBackbone(
                model_cls="dare_sklearn.models.DAREModel",
                hub_repo="someone/dare-nano",
                model_kwargs={"size": "nano", "adaptation": "linear", "views": "electrodes"}
                | params,
            ),
            finetuning=bench.finetuning.Frozen(),
            dataset=bench.dataset.Dataset(
                hf_id="someone/data", revision="main", n_classes=2, splitter=splitter
            ),
            verbose=0,
            **how[strategy](),
        )
        with mne.use_log_level("error"):
            return experiment.run()

    return run


@pytest.mark.parametrize("strategy", ["ridge_probe", "frozen"])
def test_strategies(score, simulated, strategy):
    found = score(simulated, strategy)
    assert found["test_balanced_accuracy"] > 0.6
    stats = found["adapter_stats"]
    assert 0 <= stats["trainable_params"] < stats["total_params"]


@pytest.mark.parametrize("views", ["joint", "electrodes"])
def test_low_rank_adapters_reach_what_the_encoder_computes(bench, hub_folder, views):
    """Of every module that is adapted; the maps of queries and keys are read past peft."""
    backbone = bench.backbone.PretrainedBackbone(
        model_cls="dare_sklearn.models.DAREModel",
        checkpoint_path="unused",
        peft_target_modules=["patch_embed", "proj", "fc1", "fc2"],
    )
    info = mne.create_info(["C3", "Cz", "C4"], 128.0, "eeg").set_montage("colin27_1005")
    model = DAREModel(
        2, chs_info=info["chs"], n_times=128, sfreq=128.0, encoder="nano", adaptation="linear",
        views=views,
    )  # fmt: skip
    model, stats = bench.finetuning.LoRA(r=4, dropout=0.0).apply(model, backbone)
    assert 0 < stats["trainable_params"] < stats["total_params"]
    model.train()(10 * torch.randn(4, 3, 128)).square().sum().backward()
    adapters = {name: p for name, p in model.named_parameters() if "lora_B" in name}
    assert len(adapters) == 7 and all(p.grad.abs().sum() > 0 for p in adapters.values())


def test_an_adapter_that_is_not_in_the_weights_is_refused(score, simulated):
    """The conv-linear probe has a spatial map of its own, which the benchmark wants declared."""
    with pytest.raises(ValueError, match=r"(?s)missing 1 learnable parameter.*backbone\.spatial"):
        score(simulated, "ridge_probe", adaptation="conv-linear", views="joint")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ridge_probe", "frozen"])
def test_recordings(score, recorded, strategy):
    assert score(recorded, strategy)["test_balanced_accuracy"] > 0.55
