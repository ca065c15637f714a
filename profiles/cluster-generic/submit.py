#!/usr/bin/env python3
"""Submit the job script that Snakemake made, and print the job's id."""

import json
import subprocess
import sys
from pathlib import Path

PROPERTIES = "# properties = "
LOGS = Path(".snakemake/cluster_logs")

script = sys.argv[1]
line = next(line for line in Path(script).read_text().splitlines() if line.startswith(PROPERTIES))
job = json.loads(line.removeprefix(PROPERTIES))
resources = job["resources"]

LOGS.mkdir(parents=True, exist_ok=True)
command = [
    "sbatch",
    "--parsable",
    "--requeue",
    f"--job-name=posemill-{job.get('rule') or job['groupid']}",
    f"--output={LOGS}/%j.log",
    f"--cpus-per-task={job.get('threads', 1)}",
    f"--mem={resources['mem_mb']}M",
    f"--time={resources['runtime']}",
]
if resources.get("gpu"):
    command.append(f"--gpus={resources['gpu']}")
done = subprocess.run([*command, script], stdout=subprocess.PIPE, text=True)
if done.returncode:
    sys.exit(done.returncode)
# On a cluster of clusters: id;cluster.
print(done.stdout.strip().split(";")[0])
