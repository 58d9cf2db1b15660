"""braindecode's networks as rivals."""

import json
import pickle

import mne
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from dare_sklearn.evaluation import BraindecodeClassifier, compare, rival

NAMES, SFREQ = ["C3", "Cz", "C4"], 128.0
LAYOUT = {"sfreq": SFREQ, "unit": "uV"}
# what braindecode's classes say of themselves while they are built is not ours to change
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:braindecode")


def task(n_epochs=40, n_chans=3, n_times=128, seed=0):
    """Epochs of two classes that differ in the amplitude of channel 0, and string labels."""
    rng = np.random.default_rng(seed)
    y = np.array(["feet", "hands"])[np.arange(n_epochs) % 2]
    X = 10 * rng.normal(size=(n_epochs, n_chans, n_times))
    X[y == "hands", 0] *= 4
    return X, y


def eegnet(**params):
    params = {"max_epochs": 1, "batch_size": 8, "random_state": 0, **params}
    return BraindecodeClassifier("EEGNet", **params)


EEGPT = {"embed_num": 1, "embed_dim": 64, "depth": 2, "num_heads": 4, "patch_stride": 64}


@pytest.mark.parametrize(
    ("model", "params"), [("EEGNet", None), ("ShallowFBCSPNet", None), ("EEGPT", EEGPT)]
)
def test_pipelines(model, params):
    X, y = task(10)
    options = {"max_epochs": 1, "batch_size": 4, "random_state": 0, "model_params": params}
    fitted = rival(model, **LAYOUT, **options).fit(X, y)
    proba = fitted.predict_proba(X)
    assert proba.shape == (10, 2) and np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    assert set(fitted.predict(X)) <= {"feet", "hands"}
    # pickles hold arrays, and give the same numbers
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), proba)
    # the same seed trains the same network
    np.testing.assert_array_equal(clone(fitted).fit(X, y).predict_proba(X), proba)
    epochs = mne.EpochsArray(X * 1e-6, mne.create_info(NAMES, SFREQ, "eeg"), verbose="error")
    from_epochs = rival(model, **options).fit(epochs, y)
    np.testing.assert_allclose(from_epochs.predict_proba(epochs), proba, atol=1e-3)


@pytest.mark.parametrize(("model", "lr"), [("EEGNet", 1e-2), ("ShallowFBCSPNet", 1e-3)])
def test_they_learn(model, lr):
    X, y = task(60)
    net = BraindecodeClassifier(model, max_epochs=25, batch_size=16, lr=lr, random_state=0)
    assert net.fit(X[:40], y[:40]).score(X[40:], y[40:]) > 0.8


def test_training_is_that_of_braindecodes_own_classifier():
    """The same seed, data and settings give the weights that EEGClassifier alone arrives at."""
    from braindecode import EEGClassifier
    from braindecode.models import EEGNet

    from dare_sklearn.training.device import draw_seeds, torch_seed

    X, y = task(12)
    ours = eegnet(max_epochs=2).fit(X, y)
    scaled = (X - X.mean(axis=-1, keepdims=True)).astype(np.float32)
    scaled /= scaled.std()
    with torch_seed(draw_seeds(0, 1)[0]):
        theirs = EEGClassifier(
            EEGNet(n_chans=3, n_outputs=2, n_times=128, final_layer_with_constraint=True),
            optimizer=torch.optim.AdamW, lr=1e-3, optimizer__weight_decay=1e-2, max_epochs=2,
            batch_size=8, iterator_train__drop_last=False, train_split=None, verbose=0,
        ).fit(scaled, (y == "hands").astype(np.int64))  # fmt: skip
    np.testing.assert_allclose(
        ours.predict_proba(X)[:, 1], theirs.predict_proba(scaled)[:, 1], atol=1e-5
    )


def test_a_refit_forgets_the_first_montage():
    net = eegnet().fit(*task(8))
    X, y = task(8, n_chans=5, n_times=160)
    assert net.fit(X, y).predict(X).shape == (8,)
    assert (net.n_chans_in_, net.n_times_in_) == (5, 160)


def test_few_epochs_are_trained_on_and_a_single_rest_is_left_out():
    for n_epochs in (6, 9):  # less than a batch; a batch and one
        X, y = task(n_epochs)
        first, later = (eegnet(max_epochs=n).fit(X, y).net_.module_.state_dict() for n in (1, 3))
        assert any(not torch.equal(first[name], later[name]) for name in first)
        assert all(torch.isfinite(value).all() for value in later.values())


def test_random_generators_of_the_caller_are_left_alone():
    X, y = task(8)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    eegnet().fit(X, y).predict(X)
    assert torch.equal(torch.rand(3), expected)


