"""Embeddings that are found again."""

from __future__ import annotations

import errno
import multiprocessing
import os

import mne
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as torch_save
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer, DARERegressor
from dare_sklearn.base import cache as _cache
from dare_sklearn.base.cache import EpochCache
from dare_sklearn.modules.networks import Encoder
from dare_sklearn.signals import container, readers
from dare_sklearn.signals.grid import Windows

NAMES = ["Fz", "C3", "C4"]
PARAMS = {"ch_names": NAMES, "sfreq": 64.0, "unit": "uV", "random_state": 0}


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No cache of an earlier test."""
    monkeypatch.setattr(_cache, "_OPEN", {})


@pytest.fixture
def embedded(monkeypatch):
    """Number of epochs that each pass of an encoder embeds."""
    counts = []
    forward = Encoder.forward

    def watched(self, x, *args, **kwargs):
        counts.append(len(x))
        return forward(self, x, *args, **kwargs)

    monkeypatch.setattr(Encoder, "forward", watched)
    return counts


@pytest.fixture
def X():
    return 10 * np.random.default_rng(0).normal(size=(30, 3, 64))


@pytest.fixture(params=["memory", "folder"])
def cache(request, tmp_path):
    return "memory" if request.param == "memory" else tmp_path / "embeddings"


@pytest.mark.parametrize("place", ["dare_sklearn.base.embed.__version__", "torch.__version__"])
def test_another_version_embeds_anew(X, tmp_path, embedded, monkeypatch, place):
    """A folder may hold what an older version of the library made, by another definition."""
    embedder = DAREEmbedder(None, pooling="mean", cache=tmp_path, **PARAMS).fit(X)
    embedder.transform(X)
    embedder.transform(X)
    assert sum(embedded) == 30
    monkeypatch.setattr(place, "99.0")
    embedder.transform(X)
    assert sum(embedded) == 60


def test_what_is_found_is_not_resampled(X, cache, monkeypatch):
    """An epoch is known as it was recorded, at its own rate."""
    embedder = DAREEmbedder(None, pooling="mean", cache=cache, **PARAMS).fit(X)
    expected = DAREEmbedder(None, pooling="mean", **PARAMS).fit(X).transform(X)
    assert np.array_equal(embedder.transform(X), expected)
    brought, bring = [], Windows.bring

    def watched(self, data):
        brought.append(len(data))
        return bring(self, data)

    monkeypatch.setattr(Windows, "bring", watched)
    assert np.array_equal(embedder.transform(X), expected)
    assert not brought
    other = DAREEmbedder(None, pooling="mean", cache=cache, **{**PARAMS, "sfreq": 128.0})
    longer = np.concatenate([X, X], axis=-1)  # as many patches as before, at another rate
    alone = (
        DAREEmbedder(None, pooling="mean", **{**PARAMS, "sfreq": 128.0})
        .fit(longer)
        .transform(longer)
    )
    assert np.array_equal(other.fit(longer).transform(longer), alone)
    assert sum(brought) == 60


def test_every_epoch_once(X, cache, embedded):
    y = np.arange(30) % 2
    model = make_pipeline(
        DAREEmbedder(None, pooling="mean", cache=cache, **PARAMS), LogisticRegression(max_iter=2000)
    )
    search = GridSearchCV(model, {"logisticregression__C": [0.1, 1.0, 10.0]}, cv=5).fit(X, y)
    assert sum(embedded) == 30
    plain = clone(model).set_params(dareembedder__cache=None)
    expected = GridSearchCV(plain, search.param_grid, cv=5).fit(X, y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )
    np.testing.assert_allclose(search.predict_proba(X), expected.predict_proba(X), rtol=1e-4)


def test_a_search_looks_through_each_fold_once(X, cache, monkeypatch):
    """What is found is neither looked through again nor turned into microvolts."""
    looked, converted = [], []
    summarize, to_microvolts = _cache.summarize, container.to_microvolts
    monkeypatch.setattr(_cache, "summarize", lambda x: looked.append(len(x)) or summarize(x))
    monkeypatch.setattr(
        container,
        "to_microvolts",
        lambda x, unit: converted.append(len(x)) or to_microvolts(x, unit),
    )
    monkeypatch.delattr(readers.checks, "to_microvolts")
    model = make_pipeline(
        DAREEmbedder(None, pooling="mean", cache=cache, **PARAMS), LogisticRegression(max_iter=2000)
    )
    grid = {"logisticregression__C": [0.1, 1.0, 10.0]}
    GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, np.arange(30) % 2)
    assert looked == [20, 10, 20, 10, 20, 10, 30]
    assert sum(converted) == 30


@pytest.mark.parametrize("unit", ["uV", "V"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_units_and_channels_in_another_order(X, cache, unit, dtype):
    scale = 1.0 if unit == "uV" else 1e-6
    known = {**PARAMS, "unit": unit, "batch_size": 8}
    plain = DAREEmbedder(None, pooling="mean", **known)
    cached = DAREEmbedder(None, pooling="mean", cache=cache, **known)
    X = (scale * X).astype(dtype)
    expected = plain.fit_transform(X)
    for _ in range(2):
        np.testing.assert_array_equal(cached.fit_transform(X), expected)
        np.testing.assert_array_equal(cached.transform(X[5:]), expected[5:])
    moved = mne.EpochsArray(
        X[:, [2, 0, 1]].astype(float) * 1e-6 / scale,
        mne.create_info([NAMES[i] for i in (2, 0, 1)], 64.0, "eeg"),
        verbose="error",
    )
    for embedder in (plain, cached):
        embedder.set_params(ch_names=None, sfreq=None)
    for _ in range(2):
        np.testing.assert_array_equal(cached.transform(moved), plain.transform(moved))


def test_epochs_are_told_apart_by_content(X, cache, embedded):
    embedder = DAREEmbedder(None, pooling="mean", cache=cache, **PARAMS).fit(X)
    first = embedder.transform(X)
    n_done = sum(embedded)
    changed = X.copy()
    changed[4, 1, 7] = np.nextafter(
        np.float32(X[4, 1, 7]), np.float32(np.inf)
    )  # the smallest change
    changed[5] = X[2]
    again = embedder.transform(changed)
    assert sum(embedded) == n_done + 1
    np.testing.assert_allclose(again[4], first[4], atol=1e-5)
    np.testing.assert_array_equal(again[5], first[2])
    np.testing.assert_array_equal(embedder.transform(X[::-1]), first[::-1])
    twice = embedder.transform(X[[1, 1, 0]])
    np.testing.assert_array_equal(twice, first[[1, 1, 0]])
    first[:] = 0  # the answer is the caller's own
    np.testing.assert_array_equal(embedder.transform(X)[3], again[3])


@pytest.mark.parametrize(
    "change",
    [
        {"pooling": "flatten"},
        {"random_state": 1},
        {"ch_names": ["Fz", "C4", "C3"]},
        {"sfreq": 128.0},
        {"ch_names": ["Fz", "C3", "AFz"], "unknown_channels": "drop"},
        {"precision": "bfloat16"},
    ],
    ids=lambda change: "-".join(change),
)
def test_other_settings_are_other_embeddings(X, cache, embedded, change, recwarn):
    DAREEmbedder(None, pooling="mean", cache=cache, **PARAMS).fit_transform(X)
    other = {"pooling": "mean", **PARAMS, **change}
    done = len(embedded)
    cached = DAREEmbedder(None, cache=cache, **other).fit_transform(X)
    assert sum(embedded[done:]) == 30
    np.testing.assert_array_equal(cached, DAREEmbedder(None, **other).fit_transform(X))
    recwarn.clear()


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_types_are_told_apart(X, dtype):
    cached = DAREEmbedder(None, pooling="mean", cache="memory", **PARAMS).fit(X)
    cached.transform(X)
    np.testing.assert_array_equal(
        cached.transform(X.astype(dtype)),
        DAREEmbedder(None, pooling="mean", **PARAMS).fit(X).transform(X.astype(dtype)),
    )


def test_checks_hold_for_what_is_remembered(X, cache):
    embedder = DAREEmbedder(None, pooling="mean", cache=cache, **PARAMS).fit(X)
    embedder.transform(X)
    broken = X.copy()
    broken[3, 2, 5] = np.nan
    for _ in range(2):  # the second time from memory
        with pytest.raises(ValueError, match="NaN .* in channels C4, epochs 3"):
            embedder.transform(broken)
    with pytest.raises(ValueError, match="X looks like V"):
        embedder.transform(X * 1e-6)
    flat = X.copy()
    flat[:, 0] = 0
    for _ in range(2):
        with pytest.raises(ValueError, match="constant signal in channels FZ"):
            embedder.fit(flat)


def test_epochs_objects(X, cache, embedded, tmp_path):
    epochs = mne.EpochsArray(X * 1e-6, mne.create_info(NAMES, 64.0, "eeg"), verbose="error")
    embedder = DAREEmbedder(None, pooling="mean", cache=cache, random_state=0)
    expected = DAREEmbedder(None, pooling="mean", random_state=0).fit_transform(epochs)
    n_done = sum(embedded)
    np.testing.assert_array_equal(embedder.fit_transform(epochs), expected)
    np.testing.assert_array_equal(embedder.transform([epochs[i] for i in range(4)]), expected[:4])
    assert sum(embedded) == n_done + 30
    epochs.save(tmp_path / "some-epo.fif", fmt="double", verbose="error")
    lazy = mne.read_epochs(tmp_path / "some-epo.fif", preload=False, verbose="error")
    np.testing.assert_allclose(embedder.transform(lazy), expected, atol=1e-5)


@pytest.mark.parametrize("kind", [DAREClassifier, DARERegressor])
def test_the_linear_mode(X, cache, embedded, kind):
    y = np.arange(30) % 2
    params = {"adaptation": "linear", "cache": cache, **PARAMS}
    cached = cross_val_predict(kind(None, **params), X, y, cv=3)
    assert sum(embedded) == 30
    plain = cross_val_predict(kind(None, **{**params, "cache": None}), X, y, cv=3)
    np.testing.assert_allclose(cached, plain, rtol=1e-3)


def _embed_elsewhere(folder, X, queue):
    counts = []
    forward = Encoder.forward
    Encoder.forward = lambda self, x, *args, **kwargs: (
        counts.append(len(x)) or forward(self, x, *args, **kwargs)
    )
    queue.put(
        (DAREEmbedder(None, pooling="mean", cache=folder, **PARAMS).fit_transform(X), sum(counts))
    )


def test_processes_share_a_folder(X, tmp_path):
    mine = DAREEmbedder(None, pooling="mean", cache=tmp_path, **PARAMS).fit_transform(X[:20])
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    other = context.Process(target=_embed_elsewhere, args=(tmp_path, X, queue))
    other.start()
    theirs, n_embedded = queue.get(timeout=120)
    other.join()
    assert n_embedded == 10
    np.testing.assert_array_equal(theirs[:20], mine)


def test_memory_is_bounded():
    cache = EpochCache(None, limit=10 * 80)
    rows = np.arange(200, dtype=float).reshape(20, 10)
    keys = [bytes([i]) for i in range(20)]
    cache.put(keys[:10], rows[:10])
    cache.get(keys[:1])  # used again, so it stays
    cache.put(keys[10:15], rows[10:15])
    found = cache.get(keys)
    assert [row is not None for row in found] == [i in {0, *range(6, 15)} for i in range(20)]
    np.testing.assert_array_equal(found[12], rows[12])


def test_a_folder_is_bounded(tmp_path):
    cache = EpochCache(tmp_path, limit=3000)
    for i in range(10):
        cache.put([bytes([i])], np.full((1, 100), float(i)))
        newest = max(tmp_path.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, ns=(i * 10**9, i * 10**9))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3000
    found = EpochCache(tmp_path, limit=3000).get([bytes([9]), bytes([0])])
    assert found[0][0] == 9.0
    assert found[1] is None


def files(folder):
    return sorted(folder.glob("*.safetensors"))


def rewrite(path, **changed):
    save_file({**load_file(path), **changed}, path)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[8 + int.from_bytes(content[:8], "little") + 700] ^= 64
    path.write_bytes(content)


DAMAGE = {
    "half a file": lambda path: path.write_bytes(path.read_bytes()[:50]),
    "nothing": lambda path: path.write_bytes(b""),
    "one bit": flip_a_bit,
    "NaN": lambda path: rewrite(path, rows=np.full((30, 64), np.nan, np.float32)),
    "other columns": lambda path: rewrite(path, rows=load_file(path)["rows"][:, :10].copy()),
    "fewer rows": lambda path: rewrite(path, rows=load_file(path)["rows"][:3].copy()),
    "keys of another epoch": lambda path: rewrite(path, keys=load_file(path)["keys"][::-1].copy()),
    "no dimension": lambda path: save_file({"keys": np.array(3, np.uint8), "rows": np.array(1.0)}, path),
    "no NumPy type": lambda path: torch_save(
        {"keys": torch.zeros(2, 16), "rows": torch.zeros(2, 3, dtype=torch.bfloat16)}, path
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_seen_and_mended(X, tmp_path, embedded, what):
    embedder = DAREEmbedder(None, pooling="mean", cache=tmp_path, **PARAMS)
    expected = embedder.fit_transform(X)
    (path,) = files(tmp_path)
    DAMAGE[what](path)
    _cache._OPEN.clear()
    with pytest.warns(UserWarning, match="kept embeddings are damaged .*safetensors") as caught:
        for _ in range(3):
            np.testing.assert_array_equal(embedder.fit_transform(X), expected)
    assert len(caught) == 1
    _cache._OPEN.clear()
    n_done = sum(embedded)
    np.testing.assert_array_equal(embedder.fit_transform(X), expected)
    assert sum(embedded) == n_done == 60
    assert files(tmp_path) == list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_what_is_not_of_the_cache_is_left_alone(X, tmp_path):
    names = ["model.safetensors", f"{'0' * 32}.txt", f"{'g' * 32}.safetensors"]
    for name in names:
        (tmp_path / name).write_bytes(bytes(5_000))
    pipes = [tmp_path / "pipe.safetensors", tmp_path / f"{'1' * 32}.safetensors"]
    for pipe in pipes:
        os.mkfifo(pipe)
    (tmp_path / f"{'2' * 32}.safetensors").mkdir()
    left = tmp_path / f".part-{'3' * 32}-{'4' * 32}.safetensors"  # by a process that was killed
    left.write_bytes(bytes(5_000))
    os.utime(left, ns=(0, 0))
    before = set(tmp_path.iterdir())
    cache = EpochCache(tmp_path, limit=3_000)
    for i in range(10):
        cache.put([bytes([i])], np.full((1, 100), float(i)))
    assert EpochCache(tmp_path, limit=3_000).get([bytes([9])])[0][0] == 9.0
    assert before - set(tmp_path.iterdir()) == {left}


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_to(X, tmp_path, monkeypatch, error, embedded):
    expected = DAREEmbedder(None, pooling="mean", **PARAMS).fit_transform(X)

    def fail(content, path):
        path.write_bytes(bytes(10))
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(_cache, "save_file", fail)
    embedder = DAREEmbedder(None, pooling="mean", cache=tmp_path / "new", **PARAMS)
    with pytest.warns(UserWarning, match="cannot be kept in the folder .*: pass a fold") as caught:
        for batch in (X[:10], X[10:], X):
            embedder.fit(X).transform(batch)
        np.testing.assert_array_equal(embedder.transform(X), expected)
    assert len(caught) == 1
    assert sum(embedded) == 60
    assert list((tmp_path / "new").iterdir()) == []


def test_a_cache_that_cannot_be(X, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for cache, message in (("", "got an empty text"), (tmp_path / "file", "is not a folder")):
        with pytest.raises(ValueError, match=message):
            DAREEmbedder(None, pooling="mean", cache=cache, **PARAMS).fit_transform(X)
    with pytest.warns(UserWarning, match="cannot be kept"):
        DAREEmbedder(
            None, pooling="mean", cache=tmp_path / "file" / "below", **PARAMS
        ).fit_transform(X)


@pytest.mark.parametrize("place", ["memory", "folder"])
def test_weights_changed_in_place(X, tmp_path, place):
    pretrainer = DAREPretrainer("nano", max_epochs=1, window_s=1.0, **PARAMS).fit(X)
    changes = (
        lambda weight: weight.mul_(1.1),
        lambda weight: weight.data.mul_(1.1),
        lambda weight: weight.detach().numpy().__imul__(1.1),
    )
    cache = "memory" if place == "memory" else tmp_path
    for change in changes:
        DAREEmbedder(pretrainer, pooling="mean", cache=cache, **PARAMS).fit_transform(X)
        with torch.no_grad():
            for weight in pretrainer.encoder_.parameters():
                change(weight)
        now = DAREEmbedder(pretrainer, pooling="mean", cache=cache, **PARAMS).fit_transform(X)
        plain = DAREEmbedder(pretrainer, pooling="mean", **PARAMS).fit_transform(X)
        np.testing.assert_array_equal(now, plain)
