"""State of fitted estimators: undone by fits that fail, pickled, and shared on the Hub."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from ..weights.files import need_hub
from ..weights.load import KIND, from_plain, to_plain

TABLE = "dare_sklearn_table"
_LOCK = threading.Lock()
_fits, _dtype = 0, torch.float32  # fits of all threads, and the default type before the first


@contextmanager
def _float32() -> Iterator[None]:
    """Make networks in float32; torch has one default type for all threads of the process."""
    global _fits, _dtype
    with _LOCK:
        if not _fits:
            _dtype = torch.get_default_dtype()
            torch.set_default_dtype(torch.float32)
        _fits += 1
    try:
        yield
    finally:
        with _LOCK:
            _fits -= 1
            if not _fits:
                torch.set_default_dtype(_dtype)


def whole_or_not_at_all(fit: Callable) -> Callable:
    """Decorate ``fit``: one that fails leaves the estimator as it was, never half refitted.

    It also fits under ``torch.inference_mode()``, and in float32 under another default type of
    torch; torch's switch of gradients is left as it was found.
    """

    @wraps(fit)
    def guarded(self, *args, **kwargs):
        before, gradients = vars(self).copy(), torch.is_grad_enabled()
        try:
            with torch.inference_mode(False), _float32():
                return fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        finally:
            # Ctrl-C between two instructions of a "with" would leave them off for the process
            torch.set_grad_enabled(gradients)

    return guarded


class PlainStateMixin:
    """Pickle networks as arrays and tables as lists (see `weights.load`).

    The skorch net of the training, ``net_``, is not kept: it holds the optimizer, and on a GPU
    its memory. Everything that predicting and embedding need is.
    """

    def __getstate__(self) -> dict[str, Any]:
        state = {k: v for k, v in super().__getstate__().items() if k != "net_"}
        return {name: _pack(value) for name, value in state.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({name: _unpack(value) for name, value in state.items()})


class PushToHubMixin:
    """``push_to_hub`` for estimators with ``save_pretrained``."""

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Upload from dare_sklearn",
        private: bool | None = None,
        token: str | None = None,
    ) -> str:
        """Upload what `save_pretrained` writes: configuration and weights, no data.

        Parameters
        ----------
        repo_id : str
            ``owner/name``; made where it is missing.
        commit_message : str, default="Upload from dare_sklearn"
        private : bool or None, default=None
            Whether a new repository is private; None takes the Hub's default.
        token : str or None, default=None
            Access token; None takes the one that is stored on this machine.

        Returns
        -------
        str
            Address of the commit.

        Raises
        ------
        ImportError
            Without huggingface_hub.
        """
        api = need_hub("push_to_hub needs the Hugging Face Hub").HfApi(token=token)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            api.create_repo(repo_id, private=private, exist_ok=True)
            return str(
                api.upload_folder(
                    repo_id=repo_id, folder_path=Path(folder), commit_message=commit_message
                )
            )


def _pack(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return to_plain(value)
    if isinstance(value, pd.DataFrame):
        return {TABLE: {name: column.to_numpy() for name, column in value.items()}}
    return value


def _unpack(value: Any) -> Any:
    if isinstance(value, dict) and KIND in value:
        return from_plain(value)
    if isinstance(value, dict) and TABLE in value:
        return pd.DataFrame({name: np.asarray(column) for name, column in value[TABLE].items()})
    return value
