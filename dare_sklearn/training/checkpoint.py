"""Checkpoints of a pretraining run, from which the same ``fit`` call continues bit for bit.

``checkpoint_dir`` holds::

    config.json, model.safetensors       the model of the last checkpoint, for `load_encoder`
    checkpoints/00000007/
        state.safetensors                optimizer and generators
        history.json                     skorch's history, with the steps of an unfinished epoch
        config.json, model.safetensors   all networks, in the format of `save_pretrained`; and the
                                         run, the position in it, and a SHA-256 of the other files
    checkpoints/lock                     so that only one fit at a time writes here

A checkpoint is written into a temporary folder, which is renamed when everything is on the disk:
one that has a number is complete. All files are JSON or safetensors, so none can run code.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import save_file
from skorch.callbacks import Callback
from torch import Tensor

from ..signals.errors import tell
from ..weights.files import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    flush,
    in_place_of,
    read_folder,
    remove,
    sha256,
    write_folder,
)
from ..weights.load import save_model
from .net import check_finite_weights
from .processes import StopSignals

N_KEPT = 2
TENSORS_NAME, HISTORY_NAME = "state.safetensors", "history.json"
_STATE = ("run", "n_steps", "n_epochs", "order")  # of a `Checkpoint`


class Checkpoint(NamedTuple):
    """What a checkpoint holds beside its tensors."""

    run: Mapping[str, Any]  # parameters, corpus and seeds, for comparison with another fit
    n_steps: int  # finished steps
    n_epochs: int
    order: dict[str, Any]  # state, at the start of the epoch, of the generator that orders windows
    history: list[dict[str, Any]]
    folder: Path | None = None

    @property
    def position(self) -> tuple[int, int]:
        return self.n_steps, self.n_epochs


class CheckpointFolder:
    """The last checkpoints of one run; a context in which no other fit may use them.

    `folder` is created if necessary. `position` holds the steps and epochs of the checkpoint that
    was last read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inside = folder / "checkpoints"
        self.position: tuple[int, int] | None = None
        self._kept: list[Path] = []

    def __enter__(self) -> Self:
        try:
            self.inside.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._refuse(f"cannot be made ({error.strerror}): pass a folder that can be written to")
        # a forked worker does not inherit the lock, and cannot outlive the training with it
        self._lock = FileLock(self.inside / "lock", fallback_to_soft=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            self._refuse("is in use by another fit: wait for its end, or pass another folder")
        except OSError:  # drives without locks, and folders that cannot be written to
            pass
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def _refuse(self, what: str) -> None:
        raise ValueError(f"checkpoint_dir={str(self.folder)!r} {what}.") from None

    def latest(self) -> Checkpoint | None:
        """The newest complete checkpoint; None in a new folder.

        A folder that holds another model, or only damaged checkpoints, is refused.
        """
        # from an interrupted write; the second kind are of safetensors
        for pattern in (".part-*", ".tmp*"):
            for leftover in (*self.inside.glob(pattern), *self.folder.glob(pattern)):
                remove(leftover)
        numbered = self._numbered()
        names = (CONFIG_NAME, WEIGHTS_NAME)
        if not numbered and any((self.folder / name).exists() for name in names):
            self._refuse(
                "holds a model, but no checkpoint of a run to continue: pass a new folder (and "
                "this one as weights=, to start from its model)"
            )
        damaged = []
        while numbered:
            try:
                checkpoint = _read(numbered[-1])
            except (ValueError, OSError) as error:
                damaged.append(f"{numbered.pop()} ({error})")
                continue
            if damaged:
                tell(
                    f"the run continues from the checkpoint {numbered[-1]}; these are damaged: "
                    f"{'; '.join(damaged)}."
                )
            self._kept, self.position = numbered[-N_KEPT:], checkpoint.position
            return checkpoint
        if damaged:
            reasons = "; ".join(damaged)
            self._refuse(
                f"holds damaged checkpoints only: {reasons}. Pass a new folder to start afresh"
            )
        return None

    def write(self, checkpoint: Checkpoint, model: Any, tensors: Mapping[str, Tensor]) -> None:
        """Add a checkpoint, then remove the oldest; a failure leaves the others as they are."""
        numbered = self._numbered()
        target = self.inside / f"{int(numbered[-1].name) + 1 if numbered else 1:08d}"
        with in_place_of(target) as part:
            part.mkdir()
            save_file(dict(tensors), part / TENSORS_NAME)
            (part / HISTORY_NAME).write_text(to_json(checkpoint.history), encoding="utf-8")
            flush(part / TENSORS_NAME, part / HISTORY_NAME)
            state = {name: getattr(checkpoint, name) for name in _STATE}
            state["files"] = {name: sha256(part / name) for name in (TENSORS_NAME, HISTORY_NAME)}
            state = json.loads(to_json(state))
            save_model(part, model, kind="DAREPretrainer", checkpoint=state)
        self.position = checkpoint.position
        self._kept = [*self._kept, target][-N_KEPT:]
        for old in self._numbered():
            if old not in self._kept:
                remove(old)

    def publish(self) -> None:
        """Put the model of the last checkpoint where `load_encoder` looks for it."""
        header, tensors = read_folder(self._kept[-1])
        with suppress(OSError, ValueError):  # there is none, or a damaged one
            if read_folder(self.folder)[0].get("sha256") == header["sha256"]:
                return
        config = {"model": header["model"].to_dict(), "kind": header["kind"]}
        write_folder(self.folder, config, tensors)

    def check_same_run(self, saved: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """Refuse to continue another run; warn if sums are rounded differently now."""
        old, new = saved["params"], run["params"]
        names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        reasons = []
        if names:
            values = (f"{name} was {old.get(name)!r} and is {new.get(name)!r}" for name in names)
            reasons.append(f"of another configuration ({'; '.join(values)})")
        if saved["corpus"] != run["corpus"]:
            reasons.append(f"on another corpus ({saved['corpus']}; X gives {run['corpus']})")
        if reasons:
            hint = ". Each fold of a cross-validation is another corpus: pass no folder there"
            if "max_epochs" in names:
                hint = (
                    ". The learning rate's schedule depends on max_epochs, so a run cannot be "
                    "extended: to train on, pass this folder as weights= and a new checkpoint_dir"
                )
            elif names:
                hint = ""
            self._refuse(
                f"holds a run {' and '.join(reasons)}. Pass what it was started with, or a new "
                f"folder{hint}"
            )
        before, now = saved["rounding"], run["rounding"]
        if changed := [f"{k} was {v}, is {now[k]}" for k, v in before.items() if now[k] != v]:
            tell(
                f"the run continues with other rounding ({'; '.join(changed)}): its weights will "
                "differ in their last bits from those of an uninterrupted run."
            )

    def _numbered(self) -> list[Path]:
        """Folders of checkpoints, oldest first."""
        found = (p for p in self.inside.glob("[0-9]*") if p.name.isdecimal() and p.is_dir())
        return sorted(found, key=lambda path: int(path.name))


@dataclass(eq=False, repr=False)
class SaveCheckpoints(Callback):
    """Write a checkpoint after each epoch, every `every` steps, and when training is interrupted.

    It must be the last callback, so that it saves what the others record. Without a folder it
    writes nothing: of several processes that train together, only the first one writes.
    """

    folder: CheckpointFolder | None
    run: Mapping[str, Any]
    sampler: Any  # a `corpus.MontageBatches`
    every: int | None
    stop: StopSignals

    def on_train_begin(self, net, **kwargs) -> None:
        self.n_epochs_ = net.n_epochs_done_
        self.order_ = self.sampler.state  # at the start of the epoch
        if self.folder is not None and self.folder.position is not None:
            self._save(net)  # the model in the folder may be older than the checkpoint

    def on_batch_end(self, net, training=False, **kwargs) -> None:
        if net.n_steps_done_ % len(self.sampler) == 0:
            return  # the end of the epoch follows
        if self.stop.received or (self.every and net.n_steps_done_ % self.every == 0):
            self._save(net)
        self.stop.check()

    def on_epoch_end(self, net, **kwargs) -> None:
        self.n_epochs_ += 1
        self.order_ = self.sampler.state
        self._save(net)
        self.stop.check()

    def on_train_end(self, net, **kwargs) -> None:
        # an interrupt may come at any moment: within a step, or before all of it is recorded
        row = self._unfinished(net)
        if not net.in_step_ and (row is None or "train_batch_size" in row["batches"][-1]):
            self._save(net)

    def _unfinished(self, net) -> dict[str, Any] | None:
        """skorch's record of the finished steps of an unfinished epoch."""
        n_steps = net.n_steps_done_ - self.n_epochs_ * len(self.sampler)
        if not n_steps:
            return None
        row = net.history[self.n_epochs_]
        return {"batches": row["batches"][:n_steps], "epoch": row["epoch"]}

    def _save(self, net) -> None:
        if self.folder is None:
            return
        position, row = (net.n_steps_done_, self.n_epochs_), self._unfinished(net)
        try:
            if self.folder.position != position:
                check_finite_weights(net.module_)
                history = list(net.history)[: self.n_epochs_] + ([] if row is None else [row])
                checkpoint = Checkpoint(self.run, *position, self.order_, history)
                self.folder.write(checkpoint, net.module_, net.state_tensors())
            self.folder.publish()
        except (OSError, SafetensorError) as error:
            tell(
                f"could not write a checkpoint into {str(self.folder.folder)!r} ({error}): "
                "training continues, and earlier checkpoints are kept."
            )


def to_json(value: Any) -> str:
    """JSON of plain values, arrays, and what has a text."""
    return json.dumps(value, default=lambda v: v.tolist() if hasattr(v, "tolist") else str(v))


def _read(folder: Path) -> Checkpoint:
    """Read a checkpoint; raise a ValueError or OSError if its files are damaged."""
    config, _ = read_folder(folder)
    try:
        state = config["checkpoint"]
        for name in (TENSORS_NAME, HISTORY_NAME):
            if sha256(folder / name) != state["files"][name]:
                raise ValueError(f"the SHA-256 of {name} is not the one in {CONFIG_NAME}")
        history = json.loads((folder / HISTORY_NAME).read_text(encoding="utf-8"))
        position = int(state["n_steps"]), int(state["n_epochs"])
        return Checkpoint(dict(state["run"]), *position, state["order"], history, folder)
    except (LookupError, TypeError, UnicodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{CONFIG_NAME} does not describe a checkpoint: {error!r}") from None
