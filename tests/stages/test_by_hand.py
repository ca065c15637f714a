"""Each stage as a command on one file, without Snakemake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import h5py
import pytest

from posemill.formats import artifact
from posemill.plan import plan
from tests.workflow.conftest import STUBS, write_video


@pytest.fixture
def posemill(tmp_path):
    """Run a command in a folder with one short film; return exit code and output."""
    write_video(tmp_path / "film.mp4")
    env = {**os.environ, "PYTHONPATH": str(STUBS), "COLUMNS": "200"}

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "posemill.cli", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout + done.stderr

    return run


def test_the_chain_by_hand_with_a_height(posemill, tmp_path):
    steps = [
        "detect film.mp4 -o d.h5 --detector stub_standing --subject anna --clip walk --option depth_m=3.5",
        "gather d.h5 -o k.h5 --fov-deg 60",
        "lift k.h5 -o l.h5 --lifter stub_upright --option flip=false",
        "place k.h5 l.h5 -o p.h5 --height-m 1.6",
        "merge k.h5 l.h5 p.h5 -o m.h5 --option cutoff_hz=5",
        "publish m.h5 -o poses3d.h5",
        "export poses3d.h5 -o bvh --format bvh",
        "export poses3d.h5 -o csv --format csv",
        "picture k.h5 m.h5 film.mp4 -o pictures --clip walk",
        "quality m.h5 --keypoints2d k.h5 -o q.json --option low_score=0.3",
        "summary m.h5 --quality q.json -o s.tsv",
        "check s.tsv",
    ]
    for step in steps:
        code, text = posemill(*step.split())
        assert code == 0, (step, text)
    merged = artifact.read(tmp_path / "poses3d.h5", "merged3d")
    clip = merged.clips["walk"]
    assert merged.subject == "anna" and clip.attrs["frame"] == "camera" and clip.attrs["scale_source"] == "height_m"
    assert artifact.read(tmp_path / "l.h5").provenance["options"]["flip"] is False
    assert (tmp_path / "bvh" / "walk.p1.bvh").is_file() and (tmp_path / "csv" / "walk.p1.csv").is_file()
    assert (tmp_path / "pictures" / "walk.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("detect nothing.mp4 -o d.h5", "nothing.mp4: no such video"),
        (
            "detect film.mp4 -o d.h5 --detector magic",
            "unknown detector 'magic'; known: exact, hourglass",
        ),
        ("detect film.mp4 -o d.h5 --option complexty=1", "detectors.mediapipe: complexty"),
        ("detect film.mp4 -o d.h5 --option complexity", "--option: expected name=value, got 'complexity'"),
        ("gather film.mp4 -o k.h5", "film.mp4: contents: expected a posemill artifact"),
        ("lift nothing.h5 -o l.h5", "nothing.h5: expected an artifact, got: No such file"),
        ("export nothing.h5 -o x --format fbx", "fbx"),
        ("train magic --motion a.h5 -o w.safetensors", "agformer, hourglass or pose_resnet, got 'magic'"),
        ("list things", "list: expected all, detectors or lifters, got 'things'"),
    ],
)
def test_mistakes_are_one_line(posemill, arguments, message):
    code, text = posemill(*arguments.split())
    assert code == 1
    assert message in text and len(text.strip().splitlines()) == 1


def test_a_request_of_other_code_is_refused(posemill):
    request = '{"stage":"detect","method":"stub_standing","code":"0123456789abcdef"}'
    code, text = posemill("detect", "film.mp4", "-o", "d.h5", "--stage", request)
    assert code == 1 and "expected code 0123456789abcdef" in text
    code, text = posemill("lift", "d.h5", "-o", "l.h5", "--stage", request)
    assert code == 1 and "expected a request for lift, got one for detect" in text


def test_a_request_of_other_weights_is_refused(posemill):
    request = replace(plan("lift", "linear"), weights="0" * 64).to_json()
    code, text = posemill("lift", "k.h5", "-o", "l.h5", "--stage", request)
    assert code == 1 and f"expected weights {'0' * 64}, got " in text and "rebuild the image" in text


def test_a_request_that_another_posemill_accepted_says_so(posemill):
    request = '{"stage":"lift","method":"newer","code":"0123456789abcdef"}'
    code, text = posemill("lift", "k.h5", "-o", "l.h5", "--stage", request)
    assert code == 1 and "unknown lifter 'newer'" in text and "not the one that planned the run" in text


def test_a_request_of_thousands_of_clips_is_read_from_standard_input(tmp_path):
    clips = {f"clip{i}": {"camera": "cam1", "calibration": "camera.json"} for i in range(5000)}
    request = json.dumps({"stage": "gather", "code": "0123456789abcdef", "sheet": {"clips": clips}})
    assert len(request) > 2 * 128 * 1024, "longer than Linux lets one argument be"
    command = [sys.executable, "-m", "posemill.cli", "gather", "d.h5", "-o", "k.h5", "--stage", "-"]
    done = subprocess.run(command, cwd=tmp_path, input=request, capture_output=True, text=True)
    assert done.returncode == 1 and "expected code 0123456789abcdef" in done.stderr


def test_not_a_video_is_a_failed_clip_and_goes_through_the_chain(posemill, tmp_path):
    (tmp_path / "text.mp4").write_text("this is no film")
    for step in (
        "detect text.mp4 -o d.h5 --detector stub_standing --clip t",
        "gather d.h5 -o k.h5",
        "lift k.h5 -o l.h5 --lifter stub_upright",
        "place k.h5 l.h5 -o p.h5",
        "merge k.h5 l.h5 p.h5 -o m.h5",
        "summary m.h5 -o s.tsv",
        "export m.h5 -o bvh --format bvh",
        "picture k.h5 m.h5 text.mp4 -o pictures --clip t",
    ):
        code, text = posemill(*step.split())
        assert code == 0, (step, text)
    with h5py.File(tmp_path / "m.h5") as f:
        assert f["t"].attrs["status"] == "failed" and "text.mp4" in f["t"].attrs["reason"]
    code, text = posemill("check", "s.tsv")
    assert code == 1 and "1 of 1 clips failed" in text and "text.mp4" in text


def test_lists_and_doctor(posemill):
    code, text = posemill("list")
    assert code == 0 and all(name in text for name in ("mediapipe", "linear", "stub_tall", "Apache-2.0"))
    code, text = posemill("doctor")
    assert code == 0 and "mediapipe" in text and "Snakemake" not in text.splitlines()[0]


def test_what_was_typed_is_held_to_what_a_sheet_may_say(posemill, tmp_path):
    write_video(tmp_path / "v.mp4", 10)
    (tmp_path / "c.json").write_text('{"cameras": {"a": 3}}')
    code, text = posemill("detect", "v.mp4", "-o", "d.h5", "--detector", "stub_standing", "--clip", "v")
    assert (code, text) == (0, "")
    for step, said in (
        ("detect v.mp4 -o x.h5 --detector stub_standing --fps=-3", "--fps: expected a number from 0.1 to 2000"),
        ("detect v.mp4 -o x.h5 --detector stub_standing --clip box", "clip: expected another name"),
        ("gather d.h5 -o x.h5 --focal-px 0", "--focal-px: expected a number from 10 to 1e+06, got 0.0"),
        ("gather d.h5 -o x.h5 --subject-box 1,2,3", "subject_box: expected left,top,right,bottom"),
        ("skeleton d.h5 d.h5 -o x.h5 --height-m 175", "--height-m: expected a number from 0.3 to 2.6, got 175.0"),
        ("place d.h5 d.h5 -o x.h5 --skeleton s.h5 --height-m 1.7", "expected --skeleton, or heights"),
        ("merge d.h5 d.h5 d.h5 -o x.h5 --option a=[", "--option: a: expected YAML"),
    ):
        code, text = posemill(*step.split())
        assert code == 1 and said in text and text.count("\n") == 1, (step, text)
    assert not (tmp_path / "x.h5").exists()
    code, text = posemill("gather", "d.h5", "-o", "k.h5", "--calibration", "c.json")
    assert code == 0 and "clip v failed: c.json: camera: expected a table of names and values" in text
