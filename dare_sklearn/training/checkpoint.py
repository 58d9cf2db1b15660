"""Checkpoints of a pretraining run, from which the same ``fit`` call goes on to the same bits.

``checkpoint_dir`` holds::

    config.json, model.safetensors       the model of the last checkpoint, for `load_encoder`
    checkpoints/00000007/
        config.json, model.safetensors   all networks, in the format of `save_pretrained`
        state.safetensors                optimizer and generators
        history.json                     skorch's history, with the steps of an unfinished epoch
        state.json                       what run it is, the position in it, and a SHA-256 per file
    checkpoints/windows/                 of a corpus of files, prepared once (see `windows`)
    checkpoints/lock                     so that one fit at a time writes here

A checkpoint is written into a folder of another name, which is renamed when all of it lies on the
disk: one that has a number is whole. JSON and safetensors alone: no file read here can run code.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError
from safetensors.torch import save_file
from skorch.callbacks import Callback
from torch import Tensor

from ..weights.files import CONFIG_NAME, WEIGHTS_NAME, read_tensors, sha256
from ..weights.load import save_pretraining_model
from .batches import MontageBatches
from .net import check_finite_weights
from .stop_signals import StopSignals
from .windows import PART

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FORMAT = 2
N_KEPT = 2
INSIDE, LOCK_NAME = "checkpoints", "lock"
STATE_NAME, TENSORS_NAME, HISTORY_NAME = "state.json", "state.safetensors", "history.json"
_FILES = {CONFIG_NAME, WEIGHTS_NAME, TENSORS_NAME, HISTORY_NAME}
_BUSY = -1
_HELD: set[int] = set()  # handles of the locks of this process


@dataclass
class Checkpoint:
    """One checkpoint that was found whole.

    Attributes
    ----------
    folder : Path
    run : dict
        Parameters, corpus and seeds: what another ``fit`` is held against.
    n_steps, n_epochs : int
        Finished steps, and finished epochs.
    order : dict
        State of the generator that orders the windows, where the epoch began.
    history : list of dict
    """

    folder: Path
    run: dict[str, Any]
    n_steps: int
    n_epochs: int
    order: dict[str, Any]
    history: list[dict[str, Any]]

    def model(self) -> dict[str, Tensor]:
        """Weights of all networks."""
        return read_tensors(self.folder / WEIGHTS_NAME)

    def tensors(self) -> dict[str, Tensor]:
        """Optimizer and torch's generators."""
        return read_tensors(self.folder / TENSORS_NAME)


