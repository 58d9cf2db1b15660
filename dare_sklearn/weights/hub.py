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
    hub = need_hub(f"encoder={source!r} is an id of the Hugging Face Hub")
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


def need_hub(why: str) -> ModuleType:
    """huggingface_hub, or an ImportError that says why it is needed."""
    try:
        import huggingface_hub
    except ImportError:
        raise ImportError(
            f"{why}, which this installation lacks: pip install huggingface_hub."
        ) from None
    return huggingface_hub
