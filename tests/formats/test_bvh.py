from __future__ import annotations

import numpy as np
import pytest

from posemill.errors import ClipError, InputError
from posemill.formats.bvh import Bvh, bvh_joints, local_rotations, read_bvh, write_bvh
from posemill.formats.bvh_rig import bvh_from_joints, from_y_up, joints_from_bvh, to_y_up
from posemill.skeleton import joint_set

H = joint_set("h36m17")
NAMES = list(H.joints)


def standing() -> np.ndarray:
    """(17, 3) metres, world z up, arms out to the sides, facing -y (towards a viewer at negative y)."""
    at = {
        "pelvis": (0, 0, 0.95),
        "right_hip": (-0.12, 0, 0.93),
        "right_knee": (-0.12, 0, 0.50),
        "right_ankle": (-0.12, 0, 0.08),
        "left_hip": (0.12, 0, 0.93),
        "left_knee": (0.12, 0, 0.50),
        "left_ankle": (0.12, 0, 0.08),
        "spine": (0, 0, 1.18),
        "thorax": (0, 0, 1.42),
        "neck_nose": (0, -0.05, 1.55),
        "head_top": (0, 0, 1.70),
        "left_shoulder": (0.18, 0, 1.40),
        "left_elbow": (0.46, 0, 1.40),
        "left_wrist": (0.71, 0, 1.40),
        "right_shoulder": (-0.18, 0, 1.40),
        "right_elbow": (-0.46, 0, 1.40),
        "right_wrist": (-0.71, 0, 1.40),
    }
    return np.array([at[name] for name in NAMES], dtype=float)


def turned(points: np.ndarray, axis: str, degrees: float, about: np.ndarray) -> np.ndarray:
    a = np.deg2rad(degrees)
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    r = np.eye(3)
    r[i, i] = r[j, j] = np.cos(a)
    r[j, i], r[i, j] = np.sin(a), -np.sin(a)
    return (points - about) @ r.T + about


def bend(pose: np.ndarray, pivot: str, moved: tuple[str, ...], axis: str, degrees: float) -> np.ndarray:
    pose = pose.copy()
    rows = H.indices(moved)
    pose[rows] = turned(pose[rows], axis, degrees, pose[H.index(pivot)])
    return pose


def squat(degrees: float) -> np.ndarray:
    """Knees forward (-y), shins back by as much again; the left as the right."""
    pose = standing()
    for side in ("left", "right"):
        pose = bend(pose, f"{side}_hip", (f"{side}_knee", f"{side}_ankle"), "x", -degrees)
        pose = bend(pose, f"{side}_knee", (f"{side}_ankle",), "x", 2 * degrees)
    return pose


def overhead(degrees: float) -> np.ndarray:
    pose = standing()
    pose = bend(pose, "left_shoulder", ("left_elbow", "left_wrist"), "y", -degrees)
    return bend(pose, "right_shoulder", ("right_elbow", "right_wrist"), "y", degrees)


def motions() -> dict[str, np.ndarray]:
    steps = np.linspace(0, 1, 41)
    elbow = [
        bend(
            bend(standing(), "left_elbow", ("left_wrist",), "z", -150 * s),
            "right_elbow",
            ("right_wrist",),
            "z",
            150 * s,
        )
        for s in steps
    ]
    return {
        "still": np.stack([standing()] * 3),
        "squat": np.stack([squat(60 * s) for s in steps]),
        "overhead": np.stack([overhead(95 * s) for s in steps]),
        "elbows": np.stack(elbow),
        "turn": np.stack([turned(squat(30), "z", 720 * s, np.zeros(3)) + s * np.eye(3)[0] for s in steps]),
        "somersault": np.stack([turned(standing(), "x", 400 * s, np.array([0, 0, 1.0])) for s in steps]),
        "cartwheel": np.stack([turned(overhead(80), "y", 380 * s, np.array([0, 0, 1.0])) for s in steps]),
    }


