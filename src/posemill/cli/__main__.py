"""``python -m posemill.cli``."""

from posemill.cli import main

main()
