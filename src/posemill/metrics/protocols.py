"""Protocols by name: all that must be equal before two figures may be compared.

Sources, by key: ``martinez`` Martinez et al., ICCV 2017; ``pavllo`` Pavllo et al., CVPR 2019; ``motionbert`` Zhu et
al., ICCV 2023; ``mehta`` Mehta et al., 3DV 2017; ``posemill`` this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from posemill.errors import InputError, expected
from posemill.skeleton import LIMBS, joint_set

__all__ = ["H36M_ACTIONS", "PROTOCOLS", "Protocol", "assert_frames", "protocol", "split_joints"]

H36M_ACTIONS: tuple[str, ...] = (
    "Directions",
    "Discussion",
    "Eating",
    "Greeting",
    "Phoning",
    "Photo",
    "Posing",
    "Purchases",
    "Sitting",
    "SittingDown",
    "Smoking",
    "Waiting",
    "WalkDog",
    "WalkTogether",
    "Walking",
)
_H36M17 = joint_set("h36m17").joints
# Three joints that truths put in different places: the mocap skeletons, the annotations and the rendered bodies.
_APART = ("spine", "neck_nose", "head_top")


@dataclass(frozen=True)
class Protocol:
    """What a figure stands for.

    Attributes
    ----------
    name, dataset
        As in reports.
    subjects, cameras
        Those evaluated, by name; empty: all that there are.
    rate_hz
        Frames per second that are evaluated; None: every frame of the truth.
    joint_set, joints
        The set, and those of its joints that count.
    root
        Joint put to the origin; its exact 0 counts where it is among ``joints``.
    alignment
        ``root``, ``scale`` (root and best scale of each frame) or ``similarity`` (Procrustes of each frame on the
        joints that count, no reflection).
    metrics
        Names of what is printed.
    averaging
        ``per_action`` (frames pooled in each action, actions weigh alike) or ``pooled`` (frames and joints alike).
    actions
        Those that must be there.
    exclusions
        (subject, sequence, camera) left out; an empty camera is all of them.
    flip
        True or False where the published figures are with or without averaging over the mirrored input; None: either,
        and the record says which.
    frames
        Published number of frames evaluated over all cameras; None: unpublished.
    source
        Where this is from; the keys are in the module's head.
    note
        What else a reader must know.
    """

    name: str
    dataset: str
    subjects: tuple[str, ...]
    cameras: tuple[str, ...]
    rate_hz: float | None
    joint_set: str
    joints: tuple[str, ...]
    root: str
    alignment: str
    metrics: tuple[str, ...]
    averaging: str
    actions: tuple[str, ...] = ()
    exclusions: tuple[tuple[str, str, str], ...] = ()
    flip: bool | None = None
    frames: int | None = None
    source: str = ""
    note: str = ""


_H36M_P1 = Protocol(
    name="h36m-p1",
    dataset="Human3.6M",
    subjects=("S9", "S11"),
    cameras=("54138969", "55011271", "58860488", "60457274"),
    rate_hz=50.0,
    joint_set="h36m17",
    joints=_H36M17,
    root="pelvis",
    alignment="root",
    metrics=("mpjpe",),
    averaging="per_action",
    actions=H36M_ACTIONS,
    # The video of this one camera is damaged.
    exclusions=(("S11", "Directions", "54138969"),),
    frames=566_920,
    source="martinez",
    note="17 joints with the root's exact 0; the three sequences of S9 whose truth is displaced are included",
)
# Their truth is displaced against the images.
_DISPLACED = tuple(("S9", sequence, "") for sequence in ("Greeting", "SittingDown 1", "Waiting 1"))

_POSEMILL = Protocol(
    name="posemill-17",
    dataset="any",
    subjects=(),
    cameras=(),
    rate_hz=None,
    joint_set="h36m17",
    joints=_H36M17,
    root="pelvis",
    alignment="root",
    metrics=("mpjpe", "p_mpjpe", "n_mpjpe", "mpjve"),
    averaging="pooled",
    flip=None,
    source="posemill",
    note="spine, neck_nose and head_top stand apart where the truth defines them otherwise",
)

PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        _H36M_P1,
        replace(_H36M_P1, name="h36m-p2", alignment="similarity", metrics=("p_mpjpe",)),
        replace(_H36M_P1, name="h36m-n", alignment="scale", metrics=("n_mpjpe",), source="pavllo"),
        replace(
            _H36M_P1,
            name="h36m-p1-pavllo",
            exclusions=(("S11", "Directions", ""),),
            flip=True,
            frames=543_344,
            source="pavllo",
            note="S11 Directions is left out for all cameras; 17 joints, only the truth's root is put to 0",
        ),
        replace(
            _H36M_P1,
            name="h36m-p1-clean",
            exclusions=(*_H36M_P1.exclusions, *_DISPLACED),
            flip=True,
            frames=None,
            source="motionbert",
            note="the three displaced sequences of S9 are left out: lower than h36m-p1 for the same method",
        ),
        Protocol(
            name="mpi-inf-3dhp",
            dataset="MPI-INF-3DHP test set",
            subjects=("TS1", "TS2", "TS3", "TS4", "TS5", "TS6"),
            cameras=(),
            rate_hz=None,
            joint_set="mpi_inf_3dhp17",
            joints=joint_set("mpi_inf_3dhp17").joints[:14],
            root="pelvis",
            alignment="root",
            metrics=("pck", "auc", "mpjpe"),
            averaging="pooled",
            frames=2_929,
            source="mehta",
            note="truth at universal height; valid frames only; 14 joints, without pelvis, spine and head",
        ),
        _POSEMILL,
        replace(
            _POSEMILL,
            name="posemill-14",
            joints=tuple(joint for joint in _H36M17 if joint not in ("pelvis", "spine", "neck_nose")),
            note="17 joints without pelvis, spine and neck_nose; head_top stands apart where the truth differs",
        ),
        replace(
            _POSEMILL,
            name="posemill-16",
            joint_set="posemill21",
            joints=joint_set("limbs16").joints,
            note="posemill-12 with heels and big toes, which truths put at different heights of the foot",
        ),
        replace(_POSEMILL, name="posemill-12", joints=LIMBS, note="the joints that every truth defines alike"),
    )
}


def protocol(name: str) -> Protocol:
    """Look a protocol up by name; raises InputError with the names that exist."""
    try:
        return PROTOCOLS[name]
    except KeyError:
        raise InputError(f"unknown protocol {name!r}; known: {', '.join(sorted(PROTOCOLS))}") from None


def split_joints(chosen: Protocol, *, same_definition: bool) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the joints that count, and of those that are reported apart.

    Parameters
    ----------
    same_definition
        Whether truth and prediction define spine, neck_nose and head_top (joints 7, 9 and 10) alike, as between data
        of Human3.6M. If not, their distance is of definitions as much as of poses.
    """
    joints = joint_set(chosen.joint_set)
    apart = () if same_definition or chosen.joint_set != "h36m17" else _APART
    return (
        joints.indices(tuple(joint for joint in chosen.joints if joint not in apart)).astype(int),
        joints.indices(tuple(joint for joint in chosen.joints if joint in apart)).astype(int),
    )


