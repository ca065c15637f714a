"""What a bad clip, a bad sheet, a bad disk and a kill do to a run: named, contained, repeatable."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from posemill.formats import artifact

from .conftest import new_project, write_video

POSES = "results/S1/poses3d.h5"


@pytest.fixture
def fresh(tmp_path):
    """A project in which nothing has run."""
    return new_project(tmp_path / "p")


def test_forty_clips_of_which_five_are_damaged(fresh):
    damaged = {f"c{i:02d}" for i in (3, 11, 19, 27, 38)}
    rows = []
    for i in range(40):
        name = f"c{i:02d}"
        film = fresh.folder / "films" / f"{name}.mp4"
        write_video(film, 50 + i)
        if name in damaged:
            film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
        rows.append(f"S1|{name}|films/{name}.mp4|1.75")
    fresh.write_sheet(rows)
    _, text = fresh.snakemake(check=False)
    assert "5 of 40 clips failed" in text
    assert all(name in text for name in damaged)
    poses = artifact.read(fresh.folder / POSES)
    assert {name for name, clip in poses.clips.items() if clip.status == "failed"} == damaged
    assert sum(clip.status == "ok" for clip in poses.clips.values()) == 35
    table = (fresh.folder / "results" / "summary.tsv").read_text()
    assert sum("failed" in line for line in table.splitlines()) == 5
    again = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2"],
        cwd=fresh.folder,
        env={**os.environ, **fresh.env},
        capture_output=True,
        text=True,
    )
    assert again.returncode != 0 and "rule detect" not in again.stdout + again.stderr


def test_a_pan_before_a_bare_wall_fails_alone(fresh):
    for name in "ab":
        write_video(fresh.folder / "films" / f"{name}.mp4", 100)
    fresh.write_sheet(["S1|a|films/a.mp4|1.75|pan", "S1|b|films/b.mp4|1.75|no"], more="|camera_moves")
    ran, text = fresh.snakemake(check=False)
    assert ran["camera"] == 1 and "1 of 2 clips failed" in text, text
    poses = artifact.read(fresh.folder / POSES)
    assert poses.clips["b"].status == "ok"
    assert poses.clips["a"].reason.startswith("camera_moves: expected a background with 12 or more corners")


def test_names_with_spaces_quotes_semicolons_and_dots_do_no_harm(fresh):
    names = ["my walk", "it's", 'say "hi"', "a;touch OOPS;b", "$(touch OOPS)", "x&y|z"]
    folder = fresh.folder / "videos" / "S 2"
    for i, name in enumerate(names):
        write_video(folder / f"{name}.mp4", 60 + 10 * i)
    write_video(fresh.folder / "out.mp4", 200)
    fresh.write_sheet(["S_2|../../escaped|out.mp4|1.7"])
    fresh.configure("videos: null", "videos: videos")
    fresh.snakemake("results/S_2/poses3d.h5")
    poses = artifact.read(fresh.folder / "results/S_2/poses3d.h5")
    assert set(poses.clips) == {
        "my_walk", "it_s", "say__hi_", "a_touch_OOPS_b", "touch_OOPS_", "x_y_z", "escaped",
    }  # fmt: skip
    assert all(clip.status == "ok" for clip in poses.clips.values())
    assert not list(fresh.folder.rglob("OOPS"))
    assert {p.name for p in fresh.folder.parent.iterdir()} == {"p"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "lifter=stub_uprigth"], "unknown lifter 'stub_uprigth'; known: agformer, dstformer, gan, linear"),
        (["--config", "detector=nothing"], "unknown detector 'nothing'; known: exact, hourglass"),
        (["--config", "liftr=linear"], "configuration: liftr"),
        (["results/S7/poses3d.h5"], "no subject 'S7'; subjects: S1"),
    ],
)
def test_typos_end_the_run_before_any_job(fresh, arguments, message):
    ran, text = fresh.snakemake(*arguments, check=False)
    assert message in text and ran == {}


@pytest.mark.parametrize("name", ["temporal", "linear", "stub_tall"])
def test_without_weights_the_run_ends_before_any_job_with_the_way_to_them(fresh, name):
    fresh.configure("lifters: {", f"lifters: {{{name}: {{weights: nowhere.safetensors}}, ")
    ran, text = fresh.snakemake("--config", f"lifter={name}", check=False)
    (line,) = (line for line in text.splitlines() if "expected weights at nowhere.safetensors, got nothing" in line)
    assert f"posemill train {name} --motion MOTION.h5 --output nowhere.safetensors" in line
    assert f"then say lifters.{name}.weights: nowhere.safetensors" in line
    assert ("posemill convert CHECKPOINT --lifter" in line) == (name != "stub_tall")
    assert ran == {} and "Traceback" not in text


def test_missing_image_ends_the_run_before_any_job(fresh):
    ran, text = fresh.snakemake("--use-singularity", POSES, check=False)
    assert (
        "posemill_0.1.0.sif: expected the image of every stage, got nothing; build it: posemill images build" in text
        and ran == {}
    )


def test_unknown_option_names_those_that_exist(fresh):
    fresh.configure("flip: true, tta: false", "flipp: true")
    ran, text = fresh.snakemake(check=False)
    assert "lifters.stub_upright: flipp" in text and "options: flip, tta, weights" in text and ran == {}


def test_problems_of_the_sheet_come_together_and_can_be_left_out(fresh):
    fresh.write_sheet(
        ["S1|a|films/a.mp4|1.75", "S1|b|films/missing.mp4|1.75", "S1|c|films/b.mp4|tall", "S1|d|films/b.mp4|1.75",
         "S1|d|films/a.mp4|1.75"]
    )  # fmt: skip
    ran, text = fresh.snakemake(check=False)
    assert "4 problems with the clips" in text and ran == {}
    for part in ("clips.tsv:3: video", "clips.tsv:4: height_m", "clip d: expected each once"):
        assert part in text
    _, text = fresh.snakemake(POSES, "--config", "keep_going=true")
    assert "left out" in text
    assert set(artifact.read(fresh.folder / POSES).clips) == {"a"}


def test_calibration_of_another_image_size_fails_that_clip_alone(fresh):
    (fresh.folder / "cam.json").write_text(
        '{"width": 1920, "height": 1080, "K": [[1000, 0, 960], [0, 1000, 540], [0, 0, 1]], "dist": [0, 0, 0, 0, 0]}'
    )
    (fresh.folder / "clips.tsv").write_text(
        "subject\tclip\tvideo\tcalibration\nS1\ta\tfilms/a.mp4\tcam.json\nS1\tb\tfilms/b.mp4\t\n"
    )
    fresh.snakemake(POSES)
    clips = artifact.read(fresh.folder / POSES).clips
    assert clips["b"].status == "ok"
    assert clips["a"].status == "failed" and "1920x1080" in clips["a"].reason and "64x64" in clips["a"].reason


def test_unwritable_results(fresh):
    _, text = fresh.snakemake("--config", "results=/proc/results", check=False)
    assert "posemill: /proc/results/S1/.methods.json: cannot be written" in text


def test_results_that_are_a_file(fresh):
    (fresh.folder / "results").write_text("not a folder")
    _, text = fresh.snakemake(POSES, check=False)
    assert "posemill: results/" in text and "cannot be written" in text


def stages_under(pid: int) -> list[psutil.Process]:
    """The stage processes that a run of Snakemake has started."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    found = []
    for child in children:
        try:
            if any(part.endswith("/posemill") for part in child.cmdline()[:3]):
                found.append(child)
        except psutil.Error:
            continue
    return found


