"""The reruns table: a change, and exactly the rules that run after it."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from posemill.formats import artifact

from .conftest import write_video

POSES = "results/S1/poses3d.h5"
DETECT, GATHER, LIFT, PLACE = {"detect": 2}, {"gather": 1}, {"lift": 1}, {"place": 1}
PLACE_ON = {"place": 1, "merge": 1, "publish": 1}
SKELETON_ON = {"skeleton": 1, **PLACE_ON}
LIFT_ON = {"lift": 1, **SKELETON_ON}
GATHER_ON = {"gather": 1, **LIFT_ON}
NOTHING: dict[str, int] = {}


def replace_in(project, file, old, new):
    path = project.folder / file
    text = path.read_text()
    assert old in text, (file, old)
    path.write_text(text.replace(old, new, 1))


def swap_lifter(p):
    return ["--config", "lifter=stub_tall"]


def swap_detector(p):
    return ["--config", "detector=stub_other"]


def swap_two_booleans(p):
    p.configure("flip: true, tta: false", "flip: false, tta: true")


def nothing(p):
    pass


def edit_place_stage(p):
    replace_in(p, "src/posemill/stages/place.py", "def run(", "_EDITED = 1\n\n\ndef run(")


def edit_lift_stage(p):
    replace_in(p, "src/posemill/stages/lift.py", "def run(", "_EDITED = 1\n\n\ndef run(")


def edit_camera(p):
    replace_in(p, "src/posemill/camera.py", "1e-6", "2e-6")


def edit_reader(p):
    """The reader and writer of artifacts carry numbers and make none."""
    replace_in(p, "src/posemill/formats/artifact.py", "BLOCK = 512", "BLOCK = 256 * 2")


def edit_docstring(p):
    replace_in(p, "src/posemill/camera.py", '"""Pinhole cameras with lens distortion.', '"""Cameras.')


def edit_comment(p):
    replace_in(p, "src/posemill/stages/place.py", "def run(", "# A comment.\ndef run(")


def change_height(p):
    p.write_sheet(["S1|a|films/a.mp4|1.80", "S1|b|films/b.mp4|1.80"])


def change_camera_height(p):
    p.write_sheet(["S1|a|films/a.mp4|1.75|1.5", "S1|b|films/b.mp4|1.75|1.5"], more="|camera_height_m")


def pin_the_skeleton(p):
    """A copy of what was measured, as the person's bones from now on."""
    measured = p.folder / "results/S1/skeleton.stub_standing.stub_upright.h5"
    shutil.copy(measured, p.folder / "pinned.h5")
    p.configure("export: []", "export: []\nskeletons: {S1: pinned.h5}")


def import_poses(p):
    (p.folder / "other.trc").touch()
    p.write_sheet(["S1|a|films/a.mp4|1.75|other.trc", "S1|b|films/b.mp4|1.75"], more="|pose3d")


def name_a_camera_path(p):
    (p.folder / "path.txt").touch()
    p.write_sheet(["S1|a|films/a.mp4|1.75|path.txt", "S1|b|films/b.mp4|1.75"], more="|camera_path")


def say_that_one_pans(p):
    p.write_sheet(["S1|a|films/a.mp4|1.75|pan", "S1|b|films/b.mp4|1.75|no"], more="|camera_moves")


def name_a_depth_network(p):
    """Planning looks whether it is one, and opens no weights."""
    folder = p.folder / "network"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "glpn"}')
    for name in ("preprocessor_config.json", "model.safetensors"):
        (folder / name).touch()
    p.configure("export: []", "export: []\ndepth: {model: network}")


def change_filter(p):
    p.configure("export: []", "export: []\ngather: {max_gap_s: 0.1}")


def add_clip(p):
    write_video(p.folder / "films" / "c.mp4", 200)
    p.write_sheet(["S1|a|films/a.mp4|1.75", "S1|b|films/b.mp4|1.75", "S1|c|films/c.mp4|1.75"])


def replace_video_with_older(p):
    film = p.folder / "films" / "a.mp4"
    write_video(p.folder / "new.mp4", 180)
    os.utime(p.folder / "new.mp4", (1e9, 1e9))
    (p.folder / "new.mp4").replace(film)


def touch_video(p):
    os.utime(p.folder / "films" / "a.mp4")


def delete_middle(p):
    (p.folder / "results/S1/lifted3d.stub_standing.stub_upright.h5").unlink()


def touch_middle(p):
    os.utime(p.folder / "results/S1/keypoints2d.stub_standing.h5")


