"""The benchmark on two tiny clips, with lifters whose errors are known because they are told the truth."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pydantic import BaseModel

from posemill import cli, registry
from posemill.errors import InputError
from posemill.formats.motion import MOTION_JOINTS
from posemill.formats.records import RecordBook, read_records
from posemill.lifters.protocol import LifterCard, LiftInput, LiftOutput
from posemill.metrics.benchmark import SIZE_GIVEN
from posemill.skeleton import JOINT_SETS
from posemill.stages import benchmark
from tests.walker import walker

BODY = JOINT_SETS["h36m17"]
WRIST = BODY.index("left_wrist")
CLIPS = {("S1", "walk"): walker(30)[1], ("S2", "turn"): np.add(walker(40)[1][::-1], (1.0, 2.0, 0.0))}

# This module is the lifter that the tests register.
NAME = "told"
CARD = LifterCard(joint_set_in="limbs12", needs_camera=True)
SEEN: list[LiftInput] = []


class Options(BaseModel, extra="forbid"):
    """How the answer differs from the truth."""

    factor: float = 1.0
    wrist_m: float = 0.0
    sigma_m: float = 0.01
    blind_from: int = 10_000


class Told:
    """Answers with the true pose, enlarged or with one wrist elsewhere."""

    device = "cpu"

    def __init__(self, options: Options) -> None:
        self.options = options

    def lift(self, clip: LiftInput) -> LiftOutput:
        SEEN.append(clip)
        world = next(joints for joints in CLIPS.values() if len(joints) == len(clip.time))
        pose = clip.camera.world_to_camera(world)
        pose = self.options.factor * (pose - pose[:, :1])
        pose[:, WRIST, 2] += self.options.wrist_m
        pose[self.options.blind_from :] = np.nan
        valid = np.isfinite(pose).all(-1)
        return LiftOutput(pose, np.where(valid, self.options.sigma_m, np.nan), valid)


def create(options: Options) -> Told:
    return Told(options)


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register this module as a lifter."""
    load = registry.load
    monkeypatch.setattr(
        registry, "load", lambda kind, name: sys.modules[__name__] if name == "told" else load(kind, name)
    )
    SEEN.clear()


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("motion") / "two.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update(joints=list(MOTION_JOINTS), fps=30.0, units="m")
        for (subject, clip), joints in CLIPS.items():
            file[f"train/{subject}/{clip}"] = joints.astype(np.float32)
    return path


def run(motion: Path, output: Path, *, source: str = "exact", views: int = 2, **given: Any) -> RecordBook:
    return benchmark.run(motion, output, lifter="told", source=source, views=views, **given)


def value(book: RecordBook, metric: str, protocol: str = "posemill-17", **fields: Any) -> float | None:
    if len(fields.get("joints", ())) == 0 and protocol == "posemill-17":
        fields["joints"] = BODY.joints
    fields = {"part": "all", "averaging": "mean over frames and joints, views alike"} | fields
    record = book.find(metric=metric, protocol=protocol, **fields)
    assert record is not None, (metric, protocol, fields)
    return record.value


def test_perfect_lifter_has_no_error(motion, tmp_path):
    book = run(motion, tmp_path)
    for protocol in ("posemill-12", "posemill-14", "posemill-17"):
        for metric, alignment in (
            ("mpjpe", "root"),
            ("mpjpe", SIZE_GIVEN),
            ("p_mpjpe", "similarity"),
            ("n_mpjpe", "scale"),
        ):
            assert value(book, metric, protocol, alignment=alignment) == pytest.approx(0, abs=0.01), (metric, protocol)
        assert value(book, "mpjve", protocol) == pytest.approx(0, abs=0.1)
        assert value(book, "pck_150", protocol) == 100
        assert value(book, "auc_150", protocol) == pytest.approx(100 * 30 / 31, abs=1e-3)
        assert value(book, "coverage", protocol) == 100
    for metric in ("mpjpe", "p_mpjpe"):
        like = {"mpjpe": "h36m-p1-like", "p_mpjpe": "h36m-p2-like"}[metric]
        assert value(book, metric, like, averaging="mean of each clip, clips alike") == pytest.approx(0, abs=0.01)
    root = value(book, "root", joints=("pelvis",))
    assert root is not None and root < 10
    for axis in "xyz":
        assert value(book, f"within_1_sigma_{axis}", joints=BODY.joints[1:]) == 100
    # A density of errors of 0 with a sigma of 1 cm.
    assert value(book, "nll", joints=BODY.joints[1:]) == pytest.approx(np.log(0.01 * np.sqrt(2 * np.pi)), abs=0.01)


