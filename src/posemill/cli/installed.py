"""Commands about what is installed."""

from __future__ import annotations

from posemill import registry
from posemill.cli.common import app
from posemill.errors import InputError
from posemill.images.command import app as images


@app.command(name="list")
def list_(kind: str = "all") -> None:
    """List what is installed.

    Parameters
    ----------
    kind
        detectors, lifters or all.
    """
    from posemill.stages import inventory

    if kind not in ("all", *registry.KINDS):
        raise InputError(f"list: expected all, {' or '.join(registry.KINDS)}, got {kind!r}")
    inventory.print_methods(registry.KINDS if kind == "all" else (kind,))


@app.command
def options() -> None:
    """Print every option of the configuration and of each method, as Markdown: docs/options.md."""
    from posemill.stages.options_page import options_page

    print(options_page(), end="")


app.command(images)


@app.command
def doctor() -> None:
    """Say what this machine can run, and what is missing for what."""
    from posemill.stages import inventory

    inventory.print_doctor()
