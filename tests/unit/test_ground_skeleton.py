"""Joint sets and converters against the field's published tables, written out by index."""

from __future__ import annotations

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.skeleton import JOINT_SETS, LIMBS, bone_lengths, convert, converter, joint_set, normalise_pose

MID = 0.5
# Target row: source index, or {index: weight}.
H36M17_FROM = {
    "h36m32": [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27],
    "mpi_inf_3dhp28": [4, 23, 24, 25, 18, 19, 20, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16],
    "mpi_inf_3dhp17": [14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4],
    "mpii16": [6, 2, 1, 0, 3, 4, 5, {2: 0.25, 3: 0.25, 12: 0.25, 13: 0.25}, 7, 8, 9, 13, 14, 15, 12, 11, 10],
    "halpe26": [19, 12, 14, 16, 11, 13, 15, {18: MID, 19: MID}, 18, 0, 17, 5, 7, 9, 6, 8, 10],
    "coco17": [
        *[{11: MID, 12: MID}, 12, 14, 16, 11, 13, 15, {5: 0.25, 6: 0.25, 11: 0.25, 12: 0.25}, {5: MID, 6: MID}, 0],
        *[{0: 1.6, 5: -0.3, 6: -0.3}, 5, 7, 9, 6, 8, 10],
    ],
    "openpose18": [
        *[{8: MID, 11: MID}, 8, 9, 10, 11, 12, 13, {2: 0.25, 5: 0.25, 8: 0.25, 11: 0.25}, {2: MID, 5: MID}, 0],
        *[{0: 2.0, 2: -0.5, 5: -0.5}, 5, 6, 7, 2, 3, 4],
    ],
    "openpose25": [
        *[8, 9, 10, 11, 12, 13, 14, {2: 0.25, 5: 0.25, 9: 0.25, 12: 0.25}, 1, 0],
        *[{0: 1.6, 2: -0.3, 5: -0.3}, 5, 6, 7, 2, 3, 4],
    ],
    "blazepose33": [
        *[{23: MID, 24: MID}, 24, 26, 28, 23, 25, 27, {11: 0.25, 12: 0.25, 23: 0.25, 24: 0.25}, {11: MID, 12: MID}],
        *[0, {0: 1.6, 11: -0.3, 12: -0.3}, 11, 13, 15, 12, 14, 16],
    ],
    "posemill28": list(range(17)),
    "h36m17": list(range(17)),
}
SIZES = {
    "h36m17": 17,
    "h36m16": 16,
    "h36m32": 32,
    "coco17": 17,
    "mpii16": 16,
    "openpose18": 18,
    "openpose25": 25,
    "halpe26": 26,
    "blazepose33": 33,
    "mpi_inf_3dhp28": 28,
    "mpi_inf_3dhp17": 17,
    "posemill28": 28,
    "limbs12": 12,
    "limbs16": 16,
    "posemill21": 21,
}
FLIPS = {
    "h36m17": [(4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)],
    "coco17": [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)],
    "mpii16": [(5, 0), (4, 1), (3, 2), (15, 10), (14, 11), (13, 12)],
}


def matrix_of(rows: list, sources: int) -> np.ndarray:
    out = np.zeros((len(rows), sources))
    for row, entry in enumerate(rows):
        for column, weight in ({entry: 1.0} if isinstance(entry, int) else entry).items():
            out[row, column] = weight
    return out


def test_sets_have_the_published_sizes():
    assert {name: len(s) for name, s in JOINT_SETS.items()} == SIZES


@pytest.mark.parametrize("source", H36M17_FROM)
def test_to_h36m17_is_the_published_table(source):
    np.testing.assert_array_equal(converter(source, "h36m17"), matrix_of(H36M17_FROM[source], SIZES[source]))


def test_h36m_parents_and_halves():
    assert joint_set("h36m17").parents == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
    assert joint_set("h36m32").parents == (
        *(-1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 0, 11, 12, 13, 14, 12, 16, 17, 18, 19, 20, 19, 22, 12, 24, 25, 26, 27),
        *(28, 27, 30),
    )
    assert "neck_nose" not in joint_set("h36m16").joints


def test_openpose18_to_coco17_is_the_published_order():
    order = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]
    np.testing.assert_array_equal(converter("openpose18", "coco17"), matrix_of(order, 18))


@pytest.mark.parametrize("name", FLIPS)
def test_flip_pairs_are_the_published_ones(name):
    assert sorted(joint_set(name).flip_pairs) == sorted(FLIPS[name])


