#!/usr/bin/env python3
"""Print what became of a job: running, success or failed."""

import re
import subprocess
import sys

LIVE = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "REQUEUED", "RESIZING"}

asked = subprocess.run(["scontrol", "show", "job", "--oneliner", sys.argv[1]], capture_output=True, text=True)
if asked.returncode:
    # A controller that does not answer says nothing about the job, which goes on without it.
    print("failed" if "Invalid job id" in asked.stderr else "running")
else:
    found = re.search(r"\bJobState=(\w+)", asked.stdout)
    state = found[1] if found else ""
    print("success" if state == "COMPLETED" else "running" if state in LIVE else "failed")
