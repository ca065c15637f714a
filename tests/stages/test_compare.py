"""posemill benchmark lifters on a tiny motion file: rows, ratios, going on, and a network of single frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemill import cli
from posemill.errors import InputError
from posemill.formats.records import read_records
from posemill.lifters.protocol import LiftInput
from posemill.skeleton import JOINT_SETS
from posemill.stages import train
from posemill.stages.train import compare
from tests.motion_file import write_people
from tests.unit.test_training import walking

OPTIONS = {
    "groups": ["train"],
    "held_out": ["A", "B"],
    "temporal.channels": 16,
    "temporal.batch": 16,
    "gan.hidden": 16,
}
FOURTEEN = tuple(j for j in JOINT_SETS["h36m17"].joints if j not in ("spine", "neck_nose", "head_top"))
ROWS = ("temporal", "temporal, one frame", "gan")


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("motion") / "motion.h5")


def run(motion: Path, output: Path, **more: Any):
    given = {"seconds": 0.5, "only": ROWS, "windows": 2, "options": OPTIONS}
    return compare.run(motion, output, **{**given, **more})


@pytest.fixture(scope="module")
def done(motion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("compared")
    run(motion, output)
    return output


def test_every_number_has_a_record_and_ratios_are_of_them(done: Path):
    book = read_records(done / "lifters.json")
    joints = book.find(part="gan", metric="p_mpjpe", source_2d={"name": "exact"}, unit="mm", joints=FOURTEEN)
    constant = book.find(part=compare.CONSTANTS[1], metric="p_mpjpe", source_2d={"name": "exact"}, joints=FOURTEEN)
    ratio = book.find(part=f"gan / {compare.CONSTANTS[1]}", source_2d={"name": "exact"})
    assert joints is not None and constant is not None and ratio is not None
    assert joints.value is not None and constant.value is not None
    assert ratio.value == pytest.approx(joints.value / constant.value)
    assert "no 3D" in joints.method["options"]["supervision"]
    parameters = book.find(part="temporal, one frame", metric="parameters")
    # 34 inputs, three layers of 16 channels by 1x1 filters twice, their norms and 51 outputs.
    assert parameters is not None and parameters.value == 34 * 16 + 4 * 16 * 16 + 5 * 2 * 16 + 51 * 17
    text = (done / "lifters.txt").read_text()
    assert "temporal / temporal, one frame" in text and "gan: unsupervised: no 3D" in text


def test_finished_rows_are_not_trained_again(motion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trained: list[str] = []
    original = train.run

    def stopped(name: str, *arguments: Any, **keywords: Any) -> float:
        trained.append(name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(train, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(motion, tmp_path)
    planned = json.loads((tmp_path / "temporal_one_frame.json").read_text())
    run(motion, tmp_path)
    assert trained == ["temporal", "temporal", "temporal", "gan"]
    assert read_records(tmp_path / "lifters.json").find(part="gan", metric="steps") is not None
    # The number of steps that was written down before the stop is kept.
    assert json.loads((tmp_path / "temporal_one_frame.json").read_text())["steps"] == planned["steps"]
    run(motion, tmp_path)
    assert len(trained) == 4


def test_another_request_is_refused_in_one_line(done: Path, motion: Path):
    with pytest.raises(InputError, match=r"temporal.json: temporal was trained with another seconds: delete") as error:
        run(motion, done, seconds=9)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"only": ("lineer",)}, "--only: expected posemill | linear | "),
        ({"options": {"twin.hidden": 3}}, "--option twin.hidden: expected an option of gan, temporal, got twin"),
        ({"reference": ["mediapipe"]}, "--reference: expected NAME or NAME=FILE"),
        ({"seconds": 0}, "expected above 0, got 0 and 2"),
    ],
)
def test_wrong_arguments_are_one_line(given: dict[str, Any], said: str, motion: Path, done: Path):
    with pytest.raises(InputError) as error:
        run(motion, done, **given)
    assert said in str(error.value)


def test_the_one_frame_form_looks_at_one_frame(done: Path):
    from posemill.stages.train.measuring import lifter_of
    from posemill.training.held_out import as_clip
    from posemill.training.sequences import draw_windows

    windows = draw_windows([walking(80)], 50.0, 1, 9, np.random.default_rng(0), frame_rate=(10.0, 10.0))
    for name, alike in (("temporal_one_frame", True), ("temporal", False)):
        lifter, card = lifter_of("temporal", done / f"{name}.safetensors")
        assert (card.receptive_field == 1) == alike
        clip = as_clip(windows, 0, card, 50.0)
        middle = slice(4, 5)
        alone = LiftInput(
            clip.keypoints[middle],
            clip.score[middle],
            clip.sigma[middle],
            clip.valid[middle],
            clip.time[middle],
            clip.camera,
            True,
        )
        one, whole = (lifter.lift(c).joints_relative for c in (alone, clip))
        assert np.allclose(one[0], whole[4], atol=1e-5) == alike


def test_the_command_says_the_table(done: Path, motion: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["benchmark", "lifters", str(motion), "-o", str(done), "--seconds", "0.5", "--windows", "2"]
    arguments += [part for row in ROWS for part in ("--only", row)]
    arguments += [part for name, value in OPTIONS.items() for part in ("--option", f"{name}={value}")]
    cli.app(arguments, result_action="return_value")
    printed = capsys.readouterr().out
    assert printed == (done / "lifters.txt").read_text()
