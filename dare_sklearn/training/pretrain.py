"""The skorch net that pretrains: one step of the objective, and how a run is resumed."""

from __future__ import annotations

from typing import Any

import torch
from skorch.history import History
from skorch.utils import TeeGenerator
from torch import Tensor
from torch.utils.data import DataLoader

from ..pretraining.masks import Masks, draw_masks
from ..weights.files import WEIGHTS_NAME, read_tensors
from ..weights.load import check_fit, with_prefix
from .checkpoint import TENSORS_NAME, Checkpoint
from .device import autocast
from .net import Net, check_finite
from .processes import Ranks, StopSignals, Together


class PretrainNet(Net):
    """Pretrain a `PretrainingModel`; `train` takes a loader of (x, channels) batches.

    If several processes train together, a batch also holds the number of this process's windows
    and of all windows.
    """

    def __init__(
        self,
        *args,
        weight_decay=1e-6,
        momentum=None,
        masks=None,
        precision="auto",
        compiled=False,
        ranks=None,
        stop=None,
        **kwargs,
    ):
        self.weight_decay = weight_decay
        self.momentum, self.masks = momentum, masks  # functions of the step
        self.precision, self.compiled = precision, compiled
        self.ranks = ranks or Ranks()
        self.stop: StopSignals | None = stop  # shared by several processes
        super().__init__(*args, **kwargs)

    def get_iterator(self, dataset: Any, training: bool = False) -> DataLoader:
        return self.loader_

    def train(self, loader: DataLoader, checkpoint: Checkpoint | None = None) -> PretrainNet:
        """Initialize and train for all epochs, or for those that remain after a checkpoint."""
        self.loader_ = loader
        self.initialize()
        self.resumes_epoch_ = False
        if checkpoint is not None:
            try:
                self._restore(checkpoint, loader)
            except (AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:
                raise ValueError(
                    f"The checkpoint {checkpoint.folder} does not belong to this run: {error!r}."
                ) from None
        try:
            return self.partial_fit(loader.dataset, epochs=self.max_epochs - self.n_epochs_done)
        finally:
            del self.loader_

    @property
    def n_epochs_done(self) -> int:
        """Finished epochs, before training begins."""
        return len(self.history) - self.resumes_epoch_

    def state_tensors(self) -> dict[str, Tensor]:
        """Optimizer and torch's generators, on the CPU; the masks follow from the step."""
        tensors = {
            f"optimizer.{number}.{name}": value
            for number, values in self.optimizer_.state_dict()["state"].items()
            for name, value in values.items()
        }
        tensors["generator.torch"] = torch.get_rng_state()
        if torch.device(self.device).type == "cuda":
            tensors["generator.cuda"] = torch.cuda.get_rng_state(self.device)
        return {name: value.detach().cpu().clone() for name, value in tensors.items()}

    def _restore(self, checkpoint: Checkpoint, loader: DataLoader) -> None:
        folder = checkpoint.folder
        # other processes may not see the files
        weights, tensors = self.ranks.first(
            lambda: [read_tensors(folder / name) for name in (WEIGHTS_NAME, TENSORS_NAME)]
        )
        check_fit(self.module_, weights, str(folder))
        self.module_.load_state_dict(weights)
        # the groups stay as they are: the schedule takes the peak of the learning rate from them
        optimizer = self.optimizer_.state_dict()
        for name, value in with_prefix(tensors, "optimizer").items():
            number, entry = name.split(".")
            optimizer["state"].setdefault(int(number), {})[entry] = value
        self.optimizer_.load_state_dict(optimizer)
        self.history = History(checkpoint.history)
        n_done = checkpoint.n_steps - checkpoint.n_epochs * len(loader)
        self.resumes_epoch_ = n_done > 0
        loader.sampler.resume(checkpoint.order, n_done, checkpoint.n_epochs)
        torch.set_rng_state(tensors["generator.torch"])
        if torch.device(self.device).type == "cuda" and "generator.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["generator.cuda"], self.device)

    def on_train_begin(self, net, X=None, y=None, **kwargs) -> None:
        super().on_train_begin(net, X, y, **kwargs)
        self.n_steps_done_ = sum(len(row["batches"]) for row in self.history)
        self.in_step_ = False
        self.together_ = Together(self.module_, self.ranks) if self.ranks.size > 1 else None
        module = self.together_.module if self.together_ else self.module_
        # a function, since skorch would register a module. `dynamic`, because the numbers of
        # visible channels and targets differ from step to step
        self.run_ = (torch.compile(module, dynamic=True) if self.compiled else module).__call__

    def on_train_end(self, net, X=None, y=None, **kwargs) -> None:
        if self.together_ is not None:
            self.together_.close()
        del self.run_, self.together_
        super().on_train_end(net, X, y, **kwargs)

    def on_epoch_begin(self, net, *args, **kwargs) -> None:
        if not self.resumes_epoch_:  # its row is in the history already
            super().on_epoch_begin(net, *args, **kwargs)
        self.resumes_epoch_ = False

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params) -> None:
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        if iterator is not None:  # skorch counts only batches after the resume
            self.history.record(prefix + "_batch_count", len(self.history[-1]["batches"]))

    def train_step(self, batch: tuple, **fit_params) -> dict[str, Any]:
        self.in_step_ = True  # an interrupt now may leave the networks half updated
        self._set_training(True)
        x, channels = (tensor.to(self.device, non_blocking=True) for tensor in batch[:2])
        _, n_chans, n_times = x.shape
        n_patches = n_times // self.module_.config.patch_size
        masks = self.masks(self.n_steps_done_, n_patches, n_chans).to(self.device)
        together = self.together_
        if together:
            together.begin(*batch[2])
        self.optimizer_.zero_grad()
        with autocast(torch.device(self.device), self.precision):
            terms = self.run_(x, channels, masks)
        (together.loss(terms) if together else terms["loss"]).backward()
        # one transfer from the device for all terms
        values = torch.stack([term.detach().float() for term in terms.values()]).tolist()
        values = dict(zip(terms, values, strict=True))
        if together:
            values = together.values(values, self.stop)
        loss = values.pop("loss")
        check_finite(loss)
        for name, value in values.items():
            self.history.record_batch(name, value)
        named = TeeGenerator(self.get_all_learnable_params())
        self.notify("on_grad_computed", named_parameters=named, batch=batch, training=True)
        self.optimizer_.step()
        self.module_.update_target(self.momentum(self.n_steps_done_))
        self.n_steps_done_ += 1
        self.in_step_ = False
        return {"loss": torch.tensor(loss), "y_pred": None}

    def on_batch_end(self, net, batch=None, training=False, **kwargs) -> None:
        super().on_batch_end(net, batch=batch, training=training, **kwargs)
        if self.together_ is not None:  # skorch counts only this process's windows
            self.history.record_batch("train_batch_size", int(batch[2][1]))


def masks_of_step(step: int, n_patches: int, n_chans: int, *, seed: int, **shares: Any) -> Masks:
    """Masks as a function of the seed and the step, so that a run can resume at any step.

    `shares` are the shares that `draw_masks` takes.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    return draw_masks(n_patches, n_chans, generator, **shares)
