"""How the workflow carries many clips: time and memory to parse it, to plan everything and to find nothing to do.

Simulated: the clips. Each is a file of its own with a few bytes in it, 120 to a subject (30 sequences x 4 cameras, as
in Human3.6M: 840 clips are its 7 subjects), with a calibration per camera and a truth per subject; the sheet names them
all. Not simulated: the workflow, its default configuration and profile, and Snakemake. For "nothing to do" the outputs
are written empty, and Snakemake's own code writes its records of them, since running the jobs would take days. Real
videos are also read once, for their SHA-256, when the workflow first sees them.

Beside it, in the same run and in turns, a bare workflow: the same rules, jobs and files with nothing in them, no sheet,
no parameters, no logs, no function that is called per job. What is above it is posemill's.

Then hours of wall time on N workers (a GPU, or a core where the detector has no use for a GPU), by this model:

    planning       one dry run
    detecting      ceil(clips / N) x (start_s + frames x detect_ms)
    the rest       ceil(subjects / N) x (tail_jobs x start_s + clips of a subject x frames x tail_ms)

one after the other, though the rest of one subject runs beside the detection of the next: an upper bound. Start, detect
and tail are parameters; their defaults are processor time of the demo's commands (MediaPipe, one core).

    python benchmarks/scale.py [--clips 840 10000 100000] [--repeats 3] [--json docs/records/scale.json]
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from record import write_record

ROOT = Path(__file__).resolve().parents[1]
PER_SUBJECT, CAMERAS = 120, 4
# Processor time of the demo's commands on one core: detect of 210 and of 15 frames, the rest of one and of six clips.
START_S, DETECT_MS, TAIL_MS = 1.9, 19.5, 3.7
BARE = """\
SUBJECTS = [f"S{{i:05d}}" for i in range({subjects})]
CLIPS = [f"c{{i:03d}}" for i in range(120)]
LAST = {last}
def clips(subject):
    return CLIPS[:LAST] if subject == SUBJECTS[-1] else CLIPS
rule all:
    input:
        expand("results/{{s}}/{{k}}", s=SUBJECTS, k=["poses3d.h5", "bvh", "csv", "pictures", "evaluation.json"]),
        "results/summary.ok"
rule detect:
    input: "films/{{s}}/{{c}}.mp4"
    output: "results/{{s}}/detect/{{c}}.h5"
    shell: "touch {{output}}"
rule gather:
    input: lambda w: [f"results/{{w.s}}/detect/{{c}}.h5" for c in clips(w.s)]
    output: "results/{{s}}/keypoints2d.h5"
    shell: "touch {{output}}"
rule lift:
    input: "results/{{s}}/keypoints2d.h5"
    output: "results/{{s}}/lifted3d.h5"
    shell: "touch {{output}}"
rule skeleton:
    input: "results/{{s}}/keypoints2d.h5", "results/{{s}}/lifted3d.h5"
    output: "results/{{s}}/skeleton.h5"
    shell: "touch {{output}}"
rule place:
    input: "results/{{s}}/keypoints2d.h5", "results/{{s}}/lifted3d.h5", "results/{{s}}/skeleton.h5"
    output: "results/{{s}}/placed3d.h5"
    shell: "touch {{output}}"
rule merge:
    input: "results/{{s}}/keypoints2d.h5", "results/{{s}}/lifted3d.h5", "results/{{s}}/placed3d.h5"
    output: "results/{{s}}/merged3d.h5"
    shell: "touch {{output}}"
rule publish:
    input: "results/{{s}}/merged3d.h5"
    output: "results/{{s}}/poses3d.h5"
    shell: "touch {{output}}"
rule export:
    input: "results/{{s}}/poses3d.h5"
    output: directory("results/{{s}}/{{format,bvh|csv}}")
    shell: "mkdir {{output}}"
rule evaluate:
    input: "results/{{s}}/keypoints2d.h5", "results/{{s}}/merged3d.h5", "films/{{s}}/truth.h5"
    output: "results/{{s}}/evaluation.json", "results/{{s}}/evaluation.txt"
    shell: "touch {{output}}"
rule quality:
    input: "results/{{s}}/keypoints2d.h5", "results/{{s}}/merged3d.h5"
    output: "results/{{s}}/quality.json"
    shell: "touch {{output}}"