def test_one_wrist_elsewhere_is_its_share_of_the_mean(motion, tmp_path):
    book = run(motion, tmp_path, options={"wrist_m": 0.17})
    for protocol, joints in (("posemill-12", 12), ("posemill-14", 14), ("posemill-17", 17)):
        assert value(book, "mpjpe", protocol, alignment="root") == pytest.approx(170 / joints, abs=0.01)
        assert value(book, "pck_150", protocol) == pytest.approx(100 * (joints - 1) / joints, abs=1e-3)
        aligned = value(book, "p_mpjpe", protocol, alignment="similarity")
        assert aligned is not None and aligned > 1  # least squares spread one large error over all joints
    assert value(book, "mpjve") == pytest.approx(0, abs=0.1)
    assert value(book, "mpjpe", joints=("spine",)) == pytest.approx(0, abs=0.01)
    # Only depth is wrong: one joint of sixteen.
    shares = [value(book, f"within_1_sigma_{axis}", joints=BODY.joints[1:]) for axis in "xyz"]
    assert shares == pytest.approx([100, 100, 100 * 15 / 16], abs=0.01)


def test_size_is_told_apart_from_shape(motion, tmp_path):
    book = run(motion, tmp_path, options={"factor": 1.1})
    by_subject = [0.1 * np.linalg.norm(j - j[:, :1], axis=-1).mean() * 1000 for j in CLIPS.values()]
    for part, expected in zip(("S1", "S2/turn"), by_subject, strict=True):
        assert value(book, "mpjpe", part=part, alignment="root") == pytest.approx(expected, abs=0.01)
    frames = [len(j) for j in CLIPS.values()]
    assert value(book, "mpjpe", alignment="root") == pytest.approx(np.average(by_subject, weights=frames), abs=0.01)
    for averaging in ("mean of each clip, clips alike", "mean of each subject, subjects alike"):
        got = value(book, "mpjpe", alignment="root", averaging=averaging)
        assert got == pytest.approx(np.mean(by_subject), abs=0.01)
    for metric, alignment in (("mpjpe", SIZE_GIVEN), ("n_mpjpe", "scale"), ("p_mpjpe", "similarity")):
        assert value(book, metric, alignment=alignment) == pytest.approx(0, abs=0.05)


def test_worst_tenth(motion, tmp_path):
    """All frames are equally bad: so is their worst tenth."""
    book = run(motion, tmp_path, options={"wrist_m": 0.17})
    record = book.find(metric="mpjpe_worst_tenth", protocol="posemill-17", part="all")
    assert record is not None and record.value == pytest.approx(10, abs=0.01)


def test_frames_without_an_answer_are_counted(motion, tmp_path):
    book = run(motion, tmp_path, options={"blind_from": 20})
    assert value(book, "coverage") == pytest.approx(100 * 40 / 70, abs=1e-3)
    assert value(book, "mpjpe", alignment="root") == pytest.approx(0, abs=0.01)
    none = run(motion, tmp_path, options={"blind_from": 0})
    assert value(none, "coverage") == 0
    record = none.find(metric="n_mpjpe", protocol="posemill-17", part="S1", joints=BODY.joints)
    assert record is not None and record.value is None and record.unknown


def test_the_lifter_sees_the_source(motion, tmp_path):
    run(motion, tmp_path, views=1, subjects=("S1",))
    run(motion, tmp_path, source="noisy", views=1, subjects=("S1",), source_options={"size": 0.02})
    exact, noisy = SEEN
    joints = exact.camera.world_to_camera(CLIPS["S1", "walk"].astype(np.float32).astype(float))
    picked = BODY.indices(JOINT_SETS["limbs12"].joints)
    np.testing.assert_allclose(exact.keypoints, exact.camera.project(joints)[:, picked], atol=1e-9)
    np.testing.assert_array_equal(exact.camera.centre, noisy.camera.centre)
    errors = (noisy.keypoints - exact.keypoints) / noisy.sigma[..., None]
    assert 0.3 < errors.std() < 3 and np.isfinite(errors).all()
    np.testing.assert_allclose(exact.time, np.arange(30) / 30)


def test_every_number_has_its_record_and_repeats_itself(motion, tmp_path):
    flags = ["--lifter=told", "--source=noisy", "--views=1", "--seed=3", "--option=wrist_m=0.1", "--subjects=S1,S2"]
    files = []
    for name in ("a", "b"):
        arguments = ["benchmark", "motion", str(motion), "--output", str(tmp_path / name / "out"), *flags]
        cli.app(arguments, result_action="return_value")
        files.append((tmp_path / name / "out" / "motion.noisy.told.json").read_bytes())
        assert (tmp_path / name / "out" / "motion.noisy.told.txt").read_text().count("\n") > 10
    assert files[0] == files[1]
    book = read_records(tmp_path / "a" / "out" / "motion.noisy.told.json")
    assert len(book) > 200
    for record in book:
        assert list(record.data) == ["two.h5"] and record.method["options"]["wrist_m"] == 0.1
        assert record.source_2d["options"]["seed"] == 3 and "seed 3" in record.split
        assert "wrist_m=0.1" in record.command and str(tmp_path) not in " ".join(record.command)


def test_what_cannot_be_run(motion, tmp_path):
    with pytest.raises(InputError, match=r"expected S1, S2, got S9"):
        run(motion, tmp_path, subjects=("S9",))
    with pytest.raises(InputError, match="told the truth"):
        run(motion, tmp_path, source="mediapipe")
    with pytest.raises(InputError, match="options: size"):
        run(motion, tmp_path, source="noisy", source_options={"sise": 1})
