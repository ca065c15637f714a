"""Truth-free measures on bodies whose faults are put in by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from posemill.errors import InputError
from posemill.metrics.image_contacts import image_contacts
from posemill.metrics.measures import ANKLE_SHARE, MEASURES, judge, worst
from posemill.metrics.options import Gate, Gates, QualityOptions
from posemill.metrics.plausible import elbow_hyperextended, knee_hyperextended
from posemill.metrics.quality import longest_gap_s, measure, weighted_median
from posemill.skeleton import joint_set
from tests.stages import exported_subject as es

H36M = joint_set("h36m17")
FRAMES = 50
TIME = np.arange(FRAMES) / es.FPS
# The statue's shin, the middle one of thigh, shin and trunk, is 0.246 of its stature.
STATURE_M = np.median([np.hypot(0.43, 0.05) / 0.245, np.hypot(0.42, 0.05) / 0.246, np.hypot(0.06, 0.47) / 0.288])
SOLE_M = 0.08 - ANKLE_SHARE * STATURE_M


def statue(*, velocity=(0.0, 0, 0), shift=(0.0, 0, 0), frames: int = FRAMES) -> np.ndarray:
    """(T, 17, 3) world metres: someone who stands, or glides as a whole."""
    pose = es.joints_world(1)[0, :17] + np.array(shift)
    return pose + TIME[:frames, None, None] * np.array(velocity)


def track(joints: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays of a merged3d track in the world."""
    unknown = np.where(np.isfinite(joints), 0.0, np.nan)
    return {
        "joints": joints,
        "joints_camera": es.camera().world_to_camera(joints),
        "root": joints[:, 0],
        "sigma": 0.02 + unknown,
        "moved": 0.003 + unknown[..., 0],
    }


def image(joints: np.ndarray, shift_px=(0.0, 0)) -> dict[str, np.ndarray]:
    """Arrays of a keypoints2d track: the joints projected, and moved."""
    points = es.camera().project(es.camera().world_to_camera(joints)) + np.array(shift_px)
    shape = points.shape[:2]
    return {
        "keypoints": points,
        "sigma": np.full(shape, 2.0),
        "score": np.ones(shape),
        "valid": np.ones(shape, dtype=bool),
    }


def measured(joints, seen=None, *, frame="world", temporal=True, **changes):
    return measure(
        TIME[: len(joints)],
        track(joints) | changes,
        image(joints) if seen is None else seen,
        es.camera(),
        joints_of="h36m17",
        frame=frame,
        temporal=temporal,
    )


def test_a_statue_has_no_fault_and_its_numbers_are_known():
    values = measured(statue(shift=(0, 0, -SOLE_M)))
    assert set(values) == set(MEASURES)
    known = {"moved_mm": 3.0, "sigma_mm": 20.0}
    for name, value in values.items():
        assert value == pytest.approx(known.get(name, 0.0), abs=1e-6), name
    assert judge(values, {name: getattr(QualityOptions().gates, name) for name in MEASURES}) == ("ok", ())


def test_ten_pixels_off_are_ten_pixels():
    values = measured(statue(), image(statue(), (6, 8)))
    assert values["reprojection_px"] == pytest.approx(10)
    # The pelvis is 4 m away under a focal length of 500 px; thigh, shin and trunk say how tall the statue is.
    assert values["reprojection_percent"] == pytest.approx(100 * 10 / (500 * STATURE_M / 4))
    assert values["reprojection_p95_percent"] == pytest.approx(values["reprojection_percent"])


def test_keypoints_of_large_sigma_weigh_little():
    seen = image(statue())
    wrong = H36M.indices(
        ("left_knee", "left_ankle", "right_knee", "right_ankle", "left_wrist", "left_elbow", "left_hip")
    )
    seen["keypoints"][:, wrong] += [30.0, 40.0]
    assert measured(statue(), seen)["reprojection_px"] == pytest.approx(50)
    seen["sigma"][:, wrong] = 20.0
    assert measured(statue(), seen)["reprojection_px"] == pytest.approx(0, abs=1e-9)
    assert weighted_median(np.array([np.nan, 5.0]), np.array([1.0, 0.0])) != weighted_median(np.ones(1), np.ones(1))


