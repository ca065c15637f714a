"""What a result was made from: fingerprints of code, options and content.

Snakemake compares the parameters of a rule as a set of values, does not see edits of imported packages, and falls
back to modification times for large files. So every rule has exactly one parameter, the sorted JSON of a
:class:`StageRequest`, which names all that decides the bytes of the stage's output beside its input files. The same
text is handed to the stage, which refuses when its own code is another than the request's.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from posemill.errors import InputError

__all__ = ["ContentKeys", "StageRequest", "closure", "code_hash", "library_versions", "record", "sha256_file"]


# ------------------------------------------------------------------------------------------------ code

# Modules that carry numbers and do not make them. Their change asks for no new work: what a file means is said by
# posemill.formats.schema and its versions, which do count.
_CARRIERS = {
    "posemill.arrays",
    "posemill.errors",
    "posemill.formats.artifact",
    "posemill.formats.artifact_layout",
    "posemill.formats.artifact_model",
    "posemill.formats.atomic",
    "posemill.progress",
    "posemill.provenance",
    "posemill.registry",
}


def _canonical(node: Any) -> Any:
    """Syntax tree as plain data, equal for equal code under every Python: no positions, no empty fields."""
    if isinstance(node, ast.AST):
        fields = {}
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != [] and name not in ("type_comment", "kind", "ctx"):
                fields[name] = _canonical(value)
        return [type(node).__name__, fields]
    if isinstance(node, list):
        return [_canonical(v) for v in node]
    return node if node is None else repr(node)


def _without_docstring(node: ast.AST) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        body = node.body
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            node.body = body[1:]


@cache
def _parsed(file: str, mtime_ns: int, package: str) -> tuple[str, tuple[str, ...]]:
    """Hash of a module without docstrings, and every dotted name that it imports anywhere."""
    tree = ast.parse(Path(file).read_bytes())
    imported: list[str] = []
    for node in ast.walk(tree):
        _without_docstring(node)
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            imported += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    digest = hashlib.sha256(json.dumps(_canonical(tree), sort_keys=True).encode()).hexdigest()
    return digest, tuple(imported)


def _source(module: str) -> Path | None:
    """File of a module, without importing it or what it lies in: the search for a network must not load torch."""
    package, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(package)
    except (ModuleNotFoundError, ValueError):
        return None
    for part in inner:
        if spec is None or spec.submodule_search_locations is None:
            return None
        package = f"{package}.{part}"
        spec = PathFinder.find_spec(package, spec.submodule_search_locations)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def closure(*modules: str) -> dict[str, str]:
    """Static import closure of ``modules`` within their own top-level packages: module name to hash of its code.

    Docstrings, comments and layout do not count. Imports inside functions do, so that a lazily imported network is
    part of the stage that uses it. Modules that only carry numbers (reader, writer, messages) do not count either; the
    schema of the artifacts does.

    Raises
    ------
    InputError
        A module has no Python source.
    """
    packages = {name.split(".")[0] for name in (*modules, "posemill")}
    seen: dict[str, str] = {}
    queue = [*modules, "posemill.formats.schema"]
    while queue:
        name = queue.pop()
        if name in seen or name in _CARRIERS or name.split(".")[0] not in packages:
            continue
        file = _source(name)
        if file is None:
            continue
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        digest, imported = _parsed(str(file), file.stat().st_mtime_ns, package)
        seen[name] = digest
        queue += imported
    unknown = [name for name in modules if name not in seen]
    if unknown:
        raise InputError(f"no source for {', '.join(unknown)}; install posemill and its methods as Python files")
    return dict(sorted(seen.items()))


def code_hash(*modules: str) -> str:
    """Hash of the :func:`closure` of ``modules``, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(closure(*modules)).encode()).hexdigest()[:16]


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions of distributions; ``missing`` where there is none."""
    found = {}
    for name in sorted(set(names)):
        try:
            # A local build label (+cpu, +cu130) is the same source: the device is recorded apart.
            found[name] = version(name).split("+")[0]
        except PackageNotFoundError:
            found[name] = "missing"
    return found


# ------------------------------------------------------------------------------------------------ content


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, or of a folder as that of its files' names and contents in order of name."""
    path = Path(path)
    if path.is_dir():
        parts = [(p.name, sha256_file(p)) for p in sorted(path.iterdir()) if p.is_file() and p.name[0] != "."]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class ContentKeys:
    """SHA-256 of source files, remembered by path, size, modification time and inode.

    A file replaced by an older one has another inode, size or time, and is read again; a touched one is read again
    and found to be the same. The memory is a JSON file; losing it costs time, never a wrong answer.
    """

    def __init__(self, memory: Path) -> None:
        self._file = memory
        try:
            self._known: dict[str, list[Any]] = json.loads(memory.read_text())
        except (OSError, ValueError):
            self._known = {}
        self._changed = False

    def __call__(self, path: Path) -> str:
        """SHA-256 of ``path``."""
        files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        state = [[f.name, s.st_size, s.st_mtime_ns, s.st_ino] for f in files for s in (f.stat(),)]
        known = self._known.get(str(path))
        if known and known[0] == state:
            return known[1]
        digest = sha256_file(path)
        self._known[str(path)] = [state, digest]
        self._changed = True
        return digest

    def save(self) -> None:
        """Write the memory if it grew; not being able to is no error."""
        if not self._changed:
            return
        temporary = self._file.with_name(f".{self._file.name}.{os.getpid()}.part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._known, sort_keys=True))
            os.replace(temporary, self._file)
        except OSError:
            temporary.unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------ requests


@dataclass(frozen=True)
class StageRequest:
    """All that decides a stage's output beside its input files.

    Attributes
    ----------
    stage, method
        Which stage, and which method where it has several (else "").
    options
        The method's or stage's options, defaults filled in.
    sheet
        The clip sheet's values that this stage reads.
    code
        :func:`code_hash` of the stage and the method.
    weights
        SHA-256 of the weights file, or "".
    libraries
        Versions of the libraries that compute.
    """

    stage: str
    method: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    sheet: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    weights: str = ""
    libraries: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Sorted JSON on one line: the rule's one parameter."""
        return json.dumps(vars(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> StageRequest:
        """Parse :meth:`to_json`; raises InputError for anything else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise InputError(
                f"--stage: expected the JSON that the workflow makes, got {text[:60]!r}: {error}"
            ) from None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the request."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def record(
    request: StageRequest,
    inputs: Mapping[str, Path],
    *,
    device: str = "cpu",
    licences: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Provenance of one artifact: no time stamps and no folders, so that equal work gives equal bytes.

    Parameters
    ----------
    request
        What was asked for.
    inputs
        Role (or clip) to file; recorded as SHA-256 of the contents.
    device
        What computed: ``cpu``, ``cuda: NVIDIA ...``.
    licences
        Part (code, weights, data) to terms, of each thing that was used.
    """
    return {
        "posemill": version("posemill"),
        "fingerprint": request.fingerprint,
        "stage": request.stage,
        "method": request.method,
        "options": request.options,
        "sheet": _names_only(request.sheet),
        "code": request.code,
        "weights": request.weights,
        # Those that computed: in an image they may be others than where the run was planned.
        "libraries": library_versions(request.libraries),
        "inputs": {role: sha256_file(path) for role, path in sorted(inputs.items())},
        "device": device,
        "image": os.environ.get("POSEMILL_IMAGE_DIGEST", ""),
        "licences": {part: dict(terms) for part, terms in (licences or {}).items()},
    }


def _names_only(value: Any) -> Any:
    """Drop the folders from paths, which say where a lab keeps its data and not what was computed."""
    if isinstance(value, Mapping):
        return {k: _names_only(v) for k, v in value.items()}
    if isinstance(value, str) and "/" in value:
        return value.rsplit("/", 1)[1]
    return value
