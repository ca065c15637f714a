"""What is installed, what this machine can run, and what is missing for what."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from posemill import registry
from posemill.config import Config
from posemill.errors import MissingError, PosemillError
from posemill.formats.weights import weights_state, weights_terms
from posemill.plan import weights_file
from posemill.provenance import library_versions

__all__ = ["Finding", "examine", "print_doctor", "print_methods"]

DEFAULTS = Config()


@dataclass(frozen=True)
class Finding:
    """One thing that posemill may need: ``ok`` is None where it is optional and absent."""

    name: str
    ok: bool | None
    found: str
    needed_for: str
    way_out: str = ""


def _weights(kind: str, name: str) -> tuple[str, dict[str, str]]:
    """Weights of a method with default options and which state they are in, in words; and their terms.

    Raises
    ------
    MissingError
        They are not there; the message has the way out.
    """
    module = registry.load(kind, name)
    file = weights_file(kind, name, registry.options(kind, name, None))
    terms = weights_terms(file, module.CARD.licences)
    if file is None:
        return str(getattr(module.CARD, "weights", "none needed")), terms
    return f"{weights_state(file)}: {file.name}", terms


def print_methods(kinds: Iterable[str]) -> None:
    """Print a table of methods: joint sets, weights, licences."""
    console = Console()
    for kind in kinds:
        table = Table(title=kind, title_justify="left")
        for column in ("name", "joints", "weights", "licences (code / weights / data)"):
            table.add_column(column, overflow="fold")
        for name in registry.names(kind):
            try:
                card = registry.load(kind, name).CARD
                joints = getattr(card, "joint_set", None) or f"{card.joint_set_in} → {card.joint_set_out}"
            except PosemillError as error:
                table.add_row(name, "", f"not usable: {error}", "")
                continue
            try:
                weights, terms = _weights(kind, name)
            except MissingError:
                weights, terms = "user's: not here (posemill doctor says how to get them)", card.licences
            licences = " / ".join(str(terms.get(part, "unknown")) for part in ("code", "weights", "data"))
            table.add_row(name, joints, weights, licences)
        console.print(table)


def _package(name: str, module: str, needed_for: str, way_out: str = "") -> Finding:
    there = importlib.util.find_spec(module) is not None
    found = library_versions([name])[name] if there else "missing"
    return Finding(name, there, found, needed_for, way_out or f"pip install {name}")


def _optional(name: str, ok: bool, found: str, needed_for: str, way_out: str) -> Finding:
    return Finding(name, True if ok else None, found, needed_for, way_out)


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("GPU", True, torch.cuda.get_device_name(0), "faster lifting and training")
    return _optional("GPU", False, "none seen by PyTorch", "faster lifting and training", "everything runs on the CPU")


def _method(kind: str, name: str) -> Finding:
    try:
        found, _ = _weights(kind, name)
    except MissingError as error:
        # Only the default method must be there.
        ok = False if name in (DEFAULTS.detector, DEFAULTS.lifter) else None
        return Finding(f"{kind[:-1]} {name}", ok, "no weights", f"--config {kind[:-1]}={name}", str(error))
    except PosemillError as error:
        return Finding(f"{kind[:-1]} {name}", False, str(error), f"--config {kind[:-1]}={name}", "see the message")
    return Finding(f"{kind[:-1]} {name}", True, found, f"--config {kind[:-1]}={name}")


def _writable(folder: Path) -> Finding:
    ok = os.access(folder if folder.exists() else folder.parent, os.W_OK)
    free = shutil.disk_usage(folder if folder.exists() else folder.parent).free / 2**30
    return Finding(str(folder), ok, f"{free:.0f} GiB free", "results", "choose a folder that you may write to")


def examine() -> list[Finding]:
    """Look at this machine; nothing is changed and nothing is downloaded."""
    checks: list[Callable[[], Finding]] = [
        lambda: Finding("Python", True, platform.python_version(), "everything"),
        lambda: Finding("processors", True, str(os.cpu_count()), "jobs side by side (--cores)"),
        lambda: _writable(Path("results")),
        lambda: _package("snakemake", "snakemake", "the workflow"),
        lambda: _package("av", "av", "reading videos"),
        lambda: _package("torch", "torch", "lifters, training"),
        lambda: _package("pyvista", "pyvista", "posemill twin", "pip install 'posemill[twin]'"),
        lambda: _optional(
            "transformers",
            importlib.util.find_spec("transformers") is not None,
            library_versions(["transformers"])["transformers"],
            "depth.model: metres from a depth network",
            "pip install 'posemill[depth]'",
        ),
        *(lambda k=kind, n=name: _method(k, n) for kind in registry.KINDS for name in registry.names(kind)),
        _gpu,
        lambda: _optional(
            "apptainer",
            bool(shutil.which("apptainer") or shutil.which("singularity")),
            shutil.which("apptainer") or shutil.which("singularity") or "not found",
            "snakemake --use-singularity",
            "without it, stages run in this environment",
        ),
        lambda: _optional(
            "sbatch",
            bool(shutil.which("sbatch")),
            shutil.which("sbatch") or "not found",
            "a Slurm cluster",
            "run locally",
        ),
    ]
    return [check() for check in checks]


def print_doctor() -> None:
    """Print what :func:`examine` finds."""
    findings = examine()
    table = Table(title="posemill doctor", title_justify="left")
    for column in ("", "what", "found", "needed for", "if missing"):
        table.add_column(column, overflow="fold")
    marks = {True: "ok", False: "MISSING", None: "absent"}
    for f in findings:
        table.add_row(marks[f.ok], f.name, f.found, f.needed_for, "" if f.ok else f.way_out)
    Console().print(table)
    missing = [f.name for f in findings if f.ok is False]
    Console().print("All that the demo needs is here." if not missing else f"Missing: {', '.join(missing)}")