def test_sliding_ten_centimetres_a_second_in_contact():
    """The image shows feet that rest; the result glides 10 cm/s sideways."""
    gliding = statue(velocity=(0.1, 0, 0))
    assert measured(gliding, image(statue()))["foot_sliding_m_s"] == pytest.approx(0.1)
    assert measured(gliding, image(statue()), frame="camera")["foot_sliding_m_s"] == pytest.approx(0.1)
    # Who walks in the image as well does not stand.
    walking = statue(velocity=(0.8, 0, 0))
    assert measured(walking, image(walking))["foot_sliding_m_s"] is None


def test_three_centimetres_below_the_floor():
    values = measured(statue(shift=(0, 0, -SOLE_M - 0.03)))
    assert values["floor_piercing_mm"] == pytest.approx(30, abs=1e-6)
    assert values["floor_floating_mm"] == 0
    sinking = statue(shift=(0, 0, -SOLE_M))
    sinking[:10, :, 2] -= 0.04
    assert measured(sinking)["floor_piercing_percent"] == pytest.approx(20)
    above = measured(statue(shift=(0, 0, -SOLE_M + 0.20)))
    assert above["floor_floating_mm"] == pytest.approx(200, abs=1e-6)
    assert above["floor_piercing_mm"] == above["floor_piercing_percent"] == 0


def test_unknown_stays_unknown():
    camera = measured(statue(shift=(0, 0, -1)), frame="camera")
    assert camera["floor_piercing_mm"] is camera["floor_piercing_percent"] is camera["floor_floating_mm"] is None
    stills = measured(statue(velocity=(9, 9, 0)), temporal=False)
    for name in ("jerk_m_s3", "acceleration_m_s2", "root_leap_percent", "foot_sliding_m_s", "longest_gap_s"):
        assert stills[name] is None, name
    assert stills["bone_length_percent"] is None and stills["reprojection_px"] == pytest.approx(0)
    nothing = measured(np.full((FRAMES, 17, 3), np.nan), image(statue()))
    assert nothing["missing_percent"] == 100 and nothing["longest_gap_s"] == pytest.approx(FRAMES / es.FPS)
    assert {name for name, value in nothing.items() if value is not None} == {
        "missing_percent", "longest_gap_s", "low_score_percent"
    }  # fmt: skip
    assert judge(dict.fromkeys(MEASURES), {}).outcome is None


def test_acceleration_and_jerk_of_a_cubic():
    """x = t³: acceleration 6 t, jerk 6; of the root, and of all joints but the root."""
    cubic = statue()
    cubic[..., 0] += TIME[:, None] ** 3
    values = measured(cubic)
    assert values["root_jerk_m_s3"] == pytest.approx(6) and values["jerk_m_s3"] == pytest.approx(0, abs=1e-6)
    # Of second differences at frames 1 to 48, the 95th percentile.
    assert values["root_acceleration_m_s2"] == pytest.approx(np.percentile(6 * TIME[1:-1], 95))
    limbs = statue()
    limbs[:, 1:, 0] += TIME[:, None] ** 3
    assert measured(limbs)["jerk_m_s3"] == pytest.approx(6)
    assert measured(limbs)["root_jerk_m_s3"] == pytest.approx(0, abs=1e-6)


def test_ten_frames_a_second_do_not_show_jerk():
    few = slice(0, None, 3)
    seen = {name: value[few] for name, value in image(statue()).items()}
    arrays = {name: value[few] for name, value in track(statue()).items()}
    options = {"joints_of": "h36m17", "frame": "world"}
    slow = measure(TIME[few], arrays, seen, es.camera(), **options)
    assert slow["jerk_m_s3"] is slow["root_acceleration_m_s2"] is None
    assert slow["root_leap_percent"] == slow["foot_sliding_m_s"] == 0