class CheckpointFolder:
    """The last checkpoints of one run; a context in which no other fit may use them.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    owner : str
        Whose run it is, for messages and for the models' ``config.json``.

    Attributes
    ----------
    position : tuple of int, or None
        Steps and epochs at the last checkpoint that was read or written.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self.folder, self.owner = folder, owner
        self.inside = folder / INSIDE
        self.windows = self.inside / "windows"
        self.position: tuple[int, int] | None = None
        self._kept: list[Path] = []

    def __enter__(self) -> CheckpointFolder:
        try:
            self.inside.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"checkpoint_dir={str(self.folder)!r} cannot be made ({error.strerror}): pass a "
                "folder that may be written to."
            ) from None
        self._handle = _lock(self.inside / LOCK_NAME)
        if self._handle == _BUSY:
            raise ValueError(
                f"checkpoint_dir={str(self.folder)!r} is in use by another fit: wait for its end, "
                "or pass another folder."
            )
        return self

    def __exit__(self, *error: object) -> None:
        if self._handle is not None:
            _HELD.discard(self._handle)
            os.close(self._handle)

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; None in a new folder.

        Raises
        ------
        ValueError
            If the folder holds a model of something else, or nothing that is whole.
        """
        for leftover in self.inside.glob(PART + "*"):  # of a write that was cut short
            shutil.rmtree(leftover, ignore_errors=True)
        numbered = self._numbered()
        if not numbered and any(
            (self.folder / name).exists() for name in (CONFIG_NAME, WEIGHTS_NAME)
        ):
            raise ValueError(
                f"checkpoint_dir={str(self.folder)!r} holds a model, but no checkpoint of a run to "
                "go on with: pass a new folder (and this one as weights=, to start from its model)."
            )
        damaged = []
        while numbered:
            try:
                checkpoint = _read(numbered[-1])
            except (ValueError, OSError) as error:
                damaged.append(f"{numbered.pop()} ({error})")
                continue
            if damaged:
                warnings.warn(
                    f"{self.owner} goes on from the checkpoint {numbered[-1]}, because of damage "
                    f"to {'; '.join(damaged)}.",
                    UserWarning,
                    stacklevel=3,
                )
            self._kept = numbered[-N_KEPT:]
            self.position = checkpoint.n_steps, checkpoint.n_epochs
            return checkpoint
        if damaged:
            raise ValueError(
                f"checkpoint_dir={str(self.folder)!r} holds no checkpoint that is whole: "
                f"{'; '.join(damaged)}. Pass a new folder to start afresh."
            )
        return None

    def write(
        self,
        model: Any,
        tensors: Mapping[str, Tensor],
        history: list[dict],
        *,
        run: Mapping[str, Any],
        position: tuple[int, int],
        order: Mapping[str, Any],
    ) -> None:
        """Add a checkpoint, then drop the oldest; what fails leaves the others as they are."""
        numbered = self._numbered()
        target = self.inside / f"{int(numbered[-1].name) + 1 if numbered else 1:08d}"
        with self._part() as part:
            save_pretraining_model(part, model, kind=self.owner)
            save_file(dict(tensors), part / TENSORS_NAME)
            (part / HISTORY_NAME).write_text(_to_json(history), encoding="utf-8")
            state = {
                "library": "dare_sklearn",
                "format": FORMAT,
                "run": run,
                "n_steps": position[0],
                "n_epochs": position[1],
                "order": order,
                "files": {name: sha256(part / name) for name in sorted(_FILES)},
            }
            digest = hashlib.sha256(_to_json(state).encode()).hexdigest()
            text = _to_json({"sha256": digest, "state": state})
            (part / STATE_NAME).write_text(text, encoding="utf-8")
            _flush(part)
            os.replace(part, target)
            _flush_folder(self.inside)
        self.position = position
        self._kept = [*self._kept, target][-N_KEPT:]
        for old in self._numbered():
            if old not in self._kept:
                shutil.rmtree(old, ignore_errors=True)

    def publish(self) -> None:
        """Put the model of the last checkpoint where `load_encoder` looks for it.

        Two files cannot be replaced in one step. In between, ``config.json`` names no SHA-256, and
        so goes with the old weights and with the new ones.
        """
        source = self._kept[-1]
        text = (source / CONFIG_NAME).read_text(encoding="utf-8")
        config, weights = self.folder / CONFIG_NAME, self.folder / WEIGHTS_NAME
        header = json.loads(text)
        if (
            config.is_file()
            and weights.is_file()
            and config.read_text(encoding="utf-8", errors="replace") == text
            and sha256(weights) == header["sha256"]
        ):
            return
        without = {name: value for name, value in header.items() if name != "sha256"}
        with self._part() as part:
            (part / "between.json").write_text(json.dumps(without, indent=2), encoding="utf-8")
            (part / CONFIG_NAME).write_text(text, encoding="utf-8")
            shutil.copyfile(source / WEIGHTS_NAME, part / WEIGHTS_NAME)
            _flush(part)
            for name, target in (
                ("between.json", config), (WEIGHTS_NAME, weights), (CONFIG_NAME, config),
            ):  # fmt: skip
                os.replace(part / name, target)
                _flush_folder(self.folder)

    def check_same_run(self, saved: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """Refuse to continue another run; warn where this one's sums are rounded differently.

        Raises
        ------
        ValueError
            Naming the parameters that differ, and both corpora if they do.
        """
        old, new = saved["params"], run["params"]
        names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        reasons = []
        if names:
            values = (f"{name} was {old.get(name)!r} and is {new.get(name)!r}" for name in names)
            reasons.append(f"of another configuration ({'; '.join(values)})")
        if saved["corpus"] != run["corpus"]:
            reasons.append(f"on another corpus ({saved['corpus']}; X gives {run['corpus']})")
        if not reasons:
            before, now = saved["rounding"], run["rounding"]
            changed = [f"{k} was {v}, is {now[k]}" for k, v in before.items() if now[k] != v]
            if changed:
                warnings.warn(
                    f"{self.owner} continues a run whose sums were rounded differently "
                    f"({'; '.join(changed)}): its weights will differ in their last bits from "
                    "those of a run that was not stopped.",
                    UserWarning,
                    stacklevel=3,
                )
            return
        message = (
            f"checkpoint_dir={str(self.folder)!r} holds a run {' and '.join(reasons)}. Pass what "
            "it was started with, to go on with it, or a new folder."
        )
        if "max_epochs" in names:
            message += (
                " The course of the learning rate depends on max_epochs, so a run cannot be made "
                "longer: pass this folder as weights= with a new checkpoint_dir to train on."
            )
        elif not names:
            message += " Each fold of a cross-validation is another corpus: use no folder there."
        raise ValueError(message)

    def _numbered(self) -> list[Path]:
        """Folders of checkpoints, oldest first."""
        found = (p for p in self.inside.glob("[0-9]*") if p.name.isdecimal() and p.is_dir())
        return sorted(found, key=lambda path: int(path.name))

    @contextmanager
    def _part(self) -> Iterator[Path]:
        """A folder to write in, which is gone afterwards unless it was renamed."""
        part = self.inside / f"{PART}{uuid4().hex}"
        part.mkdir()
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)


