"""Wall time of the demo's whole chain against two bounds.

1. The least that detection alone can take: one process that decodes the same clips with OpenCV and runs MediaPipe at
   the same complexity on the same frames, and nothing else. Both run here, in turn, on the same machine.
2. What the chain's own jobs leave to a perfect scheduler: max(sum of the jobs' seconds / processors, longest chain of
   jobs that wait for each other). Seconds of each job from Snakemake's records of when it started and ended.

    python benchmarks/demo_wall_time.py [--repeats 3]
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASELINE = """
import sys, cv2
from mediapipe.python.solutions import pose
frames = 0
for path in sys.argv[1:]:
    with pose.Pose(static_image_mode=False, model_complexity=1) as network:
        video = cv2.VideoCapture(path)
        while True:
            ok, image = video.read()
            if not ok:
                break
            network.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            frames += 1
print(frames)
"""


def baseline_s() -> tuple[float, int]:
    """Seconds and frames of decoding and detecting in one process."""
    videos = sorted(str(p) for p in (ROOT / "resources/demo/S9").glob("*.mp4"))
    start = time.perf_counter()
    out = subprocess.run([sys.executable, "-c", BASELINE, *videos], capture_output=True, text=True, check=True).stdout
    return time.perf_counter() - start, int(out)


@dataclass
class Job:
    """A finished job: its rule, seconds, and the files that it read."""

    rule: str
    seconds: float
    inputs: frozenset[str]


def finished_jobs(folder: Path) -> dict[str, Job]:
    """Output to the job that made it, from the records that Snakemake keeps."""
    jobs = {}
    for file in (folder / ".snakemake" / "metadata").rglob("*"):
        if file.is_file():
            record = json.loads(file.read_text())
            # Names too long for a file go on in folders, whose names begin with @.
            parts = file.relative_to(folder / ".snakemake" / "metadata").parts
            output = base64.urlsafe_b64decode("".join(part.removeprefix("@") for part in parts)).decode()
            seconds = record["endtime"] - record["starttime"]
            jobs[output] = Job(record["rule"], seconds, frozenset(record["input"]))
    return jobs


def longest_chain_s(jobs: dict[str, Job]) -> float:
    """Seconds of the longest chain of jobs of which each reads what the one before wrote."""

    @cache
    def until(output: str) -> float:
        return jobs[output].seconds + max((until(name) for name in jobs[output].inputs if name in jobs), default=0.0)

    return max(map(until, jobs))


def work_s(jobs: dict[str, Job]) -> dict[str, float]:
    """Seconds of each rule's jobs together; a job with two outputs counts once."""
    each = {(job.rule, round(job.seconds, 1), job.inputs): job for job in jobs.values()}
    total: dict[str, float] = {}
    for job in each.values():
        total[job.rule] = total.get(job.rule, 0.0) + job.seconds
    return total


def chain_s() -> tuple[float, dict[str, Job]]:
    """Seconds of a fresh run of the workflow on the demo, and its jobs."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, folder)
        for name in ("workflow", "profiles", "containers", "resources"):
            (Path(folder) / name).symlink_to(ROOT / name)
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "all"], cwd=folder, capture_output=True, check=True
        )
        return time.perf_counter() - start, finished_jobs(Path(folder))


def main() -> None:
    """Print a line per repeat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    for _ in range(parser.parse_args().repeats):
        load = os.getloadavg()[0]
        bound, frames = baseline_s()
        wall, jobs = chain_s()
        work, longest = work_s(jobs), longest_chain_s(jobs)
        perfect = max(sum(work.values()) / (os.cpu_count() or 1), longest)
        print(f"load before {load:.1f}, {frames} frames, chain {wall:.1f} s")
        print(
            f"  detection alone {bound:.1f} s: ratio {wall / bound:.2f}, {wall - 1.3 * bound:.1f} s over 1.3 times it"
        )
        print(
            f"  jobs {sum(work.values()):.1f} s on {os.cpu_count()} processors, longest chain {longest:.1f} s: perfect"
            f" {perfect:.1f} s, ratio {wall / perfect:.2f}"
        )
        print("  " + ", ".join(f"{rule} {s:.1f}" for rule, s in work.items()), flush=True)


if __name__ == "__main__":
    main()
