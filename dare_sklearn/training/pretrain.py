"""One pretraining run: its checkpoints, corpus and net, the step of that net, and its resume."""

import sys
from contextlib import ExitStack, closing
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from skorch.history import History
from skorch.utils import TeeGenerator
from torch import Tensor
from torch.utils.data import DataLoader

from ..pretraining.masks import draw_masks
from ..pretraining.schedules import linear, one_cycle, restarted
from ..signals.errors import tell
from ..weights.files import WEIGHTS_NAME, read_tensors
from ..weights.load import check_fit, with_prefix
from .checkpoint import TENSORS_NAME, Checkpoint, CheckpointFolder, SaveCheckpoints
from .corpus import Corpus, MontageBatches, WindowStore, worker_options
from .device import (
    autocast,
    compute_threads,
    draw_seeds,
    resolve_device,
    torch_seed,
)
from .net import Net, check_finite, check_finite_weights, make_callbacks
from .processes import StopSignals, Together, find_ranks
from .reading import read_corpus

TERMS = ("reconstruction", "anchor_alignment", "mask_alignment", "activation_penalty")


class PretrainNet(Net):
    """Pretrain a `PretrainingModel`; `train` takes a loader of items of a `Corpus`."""

    def __init__(
        self, *args, weight_decay, momentum, masks, context, compiled, ranks, stop, **kwargs
    ):
        self.weight_decay = weight_decay
        self.momentum = momentum  # a function of the step
        self.masks = masks  # their seed, and shares as `draw_masks` takes them
        self.context, self.compiled = context, compiled
        self.ranks, self.stop = ranks, stop
        super().__init__(*args, **kwargs)

    def get_iterator(self, dataset: Any, training: bool = False) -> DataLoader:
        return self.loader_

    def train(self, loader: DataLoader, checkpoint: Checkpoint | None = None) -> Self:
        """Initialize and train for all epochs, or for those that remain after a checkpoint."""
        self.loader_ = loader
        self.initialize()
        self.n_epochs_done_, self.resumes_epoch_ = 0, False
        if checkpoint is not None:
            try:
                self._restore(checkpoint, loader)
            except (AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:
                raise ValueError(
                    f"The checkpoint {checkpoint.folder} does not belong to this run: {error!r}."
                ) from None
        try:
            return self.partial_fit(loader.dataset, epochs=self.max_epochs - self.n_epochs_done_)
        finally:
            del self.loader_

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
        self.history, self.n_epochs_done_ = History(checkpoint.history), checkpoint.n_epochs
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
        seed, shares = self.masks
        # a function of the seed and the step, so that a run can resume
        generator = torch.Generator().manual_seed(seed * 1_000_003 + self.n_steps_done_)
        masks = draw_masks(n_patches, n_chans, generator, **shares).to(self.device)
        together = self.together_
        if together:
            together.begin(*batch[2])
        self.optimizer_.zero_grad()
        with self.context:
            terms = self.run_(x, channels, masks)
        (together.loss(terms) if together else terms["loss"]).backward()
        # one transfer from the device for all terms
        values = torch.stack(tuple(terms.values())).detach().float().tolist()
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
        # skorch counts only this process's windows
        self.history.record_batch("train_batch_size", batch[2][1])


def pretrain(recipe: Any, X: Any) -> tuple[PretrainNet, Corpus]:
    """Train networks on `X` by the parameters of a `DAREPretrainer`, which is only read."""
    shares = check_params(recipe, X)
    ranks = find_ranks(recipe.device)
    if ranks.size > 1 and recipe.reconstruction_target == "bands":
        raise ValueError(
            "reconstruction_target='bands' needs the whole batch in one process: train in one "
            "process, or pass 'patch'."
        )
    saves, shared = recipe.checkpoint_dir is not None, ranks.size > 1
    with ExitStack() as stack:
        stop = stack.enter_context(StopSignals(saves or shared, shared))
        device = ranks.device or resolve_device(recipe.device)
        seeds = draw_seeds(recipe.random_state, 3)
        folder = checkpoint = None
        if saves:
            place = CheckpointFolder(Path(recipe.checkpoint_dir).absolute())

            def begin() -> Checkpoint | None:
                stack.enter_context(place)
                return place.latest()

            checkpoint = ranks.first(begin)
            folder = place if ranks.rank == 0 else None  # only the first process writes
        if checkpoint is not None:
            seeds = checkpoint.run["seeds"]
        elif shared:
            seeds = ranks.gather(seeds)[0]
        init_seed, order_seed, mask_seed = seeds
        n_threads = recipe.n_threads or torch.get_num_threads()
        stack.enter_context(torch_seed(init_seed))
        stack.enter_context(compute_threads(n_threads))
        context = autocast(device, recipe.precision)
        model = recipe._make_model()
        store = stack.enter_context(closing(WindowStore(folder and folder.inside)))
        items = [X] if shares is None else list(X)
        corpus = read_corpus(recipe, items, model.config, ranks, store)
        n_windows, largest = corpus.n_windows, max(corpus.sizes, default=recipe.batch_size)
        if recipe.mask_alignment and 1 in (n_windows, recipe.batch_size):
            tell(
                "every batch is a single window: mask alignment has nothing to contrast it with. "
                "Pass more epochs, a smaller window_s or a larger batch_size."
            )
        verbose = recipe.verbose if ranks.rank == 0 else 0
        if verbose:
            print(
                f"{n_windows} windows of {corpus.n_parts} part(s) of X; {corpus.n_bad} "
                f"window(s) left out for bad segments, {len(corpus.skipped)} recording(s) that "
                "cannot be used"
            )
        order = np.random.default_rng(order_seed)
        sampler = MontageBatches(corpus, recipe.batch_size * ranks.size, order, shares)
        # workers make the batches of streams; windows are ready already
        options = worker_options(recipe.n_workers if corpus.streams else 0)
        loader = DataLoader(corpus, sampler=sampler, batch_size=None, **options)

        def describe_run() -> dict[str, Any]:
            params = recipe._run_params(model, device)
            if shared:
                params["n_processes"] = ranks.size
            rounding = {"device": device.type, "threads": n_threads, "torch": torch.__version__}
            rounding["compile"] = recipe.compile
            run = {"params": params, "corpus": corpus.describe(), "seeds": seeds}
            run["rounding"] = rounding
            if checkpoint is not None:
                begun = checkpoint.run
                if recipe.precision == "auto" and begun["rounding"]["device"] != device.type:
                    # another meaning of "auto" on another device only changes the rounding
                    params["precision"] = begun["params"]["precision"]
                folder.check_same_run(begun, run)
            return run

        callbacks = list(recipe.callbacks or ())
        if saves or shared:
            run = ranks.first(describe_run) if saves else {}
            saver = SaveCheckpoints(folder, run, sampler, recipe.checkpoint_every, stop)
            callbacks.append(("checkpoints", saver))
        n_batches = len(loader)
        borders = [n_batches * epoch for epoch in (0, *recipe.restarts, recipe.max_epochs)]
        first, last = recipe.momentum
        rise = partial(linear, first=first, last=last)
        terms = [*(term for term in TERMS[:3] if getattr(recipe, term)), TERMS[3]]
        course = partial(restarted, schedule=one_cycle, borders=borders)
        shown = {name: getattr(recipe, name) for name in ("visible_share", "hidden_target_share")}
        net = PretrainNet(
            model,
            criterion=torch.nn.Identity,
            max_epochs=recipe.max_epochs,
            batch_size=min(recipe.batch_size, largest),
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            momentum=partial(restarted, schedule=rise, borders=borders),
            masks=(mask_seed, shown),
            context=context,
            compiled=recipe.compile,
            ranks=ranks,
            stop=stop,
            device=str(device),
            train_split=None,
            callbacks=make_callbacks(course, terms, verbose, callbacks, n_batches),
            verbose=verbose,
        )
        stop.delays = stop.finishes
        net.train(loader, checkpoint)
    check_finite_weights(net.module_)
    return net, corpus


def check_params(recipe: Any, X: Any) -> np.ndarray | None:
    """Check what scikit-learn's constraints cannot express; return shares that add up to 1."""
    if not any(getattr(recipe, term) for term in TERMS[:3]):
        raise ValueError(
            "reconstruction, anchor_alignment and mask_alignment are all 0, so that there is "
            "nothing to learn: give one of them a weight above 0."
        )
    if recipe.checkpoint_dir is not None and not str(recipe.checkpoint_dir):
        raise ValueError("checkpoint_dir='' names no folder: pass a folder, or None.")
    visible, shares, last = recipe.visible_share, recipe.shares, recipe.max_epochs
    borders = [0, *recipe.restarts, last]
    rising = all(isinstance(r, Integral) for r in borders) and sorted(set(borders)) == borders
    windows = np.atleast_1d(np.asarray(recipe.window_s, dtype=object))

    def are(values: Any, most: float) -> bool:  # numbers from 0 to `most`
        return all(isinstance(value, Real) and 0 <= value <= most for value in values)

    pair = visible if isinstance(visible, list | tuple) else (0, 1)
    is_right = {
        "momentum": len(recipe.momentum) == 2 and are(recipe.momentum, 1),
        "visible_share": len(pair) == 2 and are(pair, 1) and pair[0] <= pair[1],
        "restarts": rising or not len(recipe.restarts),
        "window_s": len(windows) and are(windows, 1e9) and 0 not in windows,
        "shares": shares is None
        or (len(shares) and are(shares, sys.float_info.max) and 0 not in shares),
    }
    allowed = {
        "momentum": "be two numbers from 0 to 1 (first and last)",
        "visible_share": "be a number from 0 to 1, or the lowest and the highest one",
        "restarts": f"hold rising numbers of epochs between 0 and max_epochs={last}",
        "window_s": "be a number of seconds, or several",
        "shares": "hold positive numbers",
    }
    for name in (name for name, right in is_right.items() if not right):
        raise ValueError(
            f"The {name!r} parameter of {type(recipe).__name__} must {allowed[name]}, got "
            f"{getattr(recipe, name)!r} instead."
        )
    if shares is None:
        return None
    if not isinstance(X, list | tuple) or len(X) != len(shares):
        got = f"{len(X)} items" if isinstance(X, list | tuple) else type(X).__name__
        raise ValueError(
            f"shares={shares!r} needs a list X of {len(shares)} items, one for each share, got "
            f"{got}."
        )
    return np.array(shares, dtype=float) / sum(shares)
