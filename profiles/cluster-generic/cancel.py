#!/usr/bin/env python3
"""Cancel the jobs with the given ids."""

import subprocess
import sys

sys.exit(subprocess.call(["scancel", *sys.argv[1:]]))
