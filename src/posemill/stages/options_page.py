"""Every option there is, as one page: what the configuration's stages take, and what each method takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from posemill import registry
from posemill.config import Config

__all__ = ["options_page"]

_INTRODUCTION = """\
# Options

Every key of `config.yaml`, and what each method takes, as `posemill options` prints it. For one run:
`snakemake --config 'merge={"lock_feet": false}'`; by hand: `posemill merge ... --option lock_feet=false`.
Options of trainings: [training.md](training.md); `posemill train NAME` names them all where one is wrong.
"""
_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def options_page() -> str:
    """Give the page in Markdown: of every option its name, what it may be, its default and its meaning."""
    own = {key: field.default for key, field in Config.model_fields.items() if isinstance(field.default, BaseModel)}
    parts = [_INTRODUCTION, "## config.yaml", "", *_table(Config, leave_out=own)]
    for key, default in own.items():
        parts += ["", f"## {key}", "", Config.model_fields[key].description or "", "", *_table(type(default))]
    for kind in registry.KINDS:
        for name in registry.names(kind):
            parts += ["", f"## {kind}: {name}", "", *_table(registry.load(kind, name).Options)]
    return "\n".join(parts) + "\n"


def _table(model: type[BaseModel], leave_out: Any = ()) -> list[str]:
    rows = list(_rows(model, leave_out))
    return ["| option | may be | default | |", "|---|---|---|---|", *rows] if rows else ["No options."]


def _rows(model: type[BaseModel], leave_out: Any = (), prefix: str = "") -> Iterator[str]:
    properties = model.model_json_schema()["properties"] if model.model_fields else {}
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if name in leave_out:
            continue
        if isinstance(default, BaseModel) and any(isinstance(value, BaseModel) for _, value in default):
            yield from _rows(type(default), prefix=f"{name}.")
            continue
        if isinstance(default, BaseModel):
            kind, default = f"{{{', '.join(type(default).model_fields)}}}", default.model_dump(mode="json")
        else:
            kind = _kind(properties[name])
        meaning = (field.description or "").rstrip(".")
        yield f"| `{prefix}{name}` | {kind} | `{json.dumps(default, default=str)}` | {meaning} |"


def _kind(option: dict[str, Any]) -> str:
    """Say in words what JSON schema says of an option."""
    if "anyOf" in option:
        return " or ".join(_kind(one) for one in option["anyOf"])
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    words = {"object": "names and values", "array": "list", "string": option.get("format", "text")}
    limits = " ".join(f"{sign} {option[limit]:g}" for limit, sign in _LIMITS.items() if limit in option)
    return f"{words.get(option.get('type', ''), option.get('type', 'anything'))} {limits}".strip()
