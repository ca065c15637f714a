"""The command line: each stage by hand on one file, and what a user asks of the package itself.

Heavy imports happen inside the commands: ``posemill --help`` and a typo answer at once. The commands never read
``config.yaml``; a workflow hands everything over as ``--stage``.
"""

from __future__ import annotations

import sys

# Each adds its commands to the application; help lists them in this order.
from posemill.cli import (
    benchmark,
    films,
    hourglass,
    installed,
    noise,
    results,
    stages,
    weights,
)
from posemill.cli.common import app
from posemill.errors import PosemillError

__all__ = ["app", "benchmark", "films", "hourglass", "installed", "main", "noise", "results", "stages", "weights"]


def main(arguments: list[str] | None = None) -> None:
    """Run one command; an expected error is one line on standard error and exit code 1."""
    try:
        app(arguments)
    except PosemillError as error:
        print(f"posemill: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
