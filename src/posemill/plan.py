"""What each stage is made of: from a stage's name, method and options to its request.

The workflow and the command line both come through here, so that a stage run by hand and the same stage run by
Snakemake have the same fingerprint.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from posemill import registry
from posemill.depth.model_folder import depth_model
from posemill.depth.options import DepthOptions
from posemill.errors import InputError, MissingError
from posemill.merging.options import MergeOptions
from posemill.metrics.options import QualityOptions
from posemill.people.options import GatherOptions
from posemill.placement.options import PlaceOptions, SkeletonOptions
from posemill.provenance import StageRequest, code_hash, library_versions, sha256_file

__all__ = ["STAGES", "plan", "put_on_path", "weights_file"]


@dataclass(frozen=True)
class _Stage:
    """The kind of method that a stage calls, its own options, the libraries that compute in it, and its weights.

    ``weights`` finds what a stage without methods computes with (a file or a folder) from its options.
    """

    kind: str = ""
    options: type[BaseModel] | None = None
    libraries: tuple[str, ...] = ("numpy",)
    weights: Callable[[Mapping[str, Any]], Path] | None = None


STAGES: dict[str, _Stage] = {
    "detect": _Stage("detectors", libraries=("numpy", "av")),
    "camera": _Stage(libraries=("numpy", "scipy", "av", "opencv-contrib-python")),
    "depth": _Stage(
        options=DepthOptions,
        libraries=("numpy", "torch", "transformers", "pillow", "av"),
        weights=depth_model,
    ),
    "gather": _Stage(options=GatherOptions, libraries=("numpy", "scipy")),
    "lift": _Stage("lifters"),
    "skeleton": _Stage(options=SkeletonOptions, libraries=("numpy", "scipy")),
    "place": _Stage(options=PlaceOptions, libraries=("numpy", "scipy")),
    "merge": _Stage(options=MergeOptions, libraries=("numpy", "scipy")),
    "publish": _Stage(),
    "export": _Stage(),
    "evaluate": _Stage(libraries=("numpy", "scipy")),
    "quality": _Stage(options=QualityOptions),
    "picture": _Stage(libraries=("numpy", "matplotlib", "av")),
    "summary": _Stage(),
}


def weights_file(kind: str, name: str, options: dict[str, Any]) -> Path | None:
    """Find the weights file that a method would use; None for one that has none or brings them inside a library.

    Raises
    ------
    MissingError
        The method needs weights that are not there.
    """
    module = registry.load(kind, name)
    find = getattr(module, "weights", None)
    path: Path | None = find(module.Options.model_validate(options)) if find else None
    if path is not None and not path.is_file():
        # The method knows best where its weights are to be had.
        say: Callable[[Path], str] | None = getattr(module, "missing", None)
        raise MissingError(say(path) if say else _missing(kind, name, path, convertible=hasattr(module, "convert")))
    return path


def _missing(kind: str, name: str, path: Path, *, convertible: bool) -> str:
    published = f", or convert published ones: posemill convert CHECKPOINT --lifter {name} -o {path.name}"
    return (
        f"{kind[:-1]} {name}: expected weights at {path}, got nothing; train them: posemill train {name} --motion "
        f"MOTION.h5 --output {path.name}{published if convertible else ''}; then say {kind}.{name}.weights: {path.name}"
    )


def plan(
    stage: str, method: str = "", options: Mapping[str, Any] | None = None, sheet: Mapping[str, Any] | None = None
) -> StageRequest:
    """Make the request for one stage: options checked and completed, code, weights and libraries named.

    Raises
    ------
    InputError
        Unknown stage, method or option.
    MissingError
        Weights that are not there.
    """
    spec = STAGES.get(stage)
    if spec is None:
        raise InputError(f"unknown stage {stage!r}; known: {', '.join(STAGES)}")
    modules, libraries, weights = [f"posemill.stages.{stage}"], set(spec.libraries), ""
    if spec.kind:
        module = registry.load(spec.kind, method)
        checked = registry.options(spec.kind, method, dict(options or {}))
        modules.append(module.__name__)
        libraries.update(module.CARD.libraries)
        file = weights_file(spec.kind, method, checked)
        weights = sha256_file(file) if file else ""
    elif spec.options:
        checked = _checked(stage, spec.options, options)
        weights = sha256_file(spec.weights(checked)) if spec.weights else ""
    else:
        checked = _checked(stage, None, options)
    return StageRequest(
        stage, method, checked, dict(sheet or {}), code_hash(*modules), weights, library_versions(libraries)
    )


def _checked(stage: str, model: type[BaseModel] | None, options: Mapping[str, Any] | None) -> dict[str, Any]:
    if model is None:
        if options:
            raise InputError(f"{stage}: expected no options, got {', '.join(options)}")
        return {}
    try:
        return model.model_validate(dict(options or {})).model_dump(mode="json")
    except ValidationError as error:
        raise InputError(f"{stage}: {registry.one_line(error)}; options: {', '.join(model.model_fields)}") from None


def put_on_path() -> None:
    """Let child processes find the ``posemill`` of this interpreter, also where its environment is not activated."""
    here = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "").split(os.pathsep)
    if path[0] != here:
        os.environ["PATH"] = os.pathsep.join([here, *path])
