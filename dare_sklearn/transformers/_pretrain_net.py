"""The skorch net that pretrains: a training loop of small steps around the objective."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from skorch import NeuralNet
from torch.utils.data import DataLoader

from ..pretraining.masks import draw_masks
from ..pretraining.schedules import linear
from ._compile import Compiled
from ._compute import autocast
from ._net import check_finite, param_groups


class PretrainNet(NeuralNet):
    """Pretrain a `PretrainingModel`; ``fit(loader)`` takes a loader of (x, channels) batches."""

    def __init__(
        self,
        *args,
        weight_decay=1e-6,
        momentum=None,
        generator=None,
        precision="auto",
        compiled=False,
        **kwargs,
    ):
        self.weight_decay = weight_decay
        self.momentum = momentum  # a function of the step
        self.generator = generator  # of the masks
        self.precision = precision
        self.compiled = compiled
        super().__init__(*args, **kwargs)

    @property
    def _default_callbacks(self):
        return []  # ours are all explicit

    def initialize_optimizer(self, *args, **kwargs):
        groups = param_groups(self.module_, self.lr, self.weight_decay)
        self.optimizer_ = torch.optim.AdamW(groups, lr=self.lr, fused=True)
        return self

    def get_dataset(self, X, y=None):
        return X

    def get_iterator(self, dataset: DataLoader, training: bool = False) -> DataLoader:
        return dataset

    def on_train_begin(self, net, X=None, y=None, **kwargs) -> None:
        super().on_train_begin(net, X, y, **kwargs)
        self.n_steps_done_ = 0
        # the number of visible channels and targets differs from step to step
        options = {"owner": "DAREPretrainer", "dynamic": True}
        self.run_ = Compiled(self.module_, **options) if self.compiled else None

    def on_train_end(self, net, X=None, y=None, **kwargs) -> None:
        del self.run_
        super().on_train_end(net, X, y, **kwargs)

    def train_step_single(self, batch: tuple, **fit_params) -> dict[str, Any]:
        self._set_training(True)
        x, channels = (tensor.to(self.device) for tensor in batch)
        patch_size = self.module_.config.patch_size
        masks = draw_masks(x.shape[2] // patch_size, x.shape[1], self.generator).to(self.device)
        with autocast(torch.device(self.device), self.precision):
            terms = (self.run_ or self.module_)(x, channels, masks)
        terms["loss"].backward()
        # one transfer from the device for all terms
        values = torch.stack([term.detach().float() for term in terms.values()]).tolist()
        values = dict(zip(terms, values, strict=True))
        loss = values.pop("loss")
        check_finite(loss, "DAREPretrainer")
        for name, value in values.items():
            self.history.record_batch(name, value)
        return {"loss": torch.tensor(loss), "y_pred": None}

    def train_step(self, batch: tuple, **fit_params) -> dict[str, Any]:
        step = super().train_step(batch, **fit_params)
        self.module_.update_target(self.momentum(self.n_steps_done_))
        self.n_steps_done_ += 1
        return step


def momentum_course(first: float, last: float, n_steps: int) -> partial:
    """Momentum as a function of the step."""
    return partial(linear, n_steps=n_steps, first=first, last=last)