@pytest.mark.parametrize("frame", ["world", "camera"])
@pytest.mark.parametrize("name", motions())
def test_forward_kinematics_of_the_file_gives_the_joints_back(tmp_path, name, frame):
    joints = motions()[name]
    bvh, deviation = bvh_from_joints(joints, fps=30.0, frame=frame)
    write_bvh(tmp_path / "a.bvh", bvh)
    back = read_bvh(tmp_path / "a.bvh")
    assert back.frame_time_s == pytest.approx(1 / 30, abs=1e-9)
    np.testing.assert_allclose(joints_from_bvh(back, frame), joints, atol=2e-6)
    assert np.nanmax(deviation) < 1e-6


@pytest.mark.parametrize("name", motions())
def test_angle_curves_have_no_jumps(name):
    bvh, _ = bvh_from_joints(motions()[name], fps=30.0, frame="world")
    # The fastest of these motions turns 18 degrees a frame; near a pole two angles share a turn.
    assert np.abs(np.diff(bvh.motion[:, 3:], axis=0)).max() < 40


def test_two_full_turns_unwind_to_720_degrees():
    bvh, _ = bvh_from_joints(motions()["turn"], fps=30.0, frame="world")
    heading = bvh.motion[:, ROOT_Y]
    assert abs(heading[-1] - heading[0]) == pytest.approx(720, abs=1e-6)


ROOT_Y = 5


def test_rest_pose_has_no_rotation():
    """A T-pose that faces +z of the file is the rig's rest pose: all angles are zero but the head's lean."""
    pose = standing()
    pose[H.index("neck_nose"), 1] = 0
    for joint in ("left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"):
        pose[H.index(joint), 2] = 1.42
    for joint in ("left_hip", "right_hip"):
        pose[H.index(joint), 2] = 0.95
    bvh, _ = bvh_from_joints(pose[None], fps=30.0, frame="world")
    np.testing.assert_allclose(bvh.motion[0, 3:], 0, atol=1e-9)
    np.testing.assert_allclose(bvh.motion[0, :3], [0, 95, 0], atol=1e-9)


@pytest.mark.parametrize("side", ["left", "right"])
def test_knees_and_elbows_bend_as_hinges(side):
    """Flexion turns the hinge's child about one axis of the limb: legs about x, arms about y; nothing else moves."""
    bvh, _ = bvh_from_joints(motions()["squat"], fps=30.0, frame="world")
    knee = local_rotations(bvh)[-1, bvh.index(f"{side}_knee")]
    np.testing.assert_allclose(knee @ [1, 0, 0], [1, 0, 0], atol=1e-9)
    assert np.rad2deg(np.arccos((np.trace(knee) - 1) / 2)) == pytest.approx(120, abs=1e-6)
    bvh, _ = bvh_from_joints(motions()["elbows"], fps=30.0, frame="world")
    elbow = local_rotations(bvh)[-1, bvh.index(f"{side}_elbow")]
    np.testing.assert_allclose(elbow @ [0, 1, 0], [0, 1, 0], atol=1e-9)


def test_straight_phases_carry_the_twist_over():
    """The forearm turned out while the elbow is bent stays so through the straight frames between."""
    pose = bend(standing(), "left_elbow", ("left_wrist",), "y", -90)  # forearm up: upper arm turned by 90 degrees
    joints = np.stack([pose, *[standing()] * 5, pose])
    bvh, _ = bvh_from_joints(joints, fps=30.0, frame="world")
    shoulder = local_rotations(bvh)[:, bvh.index("left_shoulder")]
    np.testing.assert_allclose(shoulder, np.broadcast_to(shoulder[0], shoulder.shape), atol=1e-9)


