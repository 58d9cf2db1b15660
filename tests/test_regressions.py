"""Faults that were found once, each in its smallest form."""

from __future__ import annotations

import pickle

import mne
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone

from dare_sklearn import (
    DAREClassifier,
    DAREEmbedder,
    DAREPretrainer,
    DARERegressor,
    load_encoder,
    simulate_epochs,
)
from dare_sklearn.signals.files import explain, find_files
from dare_sklearn.signals.readers import read_signals
from dare_sklearn.training.net import check_finite_weights
from dare_sklearn.weights import convert

NAMES = ["C3", "C4", "Cz", "Pz", "Oz"]
PARAMS = {"ch_names": NAMES, "sfreq": 256.0, "unit": "uV"}


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(scale=10, size=(12, 5, 128))


def recording(X, code, bads=(), types="eeg"):
    info = mne.create_info(NAMES, 256.0, types)
    info["bads"] = list(bads)
    events = np.column_stack([np.arange(len(X)), np.zeros(len(X), int), [code] * len(X)])
    return mne.EpochsArray(X * 1e-6, info, events=events, verbose="error")


def test_a_list_of_epochs_keeps_its_order(X):
    parts = [
        recording(X[i : i + 1], i + 1, bads)
        for i, bads in enumerate([("Pz", "Oz"), ("Oz", "Pz"), ("Pz", "Oz")])
    ]
    signals = read_signals(parts)
    assert signals.y.tolist() == [1, 2, 3]
    np.testing.assert_allclose(signals.data, X[:3, :3], rtol=1e-5)


def test_channel_types_of_every_part_count(X):
    eog = ["eeg", "eeg", "eeg", "eeg", "eog"]
    with pytest.raises(ValueError, match="differ in channels"):
        read_signals([recording(X, 1), recording(X, 2, types=eog)])


def test_a_random_state_object_does_not_unfit(X):
    pretrainer = DAREPretrainer(max_epochs=0, random_state=np.random.RandomState(0), **PARAMS)
    pretrainer.fit(X)
    assert clone(pretrainer)._is_fitted_for_use()
    assert pickle.loads(pickle.dumps(pretrainer))._is_fitted_for_use()


def test_a_loaded_probe_keeps_its_encoder(X, tmp_path):
    y = np.arange(12) % 2
    fitted = DAREClassifier(
        None, spatial_init="spline", max_epochs=2, random_state=3, **PARAMS
    ).fit(X, y)
    fitted.save_pretrained(tmp_path)
    loaded = DAREClassifier.from_pretrained(tmp_path)
    assert loaded.n_iter_ == 2 and loaded.random_state == 3
    again = clone(loaded).fit(X, y)
    for name, value in fitted.encoder_.state_dict().items():
        assert torch.equal(again.encoder_.state_dict()[name], value)


def test_half_precision_and_overflow(X):
    volts = DAREEmbedder(None, random_state=0, **{**PARAMS, "unit": "V"})
    exact = volts.fit_transform(X * 1e-6)
    assert np.abs(volts.fit_transform((X * 1e-6).astype(np.float16)) - exact).max() < 0.1
    X[0, 0, 0] = 1e39
    with pytest.raises(ValueError, match="epochs 0, that is 100,000 or more times"):
        DAREEmbedder(None, **PARAMS).fit(X)


def test_ch_names_decides_the_order(X):
    epochs = recording(X, 1)
    embedder = DAREEmbedder(None, ch_names=NAMES[::-1], random_state=0).fit(epochs)
    assert embedder.ch_names_in_ == [name.upper() for name in NAMES[::-1]]
    Z = embedder.transform(epochs)
    np.testing.assert_allclose(embedder.transform(epochs.get_data()[:, ::-1]), Z, atol=1e-5)


def test_weights_hold_in_batches_of_one(X):
    y = np.arange(12) % 2
    weight = np.where(y == 1, 100.0, 1.0)
    clf = DAREClassifier(
        None, spatial_init="spline", max_epochs=5, batch_size=1, lr=5e-3, random_state=0, **PARAMS
    )
    even = clone(clf).fit(X, y).predict_proba(X)[:, 1].mean()
    assert clone(clf).fit(X, y, sample_weight=weight).predict_proba(X)[:, 1].mean() > even + 0.1


