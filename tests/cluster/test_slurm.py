"""The profiles on a real Slurm that enforces memory: jobs killed, cancelled, retried; the controller restarted."""

from __future__ import annotations

import re

import pytest
import yaml

from posemill.formats import artifact

from ..workflow.conftest import ROOT, new_project, write_video
from .conftest import ClusterProject, finished

# The plugin looks again after this, then ever later; the profile's 20 s is for clusters that others use, too.
SOON = ("--slurm-init-seconds-before-status-checks", "1")
CLIPS = ("a", "b", "c")

pytestmark = pytest.mark.slow


@pytest.fixture
def stubbed(project) -> ClusterProject:
    """Three clips, and methods that do nothing."""
    stubs = new_project(project.folder)
    write_video(stubs.folder / "films" / "c.mp4", 200)
    stubs.write_sheet([f"S1|{clip}|films/{clip}.mp4|1.75" for clip in CLIPS])
    return project


def test_the_grouped_profile_differs_only_in_its_groups():
    plain, grouped = (
        yaml.safe_load((ROOT / "profiles" / name / "profile.yaml").read_text()) for name in ("slurm", "slurm-grouped")
    )
    assert grouped.pop("groups") and grouped == plain


def test_jobs_over_their_memory_come_back_with_more_and_a_lost_controller_costs_nothing(slurm, project):
    """The demo through profiles/slurm, with 250 MB for detecting, which takes more."""
    project.use("Snakefile", "config.yaml", "workflow", "profiles", "containers", "resources")
    sheet = project.folder / "resources" / "demo" / "clips.tsv"
    sheet.write_text("".join(sheet.read_text().splitlines(keepends=True)[:3]))
    detect = project.folder / "workflow" / "rules" / "detect.smk"
    detect.write_text(detect.read_text().replace("more_memory(1500)", "more_memory(250)"))
    run = project.start("--profile", "profiles/slurm", *SOON, "results/S9/poses3d.h5")

    def jobs(rule: str) -> list[tuple[str, str]]:
        return [(job.state, job.memory) for job in slurm.jobs() if job.comment.startswith(f"rule_{rule}_wildcards_S9")]

    run.until(lambda: ("RUNNING", "500M") in jobs("detect"))
    slurm.restart_controller(pause_s=2)
    code, text = run.wait()
    assert code == 0, text
    clips = artifact.read(project.folder / "results/S9/poses3d.h5", "merged3d").clips
    assert [clip.status for clip in clips.values()] == ["ok", "ok"]
    assert sorted(jobs("detect")) == [("COMPLETED", "500M")] * 2 + [("FAILED", "250M")] * 2
    logs = [path.read_text() for path in project.folder.glob(".snakemake/slurm_logs/rule_detect/*/*.log")]
    assert len(logs) == 2 and all("exceeded memory limit" in log for log in logs)
    for rule in ("gather", "lift", "skeleton", "place", "merge", "publish"):
        assert [state for state, _ in jobs(rule)] == ["COMPLETED"], rule


def test_a_cancelled_job_ends_the_run_and_the_same_command_does_only_what_is_missing(stubbed):
    command = ("--profile", "profiles/slurm-grouped", *SOON, "--retries", "0", "results/S1/poses3d.h5")
    slurm, detected = stubbed.slurm, stubbed.folder / "results/S1/detect/stub_standing"

    def job(clip: str, *states: str) -> list[str]:
        comment = f"rule_detect_wildcards_S1_stub_standing_{clip}"
        return [job.id for job in slurm.jobs() if job.comment == comment and job.state in states]

    run = stubbed.start(*command)
    run.until(lambda: job("b", "RUNNING"))
    slurm.run("scancel", *job("b", "RUNNING"))
    code, text = run.wait()
    assert code != 0 and "SLURM status is: 'CANCELLED'" in text
    assert {path.name for path in detected.iterdir()} == {"a.h5", "c.h5"}
    before = {path.name: path.stat() for path in detected.iterdir()}

    code, text = stubbed.start(*command).wait()
    assert code == 0, text
    assert finished(text, "detect") == 1 and finished(text, "publish") == 1
    for name, state in before.items():
        assert (detected / name).stat().st_mtime_ns == state.st_mtime_ns, name
    clips = artifact.read(stubbed.folder / "results/S1/poses3d.h5", "merged3d").clips
    assert {name: clip.status for name, clip in clips.items()} == dict.fromkeys(CLIPS, "ok")
    assert all(len(job(clip, "COMPLETED")) == 1 for clip in CLIPS)


def test_any_queue_by_three_scripts(stubbed):
    """profiles/cluster-generic; the controller is away for longer than its clients wait."""
    slurm = stubbed.slurm

    def jobs(rule: str) -> list[str]:
        return [job.state for job in slurm.jobs() if job.folder == stubbed.folder and job.name == f"posemill-{rule}"]

    run = stubbed.start(
        *("--profile", "profiles/cluster-generic", "--seconds-between-status-checks", "2"),
        *("--set-resources", "detect:gpu=1", "--", "results/S1/poses3d.h5"),
    )
    run.until(lambda: jobs("gather"))
    slurm.restart_controller(pause_s=12)
    code, text = run.wait()
    assert code == 0, text
    # The default profile's limit of one GPU is for one machine: all were handed over before the first had ended.
    assert text.index("Finished jobid") > [m.start() for m in re.finditer("with external jobid", text)][2]
    assert jobs("detect") == ["COMPLETED"] * 3
    for rule in ("gather", "lift", "skeleton", "place", "merge", "publish"):
        assert jobs(rule) == ["COMPLETED"], rule
    clips = artifact.read(stubbed.folder / "results/S1/poses3d.h5", "merged3d").clips
    assert {name: clip.status for name, clip in clips.items()} == dict.fromkeys(CLIPS, "ok")