def test_one_leap_is_one_step():
    leaping = statue()
    leaping[20:] += [1.0, 0, 0]  # 25 m/s for one of 49 steps
    assert measured(leaping)["root_leap_percent"] == pytest.approx(100 / 49)


def test_gaps_are_counted_in_joints_and_seconds():
    holes = statue()
    holes[10:15] = np.nan
    holes[40:] = np.nan
    holes[0, 3] = np.nan
    values = measured(holes, image(statue()))
    assert values["missing_percent"] == pytest.approx(100 * (15 * 17 + 1) / (50 * 17))
    assert values["longest_gap_s"] == pytest.approx(10 / es.FPS)
    assert values["jerk_m_s3"] == pytest.approx(0, abs=1e-6)
    # Uneven stamps count as they are; the last frame lasts as long as it is said to.
    known = np.array([True, False, True, False])
    assert longest_gap_s(np.array([0.0, 1.0, 4.0, 4.5]), known) == pytest.approx(3)
    # So do frames that are not there.
    assert longest_gap_s(np.array([0.0, 1.0, 2.0, 52.0, 53.0]), np.ones(5, bool)) == pytest.approx(49)
    assert longest_gap_s(np.array([0.0, 1.0, 2.2, 3.0]), np.ones(4, bool)) == 0
    assert longest_gap_s(np.array([0.0, 1.0, 2.0, 4.5]), known, frame_s=7.0) == pytest.approx(7)


def test_bones_symmetry_and_scores():
    grown = statue()
    shin = grown[0, 3] - grown[0, 2]
    grown[::2, 3] += 0.2 * shin  # half of the frames 1.2, half 1.0 of the length: 0.1 / 1.1
    values = measured(grown, image(statue()))
    assert values["bone_length_percent"] == pytest.approx(100 / 11)
    assert values["asymmetry_percent"] == pytest.approx(100 * 0.1 / 1.05)
    seen = image(statue())
    seen["score"][:, H36M.index("left_wrist")] = 0.49
    seen["valid"][:, H36M.index("right_wrist")] = False
    seen["score"][:, H36M.index("head_top")] = 0.0  # not a limb
    assert measured(statue(), seen)["low_score_percent"] == pytest.approx(100 * 2 / 12)


def bent(joint: str, *, metres_forward: float) -> np.ndarray:
    """The statue (it faces -y) with the far end of a limb straight below its middle joint, then moved forwards."""
    upper, lower = {"knee": ("hip", "ankle"), "elbow": ("shoulder", "wrist")}[joint]
    pose = statue(frames=1)
    for side in ("left", "right"):
        top, middle, end = (H36M.index(f"{side}_{name}") for name in (upper, joint, lower))
        pose[:, middle] = pose[:, top] - [0, 0, 0.4]
        pose[:, end] = pose[:, middle] - [0, metres_forward, 0.4]
    return pose


@pytest.mark.parametrize(("joint", "judge_limb", "wrong"), [
    ("knee", knee_hyperextended, 1), ("elbow", elbow_hyperextended, -1),
])  # fmt: skip
def test_limbs_that_bend_the_wrong_way(joint, judge_limb, wrong):
    """The arctangent of 0.2 / 0.4 is 27 degrees, of 0.05 / 0.4 is 7."""
    assert [x.tolist() for x in judge_limb(bent(joint, metres_forward=0.2 * wrong))] == [[[True, True]]] * 2
    for metres in (-0.2 * wrong, 0.05 * wrong, 0.0):
        flags, judged = judge_limb(bent(joint, metres_forward=metres))
        assert not flags.any() and judged.all()
    # Turned about itself, a body is the same; mirrored, it would bend the other way.
    turned = bent(joint, metres_forward=0.2 * wrong) @ np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    assert judge_limb(turned)[0].all()
    unknown = bent(joint, metres_forward=0.2 * wrong)
    unknown[:, H36M.index("left_ankle" if joint == "knee" else "left_wrist")] = np.nan
    assert [x.tolist() for x in judge_limb(unknown)] == [[[False, True]]] * 2