def assert_frames(chosen: Protocol, counted: Mapping[str, int]) -> int:
    """Check that what was evaluated is what the protocol asks for, and give the number of frames.

    Parameters
    ----------
    counted
        Evaluated frames over all cameras, per action (or per sequence where the protocol has no actions).

    Raises
    ------
    InputError
        An action is missing, empty or foreign, or the total is not the published one: the figure would carry the
        protocol's name without being comparable.
    """
    empty = sorted(action for action, frames in counted.items() if frames <= 0)
    if empty or not counted:
        raise InputError(
            expected(f"{chosen.name}: evaluated frames", "some in each action", f"none in {empty or 'any'}")
        )
    if chosen.actions and set(counted) != set(chosen.actions):
        missing, foreign = sorted(set(chosen.actions) - set(counted)), sorted(set(counted) - set(chosen.actions))
        found = "; ".join(f"{what} {', '.join(x)}" for what, x in (("without", missing), ("with", foreign)) if x)
        raise InputError(expected(f"{chosen.name}: actions", f"its {len(chosen.actions)}", found))
    total = sum(counted.values())
    if chosen.frames is not None and total != chosen.frames:
        by_action = ", ".join(f"{action} {frames}" for action, frames in sorted(counted.items()))
        do = "evaluate all of them, or name another protocol"
        raise InputError(expected(f"{chosen.name}: evaluated frames", chosen.frames, f"{total} ({by_action})", do=do))
    return total
