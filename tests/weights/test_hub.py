"""Weights by an id of the Hugging Face Hub, with a stand-in for its library (no network)."""

import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dare_sklearn import DAREClassifier, DAREEmbedder, load_encoder, simulate_epochs


class Hub:
    """Repositories as folders."""

    def __init__(self, root):
        self.root, self.asked = root, []

    def snapshot_download(self, name, *, revision, allow_patterns):
        self.asked.append((name, revision, allow_patterns))
        folder = self.root / name
        if not folder.is_dir():
            raise OSError("404: Repository not found\nmore lines")
        return str(folder)

    def HfApi(self, token):
        def create_repo(repo_id, *, private, exist_ok):
            (self.root / repo_id).mkdir(parents=True, exist_ok=exist_ok)

        def upload_folder(*, repo_id, folder_path, commit_message):
            shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)
            return SimpleNamespace(__str__=lambda: "address")

        return SimpleNamespace(create_repo=create_repo, upload_folder=upload_folder)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    return hub


@pytest.fixture(scope="module")
def epochs():
    return simulate_epochs(n_subjects=1, n_epochs=6, ch_names=["C3", "Cz", "C4"], random_state=0)


def test_there_and_back(hub, epochs):
    embedder = DAREEmbedder(None, random_state=0).fit(epochs)
    embedder.push_to_hub("lab/tiny")
    assert {f.name for f in (hub.root / "lab/tiny").iterdir()} == {
        "config.json",
        "model.safetensors",
    }
    again = DAREEmbedder("lab/tiny").fit(epochs)
    assert np.array_equal(again.transform(epochs), embedder.transform(epochs))
    name, revision, patterns = hub.asked[-1]
    assert (name, revision) == ("lab/tiny", None)
    assert set(patterns) == {"config.json", "model.safetensors", "README.md"}  # nothing that runs


def test_revision(hub, epochs):
    DAREEmbedder(None, random_state=0).fit(epochs).push_to_hub("lab/tiny")
    load_encoder("lab/tiny@v1.0")
    assert hub.asked[-1][:2] == ("lab/tiny", "v1.0")


def test_probe(hub, epochs):
    y = epochs.metadata["label"].to_numpy()
    probe = DAREClassifier(None, spatial_init="spline", max_epochs=1, random_state=0).fit(epochs, y)
    probe.push_to_hub("lab/probe")
    again = DAREClassifier.from_pretrained("lab/probe")
    assert np.array_equal(again.predict_proba(epochs), probe.predict_proba(epochs))


def test_a_path_goes_first(hub, epochs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    DAREEmbedder(None, random_state=0).fit(epochs).save_pretrained("lab/tiny")
    assert isinstance(load_encoder("lab/tiny"), torch.nn.Module)
    assert hub.asked == []


def test_missing_repository(hub):
    with pytest.raises(FileNotFoundError, match="no path of that name.*404: Repository not found"):
        load_encoder("lab/none")


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="pip install huggingface_hub"):
        load_encoder("lab/none")


@pytest.mark.parametrize("name", ["./lab/none", "/lab/none", "a/b/c", "none", "lab/none.ckpt/x"])
def test_paths_are_no_ids(hub, name):
    with pytest.raises(FileNotFoundError, match="neither a shipped name"):
        load_encoder(name)
    assert hub.asked == []
