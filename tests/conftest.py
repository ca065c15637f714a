"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no fault of the code's.
settings.register_profile("posemill", deadline=None)
settings.load_profile("posemill")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Optional real data, at $POSEMILL_DATA or ../shared/data; the test is skipped by name where there is none."""
    path = Path(os.environ.get("POSEMILL_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no optional data at {path}; set POSEMILL_DATA")
    return path
