"""The folder that a depth network is in: is it metric, can it be read as data alone, and who may use it.

Nothing heavy is imported: the workflow asks before its first job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from posemill.errors import InputError, MissingError, expected

__all__ = ["check_model", "depth_model", "model_terms", "model_type"]

# Networks whose depths are metres, by transformers' name of the architecture. Of Depth Anything there are two kinds.
_METRIC = ("depth_anything", "glpn")
_CODE = "Apache-2.0 (transformers)"


def depth_model(options: Mapping[str, Any]) -> Path:
    """The folder that options of the stage depth name, checked by :func:`check_model`."""
    if not options.get("model"):
        raise MissingError(expected("depth.model", "the folder of a metric depth network", "none"))
    folder = Path(options["model"])
    check_model(folder)
    return folder


def model_type(folder: Path) -> str:
    """Transformers' name of the architecture in ``folder``.

    Raises
    ------
    MissingError, InputError
        As :func:`check_model`.
    """
    return str(_config(folder).get("model_type"))


def check_model(folder: Path) -> None:
    """Look whether a folder has a metric depth network of which nothing needs to be run or fetched to read it.

    Raises
    ------
    MissingError
        The folder, its weights as safetensors, or what is to be done to pictures (``preprocessor_config.json``) is not
        there.
    InputError
        It is another network, or one of relative depth.
    """
    config, name = _config(folder), model_type(folder)
    if name not in _METRIC:
        raise InputError(expected("model_type", " or ".join(_METRIC), name, where=folder / "config.json"))
    if name == "depth_anything" and config.get("depth_estimation_type") != "metric":
        got = config.get("depth_estimation_type") or "relative"
        do = "its depths have no unit; name a model whose depths are metres"
        raise InputError(expected("depth_estimation_type", "metric", got, where=folder / "config.json", do=do))
    if not any(folder.glob("*.safetensors")):
        do = "other formats are not opened, since they may run code; save the model as safetensors"
        raise MissingError(expected("weights", "*.safetensors", "none", where=folder, do=do))
    if not (folder / "preprocessor_config.json").is_file():
        do = "it says what the network wants done to a picture; copy it from where the model is from"
        raise MissingError(expected("preprocessing", "preprocessor_config.json", "none", where=folder, do=do))


def model_terms(folder: Path) -> dict[str, str]:
    """Terms of code, weights and data; of the weights what the head of the folder's ``README.md`` says."""
    said = None
    try:
        _, head, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
        said = yaml.safe_load(head)
    except (OSError, ValueError, yaml.YAMLError):
        pass
    licence = said.get("license") if isinstance(said, dict) else None
    return {"code": _CODE, "weights": str(licence or "unknown: no licence in its README.md"), "data": "unknown"}


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        do = "save a model there, or leave depth.model empty"
        raise MissingError(expected("depth.model", f"a folder with {path.name}", "none", where=folder, do=do))
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, got: {error}") from None
    if not isinstance(config, dict):
        raise InputError(expected("configuration of a network", "a JSON object", type(config).__name__, where=path))
    return config
