"""The typed configuration: what ``config.yaml`` may say, checked when the workflow is parsed.

The JSON schema that editors complete from is generated: ``python -m posemill.config`` prints it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from posemill import registry
from posemill.depth.options import DepthOptions
from posemill.errors import InputError
from posemill.merging.options import MergeOptions
from posemill.metrics.options import QualityConfig
from posemill.people.options import GatherOptions
from posemill.placement.options import PlaceOptions

__all__ = ["DEMO_SHEET", "EXPORTS", "Config", "load"]

DEMO_SHEET = "resources/demo/clips.tsv"
EXPORTS = ("bvh", "csv")


class TrainingConfig(BaseModel):
    """What the rule ``models/{name}.safetensors`` trains on, and how."""

    model_config = ConfigDict(extra="forbid")

    motion: Annotated[str | None, Field(description="Motion file (posemill motion import).")] = None
    options: Annotated[
        dict[str, dict[str, Any] | None], Field(description="Options of each method's training (posemill train).")
    ] = {}


class Config(BaseModel):
    """Everything that a user may set; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", title="posemill configuration")

    clips: Annotated[
        str | None, Field(description="Clip sheet (TSV; paths in it are relative to it); null: only the folder below.")
    ] = DEMO_SHEET
    videos: Annotated[
        str | None, Field(description="Folder of {subject}/{clip}.mp4 (mov, avi, mkv, webm) or folders of images.")
    ] = "videos"
    results: Annotated[str, Field(description="Folder of all results.")] = "results"
    skeletons: Annotated[
        dict[str, str], Field(description="Subject to the file of its bones (posemill skeleton) to use as it is.")
    ] = {}
    detector: Annotated[str, Field(description="The 2D detector to run; its options are below, by name.")] = "mediapipe"
    detectors: Annotated[dict[str, dict[str, Any] | None], Field(description="Options of each detector.")] = {}
    lifter: Annotated[str, Field(description="The lifter to run; its options are below, by name.")] = "posemill"
    lifters: Annotated[dict[str, dict[str, Any] | None], Field(description="Options of each lifter.")] = {}
    gather: Annotated[GatherOptions, Field(description="Cleaning of 2D tracks.")] = GatherOptions.model_validate({})
    depth: Annotated[DepthOptions, Field(description="Metres from a depth network.")] = DepthOptions.model_validate({})
    place: Annotated[PlaceOptions, Field(description="Scale and translation.")] = PlaceOptions.model_validate({})
    merge: Annotated[MergeOptions, Field(description="Pose and translation into one animation.")] = (
        MergeOptions.model_validate({})
    )
    quality: Annotated[QualityConfig, Field(description="When a clip is doubtful or bad, without a truth.")] = (
        QualityConfig.model_validate({})
    )
    training: Annotated[TrainingConfig, Field(description="Training of lifters: models/{name}.safetensors.")] = (
        TrainingConfig.model_validate({})
    )
    export: Annotated[list[str], Field(description="Formats to export: bvh, csv.")] = ["bvh", "csv"]
    pictures: Annotated[bool, Field(description="Draw a picture of each clip.")] = True
    image: Annotated[
        str | None,
        Field(
            description="Image of the stages (containers/images.yaml); null: for the GPU if both are there, else CPU."
        ),
    ] = None
    keep_going: Annotated[bool, Field(description="Leave rows of the sheet with problems out instead of stopping.")] = (
        False
    )


def load(values: Mapping[str, Any]) -> Config:
    """Check a configuration and fill in all defaults, those of the methods included.

    Raises
    ------
    InputError
        One line that names the key, what was found and what exists.
    """
    try:
        config = Config.model_validate(_with_nulls(dict(values)))
    except ValidationError as error:
        unknown = [str(e["loc"][0]) for e in error.errors() if e["type"] == "extra_forbidden" and len(e["loc"]) == 1]
        hint = f"; keys: {', '.join(Config.model_fields)}" if unknown else ""
        raise InputError(f"configuration: {registry.one_line(error)}{hint}") from None
    for kind, chosen, given in (
        ("detectors", config.detector, config.detectors),
        ("lifters", config.lifter, config.lifters),
    ):
        for name in {chosen, *given}:
            given[name] = registry.options(kind, name, given.get(name))
    unknown = [name for name in config.export if name not in EXPORTS]
    if unknown:
        raise InputError(f"configuration: export: unknown format {', '.join(unknown)}; known: {', '.join(EXPORTS)}")
    results = Path(config.results)
    if ".." in results.parts:
        raise InputError(f"configuration: results: expected a folder without '..', got {config.results}")
    return config


def _with_nulls(value: Any) -> Any:
    """``--config clips=null`` comes from Snakemake as text, in tables and lists too."""
    if isinstance(value, Mapping):
        return {key: _with_nulls(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_nulls(one) for one in value]
    return None if value == "null" else value


if __name__ == "__main__":
    print(json.dumps(Config.model_json_schema(), indent=2))
