"""What a weights file says of itself, as a page."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import yaml

from posemill.errors import MissingError
from posemill.formats.weights import read_card
from posemill.provenance import sha256_file

__all__ = ["page"]


def page(weights: Path) -> str:
    """Markdown of the card inside a safetensors file, with the file's name, size and SHA-256.

    Raises
    ------
    MissingError
        No such file, or one without a card.
    """
    if not weights.is_file():
        raise MissingError(f"{weights}: expected weights, got no file")
    card = read_card(weights)
    if not card:
        raise MissingError(f"{weights}: expected a card in its header, got none; write one with posemill convert")
    name = card.get("lifter", card.get("detector", card.get("method", weights.stem)))
    lines = [
        f"# `{name}`: {weights.name}",
        "",
        f"- {weights.stat().st_size} bytes, sha256 `{sha256_file(weights)}`",
        *(f"- {part}: {text}" for part, text in sorted(card.get("licences", {}).items())),
    ]
    options, schedule = card.get("options"), card.get("schedule", {})
    if options and "trained_on" in card:
        motion = "" if "detector" in card else " --motion MOTION.h5"
        lines += ["", "## Made by", "", f"    {_command(name + motion, weights, options, schedule)}"]
    results = card.get("results", {})
    measured = {key: value for key, value in results.items() if isinstance(value, dict) and "subjects" in value}
    if measured:
        lines += ["", "## Measured", "", *([results["protocol"] + ".", ""] if "protocol" in results else [])]
        lines += _table(measured)
    said = {key: value for key, value in card.items() if key not in ("licences", "options", "results", "lifter")}
    rest = {key: value for key, value in results.items() if key not in measured and key != "protocol"}
    lines += ["", "## The card", "", "```json", json.dumps(said | ({"results": rest} if rest else {}), indent=1), "```"]
    return "\n".join(lines) + "\n"


def _command(name: str, weights: Path, options: dict[str, Any], schedule: dict[str, Any]) -> str:
    seed = f" --seed {schedule['seed']}" if schedule.get("seed") else ""
    given = "".join(f" --option {key}={_value(value)}" for key, value in options.items() if value is not None)
    return f"posemill train {name} --output {weights.name}{seed}{given}"


def _value(value: Any) -> str:
    # As a shell passes it on and --option reads it: text that YAML would take for something else is quoted for it, too.
    try:
        as_is = isinstance(value, str) and yaml.safe_load(value) == value
    except yaml.YAMLError:
        as_is = False
    return shlex.quote(value if as_is else json.dumps(value))


def _table(measured: dict[str, dict[str, Any]]) -> list[str]:
    """Rows: 2D source, then its subjects; columns: the figures."""
    figures = [key for key, value in next(iter(measured.values())).items() if isinstance(value, int | float)]
    rows = [f"| 2D | subject | {' | '.join(figures)} |", f"|---|---|{'---|' * len(figures)}"]
    for source, values in measured.items():
        rows.append(f"| {source} | all | {' | '.join(str(values.get(key, '')) for key in figures)} |")
        for subject, some in sorted(values["subjects"].items()):
            rows.append(f"| {source} | {subject} | {' | '.join(str(some.get(key, '')) for key in figures)} |")
    return rows
