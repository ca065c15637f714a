"""Axes fixed to the body at each limb joint: where a detector's idea of a joint differs from motion capture's.

Three axes a joint, mirrored on the two sides of the body, so that one offset serves both:

========================  ===============================================================================
hip, shoulder             ahead, outward, up: of the trunk, outward along the hips or the shoulders
knee, ankle               ahead, outward, along: of thigh and shank, along the bone towards this joint
elbow, wrist              ahead, above, along: of upper arm and forearm, named for an arm held out sideways
heel, big toe             ahead, outward, up: of the foot, ahead from heel to toe
========================  ===============================================================================

A bone's axes are those of the bone before it, turned by the least rotation that brings one bone onto the other (elbows
and knees are hinges, about whose axis that rotation is). How a straight limb turns about itself is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from posemill.errors import InputError, expected
from posemill.skeleton import JOINT_SETS, LIMBS

__all__ = ["AXES", "FEET", "base_of", "joint_axes", "moved_by"]

FEET: tuple[str, ...] = ("left_heel", "right_heel", "left_big_toe", "right_big_toe")
AXES: dict[str, tuple[str, str, str]] = {
    "hip": ("ahead", "outward", "up"),
    "shoulder": ("ahead", "outward", "up"),
    "knee": ("ahead", "outward", "along"),
    "ankle": ("ahead", "outward", "along"),
    "elbow": ("ahead", "above", "along"),
    "wrist": ("ahead", "above", "along"),
    "heel": ("ahead", "outward", "up"),
    "big_toe": ("ahead", "outward", "up"),
}
"""Kind of joint to the names of its axes, in order."""


def base_of(joint: str) -> str:
    """Kind of joint: its name without the side."""
    return joint.removeprefix("left_").removeprefix("right_")


def joint_axes(joints: np.ndarray, names: Sequence[str], wanted: Sequence[str] = LIMBS) -> np.ndarray:
    """Axes of joints.

    Parameters
    ----------
    joints
        (..., J, 3) metres, any right-handed frame.
    names
        The J joints' names; the twelve limb joints among them, and heels and toes if those are wanted.
    wanted
        K of the limb joints and :data:`FEET`.

    Returns
    -------
    (..., K, 3, 3) in the type of ``joints``: unit vectors in rows, in the order of :data:`AXES`.

    Raises
    ------
    InputError
        A joint is not there.
    """
    index = {name: i for i, name in enumerate(names)}
    feet = [side for side in ("left", "right") if {f"{side}_heel", f"{side}_big_toe"} & set(wanted)]
    need = {*LIMBS, *(f"{side}_{end}" for side in feet for end in ("heel", "big_toe"))}
    missing = sorted((need | set(wanted)) - set(index))
    if missing:
        raise InputError(expected("joints for axes", "the limb joints and those wanted", f"no {', '.join(missing)}"))

    def at(name: str) -> np.ndarray:
        return joints[..., index[name], :]

    up = _unit(at("left_shoulder") + at("right_shoulder") - at("left_hip") - at("right_hip"))
    out: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for girdle, first, second in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
        left = _unit(_across(at(f"left_{girdle}") - at(f"right_{girdle}"), up))
        ahead = np.cross(left, up)
        for side in ("left", "right"):
            outward = left if side == "left" else -left
            out[f"{side}_{girdle}"] = (ahead, outward, up)
            bone = _unit(at(f"{side}_{first}") - at(f"{side}_{girdle}"))
            next_bone = _unit(at(f"{side}_{second}") - at(f"{side}_{first}"))
            hanging = girdle == "hip"
            # From where the limb is in a body that stands with its arms held out.
            start, carried = (-up, (ahead, outward)) if hanging else (outward, (ahead, up))
            upper = _carry(start, bone, carried)
            lower = _carry(bone, next_bone, upper)
            out[f"{side}_{first}"], out[f"{side}_{second}"] = (*upper, bone), (*lower, next_bone)
            if hanging and side in feet:
                sole = _unit(at(f"{side}_big_toe") - at(f"{side}_heel"))
                above = _unit(_across(-next_bone, sole))
                sideways = np.cross(above, sole) if side == "left" else np.cross(sole, above)
                out[f"{side}_heel"] = out[f"{side}_big_toe"] = (sole, sideways, above)
    return np.stack([np.stack(out[name], -2) for name in wanted], -3)


def moved_by(joints: np.ndarray, offsets: Mapping[str, Sequence[float]], stature_m: float) -> np.ndarray:
    """From where motion capture has the joints of h36m17 to where a detector has them, (..., 17, 3) m.

    Parameters
    ----------
    joints
        (..., J, 3) of h36m17 or a set that begins with it, any right-handed frame, whose axes the answer has.
    offsets
        Kind of limb joint to (3,) shares of stature along its :data:`AXES`; kinds that are not named are not moved.
    stature_m
        The person's.
    """
    body = JOINT_SETS["h36m17"]
    axes = joint_axes(joints[..., : len(body), :], body.joints)
    shares = np.array([offsets.get(base_of(name), (0.0, 0.0, 0.0)) for name in LIMBS])
    out = np.zeros((*joints.shape[:-2], len(body), 3))
    out[..., body.indices(LIMBS), :] = stature_m * np.einsum("ka,...kab->...kb", shares, axes)
    return out


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt(np.einsum("...i,...i", vectors, vectors) + 1e-18)[..., None]


def _across(vectors: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """What of a vector is perpendicular to a unit axis."""
    return vectors - np.einsum("...i,...i", vectors, axis)[..., None] * axis


def _carry(start: np.ndarray, end: np.ndarray, axes: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Turn axes perpendicular to ``start`` by the least rotation from ``start`` to ``end``, all unit vectors."""
    both = start + end
    # 1 + cos of the angle; a limb folded back onto itself has no least rotation, and any will do.
    share = 1 / np.maximum(1 + np.einsum("...i,...i", start, end), 1e-3)
    first, second = (a - (np.einsum("...i,...i", end, a) * share)[..., None] * both for a in axes)
    return first, second
