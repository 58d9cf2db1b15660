"""Training on streams and mixtures, and the recipe of the shipped encoders through the estimator."""

from __future__ import annotations

import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from skorch.callbacks import Callback

from benchmarks.pretrain.corpus import CorpusConfig
from benchmarks.pretrain.corpus import Stream as Simulated
from benchmarks.pretrain.run import RunConfig, SaveResult, pretrainer
from dare_sklearn import DAREPretrainer, load_encoder
from dare_sklearn.modules.config import get_config
from dare_sklearn.pretraining.losses import equalize_bands
from dare_sklearn.training import pretrain as _run
from dare_sklearn.training.corpus import Corpus, MontageBatches, Stream

from .common import Act, assert_same, corpus_of, interrupt

NAMES = ["Fz", "Cz", "Pz", "Oz"]
KNOWN = {"ch_names": NAMES, "sfreq": 256.0, "unit": "uV"}
X = np.random.default_rng(0).normal(scale=10, size=(10, 4, 128))


class Noise:
    """Windows of a length that follows from the step."""

    def __init__(self, n_steps=3, rows=(0, 30, 60), patches=(2, 3), scale=20.0):
        self.n_steps, self.rows, self.patches, self.scale = n_steps, rows, patches, scale
        self.asked: list[int] = []

    def __len__(self):
        return self.n_steps

    def batch(self, step):
        self.asked.append(step)
        rng = np.random.default_rng(step)
        n_times = int(64 * self.patches[step % len(self.patches)])
        return rng.normal(scale=self.scale, size=(4, len(self.rows), n_times)), self.rows


def fit(given, **params) -> DAREPretrainer:
    defaults = {"max_epochs": 2, "batch_size": 4, "random_state": 0}
    return DAREPretrainer(**{**defaults, **params}).fit(given)


def steps(fitted) -> list[dict]:
    return [batch for row in fitted.net_.history for batch in row["batches"]]


# What the loop that trained the shipped nano encoder gave for a small configuration, before the
# estimator took its place (the nano recipe itself agreed to the bit in all of its first 40 steps):
# loss, reconstruction, anchor alignment, mask alignment.
LOOP = """
3.537008 1.041904 1.001626 1.493378
2.578334 1.028896 0.821745 0.727594
2.797492 1.012957 0.801196 0.983238
3.338705 1.012333 0.844122 1.482149
2.546450 1.004625 0.705460 0.836265
2.754925 1.000948 0.703851 1.050025
2.364266 1.004646 0.688319 0.671201
"""


def test_the_recipe_of_nano_gives_the_losses_of_the_loop_that_trained_it(monkeypatch):
    corpus = CorpusConfig(
        batch_size=8, n_patches=4, people=1, seconds=8, full_montage=0.4, min_chans=8
    )
    config = RunConfig(
        corpus=corpus, steps=7, epoch_steps=1, restarts=(3,), visible_share=(0.2, 0.6),
        hidden_target_share=0.2, objective={"mask_alignment": 1.0},
    )  # fmt: skip
    monkeypatch.setattr(_run, "draw_seeds", lambda random_state, n: [random_state] * n)
    fitted = pretrainer(config).fit(Simulated(corpus, config.seed, config.epoch_steps))
    names = ["train_loss", "reconstruction", "anchor_alignment", "mask_alignment"]
    losses = [[step[name] for name in names] for step in steps(fitted)]
    np.testing.assert_allclose(losses, np.array(LOOP.split(), float).reshape(7, 4), rtol=1e-4)


def test_a_run_of_the_shipped_recipe_that_is_stopped_leaves_a_model(tmp_path):
    """Of its last whole epoch, with its log; and those of all epochs, where it continues."""
    run, out = tmp_path / "run", tmp_path / "out"
    params = {"max_epochs": 3, "checkpoint_dir": run}
    fit(Noise(), callbacks=[SaveResult(out, 3), Act(interrupt, 5)], **params)
    assert list(pd.read_csv(out / "log.csv")["step"]) == [3]
    load_encoder(out / "model")
    whole = fit(Noise(), callbacks=[SaveResult(out, 3)], **params)
    log = pd.read_csv(out / "log.csv")
    assert list(log["step"]) == [3, 6, 9]
    np.testing.assert_allclose(log["loss"], whole.history_["total"], atol=1e-5)
    saved = load_encoder(out / "model").state_dict()
    assert all(torch.equal(saved[n], v) for n, v in whole.encoder_.state_dict().items())


