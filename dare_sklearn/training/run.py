"""One pretraining run: the order of its batches, its checkpoints, and its net."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from ..pretraining.schedules import linear, one_cycle, restarted
from ..signals.errors import SignalError, listed
from .checkpoint import CheckpointFolder, SaveCheckpoints
from .corpus import Corpus, WindowStore, describe, read_corpus
from .device import compute_threads, draw_seeds, fit_or_name_batch_size, resolve_device, torch_seed
from .net import check_finite_weights, make_callbacks
from .pretrain import PretrainNet, masks_of_step
from .processes import StopSignals, find_ranks, unwinding
from .reading import worker_options

TERMS = ("reconstruction", "anchor_alignment", "mask_alignment", "activation_penalty")


class MontageBatches(Sampler):
    """Shuffled batches, each within one montage; their number is the same in every epoch.

    `sizes` counts the windows of each montage, and `streams` the batches of each stream in an
    epoch; a stream gets the number of the step in the run. Without `shares`, an epoch goes through
    all windows and streams once. With `shares` of the items of X (`sources` says which item each
    montage and stream comes from), batches are drawn: an item with too few windows for its share
    repeats some, and one with more leaves some for the next epoch.

    If several processes train together, `batch_size` is that of all of them. Each gets its share of
    every batch, with the number of its windows and of all. If a montage has fewer windows than
    there are processes, a process without any gets a window that does not count.
    """

    def __init__(
        self,
        sizes: list[int],
        batch_size: int,
        rng: np.random.Generator,
        rank: int = 0,
        n_ranks: int = 1,
        *,
        streams: Sequence[int] = (),
        sources: Sequence[int] | None = None,
        shares: Sequence[float] | None = None,
    ) -> None:
        self.sizes, self.streams, self.rng = sizes, streams, rng
        self.counts = [*(-(-size // batch_size) for size in sizes), *streams]
        self.rank, self.n_ranks = rank, n_ranks
        self.sources, self.shares = sources, shares
        if shares is not None:
            filled = {source for source, n in zip(sources, self.counts, strict=True) if n}
            if empty := [item for item in range(len(shares)) if item not in filled]:
                raise SignalError(
                    f"shares needs windows of every item of X, and item(s) {listed(empty)}, "
                    "counted from 0, have none: leave them out of X and of shares."
                )
        self.n_skipped, self.n_epochs = 0, 0

    @property
    def state(self) -> dict[str, Any]:
        """The generator's state; between epochs it decides the next one's order."""
        return self.rng.bit_generator.state

    def resume(self, state: dict[str, Any], n_done: int, n_epochs: int) -> None:
        """Let the next epoch be the one that began in this state, after its first batches."""
        self.rng.bit_generator.state = state
        self.n_skipped, self.n_epochs = n_done, n_epochs

    def __len__(self) -> int:
        return sum(self.counts)

    def __iter__(self) -> Iterator[tuple]:
        everything = range(len(self.counts))
        order = self._mixed() if self.shares is not None else self._batches(everything)
        first, self.n_skipped = self.n_skipped, 0
        begin, self.n_epochs = self.n_epochs * len(self), self.n_epochs + 1
        for number, (source, windows) in enumerate(order):
            if number < first:
                continue
            if windows is None:
                share = () if self.n_ranks == 1 else (self.rank, self.n_ranks)
                yield source, begin + number, *share
            elif self.n_ranks == 1:
                yield source, windows
            else:
                mine = np.array_split(windows, self.n_ranks)[self.rank]
                yield source, mine if len(mine) else windows[:1], (len(mine), len(windows))

    def _batches(self, numbers: Sequence[int]) -> list[tuple]:
        """All batches of some montages and streams, in a random order."""
        batches: list[tuple] = []
        for number in numbers:
            count = self.counts[number]
            if number >= len(self.sizes):
                batches += [(number, None)] * count
                continue
            # of even sizes, so that no batch is a single window with nothing to contrast
            order = self.rng.permutation(self.sizes[number])
            batches += [(number, windows) for windows in np.array_split(order, count)]
        return [batches[i] for i in self.rng.permutation(len(batches))]

    def _mixed(self) -> Iterator[tuple]:
        members = [np.flatnonzero(np.equal(self.sources, i)) for i in range(len(self.shares))]
        waiting: list[list[tuple]] = [[] for _ in members]
        for item in self.rng.choice(len(members), len(self), p=self.shares):
            if not waiting[item]:
                waiting[item] = self._batches(members[item])
            yield waiting[item].pop()


def pretrain(recipe: Any, X: Any) -> tuple[PretrainNet, Corpus]:
    """Train networks on `X` by the parameters of a `DAREPretrainer`, which is only read."""
    momentum, shares = check_params(recipe), check_shares(recipe.shares, X)
    ranks = find_ranks(recipe.device)
    if ranks.size > 1 and recipe.reconstruction_target == "bands":
        raise ValueError(
            "reconstruction_target='bands' needs the whole batch in one process: train in one "
            "process, or pass 'patch'."
        )
    device = ranks.device or resolve_device(recipe.device)
    with ExitStack() as stack:
        stack.enter_context(unwinding())
        folder = None
        if recipe.checkpoint_dir is not None:
            place = CheckpointFolder(Path(recipe.checkpoint_dir).absolute())
            ranks.first(lambda: stack.enter_context(place) and None)
            folder = place if ranks.rank == 0 else None  # only the first process writes
        checkpoint = ranks.first(folder.latest if folder else lambda: None)
        seeds = draw_seeds(recipe.random_state, 3)
        seeds = ranks.first(lambda: seeds) if checkpoint is None else checkpoint.run["seeds"]
        init_seed, order_seed, mask_seed = seeds
        stack.enter_context(torch_seed(init_seed))
        model = recipe._make_model()
        n_threads = recipe.n_threads or torch.get_num_threads()
        stack.enter_context(compute_threads(n_threads))
        store = stack.enter_context(closing(WindowStore(folder and folder.inside)))
        items = [X] if shares is None else list(X)
        kept = folder and folder.windows
        corpus, made_of = read_corpus(recipe, items, model.config, ranks, store, kept)
        verbose = recipe.verbose if ranks.rank == 0 else 0
        if verbose:
            print(
                f"{corpus.n_windows} windows of {corpus.n_parts} part(s) of X; {corpus.n_bad} "
                f"window(s) left out for bad segments, {len(corpus.skipped)} recording(s) that "
                "cannot be used"
            )
        sizes = corpus.sizes
        sampler = MontageBatches(
            sizes,
            recipe.batch_size * ranks.size,
            np.random.default_rng(order_seed),
            ranks.rank,
            ranks.size,
            streams=[len(stream) for stream in corpus.streams],
            sources=[part.source for part in (*corpus.montages, *corpus.streams)],
            shares=shares,
        )
        # workers make the batches of streams; windows are ready already
        options = worker_options(recipe.n_workers if corpus.streams else 0)
        loader = DataLoader(corpus, sampler=sampler, batch_size=None, **options)

        def describe_run() -> dict[str, Any]:
            params = recipe._run_params(model, device)
            if checkpoint is not None and recipe.precision == "auto":
                # another meaning of "auto" on another device only changes the rounding
                begun = checkpoint.run
                if begun["rounding"]["device"] != device.type:
                    params["precision"] = begun["params"]["precision"]
            if ranks.size > 1:
                params["n_processes"] = ranks.size
            run = {
                "params": params,
                "corpus": describe(corpus),
                "seeds": seeds,
                "rounding": {
                    "device": device.type,
                    "threads": n_threads,
                    "torch": torch.__version__,
                    "compile": recipe.compile,
                },
            }
            if checkpoint is not None:
                folder.check_same_run(checkpoint.run, run)
            if made_of is not None and store.folder is not None:
                store.keep(kept, corpus, made_of)
            return run

        callbacks, stop = list(recipe.callbacks or ()), nullcontext()
        saves = recipe.checkpoint_dir is not None
        if saves or ranks.size > 1:
            run = ranks.first(describe_run) if saves else {}
            stop = StopSignals(shared=ranks.size > 1)
            saver = SaveCheckpoints(folder, run, sampler, recipe.checkpoint_every, stop)
            callbacks.append(("checkpoints", saver))
        n_batches = len(loader)
        borders = [n_batches * epoch for epoch in (0, *recipe.restarts, recipe.max_epochs)]
        rise = partial(linear, first=momentum[0], last=momentum[1])
        net = PretrainNet(
            model,
            criterion=torch.nn.Identity,
            max_epochs=recipe.max_epochs,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            momentum=partial(restarted, schedule=rise, borders=borders),
            masks=partial(
                masks_of_step,
                seed=mask_seed,
                visible_share=recipe.visible_share,
                hidden_target_share=recipe.hidden_target_share,
            ),
            precision=recipe.precision,
            compiled=recipe.compile,
            ranks=ranks,
            stop=stop,
            device=str(device),
            train_split=None,
            callbacks=make_callbacks(
                partial(restarted, schedule=one_cycle, borders=borders),
                [t for t in TERMS[:3] if getattr(recipe, t)] + [TERMS[3]],
                verbose,
                callbacks,
                n_batches,
            ),
            verbose=verbose,
        )
        largest = max(sizes, default=recipe.batch_size)
        with stop:
            fit_or_name_batch_size(
                lambda: net.train(loader, checkpoint), recipe.batch_size, largest
            )
    check_finite_weights(net.module_)
    return net, corpus


def check_params(recipe: Any) -> tuple[float, float]:
    """Check what scikit-learn's constraints cannot express; return the momentum."""
    if recipe.checkpoint_dir is not None and not str(recipe.checkpoint_dir):
        raise ValueError("checkpoint_dir='' names no folder: pass a folder, or None.")
    momentum, visible, last = tuple(recipe.momentum), recipe.visible_share, recipe.max_epochs
    borders = [0, *recipe.restarts, last]
    rising = all(isinstance(r, Integral) for r in borders) and sorted(set(borders)) == borders
    windows = np.atleast_1d(np.asarray(recipe.window_s, dtype=object))
    shares = () if recipe.shares is None else recipe.shares
    rules = {
        "momentum": (
            len(momentum) == 2 and all(map(_is_share, momentum)),
            "be two numbers from 0 to 1 (first and last)",
        ),
        "visible_share": (
            not isinstance(visible, list | tuple)
            or (len(visible) == 2 and all(map(_is_share, visible)) and visible[0] <= visible[1]),
            "be a number from 0 to 1, or the lowest and the highest one",
        ),
        "restarts": (
            rising or not len(recipe.restarts),
            f"hold rising numbers of epochs between 0 and max_epochs={last}",
        ),
        "window_s": (
            len(windows) and all(isinstance(w, Real) and 0 < w <= 1e9 for w in windows),
            "be a number of seconds, or several",
        ),
        "shares": (
            (recipe.shares is None or len(shares))
            and all(isinstance(s, Real) and 0 < s < np.inf for s in shares),
            "hold positive numbers",
        ),
    }
    for name, (is_right, allowed) in rules.items():
        if not is_right:
            raise ValueError(
                f"The {name!r} parameter of {type(recipe).__name__} must {allowed}, got "
                f"{getattr(recipe, name)!r} instead."
            )
    return momentum


def check_shares(shares: Any, X: Any) -> np.ndarray | None:
    """Shares that add up to 1; raise a ValueError unless there is one for each item of `X`."""
    if shares is None:
        return None
    if not isinstance(X, list | tuple) or len(X) != len(shares):
        got = f"{len(X)} items" if isinstance(X, list | tuple) else type(X).__name__
        raise ValueError(
            f"shares={shares!r} needs a list X of {len(shares)} items, one for each share, got "
            f"{got}."
        )
    return np.array(shares, dtype=float) / sum(shares)


def _is_share(value: Any) -> bool:
    return isinstance(value, Real) and 0.0 <= value <= 1.0
