"""Error profiles of detectors: body axes by hand, and a fit that finds again what was drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.hourglass_mpii import read_hourglass_mpii
from posemill.joint_axes import base_of, joint_axes, moved_by
from posemill.skeleton import JOINT_SETS, LIMBS
from posemill.training.detector_errors import Disturbance, draw_errors
from posemill.training.profile import DetectorProfile, JointProfile, profile_text, read_profile, shipped, write_profile
from posemill.training.profile_fit import FitClip, fit_profile
from posemill.training.profile_stills import fit_stills
from tests.walker import camera_at, walker

H36M = JOINT_SETS["h36m17"]
KINDS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
NOTHING = JointProfile((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0, 0.0, 0.3, 0.0)
FPS = 25.0
STATURE_M = 1.7


def profile(**errors: Any) -> DetectorProfile:
    return DetectorProfile("made up", {kind: replace(NOTHING, **errors) for kind in KINDS}, 0.0)


def views(clips: int, frames: int = 75) -> np.ndarray:
    """The walker (N, T, 17, 3) m seen from all sides, camera frame."""
    joints = walker(max(frames, 2), FPS)[1][:frames]
    out = []
    for i in range(clips):
        angle = 2 * np.pi * i / clips
        camera = camera_at((5 * np.cos(angle), 5 * np.sin(angle), 0.6 + 1.8 * (i % 3) / 2), distorted=False)
        out.append(camera.world_to_camera(joints))
    return np.stack(out).astype(np.float32)


def fit_clips(joints: np.ndarray, drawn, score: np.ndarray | None = None) -> list[FitClip]:
    limbs = joints[:, :, H36M.indices(LIMBS)]
    plane = limbs[..., :2] / limbs[..., 2:] + drawn.plane
    plane = np.where(drawn.present[..., None], plane, np.nan)
    return [
        FitClip(LIMBS, plane[i], drawn.score[i], joints[i], H36M.joints, STATURE_M, FPS) for i in range(len(joints))
    ]


def standing() -> np.ndarray:
    """Joints (17, 3) of a body that looks along x, z up, arms hanging on its right and held out on its left."""
    at = {"pelvis": (0, 0, 1), "spine": (0, 0, 1.2), "thorax": (0, 0, 1.5), "neck_nose": (0, 0, 1.6)}
    at |= {"head_top": (0, 0, 1.7)}
    for side, y in (("left", 1), ("right", -1)):
        at |= {f"{side}_hip": (0, 0.1 * y, 1), f"{side}_knee": (0, 0.1 * y, 0.5), f"{side}_ankle": (0, 0.1 * y, 0.1)}
        at |= {f"{side}_shoulder": (0, 0.2 * y, 1.5)}
    at |= {"left_elbow": (0, 0.5, 1.5), "left_wrist": (0, 0.8, 1.5)}
    at |= {"right_elbow": (0, -0.2, 1.2), "right_wrist": (0, -0.2, 0.9)}
    return np.array([at[joint] for joint in H36M.joints], dtype=float)


def test_axes_of_a_standing_body() -> None:
    axes = dict(zip(LIMBS, joint_axes(standing(), H36M.joints), strict=True))
    ahead, left, up = np.eye(3)
    np.testing.assert_allclose(axes["left_hip"], [ahead, left, up], atol=1e-9)
    np.testing.assert_allclose(axes["right_shoulder"], [ahead, -left, up], atol=1e-9)
    np.testing.assert_allclose(axes["right_ankle"], [ahead, -left, -up], atol=1e-9)
    np.testing.assert_allclose(axes["left_wrist"], [ahead, up, left], atol=1e-9)
    # An arm that hangs: what was above it when held out is outward now.
    np.testing.assert_allclose(axes["right_wrist"], [ahead, -left, -up], atol=1e-9)


def test_axes_turn_with_the_body_and_are_mirrored_with_it() -> None:
    rng = np.random.default_rng(0)
    _, joints = walker(40)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    axes = joint_axes(joints, H36M.joints)
    np.testing.assert_allclose(joint_axes(joints @ turn.T, H36M.joints), axes @ turn.T, atol=1e-6)
    np.testing.assert_allclose(axes @ np.swapaxes(axes, -1, -2), np.broadcast_to(np.eye(3), axes.shape), atol=1e-5)
    mirror = np.array([1.0, -1.0, 1.0])
    mirrored = joint_axes((joints * mirror)[:, H36M.flip_permutation], H36M.joints)
    np.testing.assert_allclose(mirrored[:, JOINT_SETS["limbs12"].flip_permutation], axes * mirror, atol=1e-6)


def test_the_foot_looks_from_heel_to_toe() -> None:
    feet = ("left_heel", "right_heel", "left_big_toe", "right_big_toe")
    points = np.concatenate([standing(), [(-0.05, 0.1, 0), (-0.05, -0.1, 0), (0.2, 0.1, 0), (0.2, -0.1, 0)]])
    axes = joint_axes(points, (*H36M.joints, *feet), feet)
    np.testing.assert_allclose(axes[0], [(1, 0, 0), (0, 1, 0), (0, 0, 1)], atol=1e-9)
    np.testing.assert_allclose(axes[3], [(1, 0, 0), (0, -1, 0), (0, 0, 1)], atol=1e-9)
    with pytest.raises(InputError, match="left_big_toe"):
        joint_axes(standing(), H36M.joints, feet)


def test_a_detectors_joints_are_where_its_profile_has_them():
    offsets = {"ankle": (0.01, -0.02, 0.03)}
    way = moved_by(standing(), offsets, 1.7)
    ankles = H36M.indices(("left_ankle", "right_ankle"))
    axes = joint_axes(standing(), H36M.joints, ("left_ankle", "right_ankle"))
    np.testing.assert_allclose(
        way[..., ankles, :], 1.7 * np.einsum("a,...kab->...kb", offsets["ankle"], axes), atol=1e-9
    )
    np.testing.assert_array_equal(np.delete(way, ankles, -2), 0.0)
    # Heels that come with the body, and offsets of joints that it lacks, change nothing.
    longer = np.concatenate([standing(), np.zeros((*standing().shape[:-2], 4, 3))], -2)
    np.testing.assert_allclose(moved_by(longer, offsets | {"heel": (0.1, 0.1, 0.1)}, 1.7), way)


def test_an_offset_alone_is_the_projection_of_moved_joints() -> None:
    joints = views(6, 5)
    made = profile(offset=(0.01, -0.02, 0.03))
    drawn = draw_errors([made], joints, FPS, np.random.default_rng(0), stature_m=np.full(6, STATURE_M))
    limbs = joints[:, :, H36M.indices(LIMBS)].astype(float)
    moved = limbs + STATURE_M * np.einsum("k,...kc->...c", [0.01, -0.02, 0.03], joint_axes(joints, H36M.joints))
    expected = moved[..., :2] / moved[..., 2:] - limbs[..., :2] / limbs[..., 2:]
    np.testing.assert_allclose(drawn.plane, expected, atol=1e-6)
    assert drawn.present.all() and (drawn.score == 1).all()


def test_a_fit_finds_what_was_drawn() -> None:
    true = DetectorProfile(
        "true",
        {
            kind: JointProfile(
                (0.004 * i, -0.01, 0.012 - 0.003 * i), (0.0, 0.0, 0.0), 0.006, 0.005, 0.25, 0.003, 0.05, 0.08, 0.3,
                missing=0.03, score_quantiles=tuple(np.linspace(0.2, 1, 11)), score_error=-0.5,
            )
            for i, kind in enumerate(KINDS)
        },
        0.0,
        frames_missing=0.02,
    )  # fmt: skip
    joints = views(60)
    stature = np.full(60, STATURE_M)
    drawn = draw_errors([true], joints, FPS, np.random.default_rng(1), stature_m=stature)
    found = fit_profile("found", fit_clips(joints, drawn))
    assert found.frames_missing == pytest.approx(0.02, abs=0.01) and found.spread < 0.12
    for kind, errors in found.joints.items():
        known = true.joints[kind]
        np.testing.assert_allclose(errors.offset, known.offset, atol=0.003)
        assert (np.abs(np.subtract(errors.offset, known.offset)) < 4 * np.array(errors.offset_se)).all()
        assert errors.scatter == pytest.approx(known.scatter, rel=0.25)
        assert errors.slow == pytest.approx(known.slow, rel=0.2)
        assert errors.slow_s == pytest.approx(known.slow_s, rel=0.5)
        assert errors.jitter == pytest.approx(known.jitter, rel=0.4)
        assert errors.outliers == pytest.approx(0.05, abs=0.02)
        assert errors.outlier_size == pytest.approx(0.08, rel=0.25)
        assert errors.missing == pytest.approx(0.03, abs=0.015)
        assert errors.score_error == pytest.approx(-0.5, abs=0.2)
        np.testing.assert_allclose(errors.score_quantiles, known.score_quantiles, atol=0.08)


def test_the_memory_is_in_seconds() -> None:
    """After one time constant the correlation is 1/e, whatever the frame rate."""
    made = profile(slow=0.01, slow_s=0.2)
    rng = np.random.default_rng(2)
    for fps, lag in ((25.0, 5), (50.0, 10)):
        joints = np.repeat(np.repeat(views(1, 1), 40, 1), 300, 0)
        error = draw_errors([made], joints, fps, rng, stature_m=np.full(300, STATURE_M)).plane
        assert (error[:, lag:] * error[:, :-lag]).mean() / (error**2).mean() == pytest.approx(np.exp(-1), abs=0.03)
        depth = joints[0, 0, H36M.index("right_hip"), 2]
        assert error[:, :, LIMBS.index("right_hip")].std() == pytest.approx(0.01 * STATURE_M / depth, rel=0.05)


def test_exchanged_legs_are_the_other_legs_and_only_in_narrow_views() -> None:
    made = replace(profile(), leg_swaps=(0.9, 0.0, 0.0), leg_swap_s=0.2)
    joints = views(40, 30)
    drawn = draw_errors([made], joints, FPS, np.random.default_rng(0), stature_m=np.full(40, STATURE_M))
    clips = fit_clips(joints, drawn)
    limbs = joints[:, :, H36M.indices(LIMBS)]
    exact = limbs[..., :2] / limbs[..., 2:]
    narrow = np.stack([c.hip_width for c in clips]) < 0.2
    assert narrow.any() and not narrow.all()
    knee, other = LIMBS.index("left_knee"), LIMBS.index("right_knee")
    on_other = np.isclose(exact[:, :, knee] + drawn.plane[:, :, knee], exact[:, :, other], atol=1e-6).all(-1)
    assert on_other[narrow].mean() > 0.7
    # A spell may go on when the view widens, and never begins there.
    assert not (on_other[:, 1:] & ~on_other[:, :-1] & ~narrow[:, 1:]).any()
    assert not drawn.plane[:, :, LIMBS.index("left_wrist")].any()
    assert fit_profile("found", clips).leg_swaps[0] > 0.3  # where legs cross, nobody can tell


def test_a_window_is_drawn_from_one_profile_and_seeds_repeat() -> None:
    joints = views(50, 8)
    still, moved = profile(), profile(offset=(0.02, 0.0, 0.0))
    draws = [
        draw_errors([still, moved], joints, FPS, np.random.default_rng(3), weights=(0.3, 0.7), stature_m=np.ones(50))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(draws[0].plane, draws[1].plane)
    errs = np.abs(draws[0].plane).max((1, 2, 3)) > 0
    np.testing.assert_array_equal(errs, draws[0].profile == 1)
    assert 0.5 < errs.mean() < 0.9
    # Another detector differs from window to window, alike on both sides, and never within a window's body.
    other = draw_errors([still], joints, FPS, np.random.default_rng(3), disturbance=Disturbance())
    assert np.abs(other.plane).max((1, 2, 3)).min() > 0


def test_unknown_joints_and_lost_frames_are_not_there() -> None:
    feet = ("left_heel", "left_big_toe")
    joints = np.concatenate([views(4, 50), views(4, 50)[:, :, :2] - [0, 0.1, 0]], axis=2)
    made = replace(profile(missing=0.1), frames_missing=0.3, frames_missing_s=0.5)
    wanted = (*LIMBS, *feet)
    names = (*H36M.joints, *feet)
    drawn = draw_errors([made], joints, FPS, np.random.default_rng(0), names=names, wanted=wanted)
    assert not drawn.present[..., 12:].any() and (drawn.score[~drawn.present] == 0).all()
    assert 0.1 < (~drawn.present.any(-1)).mean() < 0.6
    with pytest.raises(InputError, match="at least one"):
        draw_errors([], joints, FPS, np.random.default_rng(0), names=names)


def test_shipped_profiles_say_where_they_are_from(tmp_path) -> None:
    for name, joints in (("mediapipe", 8), ("hourglass_mpii", 6)):
        known = shipped(name)
        assert known.name == name and len(known.joints) == joints
        assert {"method", "command", "terms", "limits"} <= set(known.card)
        # Nothing is nonsense: offsets below 3 %, sizes below 4 %, times below 2 s.
        for errors in known.joints.values():
            assert np.abs(errors.offset).max() < 0.03 and errors.scatter < 0.04 and errors.slow_s < 2
            assert (np.diff(errors.score_quantiles) >= 0).all()
        write_profile(tmp_path / "p.json", known)
        again = read_profile(tmp_path / "p.json")
        assert profile_text(again) == profile_text(known)
    with pytest.raises(InputError, match="mediapipe"):
        shipped("nobody")


@pytest.mark.parametrize("text", ["", "{}", '{"format": "posemill detector profile 1", "joints": {"nose": {}}}'])
def test_what_is_no_profile_is_refused(tmp_path, text) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(InputError, match=r"p\.json.*posemill noise fit"):
        read_profile(tmp_path / "p.json")
    with pytest.raises(InputError, match="four or more"):
        fit_profile("x", [])


def test_stills_show_offsets_along_what_is_in_the_picture() -> None:
    rng = np.random.default_rng(0)
    names = JOINT_SETS["mpii16"].joints
    joints = views(200, 1)[:, 0]
    index = [H36M.index({"upper_neck": "neck_nose"}.get(n, n)) for n in names]
    exact = joints[:, index, :2] / joints[:, index, 2:] * 1000.0
    height = STATURE_M * 1000.0 / joints[:, 0, 2]
    made = profile(offset=(0.0, 0.0, 0.02))
    drawn = draw_errors([made], joints[:, None], FPS, rng, stature_m=np.full(200, STATURE_M))
    found = exact.copy()
    limbs = JOINT_SETS["mpii16"].indices(LIMBS)
    found[:, limbs] += 1000.0 * drawn.plane[:, 0]
    fitted = fit_stills("stills", found, exact, names, height, profile(scatter=0.01))
    for kind in KINDS:
        # The walker's own bones are not quite of the shares of stature that a still has to assume.
        assert fitted.joints[kind].offset[2] == pytest.approx(0.02, rel=0.2), kind
        assert np.isnan(fitted.joints[kind].offset_se[0]) and fitted.joints[kind].scatter < 0.004
    assert {base_of(j) for j in LIMBS} == set(fitted.joints)


def test_people_of_mpii_must_be_the_same(tmp_path) -> None:
    import h5py

    with h5py.File(tmp_path / "p.h5", "w") as f:
        f["preds"] = np.ones((3, 16, 2))
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["part"], f["scale"] = np.r_[np.zeros((1, 16, 2)), np.ones((2, 16, 2))], np.array([1.0, 2, 3])
    people = read_hourglass_mpii(tmp_path / "p.h5", tmp_path / "a.h5")
    assert np.isnan(people.annotated[0]).all() and people.height_px.tolist() == [200, 400, 600]
    with h5py.File(tmp_path / "p.h5", "w") as f:
        f["preds"] = np.ones((2, 16, 2))
    with pytest.raises(InputError, match=r"p\.h5.*\(N, 16, 2\)"):
        read_hourglass_mpii(tmp_path / "p.h5", tmp_path / "a.h5")
