"""Sharing what ``save_pretrained`` writes on the Hugging Face Hub."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..weights.hub import upload


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
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return upload(
                Path(folder), repo_id, commit_message=commit_message, private=private, token=token
            )