def test_a_raised_arm_cannot_be_judged():
    pose = bent("elbow", metres_forward=-0.2)
    pose[:, H36M.index("left_elbow")] = pose[:, H36M.index("left_shoulder")] + [0.4, 0, 0]
    assert elbow_hyperextended(pose)[1].tolist() == [[False, True]]


def test_contacts_in_the_image():
    """Two metres per thousand pixels: 100 px/s are 0.2 m/s, 300 px/s are 0.6 m/s."""
    halpe = joint_set("halpe26")
    points = np.zeros((FRAMES, 26, 2))
    points[20:, :, 0] = 300 * (TIME[20:] - TIME[20])[:, None]
    scale = np.full((FRAMES, 2), 0.002)
    contact = image_contacts(TIME, points, scale, joints_of="halpe26")
    assert contact[:20].all() and not contact[21:].any()
    slow = points / 3
    assert image_contacts(TIME, slow, scale, joints_of="halpe26").all()
    # The heel leaves: the foot no longer stands, though the ankle rests. Unseen, the heel says nothing.
    heel = np.zeros((FRAMES, 26, 2))
    heel[:, halpe.index("left_heel"), 1] = 300 * TIME
    assert image_contacts(TIME, heel, scale, joints_of="halpe26").any(0).tolist() == [False, True]
    heel[:, halpe.index("left_heel")] = np.nan
    assert image_contacts(TIME, heel, scale, joints_of="halpe26").all()
    heel[:, halpe.index("left_ankle")] = np.nan
    assert image_contacts(TIME, heel, scale, joints_of="halpe26").any(0).tolist() == [False, True]
    # A contact of one frame is none.
    assert not image_contacts(TIME[:2], points[:2], scale[:2], joints_of="halpe26").any()
    with pytest.raises(InputError, match="metres per pixel"):
        image_contacts(TIME, points, scale[:, :1], joints_of="halpe26")


def test_every_measure_has_a_gate_and_says_what_it_is():
    assert tuple(Gates.model_fields) == tuple(MEASURES)
    assert all(what.unit and what.definition for what in MEASURES.values())


def test_gates_name_the_worst_first():
    gates = {"reprojection_px": Gate(warn=5, fail=9), "jerk_m_s3": Gate(warn=None, fail=100), "moved_mm": Gate()}
    assert judge({"reprojection_px": 5.0, "jerk_m_s3": 100.0, "moved_mm": 1e9}, gates) == ("ok", ())
    found = judge({"reprojection_px": 7.25, "jerk_m_s3": 101.0, "moved_mm": None}, gates)
    assert found.outcome == "fail"
    assert found.reasons == ("jerk 101 m/s^3 (fail above 100)", "reprojection 7.25 px (warn above 5)")
    assert judge({"jerk_m_s3": 2979.4}, gates).reasons == ("jerk 2979 m/s^3 (fail above 100)",)
    assert judge({"reprojection_px": 7.0}, gates).outcome == "warn"
    assert (worst(["ok", None, "fail", "warn"]), worst([None]), worst([])) == ("fail", None, None)


def test_a_limit_left_out_keeps_its_default():
    gates = QualityOptions.model_validate({"gates": {"sigma_mm": {"fail": 900}, "jerk_m_s3": {"warn": None}}}).gates
    default = Gates.model_validate({})
    assert gates.sigma_mm == Gate(warn=default.sigma_mm.warn, fail=900)
    assert gates.jerk_m_s3 == Gate(warn=None, fail=default.jerk_m_s3.fail)
    assert gates.moved_mm == default.moved_mm
    for wrong in ({"jerk": {}}, {"jerk_m_s3": {"wran": 1}}, {"jerk_m_s3": {"warn": 9, "fail": 1}}, {"jerk_m_s3": 3}):
        with pytest.raises(ValidationError):
            Gates.model_validate(wrong)