@pytest.mark.parametrize("class_weight", [{0: -1.0, 1: 2.0}, {0: 0.0, 1: 0.0}])
def test_class_weights_are_positive(X, class_weight):
    with pytest.raises(ValueError, match="class_weight .* positive"):
        DAREClassifier(None, class_weight=class_weight, **PARAMS).fit(X, np.arange(12) % 2)


def test_a_class_of_no_weight(X):
    y = np.arange(12) % 2
    with pytest.raises(ValueError, match="sample_weight is zero for all epochs of class 1"):
        DAREClassifier(None, **PARAMS).fit(X, y, sample_weight=1 - y)


def test_one_epoch_is_predicted_as_among_others(X):
    embedder = DAREEmbedder(None, random_state=0, **PARAMS).fit(X)
    X[0, 1] = 0.0
    X[1] *= 0.1
    with pytest.warns(UserWarning, match="constant signal"):
        Z = embedder.transform(X)
    with pytest.warns(UserWarning, match="constant signal"):
        np.testing.assert_allclose(embedder.transform(X[:1]), Z[:1], atol=1e-5)
    np.testing.assert_allclose(embedder.transform(X[1:2]), Z[1:2], atol=1e-5)
    with pytest.raises(ValueError, match="X looks like V .* arrays are read as uV"):
        embedder.transform(X[2:] * 1e-6)


def test_one_channel_in_two_or_three_dimensions(X):
    one = DAREEmbedder(None, random_state=0, **{**PARAMS, "ch_names": ["Cz"]})
    Z = one.fit_transform(X[:, :1])
    np.testing.assert_array_equal(one.transform(X[:, 0]), Z)
    np.testing.assert_array_equal(one.fit(X[:, 0]).transform(X[:, :1]), Z)


@pytest.mark.parametrize(("n_times", "sfreq"), [(249, 500.0), (187, 250.0), (998, 1000.0)])
def test_names_match_columns_at_any_rate(n_times, sfreq):
    X = np.random.default_rng(0).normal(scale=10, size=(3, 5, n_times))
    embedder = DAREEmbedder(None, pooling="flatten", **{**PARAMS, "sfreq": sfreq})
    assert embedder.fit_transform(X).shape[1] == len(embedder.get_feature_names_out())


def test_regressor_scores_own_targets(X):
    epochs = recording(X, 1)
    epochs.events[:, 2] = np.arange(12) + 1
    reg = DARERegressor(None, adaptation="linear", random_state=0).fit(epochs)
    assert reg.score(epochs) == reg.score(epochs, np.arange(12) + 1)


def test_a_changed_adaptation_wants_a_new_fit(X):
    clf = DAREClassifier(None, adaptation="linear", **PARAMS).fit(X, np.arange(12) % 2)
    with pytest.raises(ValueError, match="was changed after its fit"):
        clf.set_params(adaptation="conv-linear").predict(X)


def test_odd_containers(X):
    embedder = DAREEmbedder(None, **PARAMS)
    evoked = recording(X, 1).average()
    for bad in (evoked, [evoked], (x for x in X), torch.utils.data.DataLoader(list(X))):
        with pytest.raises(TypeError, match="cannot read a"):
            embedder.fit(bad)
    with pytest.raises(TypeError, match="Sparse data was passed"):
        embedder.fit(csr_array(X[:, 0]))
    read_signals(X > 0, **{**PARAMS, "unit": "uV"})
    read_signals(torch.tensor(X).bfloat16(), **PARAMS)


def test_validation_that_cannot_be_split(X):
    with pytest.raises(ValueError, match="validation_fraction=0.05 cannot split 12 epochs"):
        clf = DAREClassifier(None, validation_fraction=0.05, **PARAMS)
        clf.fit(X, np.arange(12) % 2, groups=np.ones(12))


def test_no_epochs_in_a_fitted_model(X):
    clf = DAREClassifier(
        None, spatial_init="spline", max_epochs=1, validation_fraction=0.3, random_state=0, **PARAMS
    )
    assert clf.fit(X, np.arange(12) % 2, groups=np.arange(12)).net_.train_split is None


def test_unknown_places_are_said(X):
    params = {**PARAMS, "ch_names": ["Lead 7", *NAMES[1:]]}
    with pytest.warns(UserWarning, match="not known where LEAD 7 are"):
        clf = DAREClassifier(None, spatial_init="spline", max_epochs=1, lr=1e-12, **params).fit(
            X, np.arange(12) % 2
        )
    start = clf.module_.spatial.layers[0].weight[..., 0]
    assert start[:, 0].abs().max() < 1e-6  # the others keep their spline
    assert start[:, 1:].abs().max() > 0.5