class SaveCheckpoints(Callback):
    """Write a checkpoint after each epoch, every so many steps, and where training is interrupted.

    It must be the last callback, so that the others have recorded what they have to.

    Parameters
    ----------
    folder : CheckpointFolder or None
        None writes nothing: where several processes train together, the first one does.
    run : dict
        What the run is, as JSON.
    sampler : MontageBatches
    every : int or None
        Steps between checkpoints within an epoch.
    stop : StopSignals
    """

    def __init__(
        self,
        folder: CheckpointFolder | None,
        run: Mapping[str, Any],
        sampler: MontageBatches,
        every: int | None,
        stop: StopSignals,
    ) -> None:
        self.folder = folder
        self.run = run
        self.sampler = sampler
        self.every = every
        self.stop = stop

    def on_train_begin(self, net, **kwargs) -> None:
        self.n_epochs_ = net.n_epochs_done
        self.order_ = self.sampler.state  # where the epoch begins
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
        if self._between_steps(net):  # an interrupt may have come at any moment
            self._save(net)

    def _n_steps_in_epoch(self, net) -> int:
        return net.n_steps_done_ - self.n_epochs_ * len(self.sampler)

    def _between_steps(self, net) -> bool:
        n_steps = self._n_steps_in_epoch(net)
        if net.in_step_ or n_steps == 0:
            return not net.in_step_
        return "train_batch_size" in net.history[self.n_epochs_]["batches"][n_steps - 1]

    def _save(self, net) -> None:
        if self.folder is None:
            return
        try:
            if self.folder.position != (net.n_steps_done_, self.n_epochs_):
                self._write(net)
            self.folder.publish()
        except (OSError, SafetensorError) as error:
            warnings.warn(
                f"{self.folder.owner} could not write a checkpoint into "
                f"{str(self.folder.folder)!r} ({error}): training goes on, and what was written "
                "there before stays.",
                UserWarning,
                stacklevel=2,
            )

    def _write(self, net) -> None:
        check_finite_weights(net.module_, self.folder.owner)
        history = list(net.history)[: self.n_epochs_]
        if n_steps := self._n_steps_in_epoch(net):
            row = net.history[self.n_epochs_]
            history.append({"batches": row["batches"][:n_steps], "epoch": row["epoch"]})
        self.folder.write(
            net.module_,
            net.state_tensors(),
            history,
            run=self.run,
            position=(net.n_steps_done_, self.n_epochs_),
            order=self.order_,
        )


def plain(value: Any) -> Any:
    """`value` as JSON gives it back: lists for tuples and arrays, text for paths."""
    return json.loads(_to_json(value))


def _to_json(value: Any) -> str:
    return json.dumps(value, default=lambda v: v.tolist() if hasattr(v, "tolist") else str(v))


def _read(folder: Path) -> Checkpoint:
    """A checkpoint whose files are those that were written.

    Raises
    ------
    ValueError, FileNotFoundError
        If one is missing, or is not.
    """
    try:
        content = _read_json(folder / STATE_NAME)
        state = content["state"]
        if hashlib.sha256(_to_json(state).encode()).hexdigest() != content["sha256"]:
            raise ValueError(f"the SHA-256 of {STATE_NAME} is not the one that it names")
        if (state["library"], state["format"]) != ("dare_sklearn", FORMAT):
            raise ValueError(f"{STATE_NAME} is of another version of dare_sklearn")
        for name in sorted(_FILES):
            if sha256(folder / name) != state["files"][name]:
                raise ValueError(f"the SHA-256 of {name} is not the one in {STATE_NAME}")
        run = state["run"]
        return Checkpoint(
            folder=folder,
            run={
                "params": dict(run["params"]),
                "corpus": run["corpus"],
                "seeds": [int(seed) for seed in run["seeds"]],
                "rounding": dict(run["rounding"]),
            },
            n_steps=int(state["n_steps"]),
            n_epochs=int(state["n_epochs"]),
            order=state["order"],
            history=_read_json(folder / HISTORY_NAME),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{STATE_NAME} is not one of a checkpoint: {error!r}") from None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not valid JSON: {error}") from None


def _lock(path: Path) -> int | None:
    """A handle that locks a file until it is closed or its process dies; _BUSY if another has it.

    None where the system has no such locks, or the folder may not be written to.
    """
    if fcntl is None:
        return None
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        return _BUSY if error.errno in (errno.EAGAIN, errno.EACCES) else None
    _HELD.add(handle)
    return handle


def _after_fork() -> None:
    """Forked workers let go of the locks, which would outlive the process that trains in them."""
    while _HELD:
        os.close(_HELD.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _flush(part: Path) -> None:
    """Wait until all files of a folder lie on the disk."""
    for path in part.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    _flush_folder(part)


def _flush_folder(folder: Path) -> None:
    """The same for the names in a folder, where the system can tell."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network drives cannot
            raise
    finally:
        os.close(handle)