def test_a_stream_is_asked_step_by_step():
    stream = Noise()
    fitted = fit(stream)
    assert sorted(set(stream.asked)) == list(range(6))
    assert fitted.n_iter_ == 2 and fitted.n_windows_ == 12
    assert (fitted.ch_names_in_, fitted.sfreq_in_) == (["FP1", "C2", "OZ"], 256.0)
    assert fitted.transform(epochs()).shape == (10, 64)


def epochs():
    import mne

    return mne.EpochsArray(1e-6 * X, mne.create_info(NAMES, 256.0, "eeg"), verbose="error")


def test_a_stream_goes_on_to_the_same_bits(tmp_path):
    whole = fit(Noise())
    fit(Noise(), checkpoint_dir=tmp_path, callbacks=[Act(interrupt, 4)])
    assert_same(whole, fit(Noise(), checkpoint_dir=tmp_path, n_workers=1))
    with pytest.raises(ValueError, match="on another corpus .*a stream of 3 batches"):
        fit(Noise(scale=10.0), checkpoint_dir=tmp_path)


def test_sigterm_to_all_processes_saves(tmp_path):
    """A cluster ends workers too: the step is finished with what they have made."""
    import torch.multiprocessing

    pids = []

    class Terminate(Callback):
        def on_batch_end(self, net, **kwargs):
            children = torch.multiprocessing.active_children()
            pids.extend(child.pid for child in children)
            for pid in [*pids, os.getpid()]:
                os.kill(pid, signal.SIGTERM)

    whole = fit(Noise())
    with pytest.raises(SystemExit):
        fit(Noise(), checkpoint_dir=tmp_path, n_workers=2, callbacks=[Terminate()])
    assert len(pids) >= 2
    assert_same(whole, fit(Noise(), checkpoint_dir=tmp_path))


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (Noise(rows=(0, 0, 1)), "another row of the 62 electrodes"),
        (Noise(rows=(0, 62)), "another row of the 62 electrodes"),
        (Noise(patches=(1.5,)), "whole patches of 64 samples at 256 Hz"),
        (Noise(scale=np.nan), "NaN or infinite"),
    ],
)
def test_a_bad_batch_is_told(stream, message):
    with pytest.raises(ValueError, match=rf"batch\(0\) of the stream .*{message}"):
        fit(stream)


def test_a_stream_without_batches_is_refused():
    with pytest.raises(ValueError, match="DAREPretrainer: X has 0 sample"):
        DAREPretrainer(max_epochs=1).fit(Noise(n_steps=0))
    empty = Noise(n_steps=0)
    assert DAREPretrainer(max_epochs=1).fit([empty, Noise()]).n_windows_ == 12
    assert not empty.asked


def test_streams_and_signals_together():
    fitted = fit([X, Noise()], **KNOWN)
    sizes = [step["train_batch_size"] for step in steps(fitted)]
    assert sorted(sizes) == [3] * 4 + [4] * 8 and fitted.n_windows_ == 10 + 12


def test_shares():
    kinds: list[int] = []

    class Look(Callback):
        def on_batch_begin(self, net, batch=None, **kwargs):
            kinds.append(batch[0].shape[1])

    params = {**KNOWN, "shares": [3, 1], "max_epochs": 40, "callbacks": [Look()]}
    fitted = fit([X, Noise()], **params)
    assert len(kinds) == 40 * (3 + 3)
    assert kinds.count(4) / len(kinds) == pytest.approx(0.75, abs=0.08)
    assert fitted.n_iter_ == 40


def test_a_mixture_goes_on_to_the_same_bits(tmp_path):
    params = {**KNOWN, "shares": [1, 3], "max_epochs": 3}
    whole = fit([X, Noise()], **params)
    fit([X, Noise()], checkpoint_dir=tmp_path, callbacks=[Act(interrupt, 8)], **params)
    assert_same(whole, fit([X, Noise()], checkpoint_dir=tmp_path, **params))


def test_an_item_with_few_windows_gives_them_again():
    sampler = MontageBatches(corpus_of(8, 40), 4, np.random.default_rng(0), [0.5, 0.5])
    seen = np.zeros(8)
    for _ in range(20):
        for montage, windows in sampler:
            if montage == 0:
                seen[windows] += 1
    assert seen.sum() == pytest.approx(20 * 12 * 4 / 2, rel=0.15)
    assert seen.max() - seen.min() <= 20  # one pass after the other in each epoch


