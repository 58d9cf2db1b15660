"""One pretraining run: its windows, its checkpoints, and its net."""

from __future__ import annotations

from contextlib import ExitStack, closing, nullcontext
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from ..modules.config import DAREConfig
from ..pretraining.schedules import linear, one_cycle, restarted
from ..signals.errors import SignalError, tell
from ..signals.files import stamps
from ..signals.readers import tell_ignored
from .checkpoint import CheckpointFolder, SaveCheckpoints, plain
from .corpus import (
    Corpus,
    MontageBatches,
    Stream,
    WindowStore,
    describe,
    find_prepared,
    prepare,
)  # fmt: skip
from .device import compute_threads, draw_seeds, fit_or_name_batch_size, resolve_device, torch_seed
from .net import check_finite_weights, make_callbacks
from .pretrain import PretrainNet, masks_of_step
from .processes import Ranks, StopSignals, find_ranks, unwinding
from .reading import Reader, find_sources, is_path, is_stream, tell_skipped, worker_options

TERMS = ("reconstruction", "anchor_alignment", "mask_alignment", "activation_penalty")


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
        corpus, made_of = _read(recipe, items, model.config, ranks, store, folder)
        verbose = recipe.verbose if ranks.rank == 0 else 0
        if verbose:
            print(
                f"{corpus.n_windows} windows of {corpus.n_parts} part(s) of X; {corpus.n_bad} "
                f"window(s) left out for bad segments, {len(corpus.skipped)} recording(s) that "
                "cannot be used"
            )
        sampler = MontageBatches(
            corpus.sizes,
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
                store.keep(folder.windows, corpus, made_of)
            return run

        callbacks, stop = list(recipe.callbacks or ()), nullcontext()
        saves = recipe.checkpoint_dir is not None
        if saves or ranks.size > 1:
            run = ranks.first(describe_run) if saves else {}
            stop = StopSignals(shared=ranks.size > 1)
            saver = SaveCheckpoints(folder, run, sampler, recipe.checkpoint_every, stop)
            callbacks.append(("checkpoints", saver))
        borders = [len(loader) * epoch for epoch in (0, *recipe.restarts, recipe.max_epochs)]
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
                len(loader),
            ),
            verbose=verbose,
        )
        largest = max(corpus.sizes, default=recipe.batch_size)
        with stop:
            fit_or_name_batch_size(
                lambda: net.train(loader, checkpoint), recipe.batch_size, largest
            )
    check_finite_weights(net.module_)
    return net, corpus


def _read(
    recipe: Any,
    items: list[Any],
    config: DAREConfig,
    ranks: Ranks,
    store: WindowStore,
    folder: CheckpointFolder | None,
) -> tuple[Corpus, Any]:
    """The corpus, and the files that it was made of (None if X is not only files).

    The first process reads the files for all; each process holds what is in memory itself.
    """
    how = ("ch_names", "sfreq", "unit", "robust_scale", "on_error")
    how = {name: getattr(recipe, name) for name in how}
    params = {"window_s": recipe.window_s, "unknown": recipe.unknown_channels}
    reader = Reader(config, **how)
    sources, given = find_sources(items, reader)
    members = [x for item in items for x in (item if isinstance(item, list | tuple) else [item])]
    members = [x for x in members if not is_stream(x)]
    paths = [str(Path(x).absolute()) for x in members if is_path(x)]
    ranks.check_same(paths, "The list of files in X")
    made_of = None
    if folder is not None and paths and len(paths) == len(members):
        numbers = [source.number for source in sources]
        grid = (config.patch_size, config.sfreq)
        made_of = plain([paths, numbers, stamps(paths), grid, how, params])

    def make() -> Corpus:
        found = None if made_of is None else find_prepared(folder.windows, made_of)
        work = {"n_workers": recipe.n_workers, "verbose": recipe.verbose}
        return found or prepare(sources, reader, store, **params, **work)

    corpus = ranks.first(make) if paths else make()
    corpus.streams = [Stream(stream, config, number) for stream, number in given if len(stream)]
    tell_skipped(corpus.skipped, corpus.n_parts)
    if not corpus.montages and not corpus.streams:
        raise SignalError("X has 0 sample(s), and at least 1 is required.")
    if corpus.layout is not None:
        tell_ignored(corpus.layout)
    if corpus.streams:
        corpus.layout, corpus.mixed = corpus.layout or corpus.streams[0].layout(), True
    if not all(ranks.gather(_sees(corpus))):
        raise SignalError(
            "some of the processes that train together do not see the windows that the first one "
            "has written: pass a checkpoint_dir on a drive that all machines share."
        )
    ranks.check_same(corpus.sizes, "The number of windows of X")
    if corpus.n_windows == 1:
        tell(
            "X is a single window: mask alignment has nothing to contrast it with. Pass more "
            "epochs, or a smaller window_s."
        )
    return corpus, made_of


def _sees(corpus: Corpus) -> bool:
    """Whether this process sees all files; maps them before the first one renames their folder."""
    try:
        return all(len(montage.windows[:1]) for montage in corpus.montages)
    except FileNotFoundError:
        return False


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
