# What the rules share. Deterministic and light: every cluster job parses it again.
import atexit
import json
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from posemill import clips as sources
from posemill import config as settings
from posemill.errors import PosemillError
from posemill.formats.atomic import write_text
from posemill.plan import put_on_path, weights_file
from posemill.provenance import ContentKeys


def checked(function, *arguments, **keywords):
    """Call a function of posemill; what it refuses is one line and the end of the run."""
    try:
        return function(*arguments, **keywords)
    except PosemillError as error:
        raise WorkflowError(f"posemill: {error}") from None


def find_clips():
    """All clips of all sources; every problem of every row in one report."""
    found = sources.find_clips(
        Path(SETTINGS.clips) if SETTINGS.clips else None,
        Path(SETTINGS.videos) if SETTINGS.videos else None,
        demo=Path(settings.DEMO_SHEET),
    )
    if found.problems:
        listed = "\n".join(f"  {problem}" for problem in found.problems)
        if not SETTINGS.keep_going:
            raise WorkflowError(
                f"posemill: {len(found.problems)} problems with the clips; mend them, or leave those clips out with "
                f"--config keep_going=true:\n{listed}"
            )
        print(f"posemill: left out:\n{listed}", file=sys.stderr)
    return found


# Jobs find the posemill that plans them, also where the environment is not activated.
put_on_path()

SETTINGS = checked(settings.load, config)
RESULTS = SETTINGS.results
if workflow.modifier.modify_path(RESULTS) != RESULTS:
    # It would also move the user's videos, and part of what is written here.
    raise WorkflowError(
        f"posemill: module: expected no prefix, got one for {RESULTS}; say results: in the module's config instead"
    )
CLIPS = checked(find_clips)
METHODS = {"detector": SETTINGS.detector, "lifter": SETTINGS.lifter}
CONTENT = ContentKeys(Path(RESULTS) / ".cache" / "content.json")
atexit.register(CONTENT.save)


wildcard_constraints:
    subject=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    clip=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    detector=r"[a-z0-9_]+",
    lifter=r"[a-z0-9_]+",
    format=r"[a-z0-9_]+",


def more_memory(base_mb):
    """Memory that doubles with each attempt of a retried job."""
    return lambda wildcards, attempt: base_mb * 2 ** (attempt - 1)


def write_methods():
    """One small file per subject that changes only when the chosen methods do.

    It is an input of poses3d.h5, so that a swap is noticed by time stamps too, when Snakemake's own records are lost.
    """
    text = json.dumps(METHODS, sort_keys=True) + "\n"
    for subject in CLIPS.subjects:
        file = Path(RESULTS, subject, ".methods.json")
        if not file.is_file() or file.read_text() != text:
            write_text(file, text)


def check_weights():
    """Look for the weights of the chosen methods before any file is written: without them, one line says the way."""
    for chosen, options in (
        ("detector", SETTINGS.detectors),
        ("lifter", SETTINGS.lifters),
    ):
        name = METHODS[chosen]
        weights_file(f"{chosen}s", name, options[name])


checked(check_weights)
checked(write_methods)


# Where this file lies, whatever workflow includes it; the names of the images also where it lies in a repository.
CONTAINERS = Path(str(workflow.current_basedir)).parents[1] / "containers"
IMAGES = Path(workflow.source_path("../../containers/images.yaml"))


def image(name):
    """Path or URI of an image of containers/images.yaml; a missing one ends the run before its first job."""
    uri = yaml.safe_load(IMAGES.read_text())[name]["uri"]
    if "://" in uri:
        return uri
    wanted = {method.name for method in workflow.deployment_settings.deployment_method}
    if "APPTAINER" in wanted and not (CONTAINERS / uri).exists():
        raise WorkflowError(
            f"posemill: {CONTAINERS / uri}: expected the image of every stage, got nothing; put it there, or run "
            "without --use-singularity"
        )
    return str(CONTAINERS / uri)