def test_several_lengths_of_windows():
    fitted = fit(X, window_s=(0.25, 0.5), **KNOWN)
    assert fitted.n_windows_ == 20 + 10
    # epochs that are shorter than both lengths are used once
    assert fit(X, window_s=[1.0, 2.0], **KNOWN).n_windows_ == 10


def test_restarts_begin_the_schedules_anew():
    fitted = fit(X, max_epochs=4, restarts=(1,), **KNOWN)
    rates = [step["lr"] for step in steps(fitted)]
    first = [step["lr"] for step in steps(fit(X, max_epochs=1, **KNOWN))]
    rest = [step["lr"] for step in steps(fit(X, max_epochs=3, **KNOWN))]
    assert rates == first + rest


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"restarts": (2,)}, "'restarts' parameter"),
        ({"restarts": (0,)}, "'restarts' parameter"),
        ({"restarts": (0.5,)}, "'restarts' parameter"),
        ({"visible_share": (0.6, 0.2)}, "'visible_share' parameter"),
        ({"visible_share": (0.1,)}, "'visible_share' parameter"),
        ({"visible_share": 1.5}, "'visible_share' parameter"),
        ({"window_s": []}, "'window_s' parameter"),
        ({"window_s": [1.0, -1.0]}, "'window_s' parameter"),
        ({"window_s": [1.0, 0.1]}, r"window_s=0\.1 is shorter than one patch"),
        ({"shares": [1.0]}, "needs a list X of 1 items, one for each share, got ndarray"),
        ({"shares": [1.0, -1.0]}, "'shares' parameter"),
        ({"reconstruction_target": "waves"}, "'reconstruction_target' parameter"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        fit(X, **KNOWN, **params)


@pytest.mark.parametrize(
    "params",
    [
        {"visible_share": 0.5},
        {"visible_share": 1.0},
        {"visible_share": (0.0, 0.5), "hidden_target_share": 0.2},
        {"reconstruction_target": "bands"},
        {"reconstruction_target": "bands", "target_norm": False},
    ],
)
def test_levers_change_what_is_learned(params):
    plain, other = fit(X, **KNOWN), fit(X, **KNOWN, **params)
    assert np.isfinite(other.transform(X)).all()
    assert not np.array_equal(other.transform(X), plain.transform(X))


def test_equalized_bands_are_equally_strong():
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.normal(size=(8, 3, 512)), axis=-1)  # 1/f
    x[0] *= 3
    times = np.arange(512) / 256
    x[:, 1] += 0.5 * np.sin(2 * np.pi * 10 * times)
    done = equalize_bands(torch.from_numpy(x).float(), 256.0).numpy()
    power = np.abs(np.fft.rfft(done)) ** 2
    frequencies = np.fft.rfftfreq(512, 1 / 256)
    edges = [0, 4, 8, 13, 30, 60, 200]
    power[..., 1:-1] *= 2
    by_band = [
        power[..., (frequencies >= low) & (frequencies < high)].sum(-1).mean() / 512**2
        for low, high in zip(edges, edges[1:], strict=False)
    ]
    np.testing.assert_allclose(by_band, 1 / 6, rtol=1e-3)
    np.testing.assert_allclose(np.square(done).mean(), 1.0, rtol=1e-3)
    # what is stronger in one window or channel stays so
    assert done[0].std() > 2 * done[1:].std()


def test_processes_share_the_batches_of_a_stream():
    stream = Stream(Noise(), get_config("nano"))
    whole = [stream.read(step)[0] for step in range(6)]
    for n_ranks in (2, 5):  # of four windows, the fifth process has none
        parts = []
        for rank in range(n_ranks):
            corpus = Corpus(streams=[stream], rank=rank, n_ranks=n_ranks)
            sampler = MontageBatches(corpus, 4, np.random.default_rng(0))
            parts.append([corpus[key] for _ in range(2) for key in sampler])
        for step, batches in enumerate(zip(*parts, strict=True)):
            assert all(len(x) >= 1 and n_all == 4 for x, _, (_, n_all) in batches)
            joined = np.concatenate([x[:n_own] for x, _, (n_own, _) in batches])
            np.testing.assert_array_equal(joined, whole[step])
