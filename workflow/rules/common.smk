# What the rules share. Deterministic and light: every cluster job parses it again.
import atexit
import json
import sys
from collections import Counter
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from posemill import clip_sources as sources
from posemill import config as settings
from posemill.depth.model_folder import depth_model
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
CLIP_COUNT = Counter(subject for subject, _ in CLIPS.clips)
METHODS = {"detector": SETTINGS.detector, "lifter": SETTINGS.lifter}
CONTENT = ContentKeys(Path(RESULTS) / ".cache" / "content.json")
atexit.register(CONTENT.save)


wildcard_constraints:
    subject=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    clip=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    detector=r"[a-z0-9_]+",
    lifter=r"[a-z0-9_]+",
    format=r"[a-z0-9_]+",


def more_memory(base_mb, clip_mb=0):
    """Memory of a job, Snakemake's own 200 MB included; it doubles with each attempt of a retried job.

    clip_mb is for each clip of a subject, since a stage holds all of them: measured up to 14 MB (merge) for 3150 frames
    of 33 joints.
    """

    def mem_mb(wildcards, attempt):
        subject = getattr(wildcards, "subject", None)
        clips = CLIP_COUNT[subject] if subject else max(CLIP_COUNT.values(), default=0)
        return (base_mb + clip_mb * clips) * 2 ** (attempt - 1)

    return mem_mb


def more_time(minutes):
    """Time that doubles with each attempt of a retried job, which may have been ended for taking too long."""
    return lambda wildcards, attempt: minutes * 2 ** (attempt - 1)


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
    if SETTINGS.depth.model:
        depth_model(SETTINGS.depth.model_dump())


checked(check_weights)
checked(write_methods)


# Where this file lies, whatever workflow includes it; the names of the images also where it lies in a repository.
CONTAINERS = Path(str(workflow.current_basedir)).parents[1] / "containers"
IMAGES = Path(workflow.source_path("../../containers/images.yaml"))


def in_containers():
    """Whether this run was asked to use Apptainer."""
    wanted = workflow.deployment_settings.deployment_method
    return "APPTAINER" in {method.name for method in wanted}


def image(name):
    """Path or URI of an image of containers/images.yaml; a missing one ends the run before its first job."""
    images = yaml.safe_load(IMAGES.read_text())
    if name not in images:
        raise WorkflowError(
            f"posemill: configuration: image: expected one of {', '.join(images)}, got {name}"
        )
    uri = images[name]["uri"]
    if "://" in uri:
        return uri
    if in_containers() and not (CONTAINERS / uri).exists():
        raise WorkflowError(
            f"posemill: {CONTAINERS / uri}: expected the image of every stage, got nothing; build it: posemill images "
            f"build {name}, put it there, or run without --use-singularity"
        )
    return str(CONTAINERS / uri)
