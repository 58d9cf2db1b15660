"""DAREPretrainer: what it learns from, what it promises, what it keeps."""

from __future__ import annotations

import pickle

import mne
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

from dare_sklearn import DAREEmbedder, DAREPretrainer, simulate_epochs
from dare_sklearn.signals.electrodes import TEN_TWENTY
from dare_sklearn.training.corpus import Corpus, Montage, MontageBatches

PARAMS = {"ch_names": list(TEN_TWENTY), "sfreq": 128.0, "unit": "uV", "random_state": 0}


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(scale=15, size=(24, 19, 256))


@pytest.fixture(scope="module")
def fitted(X):
    return DAREPretrainer(max_epochs=2, batch_size=8, **PARAMS).fit(X)


def test_history(fitted):
    assert fitted.n_iter_ == 2
    assert list(fitted.history_["epoch"]) == [1, 2]
    columns = {"reconstruction", "anchor_alignment", "mask_alignment", "activation_penalty"}
    assert columns | {"total", "lr", "seconds"} <= set(fitted.history_.columns)
    assert np.isfinite(fitted.history_.to_numpy(float)).all()
    terms = fitted.history_
    total = (
        terms["reconstruction"]
        + terms["anchor_alignment"]
        + 0.1 * terms["mask_alignment"]
        + 1e-4 * terms["activation_penalty"]
    )
    np.testing.assert_allclose(terms["total"], total, rtol=1e-5)


def test_loss_falls(X):
    slow = np.cumsum(X, axis=-1)  # strong, predictable structure
    slow = 15 * (slow - slow.mean(-1, keepdims=True)) / slow.std()
    history = DAREPretrainer(max_epochs=12, batch_size=8, lr=2e-3, **PARAMS).fit(slow).history_
    assert history["anchor_alignment"].iloc[-1] < 0.5 * history["anchor_alignment"].iloc[0]
    assert history["reconstruction"].iloc[-1] < history["reconstruction"].iloc[0]


def test_same_seed_same_bits(X, fitted):
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    again = DAREPretrainer(max_epochs=2, batch_size=8, **PARAMS).fit(X)
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, value in fitted.model_.state_dict().items():
        assert torch.equal(value, again.model_.state_dict()[name]), name
    other = clone(again).set_params(random_state=1).fit(X)
    assert not np.array_equal(other.transform(X), fitted.transform(X))


def test_refit_starts_afresh(X, fitted):
    expected = fitted.transform(X)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.fit(X[:, :, :128]).fit(X).transform(X), expected)


def test_transform_and_names(X, fitted):
    Z = fitted.transform(X)
    assert Z.shape == (24, 64) and Z.dtype == np.float32 and np.isfinite(Z).all()
    names = fitted.get_feature_names_out()
    assert len(names) == 64 and names[12] == "dare_s0_d012"
    assert (fitted.n_chans_in_, fitted.n_times_in_, fitted.sfreq_in_) == (19, 256, 128.0)


READINGS = [
    {"pooling": "mean_std"},
    {"layer": 0, "pooling": "flatten"},
    {"views": "electrodes", "layer": "patch"},
    {"views": "electrodes", "pooling": "power"},
    {"views": "electrodes", "pooling": "covariance"},
    {"pooling": "tokens"},
]


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_it_reads_as_the_embedder_does(X, reading):
    pretrainer = DAREPretrainer(max_epochs=0, **PARAMS, **reading)
    Z = pretrainer.fit_transform(X)
    embedder = DAREEmbedder(pretrainer, **PARAMS, **{"pooling": "mean", **reading})
    np.testing.assert_array_equal(embedder.fit_transform(X), Z)
    twin = pickle.loads(pickle.dumps(clone(pretrainer)))
    np.testing.assert_array_equal(twin.transform(X), Z)
    if reading.get("pooling") != "tokens":
        names = pretrainer.get_feature_names_out()
        assert names.tolist() == embedder.get_feature_names_out().tolist()
        table = twin.set_output(transform="pandas").transform(X)
        assert table.columns.tolist() == names.tolist()


