"""Paths and small data sets shared by the tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Real recordings and reference numbers live beside the project, never in it.
SHARED = Path(os.environ.get("DARE_SHARED", Path(__file__).resolve().parents[2] / "shared"))

# Shells start background jobs with Ctrl-C ignored, and the tests press it
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the folder shared/{name} is absent (set DARE_SHARED to where it lies)")
    return path


@pytest.fixture(scope="session")
def parity_folder() -> Path:
    return _shared("parity")


@pytest.fixture(scope="session")
def recordings() -> Path:
    return _shared("data")
