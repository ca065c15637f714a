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
_CAP_SYS_RESOURCE = 24  # its bit, by capabilities(7)


def _lacks_sys_resource(status: Path = Path("/proc/self/status")) -> bool:
    """Whether this is root without that capability, as in many containers."""
    if os.geteuid() != 0 or not status.is_file():
        return False
    held = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("CapPrm:"))
    return not int(held, 16) >> _CAP_SYS_RESOURCE & 1


# As root Apptainer passes all of root's capabilities on, and fails where it was not given one itself.
if _lacks_sys_resource():
    os.environ.setdefault("APPTAINER_DROP_CAPS", "CAP_SYS_RESOURCE")


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
