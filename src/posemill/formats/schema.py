"""What each artifact holds: the table that reader and writer are checked against.

A field's ``dims`` name its axes, and the sizes of equal names agree: ``time`` within a clip, ``joint`` and the rest
within a file. ``frame`` is ``image``, ``camera`` or ``world``, ``clip`` where the clip's attribute ``frame`` decides,
and ``none`` where it has no meaning. A field with ``gap="valid"`` is NaN exactly where the flag of that name is
False: a gap is never a number, and a number is never NaN. With ``gap="rows"`` whole rows may be unknown. A field that
is ``optional`` need not be there.

A schema with a ``body`` keeps that joint set's joints under the fields' own names, whatever more a file has: those are
in ``{name}_beyond``, of the dimension ``joint_beyond``. So who reads a file without posemill finds the joints that
everybody knows. In memory they are one array.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COORDINATES", "OWN_NAMES", "SCHEMAS", "Field", "Schema"]

FLOAT, FLAG = "float32", "bool"


@dataclass(frozen=True)
class Field:
    """One dataset of an artifact."""

    name: str
    dims: tuple[str, ...]
    units: str
    frame: str
    dtype: str = FLOAT
    gap: str | None = None
    optional: bool = False


@dataclass(frozen=True)
class Schema:
    """The datasets of one kind of artifact, by level, and the attributes that its clips must have."""

    name: str
    version: int
    track: tuple[Field, ...]
    clip: tuple[Field, ...] = ()
    subject: tuple[Field, ...] = ()
    clip_attrs: tuple[str, ...] = ()
    camera: bool = False
    body: str = ""


COORDINATES: dict[str, tuple[str, ...]] = {
    "image": ("u", "v"),
    "space": ("x", "y", "z"),
    "box": ("left", "top", "right", "bottom"),
    "foot": ("left", "right"),
    "sole": ("left_heel", "left_toe", "right_heel", "right_toe"),
    "row": ("0", "1", "2"),
    "column": ("0", "1", "2"),
    "coefficient": ("k1", "k2", "p1", "p2", "k3"),
}
"""Dimensions with fixed labels; ``joint`` and ``bone`` take theirs from the file's joint set."""

_DETECTED = (
    Field("keypoints", ("time", "joint", "image"), "px", "image", gap="valid"),
    Field("score", ("time", "joint"), "1", "none"),
    Field("sigma", ("time", "joint"), "px", "image", gap="valid"),
    Field("valid", ("time", "joint"), "1", "none", FLAG),
    Field("bbox", ("time", "box"), "px", "image", gap="any valid"),
)

SCHEMAS: dict[str, Schema] = {
    s.name: s
    for s in (
        # Contested: whoever detected saw the joint here and could not tell whether it is the left or the right one.
        Schema(
            "detections2d",
            1,
            track=(*_DETECTED, Field("contested", ("time", "joint"), "1", "none", FLAG, optional=True)),
        ),
        Schema("keypoints2d", 1, track=_DETECTED, camera=True),
        # Of some frames only, and of the surface that is seen at a joint; focal_px is what the network assumes.
        Schema(
            "depth",
            1,
            track=(
                Field("depth", ("time", "joint"), "m", "camera", gap="valid"),
                Field("valid", ("time", "joint"), "1", "none", FLAG),
            ),
            clip=(Field("focal_px", ("time",), "px", "image", optional=True),),
        ),
        Schema(
            "lifted3d",
            2,
            track=(
                Field("joints_relative", ("time", "joint", "space"), "m", "camera", gap="valid"),
                Field("sigma", ("time", "joint", "space"), "m", "camera", gap="valid"),
                Field("valid", ("time", "joint"), "1", "none", FLAG),
                Field("root", ("time", "space"), "m", "camera", gap="rows", optional=True),
                Field("root_sigma", ("time", "space"), "m", "camera", gap="rows", optional=True),
            ),
        ),
        Schema(
            "skeleton",
            1,
            track=(),
            subject=(
                Field("bone_lengths", ("bone",), "m", "none"),
                Field("scale", (), "1", "none"),
                Field("scale_sigma", (), "1", "none"),
                Field("sole_length", (), "m", "none", optional=True),
            ),
        ),
        Schema(
            "placed3d",
            1,
            track=(
                Field("root_camera", ("time", "space"), "m", "camera", gap="valid"),
                Field("root_sigma", ("time", "space"), "m", "camera", gap="valid"),
                Field("valid", ("time",), "1", "none", FLAG),
            ),
            subject=(
                Field("bone_lengths", ("bone",), "m", "none"),
                Field("scale", (), "1", "none"),
                Field("scale_sigma", (), "1", "none"),
                Field("sole_length", (), "m", "none", optional=True),
            ),
            clip_attrs=("world_source", "scale_source"),
            camera=True,
        ),
        Schema(
            "merged3d",
            1,
            track=(
                Field("joints", ("time", "joint", "space"), "m", "clip", gap="valid"),
                Field("joints_camera", ("time", "joint", "space"), "m", "camera", gap="valid"),
                Field("root", ("time", "space"), "m", "clip", gap="any valid"),
                Field("sigma", ("time", "joint", "space"), "m", "clip", gap="valid"),
                Field("valid", ("time", "joint"), "1", "none", FLAG),
                Field("contact", ("time", "foot"), "1", "none", FLAG),
                Field("moved", ("time", "joint"), "m", "none", gap="valid"),
            ),
            clip_attrs=("frame", "world_source", "scale_source"),
            camera=True,
            body="h36m17",
        ),
        Schema(
            "truth3d",
            1,
            track=(
                Field("keypoints", ("time", "joint", "image"), "px", "image"),
                Field("visible", ("time", "joint"), "1", "none", FLAG),
                Field("joints", ("time", "joint", "space"), "m", "world"),
                Field("joints_camera", ("time", "joint", "space"), "m", "camera"),
                Field("contact", ("time", "sole"), "1", "none", FLAG),
            ),
            camera=True,
        ),
    )
}

OWN_NAMES = frozenset(
    name + beyond
    for schema in SCHEMAS.values()
    for beyond in ("", "_beyond")
    for name in (
        *("joint", "bone", *COORDINATES),
        *(field.name for field in schema.subject),
        *(dim for field in (*schema.subject, *schema.clip, *schema.track) for dim in field.dims),
    )
)
"""What stands beside the clips of a file, so that no clip can have that name."""
