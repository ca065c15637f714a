"""A subject's bones as an artifact of its own, and what of it holds for another lifter's poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import ArtifactError, expected
from posemill.formats.artifact import Artifact, read
from posemill.placement.observed import BODIES, Observed
from posemill.placement.skeleton_scale import Skeleton, fit_skeleton
from posemill.placement.subject import Measured

__all__ = ["from_arrays", "lifted_by", "read_skeleton", "to_arrays", "to_artifact"]


def lifted_by(lifted: Artifact) -> dict[str, str]:
    """Name lifter and weights: one unit of length of the poses."""
    return {key: str(lifted.provenance.get(key, "")) for key in ("method", "weights")}


def to_artifact(measured: Measured, lifted: Artifact, provenance: dict[str, Any]) -> Artifact:
    """Make the artifact of a subject's bones."""
    skeleton = measured.skeleton
    return Artifact(
        "skeleton",
        lifted.subject,
        skeleton.joints_of,
        provenance=provenance,
        arrays=to_arrays(skeleton),
        attrs={
            "bones_assumed": list(skeleton.assumed),
            "lifted_by": lifted_by(lifted),
            "problem": measured.problem,
            "scale_source": skeleton.scale_source,
            "scales": [scale._asdict() for scale in measured.scales],
            "scales_doubted": [scale._asdict() for scale in measured.doubted],
            "stature_m": skeleton.stature_m,
        },
    )


def to_arrays(skeleton: Skeleton) -> dict[str, np.ndarray]:
    """Bones as the arrays of an artifact, of the joint set ``skeleton.joints_of``."""
    arrays = {
        "bone_lengths": skeleton.lengths_m,
        "scale": np.array(skeleton.scale),
        "scale_sigma": np.array(skeleton.scale_sigma),
    }
    return arrays | ({"sole_length": np.array(skeleton.sole_m)} if np.isfinite(skeleton.sole_m) else {})


def from_arrays(found: Artifact) -> Skeleton:
    """Bones of an artifact that holds them: skeleton, placed3d."""
    return Skeleton(
        found.arrays["bone_lengths"].astype(np.float64),
        float(found.arrays["scale"]),
        float(found.arrays["scale_sigma"]),
        str(found.attrs.get("scale_source", "")),
        tuple(found.attrs["bones_assumed"]),
        found.joint_set,
        float(found.arrays.get("sole_length", np.nan)),
    )


def read_skeleton(path: Path, lifted: Artifact, joints_of: str, tracks: Sequence[Observed]) -> tuple[Skeleton, str]:
    """Read a subject's bones for the poses of ``lifted``, and why they cannot be used ("" if they can).

    Lengths in metres are the person's, whatever lifted the poses that they are from; ``scale``, metres per unit of the
    lifter, is fitted again where another lifter is used now, and so are heels and toes where the file has none.

    Raises
    ------
    ArtifactError
        Not a skeleton, or another person's.
    """
    found = read(path, "skeleton")
    if found.subject != lifted.subject:
        raise ArtifactError(expected("skeleton of", lifted.subject, found.subject, where=path))
    skeleton = from_arrays(found)
    if found.attrs["lifted_by"] != lifted_by(lifted):
        poses = fit_skeleton([t.pose[:, :17] for t in tracks], [t.sigma[:, :17] for t in tracks])
        ratio = float(np.median(skeleton.body_lengths_m / poses.lengths_m))
        skeleton = replace(skeleton, scale=ratio)
    if skeleton.joints_of != joints_of or (joints_of == BODIES[0] and np.isnan(skeleton.sole_m)):
        skeleton = skeleton.body().with_feet([t.pose for t in tracks], joints_of)
    return skeleton, str(found.attrs["problem"])