def test_grid_search_and_compare():
    X, y = task(12)
    pipeline = rival("EEGNet", max_epochs=1, batch_size=4, **LAYOUT)
    search = GridSearchCV(pipeline, {"net__lr": [1e-3, 1e-2]}, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_["net__lr"] in (1e-3, 1e-2)
    found, again = (
        compare({"EEGNet": pipeline}, X, y, cv=2, random_state=0, scoring=["accuracy", "roc_auc"])
        for _ in range(2)
    )
    np.testing.assert_array_equal(found["roc_auc"], again["roc_auc"])


# Every model of the installed braindecode that has features, as small as it can be made, for
# electrodes that it knows. STEEGFormer (whose list of channels is on the Hub) and ZUNA (its length
# is a multiple of 32, fitted to 256 Hz) are left out.
TINY = {"embed_num": 1, "embed_dim": 32, "depth": 1, "num_heads": 2}
FROZEN = {
    "EEGPT": TINY,
    "BIOT": {"num_layers": 1, "embed_dim": 32, "num_heads": 2},
    "CBraMod": {"n_layer": 1},
    "CodeBrain": {"num_res_layers": 1},
    "EEGDINO": {"n_layer": 1},
    "Labram": {"num_layers": 1},
    "LUNA": {"depth": 1},
    "REVE": {"depth": 1, "embed_dim": 32, "heads": 2, "head_dim": 16},
    "SignalJEPA": {},
    "InterpolatedEEGPT": TINY,
    "InterpolatedLaBraM": {"num_layers": 1},
    "InterpolatedSignalJEPA": {},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", FROZEN)
def test_frozen_networks_are_read_not_trained(model, tmp_path, monkeypatch):
    names = [*NAMES, "Pz", "Fz", "Oz"]
    # REVE downloads positions of electrodes unless they lie here
    places = mne.channels.make_standard_montage("colin27_1005").get_positions()["ch_pos"]
    table = {name: list(place) for name, place in places.items()}
    (tmp_path / "reve_positions.json").write_text(json.dumps(table))
    monkeypatch.setenv("REVE_POSITIONS_PATH", str(tmp_path))
    X, y = task(16, n_chans=6, n_times=400)
    options = {"frozen": True, "ch_names": names, "sfreq": 200.0, "model_params": FROZEN[model]}
    net = BraindecodeClassifier(model, random_state=0, batch_size=5, **options).fit(X, y)
    again = clone(net).set_params(max_epochs=7, batch_size=16).fit(X[::-1], y[::-1])
    for first, second in zip(
        net.net_.module_.parameters(), again.net_.module_.parameters(), strict=True
    ):
        assert torch.equal(first, second)
    proba = net.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    assert net.score(X, y) > 0.9
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).predict_proba(X), proba)
    net.net_.module_.save_pretrained(tmp_path)
    loaded = clone(net).set_params(weights=str(tmp_path), random_state=5).fit(X, y)
    np.testing.assert_allclose(loaded.predict_proba(X), proba, atol=1e-4)
    flat = clone(net).set_params(pooling="flatten").fit(X, y)
    assert flat.head_[0].n_features_in_ >= net.head_[0].n_features_in_


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("model", ["EEGNet", "ShallowFBCSPNet", "ATCNet"])
def test_networks_from_scratch(model):
    X, y = task(8, n_times=768)
    options = {"max_epochs": 1, "random_state": 0}
    pipeline = rival(model, **{**LAYOUT, "sfreq": 256.0}, **options).fit(X, y)
    assert pipeline[0].sfreq_out_ == pipeline[1].sfreq == {"EEGNet": 128.0}.get(model, 250.0)
    assert pipeline.predict_proba(X).shape == (8, 2)


def test_networks_that_are_built_for_a_rate():
    X, y = task(8)
    epochs = mne.EpochsArray(1e-6 * X, mne.create_info(NAMES, SFREQ, "eeg"), verbose="error")
    options = {"max_epochs": 1, "random_state": 0}
    with pytest.raises(ValueError, match=r"EEGInceptionERP is built for one.*\(of rival: rate=\)"):
        rival("EEGInceptionERP", **options).fit(epochs, y)
    with_rate = rival("EEGInceptionERP", rate=SFREQ, **options).fit(epochs, y)
    of_arrays = rival("EEGInceptionERP", **LAYOUT, **options).fit(X, y)
    np.testing.assert_allclose(with_rate.predict_proba(epochs), of_arrays.predict_proba(X), 1e-3)