@pytest.mark.parametrize("source", JOINT_SETS)
@pytest.mark.parametrize("target", JOINT_SETS)
def test_rows_sum_to_one_and_mirroring_commutes(source, target):
    matrix = converter(source, target)
    known = ~np.isnan(matrix).any(axis=1)
    np.testing.assert_allclose(matrix[known].sum(axis=1), 1.0, atol=1e-12)
    mirrored = matrix[joint_set(target).flip_permutation][:, joint_set(source).flip_permutation]
    np.testing.assert_array_equal(mirrored, matrix)


@pytest.mark.parametrize("name", JOINT_SETS)
def test_trees_are_trees_and_flips_are_their_own_inverse(name):
    s = joint_set(name)
    for joint in range(len(s)):
        steps = 0
        while s.parents[joint] >= 0:
            joint, steps = s.parents[joint], steps + 1
            assert steps <= len(s)
    assert len(set(s.joints)) == len(s)
    np.testing.assert_array_equal(s.flip_permutation[s.flip_permutation], np.arange(len(s)))
    left = sum(j.startswith("left") for j in s.joints)
    assert left == sum(j.startswith("right") for j in s.joints) == len(s.flip_pairs)


@pytest.mark.parametrize("name", [n for n in JOINT_SETS if n != "limbs12"])
def test_every_set_knows_the_twelve_limb_joints(name):
    matrix = converter(name, "limbs12")
    np.testing.assert_array_equal(np.sort(matrix, axis=1)[:, -1], 1.0)
    assert set(LIMBS) <= set(joint_set(name).joints)


def test_sigma_score_and_valid_go_through_by_hand():
    s = joint_set("coco17")
    points = np.arange(34.0).reshape(17, 2)
    sigma, score, valid = np.full(17, 2.0), np.full(17, 0.9), np.ones(17, bool)
    sigma[s.index("left_hip")], sigma[s.index("right_hip")] = 3.0, 4.0
    score[s.index("right_hip")] = 0.2
    valid[s.index("left_shoulder")] = False
    points[~valid], sigma[~valid] = np.nan, np.nan
    sigma[s.index("left_eye")] = np.nan
    out, flags, out_score, out_sigma = convert(points, "coco17", "h36m17", valid=valid, score=score, sigma=sigma)
    h = joint_set("h36m17")
    np.testing.assert_allclose(out[0], (points[11] + points[12]) / 2)
    assert out_sigma[0] == pytest.approx(2.5)
    assert out_score[0] == pytest.approx(0.2)
    for joint in ("thorax", "spine", "head_top", "left_shoulder"):
        k = h.index(joint)
        assert not flags[k] and np.isnan(out[k]).all() and np.isnan(out_sigma[k]) and out_score[k] == 0
    assert flags[h.index("neck_nose")] and out_sigma[h.index("neck_nose")] == 2.0


def test_a_joint_that_cannot_be_had_is_unknown():
    out, valid, _, _ = convert(np.zeros((5, 17, 3)), "h36m17", "posemill28")
    assert valid[:, :17].all() and not valid[:, 17:].any() and np.isnan(out[:, 17:]).all()


def test_unknown_names_are_told_with_those_that_exist():
    with pytest.raises(InputError, match=r"unknown joint set 'h36m'; known: .*h36m17"):
        joint_set("h36m")
    with pytest.raises(InputError, match=r"has no joint 'hip'; it has pelvis"):
        joint_set("h36m17").index("hip")


def test_normalised_pose_has_the_lengths_and_keeps_the_directions():
    rng = np.random.default_rng(0)
    joints, lengths = rng.normal(size=(4, 17, 3)), rng.uniform(0.1, 0.5, 16)
    out = normalise_pose(joints, lengths)
    np.testing.assert_allclose(bone_lengths(out), np.broadcast_to(lengths, (4, 16)), atol=1e-12)
    np.testing.assert_array_equal(out[:, 0], joints[:, 0])
    for bone, (parent, child) in enumerate(joint_set("h36m17").bones):
        before, after = joints[:, child] - joints[:, parent], out[:, child] - out[:, parent]
        cosine = (before * after).sum(-1) / np.linalg.norm(before, axis=-1) / lengths[bone]
        np.testing.assert_allclose(cosine, 1.0, atol=1e-12)
    np.testing.assert_allclose(normalise_pose(joints, bone_lengths(joints)), joints, atol=1e-12)
    np.testing.assert_allclose(normalise_pose(joints - joints[:, :1], 2 * lengths), 2 * (out - out[:, :1]), atol=1e-12)


def test_unknown_joints_hide_what_hangs_on_them():
    joints = np.random.default_rng(1).normal(size=(17, 3))
    joints[12] = np.nan
    out = normalise_pose(joints, np.ones(16))
    np.testing.assert_array_equal(np.isnan(out).any(-1).nonzero()[0], [12, 13])
    with pytest.raises(InputError, match="parents before children"):
        normalise_pose(np.zeros((16, 3)), np.ones(15), "mpii16")
