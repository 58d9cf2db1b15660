"""Weights from and to the Hugging Face Hub, which needs huggingface_hub.

Only the configuration, the safetensors file and the model card travel: nothing that can run code.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

from .files import CONFIG_NAME, WEIGHTS_NAME

# owner/name, with an optional @revision; a path with more or fewer parts is no id
_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
CARD_NAME = "README.md"


def looks_like_id(source: str) -> bool:
    """Whether a string may be the id of a repository on the Hub."""
    return _ID.fullmatch(source) is not None and not source.startswith((".", "/"))


def download(source: str) -> Path:
    """Folder with the files of the repository ``owner/name`` or ``owner/name@revision``.

    Files that were downloaded before are taken from the Hub's cache, also without a network.
    """
    hub = _hub(f"encoder={source!r} is an id of the Hugging Face Hub")
    name, _, revision = source.partition("@")
    try:
        folder = hub.snapshot_download(
            name, revision=revision or None, allow_patterns=[CONFIG_NAME, WEIGHTS_NAME, CARD_NAME]
        )
    except Exception as error:  # the Hub's own, of requests, or of the file system
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FileNotFoundError(
            f"There is no encoder {source!r}: no path of that name exists, and the Hugging Face "
            f"Hub gave none either ({reason})."
        ) from error
    return Path(folder)


def upload(folder: Path, repo_id: str, **options: object) -> str:
    """Upload what ``save_pretrained`` wrote into `folder`; returns the address of the commit.

    The repository `repo_id` (``owner/name``) is made where it is missing. `options` are those of
    ``huggingface_hub.HfApi.upload_folder``, such as ``commit_message``; ``private`` and ``token``
    are used for making the repository too.
    """
    hub = _hub("push_to_hub needs the Hugging Face Hub")
    api = hub.HfApi(token=options.pop("token", None))
    api.create_repo(repo_id, private=options.pop("private", None), exist_ok=True)
    return str(api.upload_folder(repo_id=repo_id, folder_path=folder, **options))


def _hub(why: str) -> ModuleType:
    try:
        import huggingface_hub
    except ImportError:
        raise ImportError(
            f"{why}, which this installation lacks: pip install huggingface_hub."
        ) from None
    return huggingface_hub
