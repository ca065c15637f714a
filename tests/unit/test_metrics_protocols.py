from __future__ import annotations

import pytest

from posemill.errors import InputError
from posemill.metrics.protocols import H36M_ACTIONS, PROTOCOLS, assert_frames, protocol, split_joints
from posemill.skeleton import LIMBS, joint_set


def test_every_protocol_names_joints_of_its_set():
    for name, p in PROTOCOLS.items():
        assert p.name == name and p.source and p.metrics
        assert set(p.joints) <= set(joint_set(p.joint_set).joints) and p.root in joint_set(p.joint_set).joints
        assert p.alignment in ("root", "scale", "similarity") and p.averaging in ("per_action", "pooled")


def test_the_numbers_of_joints_are_in_the_names():
    assert [len(protocol(f"posemill-{n}").joints) for n in (12, 14, 17)] == [12, 14, 17]
    assert protocol("posemill-12").joints == LIMBS
    assert len(protocol("mpi-inf-3dhp").joints) == 14 and not {"pelvis", "spine", "head"} & set(
        protocol("mpi-inf-3dhp").joints
    )
    assert len(H36M_ACTIONS) == 15 == len(set(H36M_ACTIONS))


def test_an_unknown_name_is_answered_with_the_known():
    with pytest.raises(InputError, match="h36m-p1, "):
        protocol("h36m")


def test_joints_7_9_and_10_stand_apart_where_truths_differ():
    main, apart = split_joints(protocol("h36m-p1"), same_definition=True)
    assert main.tolist() == list(range(17)) and apart.tolist() == []
    main, apart = split_joints(protocol("posemill-17"), same_definition=False)
    assert apart.tolist() == [7, 9, 10] and sorted([*main, *apart]) == list(range(17))
    assert split_joints(protocol("posemill-14"), same_definition=False)[1].tolist() == [10]
    assert split_joints(protocol("posemill-12"), same_definition=False)[1].tolist() == []


def test_frames_are_those_of_the_protocol():
    p = protocol("h36m-p1")
    frames = dict.fromkeys(H36M_ACTIONS, 30_000)
    frames["Walking"] += 566_920 - 15 * 30_000
    assert assert_frames(p, frames) == 566_920
    with pytest.raises(InputError, match=r"expected 566920, got 566919 \(Directions 30000, .*Walking 146919\)"):
        assert_frames(p, frames | {"Walking": frames["Walking"] - 1})
    with pytest.raises(InputError, match="without Walking; with Jumping"):
        assert_frames(p, {("Jumping" if a == "Walking" else a): n for a, n in frames.items()})
    with pytest.raises(InputError, match=r"none in \['Sitting'\]"):
        assert_frames(p, frames | {"Sitting": 0})
    assert assert_frames(protocol("posemill-17"), {"walk": 7}) == 7