def test_a_killed_stage_costs_nothing_but_itself(finished, fresh):
    """SIGKILL of a stage at random times, then the same command: the bytes of an undisturbed run.

    POSEMILL_KILLS sets how often (the suite's few keep it short).
    """
    wanted = {p.name: p.read_bytes() for p in (finished / "results/S1").glob("*.h5")}
    generator = random.Random(4)
    killed, tries = 0, int(os.environ.get("POSEMILL_KILLS", "3"))
    while killed < tries:
        for name in ("results", ".snakemake"):
            subprocess.run(["rm", "-rf", str(fresh.folder / name)], check=True)
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--nolock", POSES]
        env = {**os.environ, **fresh.env}
        run = subprocess.Popen(command, cwd=fresh.folder, env=env, stdout=-3, stderr=-3)
        deadline = time.monotonic() + generator.uniform(1.0, 5.0)
        while run.poll() is None:
            victims = stages_under(run.pid)
            if time.monotonic() > deadline and victims:
                time.sleep(generator.uniform(0, 0.3))
                victim = generator.choice(victims)
                if victim.is_running():
                    victim.send_signal(signal.SIGKILL)
                    killed += 1
                    break
            time.sleep(0.005)
        run.wait()
        fresh.snakemake(POSES)
        assert {p.name: p.read_bytes() for p in (fresh.folder / "results/S1").glob("*.h5")} == wanted
        assert not list(fresh.folder.rglob("*.part-*"))