def test_what_is_said_of_unknown_places_is_true(X):
    """The default probe has no gradient steps: its filters are fitted with labels."""
    params = {**PARAMS, "ch_names": ["Lead 7", *NAMES[1:]]}
    with pytest.warns(UserWarning, match="LEAD 7 are, so what is interpolated by splines"):
        DAREClassifier(None, **params).fit(X, np.arange(12) % 2)


def test_files_that_hold_epochs_say_so():
    error = TypeError("The number of trials is 10. Please use `mne.io.read_epochs_eeglab`.")
    assert explain(error) == str(error)
    assert "damaged" in explain(TypeError("no such thing as this is in a recording"))


def test_an_unfitted_pretrainer_inherits_the_seed(X):
    def scores():
        clf = DAREClassifier(
            DAREPretrainer(max_epochs=1),
            spatial_init="spline",
            max_epochs=1,
            random_state=0,
            **PARAMS,
        )
        return clf.fit(X, np.arange(12) % 2).predict_proba(X)

    np.testing.assert_array_equal(scores(), scores())


def test_numbers_in_an_object_column_are_labels(X):
    y = np.array([1, 5], dtype=object)[np.arange(12) % 2]
    clf = DAREClassifier(None, spatial_init="spline", max_epochs=1, random_state=0, **PARAMS).fit(
        X, y
    )
    assert clf.classes_.tolist() == [1, 5]
    assert clf.classes_.dtype.kind == "i"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ch_names": set(NAMES)}, "ch_names .* sequence of strings"),
        ({"ch_names": ["C3", np.nan, "Cz", "Pz", "Oz"]}, "ch_names .* sequence of strings"),
        ({"sfreq": 0.256}, "sfreq .* from 1 to 200000 Hz, got 0.256: pass Hz, not kHz"),
        ({"sfreq": True}, "sfreq"),
    ],
)
def test_slips_of_the_layout(X, changes, message):
    with pytest.raises(ValueError, match=message):
        DAREEmbedder(None, **{**PARAMS, **changes}).fit(X)


def test_what_cannot_be_seen_is_refused(X):
    masked = np.ma.masked_array(X, mask=np.zeros(X.shape, bool))
    DAREEmbedder(None, **PARAMS).fit(masked)  # nothing is masked
    masked.mask[2, 1] = True
    with pytest.raises(ValueError, match="masked array as X"):
        DAREEmbedder(None, **PARAMS).fit(masked)
    for y in (["a", "b", np.nan] * 4, np.ma.masked_array([0, 1] * 6, mask=[True] + 11 * [False])):
        with pytest.raises(ValueError, match="y has missing values .* at epochs"):
            DAREClassifier(None, spatial_init="spline", max_epochs=1, **PARAMS).fit(X, y)


def test_own_labels_that_fit_never_saw(X):
    epochs = recording(X, 7)
    clf = DAREClassifier(None, spatial_init="spline", max_epochs=1, random_state=0).fit(
        epochs, np.arange(12) % 2
    )
    with pytest.raises(ValueError, match=r"labels that X carries \(\[7\]\) are not those"):
        clf.score(epochs)


def test_parameters_that_are_set_after_fit(X):
    y = np.arange(12) % 2
    clf = DAREClassifier(None, adaptation="linear", **PARAMS).fit(X, y)
    with pytest.raises(ValueError, match="unknown_channels .* was changed after its fit"):
        clf.set_params(unknown_channels="drop").predict(X)
    embedder = DAREEmbedder(None, **PARAMS).fit(X)
    for params in ({"batch_size": 0}, {"pooling": "median"}):
        with pytest.raises(ValueError, match=f"'{next(iter(params))}' parameter"):
            clone(embedder).set_params(**params).fit(X)
        with pytest.raises(ValueError, match=f"'{next(iter(params))}' parameter"):
            clone(embedder).fit(X).set_params(**params).transform(X)