def test_up_is_up_and_handedness_stays():
    assert to_y_up(np.array([0, 0, 1.0]), "world").tolist() == [0, 1, 0]
    assert to_y_up(np.array([0, -1.0, 0]), "camera").tolist() == [0, 1, 0]
    for frame in ("world", "camera"):
        matrix = to_y_up(np.eye(3), frame)
        assert np.linalg.det(matrix) == pytest.approx(1)
        np.testing.assert_array_equal(from_y_up(matrix, frame), np.eye(3))
    with pytest.raises(InputError, match="expected world or camera, got room"):
        to_y_up(np.eye(3), "room")


def test_gaps_are_filled_linearly_and_measured_only_where_valid():
    joints = np.stack([standing() + 0.1 * t * np.eye(3)[0] for t in range(5)])
    valid = np.ones((5, 17), bool)
    valid[2] = valid[4] = False
    gapped = np.where(valid[..., None], joints, np.nan)
    bvh, deviation = bvh_from_joints(gapped, fps=30.0, frame="world", valid=valid)
    back = joints_from_bvh(bvh, "world")
    np.testing.assert_allclose(back[2], joints[2], atol=1e-9)
    np.testing.assert_allclose(back[4], joints[3], atol=1e-9)
    assert np.isnan(deviation[[2, 4]]).all() and np.nanmax(deviation) < 1e-9


def test_stills_hold_the_last_pose_instead_of_mixing():
    joints = np.stack([standing(), standing(), squat(60)])
    joints[1] = np.nan
    bvh, _ = bvh_from_joints(joints, fps=1.0, frame="world", temporal=False)
    np.testing.assert_allclose(joints_from_bvh(bvh, "world")[1], joints[0], atol=1e-9)


def test_never_seen_joints_rest_on_their_parent_with_the_mirror_length():
    joints = motions()["squat"].copy()
    lost = H.indices(("left_knee", "left_ankle"))
    joints[:, lost] = np.nan
    bvh, deviation = bvh_from_joints(joints, fps=30.0, frame="world")
    back = joints_from_bvh(bvh, "world")
    seen = [i for i in range(17) if i not in lost]
    np.testing.assert_allclose(back[:, seen], joints[:, seen], atol=1e-6)
    thigh = np.linalg.norm(back[:, H.index("left_knee")] - back[:, H.index("left_hip")], axis=-1)
    np.testing.assert_allclose(thigh, 0.43, atol=1e-6)
    assert np.isnan(deviation[:, lost]).all()


def test_without_a_trunk_there_is_nothing_to_export():
    joints = np.stack([standing()] * 2)
    joints[:, H.index("spine")] = np.nan
    with pytest.raises(ClipError, match="spine never valid"):
        bvh_from_joints(joints, fps=30.0, frame="world")


def test_varying_bones_are_reported_not_hidden():
    joints = np.stack([standing()] * 3)
    joints[1, H.index("left_wrist"), 0] += 0.05
    _, deviation = bvh_from_joints(joints, fps=30.0, frame="world")
    assert deviation[1, H.index("left_wrist")] == pytest.approx(0.05, abs=1e-9)
    assert deviation[0].max() < 1e-9


def test_random_poses_with_constant_bones_come_back():
    rng = np.random.default_rng(0)
    lengths = {child: np.linalg.norm(standing()[child] - standing()[parent]) for parent, child in H.bones}
    joints = np.zeros((50, 17, 3))
    for parent, child in H.bones:
        v = rng.normal(size=(50, 3))
        joints[:, child] = joints[:, parent] + lengths[child] * v / np.linalg.norm(v, axis=-1, keepdims=True)
    _, deviation = bvh_from_joints(joints, fps=30.0, frame="world")
    assert deviation.max() < 1e-6


def test_channel_order_is_matrix_order():
    """Child 1 along x under Z 90 then X 90: Rz Rx x = Rz x = y."""
    channels = (("Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation", "Yrotation"), ())
    motion = np.array([[0, 0, 0, 90, 90, 0.0], [5, 0, 0, 0, 0, 90]])
    bvh = Bvh(("a", "a_end"), (-1, 0), np.array([[0, 0, 0], [1.0, 0, 0]]), channels, motion, 0.1)
    np.testing.assert_allclose(bvh_joints(bvh)[:, 1], [[0, 1, 0], [5, 0, -1]], atol=1e-12)