rule picture:
    input:
        lambda w: [f"films/{{w.s}}/{{c}}.mp4" for c in clips(w.s)],
        "results/{{s}}/keypoints2d.h5", "results/{{s}}/merged3d.h5",
    output: directory("results/{{s}}/pictures")
    shell: "mkdir {{output}}"
rule summary:
    input: expand("results/{{s}}/merged3d.h5", s=SUBJECTS), expand("results/{{s}}/quality.json", s=SUBJECTS)
    output: "results/summary.tsv"
    shell: "touch {{output}}"
rule check:
    input: "results/summary.tsv"
    output: touch("results/summary.ok")
"""


def clip_ids(clips: int) -> list[tuple[str, str, int]]:
    """Subject, clip and camera number of each clip."""
    return [(f"S{i // PER_SUBJECT:05d}", f"c{i % PER_SUBJECT:03d}", i % CAMERAS) for i in range(clips)]


def write_films(folder: Path, clips: int) -> None:
    for i, (subject, clip, camera) in enumerate(clip_ids(clips)):
        home = folder / "films" / subject
        if not i % PER_SUBJECT:
            home.mkdir(parents=True)
            (home / "truth.h5").write_text(subject)
        if i % PER_SUBJECT < CAMERAS:
            (home / f"cam{camera}.json").write_text(f"{subject} {camera}")
        (home / f"{clip}.mp4").write_text(f"{subject} {clip}")


def posemill_project(folder: Path, clips: int) -> None:
    write_films(folder, clips)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("workflow", "profiles", "containers"):
        (folder / name).symlink_to(ROOT / name)
    rows = ["subject\tclip\tvideo\tcamera\tcalibration\theight_m\ttruth"]
    rows += [
        f"{s}\t{c}\tfilms/{s}/{c}.mp4\tcam{n}\tfilms/{s}/cam{n}.json\t1.75\tfilms/{s}/truth.h5"
        for s, c, n in clip_ids(clips)
    ]
    (folder / "clips.tsv").write_text("\n".join(rows) + "\n")
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace("resources/demo/clips.tsv", "clips.tsv"))


def bare_project(folder: Path, clips: int) -> None:
    write_films(folder, clips)
    subjects = -(-clips // PER_SUBJECT)
    text = BARE.format(subjects=subjects, last=clips - PER_SUBJECT * (subjects - 1))
    (folder / "Snakefile").write_text(text)


def timed(
    folder: Path, *arguments: str, program: tuple[str, ...] = ("-m", "snakemake")
) -> tuple[dict[str, float], str]:
    """Wall and processor seconds, peak memory in MB, and the output, of one Snakemake call."""
    log = folder / ".out"
    start = time.perf_counter()
    with log.open("w") as out:
        child = subprocess.Popen(
            [sys.executable, *program, "--cores", "1", *arguments], cwd=folder, stdout=out, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    text = log.read_text()
    if child.returncode:
        raise SystemExit(f"snakemake {' '.join(arguments)} in {folder}: {text[-2000:]}")
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "mb": usage.ru_maxrss / 1024}, text


def finish() -> None:
    """Stand in for a run that has ended: every output is there, empty, with the record that Snakemake writes of it."""
    from snakemake import cli
    from snakemake.settings.types import ExecutionSettings
    from snakemake.workflow import Workflow

    def write(workflow: Workflow, detailed: bool = False) -> None:
        workflow._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=True)
        workflow._build_dag()
        workflow.execution_settings = ExecutionSettings()

        async def records() -> None:
            for level in workflow.dag.toposorted():
                for job in level:
                    for file in job.output:
                        Path(file).parent.mkdir(parents=True, exist_ok=True)
                        file.touch_or_create()
                    await workflow.persistence.finished(job)

        workflow.async_run(records())

    Workflow.summary = write
    cli.main([*sys.argv[2:], "--summary"])


def measure(clips: int, repeats: int, folder: Path) -> dict[str, Any]:
    """All figures at one number of clips: medians of the repeats, the two workflows in turns."""
    makers = {"posemill": posemill_project, "bare": bare_project}
    homes = {name: folder / f"{name}{clips}" for name in makers}
    for name, make in makers.items():
        make(homes[name], clips)
    # Reads every clip's content; later calls remember it.
    timed(homes["posemill"], "--dry-run", "--quiet", "all")

    def both(*arguments: str) -> tuple[dict[str, Any], dict[str, str]]:
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in makers}
        texts = {}
        for _ in range(repeats):
            for name in makers:
                found, texts[name] = timed(homes[name], *arguments)
                runs[name].append(found)
        step: dict[str, Any] = {
            name: {key: round(statistics.median(r[key] for r in of), 1) for key in of[0]} for name, of in runs.items()
        }
        step["ratio_cpu"] = round(step["posemill"]["cpu_s"] / step["bare"]["cpu_s"], 2)
        return step, texts

    record: dict[str, Any] = {"clips": clips, "subjects": -(-clips // PER_SUBJECT), "repeats": repeats}
    record["parse"], _ = both("--list-rules")
    record["dry_run"], texts = both("--dry-run", "--quiet", "rules")
    jobs = {name: int(re.findall(r"^total\s+(\d+)", text, re.MULTILINE)[0]) for name, text in texts.items()}
    if jobs["posemill"] != jobs["bare"]:
        raise SystemExit(f"{clips} clips: expected as many jobs in both workflows, got {jobs}")
    record["jobs"] = jobs["posemill"]
    for home in homes.values():
        timed(home, program=(__file__, "--finish"))
    record["nothing_to_do"], texts = both()
    for name, text in texts.items():
        if "Nothing to be done" not in text:
            raise SystemExit(f"{name}, {clips} clips: expected nothing to do, got: {text[-2000:]}")
    for home in homes.values():
        shutil.rmtree(home)
    return record


def predicted_h(record: dict[str, Any], workers: int, given: argparse.Namespace) -> float:
    """Hours of wall time by the model above."""
    clips, subjects = record["clips"], record["subjects"]
    detect_s = math.ceil(clips / workers) * (given.start_s + given.frames * given.detect_ms / 1000)
    each_s = given.tail_jobs * given.start_s + clips / subjects * given.frames * given.tail_ms / 1000
    planning_s = record["dry_run"]["posemill"]["wall_s"]
    return round((planning_s + detect_s + math.ceil(subjects / workers) * each_s) / 3600, 2)


def show(record: dict[str, Any]) -> None:
    print(f"\n{record['clips']} clips, {record['subjects']} subjects, {record['jobs']} jobs")
    for step in ("parse", "dry_run", "nothing_to_do"):
        for name in ("posemill", "bare"):
            r = record[step][name]
            print(f"  {step:14s} {name:9s} {r['wall_s']:7.1f} s wall {r['cpu_s']:7.1f} s processor {r['mb']:6.0f} MB")
        print(f"  {step:14s} ratio of processor time {record[step]['ratio_cpu']:.2f}")
    for workers, hours in record["predicted_h"].items():
        print(f"  {hours:8.2f} h on {workers} workers")


def main() -> None:
    """Print a table per number of clips."""
    if sys.argv[1:2] == ["--finish"]:
        finish()
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[840, 10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="record to write")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--frames", type=int, default=2500, help="per clip (Human3.6M: 2.1 million in 840)")
    parser.add_argument("--start-s", type=float, default=START_S, help="start of one job")
    parser.add_argument("--detect-ms", type=float, default=DETECT_MS, help="detection of a frame")
    parser.add_argument("--tail-ms", type=float, default=TAIL_MS, help="all other stages, per frame")
    parser.add_argument("--tail-jobs", type=int, default=11, help="jobs per subject")
    given = parser.parse_args()
    model = {key: getattr(given, key) for key in ("frames", "start_s", "detect_ms", "tail_ms", "tail_jobs")}
    print("model: " + ", ".join(f"{key} {value}" for key, value in model.items()))
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for clips in given.clips:
            load = round(os.getloadavg()[0], 1)
            record = measure(clips, given.repeats, Path(folder)) | {"load_before": load}
            record["predicted_h"] = {str(n): predicted_h(record, n, given) for n in given.workers}
            records.append(record)
            show(record)
            write_record(given.json, {"snakemake": version("snakemake"), "model": model, "records": records})


if __name__ == "__main__":
    main()