def test_divergence_in_the_last_step(X):
    """No loss tells of it any more: the weights do, and what comes out of them."""
    clf = DAREClassifier(None, spatial_init="spline", max_epochs=1, random_state=0, **PARAMS).fit(
        X, np.arange(12) % 2
    )
    pretrainer = DAREPretrainer(max_epochs=1, random_state=0, **PARAMS).fit(X)
    check_finite_weights(clf.module_)
    with torch.no_grad():
        clf.module_.head.output.weight[0, 0] = torch.inf
        pretrainer.encoder_.norm.weight[0] = torch.nan
    with pytest.raises(FloatingPointError, match="training diverged. Lower lr"):
        check_finite_weights(clf.module_)
    with pytest.raises(FloatingPointError, match="NaN or infinite scores: .*lower lr"):
        clf.predict(X)
    with pytest.raises(FloatingPointError, match="NaN or infinite embeddings: .*lower lr"):
        pretrainer.transform(X)


def test_weights_of_the_held_out_epochs(X):
    clf = DAREClassifier(None, validation_fraction=0.3, random_state=0, **PARAMS)
    groups = np.repeat(["a", "b", "c"], 4)
    with pytest.raises(ValueError, match="sample_weight .* zero for all epochs that validation"):
        for group in "abc":  # one of them is held out
            clf.set_params(max_epochs=1)
            clf.fit(X, np.arange(12) % 2, groups=groups, sample_weight=groups != group)


def test_a_saved_pretrainer_reads_arrays(X, tmp_path):
    DAREPretrainer(max_epochs=1, random_state=0, **PARAMS).fit(X).save_pretrained(tmp_path)
    loaded = DAREPretrainer.from_pretrained(
        tmp_path, ch_names=NAMES, sfreq=256.0, pooling="flatten"
    )
    with pytest.warns(UserWarning, match=r"read the values as uV \(unit='auto'\)"):
        assert loaded.transform(X).shape == (12, 128)
    with pytest.raises(ValueError, match="depends on the electrodes and the length of the epochs"):
        loaded.get_feature_names_out()
    with pytest.raises(ValueError, match="without names: pass ch_names"):
        loaded.set_params(ch_names=None, unit="uV").transform(X)


def test_a_saved_probe_keeps_its_mode(X, tmp_path):
    names = pd.Index(NAMES)
    clf = DAREClassifier(None, spatial_init="spline", max_epochs=1, **{**PARAMS, "ch_names": names})
    clf.fit(X, np.arange(12) % 2).save_pretrained(tmp_path)
    DAREClassifier.from_pretrained(tmp_path).predict(X)
    with pytest.raises(ValueError, match="cannot turn into 'linear'"):
        DAREClassifier.from_pretrained(tmp_path, adaptation="linear")
    with pytest.raises(TypeError, match="foo"):
        DAREClassifier.from_pretrained(tmp_path, foo=3)


def test_tensors_that_carry_gradients(X):
    x = torch.tensor(X, requires_grad=True)
    expected = DAREEmbedder(None, random_state=0, **PARAMS).fit_transform(X)
    for form in (x, list(x), [(item, 0) for item in x]):
        Z = DAREEmbedder(None, random_state=0, **PARAMS).fit_transform(form)
        np.testing.assert_array_equal(Z, expected)
    with pytest.raises(TypeError, match="Sparse layout .*to_dense"):
        DAREEmbedder(None, **PARAMS).fit(x.detach().to_sparse())
    quantized = torch.quantize_per_tensor(x.detach().float(), 1.0, 0, torch.qint8)
    for odd in (list(x.detach().to_sparse()), x.to("meta"), quantized):
        with pytest.raises(TypeError, match="DAREEmbedder: cannot read X as signals"):
            DAREEmbedder(None, **PARAMS).fit(odd)


def test_all_channels_are_bad(X):
    with pytest.raises(ValueError, match=r"all are marked bad: change info\['bads'\]"):
        DAREEmbedder(None).fit(recording(X, 1, bads=NAMES))