def test_a_reading_that_was_not_learned_is_refused(X, fitted):
    changed = clone(fitted).set_params(views="electrodes", pooling="flatten")
    assert changed.transform(X).shape == (24, 19 * 8 * 64)  # nothing to learn: may change
    with pytest.raises(ValueError, match="has not learned .* pass it to DAREEmbedder"):
        changed.set_params(pooling="covariance").transform(X)
    with pytest.raises(ValueError, match="set views='electrodes'"):  # before it trains for hours
        DAREPretrainer(pooling="power", **PARAMS).fit(X)


def test_embeddings_come_from_the_momentum_encoder(X, fitted):
    momentum = fitted.model_.target_encoder.state_dict()
    trained = fitted.model_.encoder.state_dict()
    assert any(not torch.equal(momentum[name], trained[name]) for name in momentum)
    assert all(torch.equal(momentum[n], v) for n, v in fitted.encoder_.state_dict().items())


def test_a_fitted_pretrainer_keeps_its_weights_through_clone(X, fitted):
    twin = clone(fitted)
    np.testing.assert_array_equal(twin.transform(X), fitted.transform(X))
    embedder = clone(
        DAREEmbedder(fitted, pooling="mean", ch_names=PARAMS["ch_names"], sfreq=128.0, unit="uV")
    )
    np.testing.assert_array_equal(embedder.fit_transform(X), fitted.transform(X))


def test_changed_parameters_make_it_unfitted_for_others(X, fitted):
    changed = clone(fitted).set_params(random_state=5, max_epochs=1)
    embedder = DAREEmbedder(
        changed, pooling="mean", ch_names=PARAMS["ch_names"], sfreq=128.0, unit="uV"
    )
    with pytest.warns(UserWarning, match="changed after its fit .* pretrained anew"):
        embedder.fit(X)
    assert not np.array_equal(embedder.transform(X), fitted.transform(X))
    assert not hasattr(clone(changed), "encoder_")
    # a parameter of no consequence for the weights leaves it fitted
    assert hasattr(clone(clone(fitted).set_params(verbose=1)), "encoder_")


def test_an_unfitted_pretrainer_is_left_unfitted(X):
    pretrainer = DAREPretrainer(max_epochs=1, batch_size=8, random_state=0)
    params = pretrainer.get_params()
    DAREEmbedder(
        pretrainer, pooling="mean", ch_names=PARAMS["ch_names"], sfreq=128.0, unit="uV"
    ).fit(X)
    assert not hasattr(pretrainer, "encoder_") and pretrainer.get_params() == params
    with pytest.raises(NotFittedError):
        pretrainer.transform(X)


def test_mixed_corpus(X):
    many = simulate_epochs("motor", n_subjects=1, n_epochs=6, random_state=0)
    few = simulate_epochs(
        "erp",
        n_subjects=1,
        n_epochs=5,
        duration=2.0,
        sfreq=160.0,
        ch_names=["Fz", "Cz", "Pz", "Oz"],
        random_state=1,
    )
    raw = mne.io.RawArray(many.get_data()[0], many.info, verbose="error")
    pretrainer = DAREPretrainer(max_epochs=1, batch_size=4, window_s=1.0, random_state=0)
    pretrainer.fit([many, few, raw])
    # 6 epochs and a recording of one second each, and 5 epochs of two windows
    sizes = sorted(len(r["batches"]) for r in pretrainer.net_.history)
    assert sizes == [2 + 3]
    assert pretrainer.transform(few).shape == (5, 64)
    assert pretrainer.transform(many).shape == (6, 64)
    pretrainer.set_params(views="electrodes")
    assert pretrainer.transform(few).shape == (5, 4 * 64)
    with pytest.raises(ValueError, match="depends on the electrodes and the length"):
        pretrainer.get_feature_names_out()


def test_batches_hold_one_montage_and_every_window_once():
    corpus = Corpus([Montage(np.zeros((n, 1, 64), np.float32), (0,)) for n in (10, 7)])
    sampler = MontageBatches(corpus, 4, np.random.default_rng(0))
    batches = list(sampler)
    assert len(batches) == len(sampler) == 5
    for montage, size in ((0, 10), (1, 7)):
        seen = np.concatenate([w for m, w in batches if m == montage])
        assert sorted(seen) == list(range(size))
    assert all(2 <= len(w) <= 4 for _, w in batches)
    assert [w.tolist() for _, w in sampler] != [w.tolist() for _, w in batches]  # shuffled anew


