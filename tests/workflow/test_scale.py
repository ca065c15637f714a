"""Many clips: how many jobs they are, and that a plan is the same whenever it is made."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import new_project

CLIPS, SUBJECTS = 200, 4


def many_clips(folder: Path):
    """200 small files named by a sheet; they are planned, never run."""
    project = new_project(folder)
    config = (folder / "config.yaml").read_text()
    config = config.replace("export: []", "export: [bvh, csv]").replace("pictures: false", "pictures: true")
    (folder / "config.yaml").write_text(config)
    rows = []
    for i in range(CLIPS):
        video = folder / "films" / f"{i}.mp4"
        video.write_text(str(i))
        rows.append(f"S{i % SUBJECTS}|c{i}|{video}|1.75")
    project.write_sheet(rows)
    return project


def test_jobs_grow_with_clips_only_in_detect(tmp_path):
    project = many_clips(tmp_path / "p")
    _, text = project.snakemake("--dry-run", "--quiet", "rules")
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", text, re.MULTILINE)}
    assert jobs.pop("detect") == CLIPS
    assert jobs.pop("total") == CLIPS + sum(jobs.values())
    assert max(jobs.values()) == 2 * SUBJECTS and sum(jobs.values()) <= 11 * SUBJECTS + 3


def test_a_plan_does_not_depend_on_the_process_that_makes_it(tmp_path):
    """Each job of a cluster parses the workflow again and must come to the same jobs and the same parameters."""
    project = many_clips(tmp_path / "p")
    plans = []
    for seed in ("1", "2"):
        project.env["PYTHONHASHSEED"] = seed
        _, text = project.snakemake("--dry-run", "--printshellcmds")
        plans.append(sorted(re.findall(r"posemill \w+ .*--stage.*", text)))
    assert len(plans[0]) > CLIPS and plans[0] == plans[1]
