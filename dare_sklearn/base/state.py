"""State of fitted estimators: pickled, and shared on the Hub."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from ..weights.files import need_hub
from ..weights.load import KIND, from_plain, to_plain

TABLE = "dare_sklearn_table"


class PlainStateMixin:
    """Pickle networks as arrays and tables as lists (see `weights.load`).

    ``net_``, the skorch net of the training, is not kept: it holds the optimizer.
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

        The repository `repo_id`, ``owner/name``, is made where it is missing; `private` and an
        access `token` default to what the Hub and this machine have set. Gives the address of the
        commit. An ImportError without huggingface_hub.
        """
        api = need_hub("push_to_hub needs the Hugging Face Hub").HfApi(token=token)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            api.create_repo(repo_id, private=private, exist_ok=True)
            what = {"folder_path": Path(folder), "commit_message": commit_message}
            return str(api.upload_folder(repo_id=repo_id, **what))


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