def test_save_and_go_on(X, fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "a")
    embedder = DAREEmbedder.from_pretrained(
        tmp_path / "a", pooling="mean", ch_names=PARAMS["ch_names"], sfreq=128.0, unit="uV"
    )
    np.testing.assert_array_equal(embedder.fit_transform(X), fitted.transform(X))
    loaded = DAREPretrainer.from_pretrained(tmp_path / "a", max_epochs=0, **PARAMS)
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))
    resumed = loaded.fit(X)
    np.testing.assert_array_equal(resumed.transform(X), fitted.transform(X))
    with pytest.raises(FileNotFoundError):
        DAREPretrainer.from_pretrained(tmp_path / "nowhere")


class Interrupt(Callback):
    def on_batch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


def test_an_interrupt_leaves_a_usable_model(X):
    pretrainer = DAREPretrainer(max_epochs=9, batch_size=8, callbacks=[Interrupt()], **PARAMS)
    assert pretrainer.fit(X).n_iter_ == 1
    assert np.isfinite(pretrainer.transform(X)).all()


def test_progress_is_shown(X, capsys):
    DAREPretrainer(max_epochs=1, batch_size=8, verbose=1, **PARAMS).fit(X)
    out, err = capsys.readouterr()
    assert "mask_alignment" in out and "%|" in err


def test_labels_have_no_effect(X, fitted):
    again = DAREPretrainer(max_epochs=2, batch_size=8, **PARAMS).fit(X, np.arange(24))
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))


@pytest.mark.parametrize("ablation", [
    {"anchor_alignment": 0.0}, {"mask_alignment": 0.0}, {"target_norm": False},
    {"skip_connection": False}, {"reconstruction": 0.0},
])  # fmt: skip
def test_ablations_are_one_parameter_away(X, ablation):
    pretrainer = DAREPretrainer(max_epochs=1, batch_size=8, **PARAMS, **ablation).fit(X)
    assert np.isfinite(pretrainer.transform(X)).all()
    for name, value in ablation.items():
        if value == 0.0:
            assert name not in pretrainer.history_.columns


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size": "huge"}, "'size' parameter"),
        ({"max_epochs": -1}, "'max_epochs' parameter"),
        ({"batch_size": 0}, "'batch_size' parameter"),
        ({"lr": 0.0}, "'lr' parameter"),
        ({"momentum": (0.9, 1.2)}, "'momentum' parameter"),
        ({"momentum": (0.9,)}, "'momentum' parameter"),
        ({"window_s": 0.1}, "window_s=0.1"),
        ({"unit": "mV"}, "'unit' parameter"),
        ({"device": "abacus"}, "device must be"),
        ({"precision": "half"}, "'precision' parameter"),
        ({"ch_names": None}, "pass ch_names"),
        ({"sfreq": None}, "pass sfreq"),
        (
            {"reconstruction": 0, "anchor_alignment": 0, "mask_alignment": 0},
            "nothing to learn: give one of them a weight",
        ),
    ],
)
def test_bad_parameters(X, params, message):
    with pytest.raises(ValueError, match=message):
        DAREPretrainer(**{"max_epochs": 1, **PARAMS, **params}).fit(X)


def test_layout_is_held_against_the_fit(X, fitted):
    with pytest.raises(ValueError, match="18 channels, and the fit had 19"):
        fitted.transform(X[:, :18])
    with pytest.raises(ValueError, match="200 samples per epoch"):
        fitted.transform(X[:, :, :200])


def test_divergence_is_no_silent_nan(X):
    with pytest.raises(FloatingPointError, match="training diverged"):
        DAREPretrainer(max_epochs=30, batch_size=8, lr=1e20, **PARAMS).fit(X)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gpu(X, fitted, precision):
    gpu = DAREPretrainer(max_epochs=2, batch_size=8, precision=precision, device="cuda", **PARAMS)
    Z = pickle.loads(pickle.dumps(gpu.fit(X))).set_params(device="cpu").transform(X)
    assert np.abs(Z - fitted.transform(X)).mean() < 0.05
