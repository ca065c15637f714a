"""posemill train on a motion file: weights with their card, killed and resumed, fine-tuned, a curve of checkpoints."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from posemill.cli import app
from posemill.errors import InputError
from posemill.formats.records import read_records
from posemill.formats.weights import read_card, read_weights
from posemill.provenance import sha256_file
from posemill.stages import train
from tests.motion_file import write_people

SMALL = {"hidden": 16, "windows": 2, "held_out": ("A", "B"), "groups": ("train",)}


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("motion") / "motion.h5", "ABCDE")


def options(**more) -> dict:
    return {**SMALL, "steps": 40, "batch": 32, **more}


def command(motion: Path, output: Path, **more) -> list[str]:
    pairs = [f"--option={key}={json.dumps(value)}" for key, value in options(**more).items()]
    main = "from posemill.cli import main; main()"
    return [sys.executable, "-c", main, "train", "gan", "--motion", str(motion), "--output", str(output), *pairs]


def test_killed_command_resumed_writes_the_same_file(motion: Path, tmp_path: Path):
    more = {"steps": 600, "checkpoint_every": 50, "log_every": 10}
    killed = tmp_path / "w.safetensors"
    process = subprocess.Popen(command(motion, killed, **more), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("w.safetensors.run/checkpoint-*.safetensors")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not killed.exists()
    done = subprocess.run(command(motion, killed, **more), capture_output=True, text=True, check=True)
    assert "train gan: goes on from step " in done.stderr
    (tmp_path / "whole").mkdir()
    train.run("gan", motion, tmp_path / "whole" / "w.safetensors", options=options(**more))
    assert killed.read_bytes() == (tmp_path / "whole" / "w.safetensors").read_bytes()


def test_card_says_the_start_and_nothing_of_how_it_ran(motion: Path, tmp_path: Path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    train.run("gan", motion, first, options=options(checkpoint_every=7, keep=1))
    train.run("gan", motion, second, options=options(steps=1, learning_rate=1e-9, start=first))
    card = read_card(second)
    assert card["start"] == {"file": "first.safetensors", "sha256": sha256_file(first)}
    assert card["options"]["start"] == "first.safetensors"
    assert "checkpoint_every" not in read_card(first)["options"]
    for name, tensor in read_weights(second)[0].items():
        if name != "sigma_floor":
            np.testing.assert_allclose(tensor, read_weights(first)[0][name], atol=1e-3)


def test_start_of_another_lifter_or_size_is_one_line(motion: Path, tmp_path: Path):
    first = tmp_path / "first.safetensors"
    train.run("gan", motion, first, options=options(steps=1))
    with pytest.raises(InputError, match="start: expected weights of repnet, got gan's"):
        train.run("repnet", motion, tmp_path / "r.safetensors", options=options(start=first))
    with pytest.raises(InputError, match=r"tensor l1.weight: expected shape \(8, 34\), got \(16, 34\)"):
        train.run("gan", motion, tmp_path / "g.safetensors", options=options(start=first, hidden=8))


def test_other_options_in_the_same_place_are_refused(motion: Path, tmp_path: Path):
    output = tmp_path / "w.safetensors"
    train.run("gan", motion, output, options=options(steps=3))
    with pytest.raises(InputError, match=r"w.safetensors.run: checkpoint of this request: .*expected .* got"):
        train.run("gan", motion, output, options=options(steps=4))
    train.run("gan", motion, output, options=options(steps=4, resume=False))


def test_curve_measures_every_checkpoint(motion: Path, tmp_path: Path):
    output = tmp_path / "w.safetensors"
    train.run("gan", motion, output, options=options(steps=30, series_every=10, evaluate_every=30))
    curve = tmp_path / "curve.json"
    arguments = ["curve", f"{output}.run", "--motion", str(motion), "--output", str(curve), "--option", "windows=3"]
    app(arguments, result_action="return_value")
    book = read_records(curve)
    assert {record.part for record in book} == {"step 10", "step 20", "step 30"}
    assert len(book) == 3 * 2 * 3
    assert curve.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    curves = json.loads(curve.read_text())["curves"]
    assert [step for step, _ in curves["exact: mpjpe17"]] == [10, 20, 30]
    logged = [json.loads(line) for line in (tmp_path / "w.safetensors.run" / "log.jsonl").read_text().splitlines()]
    assert "evaluate/p_mpjpe17_mm" in logged[-1]


def test_linear_runs_in_the_same_folder_layout(motion: Path, tmp_path: Path):
    output = tmp_path / "w.safetensors"
    small = {"epochs": 1, "views_per_epoch": 1024, "hidden": 16, "held_out": ("A", "B"), "groups": ("train",)}
    train.run("linear", motion, output, options=small)
    curve = tmp_path / "curve.json"
    app(["curve", f"{output}.run", "--motion", str(motion), "--output", str(curve)], result_action="return_value")
    assert {record.part for record in read_records(curve)} == {"step 1"}