@pytest.mark.parametrize("as_list", [list, tuple])
def test_lists_of_arrays_and_lists_are_corpora(X, as_list):
    """They were with `shares` only."""
    X = np.repeat(X, 2, axis=0)
    raw = mne.io.RawArray(1e-6 * np.hstack(X), mne.create_info(NAMES, PARAMS["sfreq"], "eeg"))
    epochs = mne.EpochsArray(1e-6 * X, raw.info, verbose="error")
    pretrainer = DAREPretrainer(max_epochs=0, **PARAMS)
    one = pretrainer.fit(X).n_windows_
    half = X[..., : X.shape[-1] // 2]
    for corpus in ([X], [X, half], [epochs, X], [raw, X], [[raw, raw], epochs]):
        expected = pretrainer.set_params(shares=[1] * len(corpus)).fit(corpus).n_windows_
        assert pretrainer.set_params(shares=None).fit(as_list(corpus)).n_windows_ == expected >= one


def test_an_empty_list_is_named():
    with pytest.raises(ValueError, match="X is an empty list"):
        DAREPretrainer().fit([])


def test_a_mixed_corpus_is_no_template_of_arrays(X):
    """Names and rate of its first recording are not those of an array."""
    info = mne.create_info(NAMES, PARAMS["sfreq"], "eeg")
    epochs = mne.EpochsArray(1e-6 * X, info, verbose="error")
    other = epochs.copy().drop_channels(NAMES[:1])
    pretrainer = DAREPretrainer(max_epochs=0).fit([epochs, other])
    assert len(pretrainer.transform(other)) == len(X)
    with pytest.raises(ValueError, match="without a sampling rate"):
        pretrainer.transform(X)
    pretrainer.set_params(**PARAMS)
    assert len(pretrainer.transform(X)) == len(X)


def test_linked_folders_are_told_of(tmp_path):
    (tmp_path / "store" / "sub-02").mkdir(parents=True)
    (tmp_path / "corpus" / "sub-01").mkdir(parents=True)
    for file in ("store/sub-02/b_raw.fif", "corpus/sub-01/a_raw.fif"):
        (tmp_path / file).touch()
    (tmp_path / "corpus" / "sub-02").symlink_to(tmp_path / "store" / "sub-02")
    with pytest.warns(
        UserWarning, match=r"\['sub-02'\] in .*corpus' are links to folders, and not"
    ):
        assert [path.name for path in find_files(tmp_path / "corpus")] == ["a_raw.fif"]


def test_an_unfitted_pretrainer_inherits_what_to_do_with_unknown_channels(X):
    params = {**PARAMS, "ch_names": [*NAMES[:-1], "X1"], "unknown_channels": "drop"}
    embedder = DAREEmbedder(DAREPretrainer(max_epochs=0), pooling="mean", **params)
    with pytest.warns(UserWarning, match="left out: X1"):
        assert len(embedder.fit_transform(X)) == len(X)


def test_numbers_of_numpy_are_scales(tmp_path):
    convert("nano", tmp_path, amplitude_uv=np.float32(12.5))
    assert load_encoder(tmp_path).config.amplitude_uv == 12.5
    with pytest.raises(ValueError, match="amplitude_uv must be from"):
        load_encoder("nano", amplitude_uv=True)


def test_a_recording_that_is_nearly_all_bad_says_so():
    raw = mne.io.RawArray(1e-5 * np.random.default_rng(0).normal(size=(2, 2560)),
                          mne.create_info(["C3", "C4"], 256.0, "eeg"), verbose="error")  # fmt: skip
    raw.set_annotations(mne.Annotations(0, raw.times[-1], "BAD"))  # all but the last sample
    with pytest.raises(ValueError, match="annotated as bad"):
        DAREPretrainer(max_epochs=0).fit(raw)


def test_a_loaded_probe_checks_what_the_fitted_one_does(tmp_path):
    """Event codes, amplitude and channels that were bad then: they were not saved."""
    epochs = simulate_epochs("motor", n_subjects=1, n_epochs=20, ch_names=NAMES, random_state=0)
    early, late = epochs.copy(), epochs.copy()
    early.info["bads"], late.info["bads"] = ["Cz"], ["C3"]
    clf = DAREClassifier(random_state=0)
    with pytest.warns(UserWarning, match="left out Cz"):
        clf.fit(early).save_pretrained(tmp_path)
    loaded = DAREClassifier.from_pretrained(tmp_path)
    assert loaded.history_.empty
    other = early.copy()  # its events are numbered anew
    other.events[:, 2] = 3 - other.events[:, 2]
    other.event_id = {name: 3 - code for name, code in early.event_id.items()}
    for model in (clf, loaded):
        with pytest.raises(ValueError, match="has the code"):
            model.score(other)
        with pytest.warns(UserWarning, match="times larger than the signals of fit"):
            model.predict(early.copy().apply_function(lambda x: 50 * x))
        with pytest.warns(UserWarning) as said:
            model.predict(late)
        told = " ".join(str(warning.message) for warning in said)
        assert "lacks 1 of the 4 channels" in told and "not used: CZ" in told
