"""What all commands share: the application, the options, and the request for a stage."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from cyclopts import App, Parameter

from posemill import torch7
from posemill.clip_sources import RANGES
from posemill.errors import InputError, PosemillError, expected
from posemill.plan import plan
from posemill.provenance import StageRequest

__all__ = [
    "NewClip",
    "Options",
    "Output",
    "Said",
    "Stage",
    "app",
    "clip_sheet",
    "said",
    "stage_options",
    "stage_request",
]

app = App(
    name="posemill",
    help="From videos of a moving person to 3D animation in world coordinates.",
    help_format="plaintext",
    version_flags=["--version"],
)

Output = Annotated[Path, Parameter(name=["--output", "-o"], help="File (or folder) to write.")]
Options = Annotated[
    list[str] | None,
    Parameter(name=["--option"], help="An option of the method or stage as name=value; may be repeated.", negative=""),
]
Said = Annotated[
    list[str] | None,
    Parameter(name=["--option"], help="What the card shall say, as name=value; may be repeated.", negative=""),
]
Stage = Annotated[
    str | None,
    Parameter(
        name=["--stage"],
        help="Complete request, as the workflow makes it (JSON); - reads it from standard input.",
        show=False,
        allow_leading_hyphen=True,
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class NewClip:
    """Options of commands that read one video, and say what a sheet would say of it."""

    subject: Annotated[str, Parameter(help="Id of the person in the file that is written.")] = "S1"
    clip: Annotated[str, Parameter(help="Id of the clip in it.")] = "clip"
    fps: Annotated[float | None, Parameter(help="Overrides the frame rate that the video states.")] = None
    start_s: Annotated[float | None, Parameter(help="Skip what comes before, in seconds.")] = None


def stage_options(pairs: list[str] | None) -> dict[str, Any]:
    """``name=value`` pairs, values as YAML reads them; raises InputError for one without ``=``."""
    values = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--option: expected name=value, got {pair!r}")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(expected(f"--option: {name}", "YAML, as in a configuration file", value)) from None
    return values


def stage_request(
    stage: str,
    text: str | None,
    method: str = "",
    options: list[str] | None = None,
    sheet: dict[str, Any] | None = None,
) -> StageRequest:
    """Take the workflow's request as it is, or make one from what was typed; refuse if code or weights here differ."""
    if text is None:
        return plan(stage, method, stage_options(options), sheet or {})
    # A request that names thousands of clips is longer than the system lets one argument be.
    request = StageRequest.from_json(sys.stdin.read() if text == "-" else text)
    if request.stage != stage:
        raise InputError(f"--stage: expected a request for {stage}, got one for {request.stage}")
    # Where stages run in an image, that is another installation than the one that planned the run.
    do = (
        "the posemill that runs here is not the one that planned the run; install the same version in both places or "
        "rebuild the image"
    )
    try:
        here = plan(stage, request.method, request.options, request.sheet)
    except PosemillError as error:
        raise InputError(f"stage {stage}: {error}; the workflow accepted this, so {do}") from None
    for what in ("code", "weights"):
        if getattr(here, what) != getattr(request, what):
            found = f"expected {what} {getattr(request, what)}, got {getattr(here, what) or 'none'}"
            raise InputError(f"stage {stage}: {found}: {do}")
    return request


def said(**numbers: float | None) -> dict[str, float | None]:
    """Numbers of a clip or person that were typed, by the sheet's names; raises InputError for what a sheet refuses."""
    for name, value in numbers.items():
        low, high = RANGES[name]
        if value is not None and not low <= value <= high:
            raise InputError(expected(f"--{name.replace('_', '-')}", f"a number from {low:g} to {high:g}", value))
    return numbers


def clip_sheet(video: Path, detector: str, new: NewClip | None) -> dict[str, Any]:
    """Say of a clip what a sheet would say, and which Lua works on it where one does."""
    from posemill.clips import kind_of

    new = new or NewClip()
    said(fps=new.fps, start_s=new.start_s)
    return {**asdict(new), "kind": kind_of(video), **torch7.sheet(detector)}
