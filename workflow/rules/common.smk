# What the rules share. Deterministic and light: every cluster job parses it again.
import atexit
import json
import os
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from posemill import clips as sources
from posemill import config as settings
from posemill.errors import PosemillError
from posemill.formats.atomic import write_text
from posemill.plan import plan, weights_file
from posemill.provenance import ContentKeys

# Jobs find the posemill that plans them, also where the environment is not activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


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


SETTINGS = checked(settings.load, config)
RESULTS = SETTINGS.results
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


@cache
def base_request(stage, method=""):
    options = {
        "detect": lambda: SETTINGS.detectors.get(method),
        "lift": lambda: SETTINGS.lifters.get(method),
        "gather": SETTINGS.gather.model_dump,
        "place": SETTINGS.place.model_dump,
        "merge": SETTINGS.merge.model_dump,
    }.get(stage, lambda: None)
    return checked(plan, stage, method, options())


def fingerprint(stage, method="", **sheet):
    """The one parameter of a rule: sorted JSON of all that decides its output beside its input files."""
    return replace(base_request(stage, method), sheet=sheet).to_json()


def row(wildcards):
    """The clip of a job."""
    try:
        return CLIPS.clips[wildcards.subject, wildcards.clip]
    except KeyError:
        raise WorkflowError(
            f"posemill: no clip {wildcards.clip!r} of subject {wildcards.subject!r}; subjects: "
            f"{', '.join(CLIPS.subjects) or 'none'}"
        ) from None


def rows(wildcards):
    """All clips of a job's subject."""
    found = CLIPS.of(wildcards.subject)
    if not found:
        raise WorkflowError(
            f"posemill: no subject {wildcards.subject!r}; subjects: {', '.join(CLIPS.subjects) or 'none'}; "
            f"add it to {SETTINGS.clips} or put videos into {SETTINGS.videos}/{wildcards.subject}/"
        )
    return found


def merged_of(subject):
    return f"{RESULTS}/{subject}/merged3d.{METHODS['detector']}.{METHODS['lifter']}.h5"


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


checked(write_methods)
