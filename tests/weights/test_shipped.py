"""The encoders that come with the library."""

import json

import numpy as np
import pytest

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer, load_encoder, simulate_epochs
from dare_sklearn.inspection import mask_invariance
from dare_sklearn.modules.config import SIZES, DAREConfig
from dare_sklearn.weights.files import sha256
from dare_sklearn.weights.load import SHIPPED_FOLDER, shipped_names


@pytest.fixture(scope="module")
def epochs():
    return simulate_epochs("erp", n_subjects=2, n_epochs=16, random_state=12345)


def test_what_is_there():
    assert shipped_names() == ["light", "nano"]


def test_the_wheel_stays_small():
    files = [file for file in SHIPPED_FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 24e6


@pytest.mark.parametrize("name", shipped_names())
def test_files_belong_together(name):
    folder = SHIPPED_FOLDER / name
    config = json.loads((folder / "config.json").read_text())
    assert config["sha256"] == sha256(folder / "model.safetensors")
    card = (folder / "README.md").read_text()
    assert config["sha256"] in card
    for heading in ("## Corpus", "## Training", "## Results", "## Limits"):
        assert heading in card
    encoder = load_encoder(name)
    assert encoder.config.embed_dim == SIZES[name].embed_dim
    if name == "nano":
        assert "reference" not in config["model"]  # it was written before there was one
    assert encoder.config == DAREConfig.from_dict(config["model"])
    assert encoder.config.reference is None


def test_estimators_work_out_of_the_box(epochs):
    y = epochs.metadata["label"].to_numpy()
    assert DAREEmbedder().fit_transform(epochs).shape == (32, 31)
    assert DAREClassifier(random_state=0).fit(epochs, y).predict(epochs).shape == (32,)


def test_pretraining_goes_on_from_it(epochs):
    pretrainer = DAREPretrainer(weights="nano", max_epochs=1, window_s=1.0, random_state=0)
    moved = pretrainer.fit(epochs[:8]).encoder_.state_dict()
    start = load_encoder("nano").state_dict()
    assert not all(np.array_equal(moved[k], start[k]) for k in start)
    with pytest.warns(UserWarning, match="size='light' is not read: weights='nano' have"):
        DAREPretrainer("light", weights="nano", max_epochs=0, window_s=1.0).fit(epochs[:8])


def test_it_finds_the_other_view(epochs):
    """People whom the encoder never saw; with no electrode in common, chance is 1 in 32."""
    views = {
        name: mask_invariance(name, epochs, overlaps=[0.0], n_draws=5, random_state=0)
        for name in ("nano", None)
    }
    retrieval = {name: table["retrieval"].mean() for name, table in views.items()}
    assert retrieval["nano"] > 0.6
    assert retrieval[None] < 0.3