def switch_containers_on(p):
    """Planning asks the engine for its version and no more, so a stand-in answers where there is none."""
    (p.folder / "containers" / "posemill_0.1.0.sif").touch()
    if not shutil.which("apptainer") and not shutil.which("singularity"):
        engine = p.folder / "bin" / "singularity"
        engine.parent.mkdir()
        engine.write_text("#!/bin/sh\necho apptainer version 1.4.0\n")
        engine.chmod(0o755)
        p.env["PATH"] = f"{engine.parent}{os.pathsep}{os.environ['PATH']}"
    return ["--use-singularity"]


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (nothing, NOTHING),
        (swap_lifter, LIFT_ON),
        (swap_two_booleans, LIFT_ON),
        (swap_detector, {"detect": 2, **GATHER_ON}),
        (edit_place_stage, PLACE_ON),
        (edit_lift_stage, LIFT_ON),
        (edit_camera, GATHER_ON),
        (edit_reader, NOTHING),
        (edit_docstring, NOTHING),
        (edit_comment, NOTHING),
        (change_height, SKELETON_ON),
        (change_camera_height, SKELETON_ON),
        (pin_the_skeleton, PLACE_ON),
        (import_poses, LIFT_ON),
        (name_a_camera_path, GATHER_ON),
        (say_that_one_pans, {"camera": 1, **GATHER_ON}),
        (name_a_depth_network, {"depth": 2, **SKELETON_ON}),
        (change_filter, GATHER_ON),
        (add_clip, {"detect": 1, **GATHER_ON}),
        (replace_video_with_older, {"detect": 1, **GATHER_ON}),
        (touch_video, NOTHING),
        (touch_middle, NOTHING),
        (delete_middle, NOTHING),
        (switch_containers_on, NOTHING),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_change_reruns_exactly(project, change, rules):
    arguments = change(project) or []
    planned, text = project.snakemake("-n", POSES, *arguments)
    assert planned == rules, text


def test_a_pinned_skeleton_keeps_the_bones_when_a_clip_is_added(project):
    placed = project.folder / "results/S1/placed3d.stub_standing.stub_upright.h5"
    before = artifact.read(placed)
    pin_the_skeleton(project)
    add_clip(project)
    ran, text = project.snakemake(POSES)
    assert ran == {"detect": 1, "gather": 1, "lift": 1, **PLACE_ON}, text
    after = artifact.read(placed)
    for name, value in before.arrays.items():
        np.testing.assert_array_equal(after.arrays[name], value)
    for name in ("a", "b"):
        for key, value in before.clips[name].tracks["p1"].arrays.items():
            np.testing.assert_array_equal(after.clips[name].tracks["p1"].arrays[key], value)


def test_a_skeleton_that_the_workflow_makes_itself_is_no_pin(project):
    project.configure("export: []", "export: []\nskeletons: {S1: results/S1/skeleton.stub_standing.stub_upright.h5}")
    _, text = project.snakemake("-n", POSES, check=False)
    assert "copy it to another place and name the copy" in text
    project.configure("{S1: results/S1/skeleton.stub_standing.stub_upright.h5}", "{S2: x.h5}")
    _, text = project.snakemake("-n", POSES, check=False)
    assert "skeletons: no subject 'S2'; subjects: S1" in text


def test_swapping_back_only_publishes(project):
    ran, _ = project.snakemake(POSES, "--config", "lifter=stub_tall")
    assert ran == LIFT_ON
    ran, _ = project.snakemake(POSES)
    assert ran == {"publish": 1}
    poses = (project.folder / POSES).read_bytes()
    assert poses == (project.folder / "results/S1/merged3d.stub_standing.stub_upright.h5").read_bytes()
    assert project.snakemake(POSES)[0] == NOTHING


def test_changed_weights_rerun_the_lifter(project):
    weights = project.folder / "w.bin"
    weights.write_bytes(b"one")
    project.configure("tta: false", "tta: false, weights: w.bin")
    assert project.snakemake(POSES)[0] == LIFT_ON
    weights.write_bytes(b"two")
    os.utime(weights, (1e9, 1e9))
    assert project.snakemake("-n", POSES)[0] == LIFT_ON


def test_regathering_the_same_bytes_runs_nothing_more(project):
    file = project.folder / "results/S1/keypoints2d.stub_standing.h5"
    before = file.read_bytes()
    project.snakemake("--forcerun", "gather", "--", str(file.relative_to(project.folder)))
    assert file.read_bytes() == before
    assert project.snakemake(POSES)[0] == NOTHING


def test_deleted_middle_file_is_made_again_when_it_is_asked_for(project):
    delete_middle(project)
    lifted = "results/S1/lifted3d.stub_standing.stub_upright.h5"
    assert project.snakemake(lifted)[0] == LIFT
    assert project.snakemake(POSES)[0] == NOTHING


def test_lost_records_then_another_lifter_and_back(project):
    shutil.rmtree(project.folder / ".snakemake")
    ran, _ = project.snakemake(POSES, "--config", "lifter=stub_tall")
    assert {"lift", "skeleton", "place", "merge", "publish"} <= set(ran) and "detect" not in ran
    shutil.rmtree(project.folder / ".snakemake")
    ran, _ = project.snakemake(POSES)
    assert "publish" in ran and "detect" not in ran
    poses = artifact.read(project.folder / POSES)
    assert poses.sha256 == artifact.file_sha256(project.folder / "results/S1/merged3d.stub_standing.stub_upright.h5")


def test_same_work_gives_the_same_bytes(project):
    before = {p.name: p.read_bytes() for p in (project.folder / "results/S1").glob("*.h5")}
    shutil.rmtree(project.folder / "results")
    shutil.rmtree(project.folder / ".snakemake")
    project.snakemake(POSES)
    after = {p.name: p.read_bytes() for p in (project.folder / "results/S1").glob("*.h5")}
    assert after == before and len(before) == 6