def test_a_rival_by_name_brings_signals_to_its_rate_and_unit():
    pipeline = rival("InterpolatedLaBraM", frozen=True, ch_names=NAMES, **LAYOUT)
    assert pipeline[0].resample == pipeline[1].sfreq == 200.0 and pipeline[1].scale == 100.0
    own = rival("EEGPT", rate=128.0, scale=1.0, **LAYOUT)
    assert own[0].resample == 128.0 and own[1].scale == 1.0
    other = rival("TCN", **LAYOUT)
    assert other[0].resample is None and other[1].scale is None


@pytest.mark.filterwarnings("ignore")
def test_weights_of_a_saved_folder(tmp_path):
    X, y = task(16, n_times=400)
    options = {"model": "EEGPT", "ch_names": NAMES, "sfreq": 200.0, "frozen": True}
    first = BraindecodeClassifier(model_params=TINY, random_state=0, **options).fit(X, y)
    first.net_.module_.save_pretrained(tmp_path)
    loaded = BraindecodeClassifier(weights=str(tmp_path), random_state=5, **options).fit(X, y)
    np.testing.assert_allclose(loaded.predict_proba(X), first.predict_proba(X), atol=1e-5)
    scaled = clone(loaded).set_params(scale=1e3 * loaded.scale_).fit(X, y)
    assert np.abs(scaled.predict_proba(X) - loaded.predict_proba(X)).max() > 1e-3
    tuned = clone(loaded).set_params(frozen=False, max_epochs=1, weights=str(tmp_path)).fit(X, y)
    assert tuned.predict_proba(X).shape == (16, 2)


@pytest.mark.filterwarnings("ignore")
def test_weights_of_another_layout_are_taken_where_they_fit(tmp_path):
    X, y = task(8, n_chans=4, n_times=400)
    options = {"ch_names": [*NAMES, "Pz"], "sfreq": 200.0, "model_params": FROZEN["Labram"]}
    # its temporal embedding has the length of the epochs
    saved = BraindecodeClassifier("Labram", frozen=True, random_state=0, **options)
    saved.fit(np.concatenate([X, X], axis=-1), y).net_.module_.save_pretrained(tmp_path)
    own = {**options, "weights": str(tmp_path)}
    own["ch_names"] = ["F3", "Fz", "F4", "Oz"]
    wrong = r"fits temporal_embedding of Interpolated\w+ for 4 channels and 400 samples"
    with pytest.raises(ValueError, match=wrong):
        BraindecodeClassifier("InterpolatedLaBraM", frozen=True, **own).fit(X, y)
    net = BraindecodeClassifier("InterpolatedLaBraM", lr=1e-9, max_epochs=1, **own)
    with pytest.warns(UserWarning, match=r"LaBraM are not in its weights.*: temporal_embedding\."):
        net.fit(X, y)
    before, after = (m.net_.module_.state_dict() for m in (saved, net))
    name = "blocks.0.mlp.0.weight"
    torch.testing.assert_close(after[name], before[name], atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="are of another model"):
        BraindecodeClassifier("EEGPT", **own | {"model_params": TINY}).fit(X, y)
    # a configuration that would have something else imported
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace("torch.nn.modules.activation.GELU", "os.system"))
    with pytest.raises(ValueError, match="'os.system' of a configuration is not a class of torch"):
        BraindecodeClassifier("Labram", frozen=True, **own).fit(X, y)
    config.unlink()  # some repositories have none, and another network takes nothing
    with pytest.raises(ValueError, match="hold nothing that fits"):
        BraindecodeClassifier("EEGPT", **own | {"model_params": TINY}).fit(X, y)


def test_wrong_arguments():
    X, y = task(8)
    with pytest.raises(ValueError, match="no class 'EEGNot'"):
        BraindecodeClassifier("EEGNot").fit(X, y)
    with pytest.raises(ValueError, match="no class 'DeepSleepNetX'"):
        BraindecodeClassifier("DeepSleepNetX", frozen=True).fit(X, y)
    with pytest.raises(ValueError, match="put SignalArray in front"):
        eegnet().fit(X[:, 0], y)
    with pytest.raises(ValueError, match="two or more classes"):
        eegnet().fit(X, np.zeros(8))
    with pytest.raises(ValueError, match="NaN"):
        eegnet().fit(np.where(X > 30, np.nan, X), y)
    with pytest.raises(ValueError, match="'max_epochs' parameter"):
        eegnet(max_epochs=0).fit(X, y)
    with pytest.raises(ValueError, match=r"\(3, 100\), but .* \(3, 128\)"):
        eegnet().fit(X, y).predict(X[..., :100])
