"""Pretraining of one model by several processes; and SIGTERM and Ctrl-C between two steps.

A launcher starts the processes, `accelerate` connects them, and torch's DistributedDataParallel
sums their gradients. A step equals that of one process with a larger batch: all draw the same
windows and masks, each computes its share of the windows, mask alignment contrasts every window
with all others, and mean losses weigh each share by its size.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from ..pretraining.objective import PretrainingModel
from .device import resolve_device

Result = TypeVar("Result")
MASK = "mask_alignment"  # the term that every process computes for the whole batch


@dataclass
class Ranks:
    """The processes that train together; with one process, every method is a no-op."""

    rank: int = 0  # this process's number
    size: int = 1
    device: torch.device | None = None  # this process's; None with one process

    def gather(self, value: Result) -> list[Result]:
        """The values of all processes, in each of them."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def first(self, call: Callable[[], Result]) -> Result:
        """Let only the first process make a call; return its result, or raise its error, in all."""
        if self.size == 1:
            return call()
        outcome: list[Any] = [None, None]
        if self.rank == 0:
            try:
                outcome[0] = call()
            except Exception as error:
                outcome[1] = error
        dist.broadcast_object_list(outcome)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]

    def check_same(self, value: Any, what: str) -> None:
        """Raise a ValueError in all processes if their values differ."""
        values = self.gather(value)
        if any(other != values[0] for other in values):
            listed = "; ".join(f"process {rank}: {value}" for rank, value in enumerate(values))
            raise ValueError(
                f"{what} differs between the processes that train together ({listed}): give all "
                "of them the same data and parameters."
            )


def find_ranks(device: str) -> Ranks:
    """Connect the processes that a launcher has started; `device` is the estimator's parameter."""
    started = "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", 1)) > 1
    if not started and not (dist.is_available() and dist.is_initialized()):
        return Ranks()
    try:
        from accelerate import PartialState
    except ImportError:
        raise ImportError(
            "Training in several processes needs accelerate: pip install accelerate"
        ) from None
    if ":" in device:
        raise ValueError(
            f"device={device!r} would be the same for all processes that train together: pass "
            "'auto', which gives each its own."
        )
    use_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    on_cpu = (device == "auto" and use_cpu) or resolve_device(device).type == "cpu"
    state = PartialState(cpu=on_cpu)
    if state.num_processes == 1 and started:
        raise RuntimeError(
            f"This is one of WORLD_SIZE={os.environ['WORLD_SIZE']} processes, but accelerate could "
            f"not connect it to any (device={device!r}): start them with accelerate launch or "
            "torchrun on devices of one kind."
        )
    own = torch.device("cpu") if on_cpu else state.device
    return Ranks(state.process_index, state.num_processes, own)


def is_first() -> bool:
    """Whether this process is the one that writes files."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0


class Together:
    """A model that several processes train: its losses are those of the whole batch."""

    def __init__(self, model: PretrainingModel, ranks: Ranks) -> None:
        self.ranks, self.weights = ranks, model.weights
        # the head returns the vectors of the whole batch, so its loss is that of the batch
        gather = torch.compiler.disable(self._gather)  # as a decorator, it imports the compiler
        self._hook = model.projection.register_forward_hook(gather)
        self.module = DistributedDataParallel(
            model,
            broadcast_buffers=False,
            # networks of a disabled term get no gradient
            find_unused_parameters=not all(model.weights.values()),
        )

    def close(self) -> None:
        """Leave the model ready for a single process."""
        self._hook.remove()

    def begin(self, n_own: int, n_all: int) -> None:
        """Set how many windows of the next batch are this process's, and how many there are."""
        self.counts = [len(part) for part in np.array_split(range(n_all), self.ranks.size)]
        self.share = n_own / n_all

    def loss(self, terms: dict[str, Tensor]) -> Tensor:
        """The loss to back-propagate: DDP averages gradients over the processes; we need their sum.

        Mask alignment is computed for the whole batch already; its gradient reaches the own rows.
        """
        shares = {name: 1.0 if name == MASK else self.share for name in terms if name != "loss"}
        return self.ranks.size * sum(self.weights[n] * terms[n] * s for n, s in shares.items())

    def values(self, terms: dict[str, float], stop: StopSignals) -> dict[str, float]:
        """Terms of the whole batch; here the processes also agree on signals that any received."""
        names = [name for name in terms if name != "loss"]
        weighed = [
            terms[name] * (1 / self.ranks.size if name == MASK else self.share) for name in names
        ]
        flags = [float(stop.own == number) for number in (signal.SIGINT, signal.SIGTERM)]
        # MPS and some backends lack float64; the terms are float32 anyway
        sums = torch.tensor([*weighed, *flags], dtype=torch.float32, device=self.ranks.device)
        dist.all_reduce(sums)
        *summed, interrupted, terminated = sums.tolist()
        stop.agree(interrupted > 0, terminated > 0)
        done = dict(zip(names, summed, strict=True))
        return {**done, "loss": sum(self.weights[name] * value for name, value in done.items())}

    def _gather(self, module: nn.Module, args: tuple, own: Tensor) -> Tensor:
        """The rows of all processes, in the order of the batch.

        Every process computes the same loss of all rows, and back-propagates it to its own rows:
        summed over the processes, that is the whole gradient.
        """
        rank, most = self.ranks.rank, max(self.counts)
        mine = own[: self.counts[rank]]
        padded = own.new_zeros(most, own.shape[1])
        padded[: len(mine)] = mine.detach()
        rows = [torch.empty_like(padded) for _ in self.counts]
        dist.all_gather(rows, padded)
        rows = [block[:count] for block, count in zip(rows, self.counts, strict=True)]
        rows[rank] = mine
        return torch.cat(rows)


class StopSignals:
    """SIGTERM and Ctrl-C during a fit, in the main thread.

    SIGTERM ends the process by `SystemExit` (code 143), so that temporary files are removed. If the
    fit `finishes` its steps, then from when `delays` is set, both wait until the current step is
    saved; Ctrl-C then ends the training, and a second one acts at once. `own` is the signal that
    came to this process, and `received` the one to act on: if `shared`, what the processes that
    train together have agreed on, so that a signal to any of them ends the training of all.
    """

    def __init__(self, finishes: bool, shared: bool = False) -> None:
        self.finishes, self.shared, self.delays = finishes, shared, False
        self.own: int | None = None
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def check(self) -> None:
        """End the training if a signal came: skorch stops at a `KeyboardInterrupt`."""
        if self.received is not None:
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        terminate, interrupt = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        # if the user ignores a signal, or handles Ctrl-C, that is on purpose
        if terminate is signal.SIG_DFL or (self.finishes and callable(terminate)):
            self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._receive)
        if self.finishes and interrupt is signal.default_int_handler:
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        self.received = self.received or self.own  # one after the last step
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.received == signal.SIGTERM:
            if callable(self._before[signal.SIGTERM]):
                signal.raise_signal(signal.SIGTERM)
            raise SystemExit(128 + signal.SIGTERM)

    def _receive(self, number: int, frame: object) -> None:
        again = number == signal.SIGINT and self.own is not None
        if again or not self.delays:
            if not callable(before := self._before[number]):
                sys.exit(128 + number)
            before(number, frame)
        else:
            self.own = number
            self.received = self.received if self.shared else number

    def agree(self, interrupted: bool, terminated: bool) -> None:
        """Act on what any process has received, after this step."""
        # a process that does not handle SIGTERM only ends its training
        if terminated and signal.SIGTERM in self._before:
            self.received = signal.SIGTERM
        elif interrupted or terminated:
            self.received = signal.SIGINT
