"""MOABB in a temporary home."""

from __future__ import annotations

import os
import tempfile
from unittest import mock

import pytest


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """MOABB and MNE keep configuration, data and results below a temporary folder."""
    folder = tmp_path_factory.mktemp("moabb")
    config = {"_MNE_FAKE_HOME_DIR": "home", "MNE_DATA": "data", "MOABB_RESULTS": "results"}
    for name in config.values():
        (folder / name).mkdir()
    paths = {key: str(folder / name) for key, name in config.items()}
    # its fake data sets make a temporary folder and note it in the environment
    with mock.patch.dict(os.environ, paths), mock.patch.object(tempfile, "tempdir", str(folder)):
        yield folder


@pytest.fixture(scope="module")
def moabb(home):
    return pytest.importorskip(
        "moabb", minversion="1.7", reason="MOABB 1.7 is not installed: pip install moabb"
    )
