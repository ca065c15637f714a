# The package that these rules call: both are released together, and a rule may ask for what another version lacks.
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from snakemake.exceptions import WorkflowError

# A test keeps it equal to pyproject.toml's.
VERSION = "0.1.0"


def installed_version():
    try:
        return version("posemill")
    except PackageNotFoundError:
        return None


def check_version(found):
    """End the run, before anything is read or written, where the rules and the package are not of one release."""
    if found == VERSION:
        return
    checkout = Path(str(workflow.current_basedir)).resolve().parents[1]
    source = (
        checkout if (checkout / "pyproject.toml").is_file() else f"posemill=={VERSION}"
    )
    raise WorkflowError(
        f"posemill: expected the package posemill {VERSION} beside this workflow, got {found or 'none'} in "
        f"{sys.executable}; run  {sys.executable} -m pip install {source}"
    )


check_version(installed_version())
