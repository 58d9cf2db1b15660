"""What the tests of pretraining share."""

from __future__ import annotations

import numpy as np
import torch
from skorch.callbacks import Callback

from dare_sklearn import DAREPretrainer
from dare_sklearn.training.corpus import Corpus, Montage

HOOKS = ("on_epoch_begin", "on_batch_begin", "on_grad_computed", "on_batch_end", "on_epoch_end")


class Act(Callback):
    """Do something once, at the n-th call of a hook."""

    def __init__(self, act, at=5, hook="on_batch_end"):
        self.act, self.at, self.hook = act, at, hook

    def on_train_begin(self, net, **kwargs):
        self.n_calls_ = 0


def _noticed(hook):
    def call(self, net, *args, **kwargs):
        self.n_calls_ += hook == self.hook
        if hook == self.hook and self.n_calls_ == self.at:
            self.act()

    return call


for name in HOOKS:
    setattr(Act, name, _noticed(name))


def interrupt():
    raise KeyboardInterrupt


def crash():
    raise RuntimeError("crash")


def assert_same(a: DAREPretrainer, b: DAREPretrainer) -> None:
    """The same weights, steps and losses, bit by bit."""
    its = b.model_.state_dict()
    for name, value in a.model_.state_dict().items():
        assert torch.equal(value, its[name]), name
    assert a.history_.drop(columns="seconds").equals(b.history_.drop(columns="seconds"))
    assert without_seconds(a) == without_seconds(b)


def without_seconds(fitted: DAREPretrainer) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "dur"} for row in fitted.net_.history]


def corpus_of(*sizes: int) -> Corpus:
    """Items of so many windows, which hold their own numbers."""
    numbers = [np.arange(size, dtype=np.float32)[:, None, None] for size in sizes]
    return Corpus([Montage(windows, (0,), item) for item, windows in enumerate(numbers)])