def test_file_layout(tmp_path):
    write_bvh(tmp_path / "a.bvh", bvh_from_joints(standing()[None], fps=29.97, frame="world")[0])
    text = (tmp_path / "a.bvh").read_text()
    assert text.startswith("HIERARCHY\nROOT pelvis\n{\n\tOFFSET 0.000000 0.000000 0.000000\n\tCHANNELS 6 Xposition")
    assert "Frames: 1\nFrame Time: 0.033366700\n" in text
    assert text.count("End Site") == 5 and "-0.000000" not in text
    assert read_bvh(tmp_path / "a.bvh").names.count("left_ankle_end") == 1


def test_renamed_nodes(tmp_path):
    names = {"pelvis": "Hips", "left_knee": "LeftLeg"}
    bvh, _ = bvh_from_joints(standing()[None], fps=30, frame="world", names=names)
    assert {"Hips", "LeftLeg"} < set(bvh.names)
    np.testing.assert_allclose(joints_from_bvh(bvh, "world", names=names)[0], standing(), atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:200], "expected"),
        (lambda t: t.replace("HIERARCHY", "JERARCHY"), "expected HIERARCHY, got JERARCHY"),
        (lambda t: t.replace("Xrotation", "Wrotation"), "got Wrotation"),
        (lambda t: t.replace("Frames: 1", "Frames: 2"), "expected 2 x 69, got 69"),
        (lambda t: t.replace("OFFSET 0.000000", "OFFSET nan", 1), "expected a finite number, got nan"),
        (lambda t: "", "expected HIERARCHY"),
    ],
)
def test_damaged_files_are_refused(tmp_path, change, message):
    path = tmp_path / "a.bvh"
    write_bvh(path, bvh_from_joints(standing()[None], fps=30, frame="world")[0])
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=message) as error:
        read_bvh(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_gaps_cannot_be_written(tmp_path):
    bvh, _ = bvh_from_joints(standing()[None], fps=30, frame="world")
    bvh.motion[0, 0] = np.nan
    with pytest.raises(InputError, match="cannot hold gaps"):
        write_bvh(tmp_path / "a.bvh", bvh)


# ------------------------------------------------------------------------------------------------------ feet

F = joint_set("posemill21")
# From the ankle, facing -y: heel behind it and toe before it, both 7 cm down.
FOOT = {"heel": (0, 0.05, -0.07), "big_toe": (0, -0.17, -0.07)}


def with_feet(joints: np.ndarray, turns: dict[str, np.ndarray] | None = None) -> np.ndarray:
    """(T, 21, 3) from (T, 17, 3): rigid feet, turned by (T, 3, 3) of their side."""
    out = np.concatenate([joints, np.zeros((len(joints), 4, 3))], 1)
    for side in ("left", "right"):
        turn = (turns or {}).get(side, np.broadcast_to(np.eye(3), (len(joints), 3, 3)))
        for part, place in FOOT.items():
            out[:, F.index(f"{side}_{part}")] = joints[:, H.index(f"{side}_ankle")] + turn @ np.array(place)
    return out


def tiptoe(degrees: np.ndarray) -> np.ndarray:
    """Turns (T, 3, 3) about x, toes down."""
    a = np.deg2rad(degrees)
    zero, one = np.zeros(len(a)), np.ones(len(a))
    rows = [(one, zero, zero), (zero, np.cos(a), -np.sin(a)), (zero, np.sin(a), np.cos(a))]
    return np.stack([np.stack(row, -1) for row in rows], 1)


@pytest.mark.parametrize("frame", ["world", "camera"])
@pytest.mark.parametrize("name", motions())
def test_feet_come_back_from_the_file(tmp_path, name, frame):
    joints = motions()[name]
    pitch = np.linspace(0, 50, len(joints))
    joints = with_feet(joints, {"left": tiptoe(pitch), "right": tiptoe(-pitch)})
    bvh, deviation = bvh_from_joints(joints, fps=30.0, frame=frame, joints_of="posemill21")
    write_bvh(tmp_path / "a.bvh", bvh)
    np.testing.assert_allclose(joints_from_bvh(read_bvh(tmp_path / "a.bvh"), frame), joints, atol=2e-6)
    assert np.nanmax(deviation) < 1e-6
    # The rest of the rig is the same with feet and without.
    alone, _ = bvh_from_joints(joints[:, :17], fps=30.0, frame=frame)
    np.testing.assert_allclose(joints_from_bvh(alone, frame), joints[:, :17], atol=1e-9)
    for node in ("left_knee", "right_hip", "head_top", "left_wrist"):
        a, b = (local_rotations(x)[:, x.index(node)] for x in (alone, bvh))
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_a_foot_turns_about_its_ankle_as_one_part():
    """On tiptoe by 30 degrees: the ankle's node turns by that about x, heel and toe do not turn themselves."""
    joints = with_feet(np.stack([standing()] * 2), {"left": tiptoe(np.array([0.0, 30.0]))})
    bvh, _ = bvh_from_joints(joints, fps=30.0, frame="world", joints_of="posemill21")
    local = local_rotations(bvh)
    np.testing.assert_allclose(local[0, bvh.index("left_ankle")], np.eye(3), atol=1e-9)
    np.testing.assert_allclose(local[1, bvh.index("left_ankle")] @ [1, 0, 0], [1, 0, 0], atol=1e-9)
    angle = np.rad2deg(np.arccos((np.trace(local[1, bvh.index("left_ankle")]) - 1) / 2))
    assert angle == pytest.approx(30, abs=1e-6)
    for node in ("left_heel", "left_big_toe", "right_ankle"):
        np.testing.assert_allclose(local[1, bvh.index(node)], np.eye(3), atol=1e-9)
    assert {"left_heel_end", "right_big_toe_end"} < set(bvh.names) and "left_ankle_end" not in bvh.names
    # At rest soles are level: heel and toe 7 cm under the ankle, in cm.
    for part, (_, back, down) in FOOT.items():
        np.testing.assert_allclose(bvh.offsets[bvh.index(f"right_{part}")], [0, 100 * down, -100 * back], atol=1e-9)


def test_feet_that_are_never_seen_rest_on_the_shin_and_bending_ones_are_reported():
    joints = with_feet(motions()["squat"])
    lost = F.indices(("left_heel", "left_big_toe"))
    joints[:, lost] = np.nan
    bvh, deviation = bvh_from_joints(joints, fps=30.0, frame="world", joints_of="posemill21")
    np.testing.assert_allclose(
        local_rotations(bvh)[:, bvh.index("left_ankle")], np.eye(3)[None].repeat(41, 0), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.norm(bvh.offsets[bvh.index("left_big_toe")]), np.hypot(17, 7), atol=1e-6)
    assert np.isnan(deviation[:, lost]).all() and np.nanmax(deviation) < 1e-6
    joints = with_feet(motions()["squat"])
    joints[20, F.index("right_big_toe"), 2] += 0.03
    _, deviation = bvh_from_joints(joints, fps=30.0, frame="world", joints_of="posemill21")
    assert deviation[20].max() > 0.01 and np.delete(deviation, 20, 0).max() < 1e-9


def test_other_joint_sets_are_refused():
    with pytest.raises(InputError, match="expected posemill21 or h36m17, got coco17"):
        bvh_from_joints(standing()[None], fps=30.0, frame="world", joints_of="coco17")
    with pytest.raises(InputError, match=r"expected \(frames, 21, 3\), got \(1, 17, 3\)"):
        bvh_from_joints(standing()[None], fps=30.0, frame="world", joints_of="posemill21")
