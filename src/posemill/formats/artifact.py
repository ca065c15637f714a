"""posemill's artifacts: one HDF5 file per subject and stage, one reader and one writer.

Layout
------
The first 512 bytes are an HDF5 user block that any HDF5 tool skips and ``head -c 512`` shows: kind, schema version,
size and SHA-256 of the rest. So a file that was cut, flipped, appended to or edited by hand is noticed before any
number is read from it. Then::

    /                     attrs: schema, schema_version, subject, joint_set, provenance (JSON), complete; and
                          joint_set_beyond where merged3d has more joints than those of joint_set
    /joint, /space, ...   dimension scales with labels
    /{clip}               attrs: status, reason, fps, temporal, image_width, image_height
    /{clip}/time          (T,) seconds, the dimension scale that every dataset below it shares
    /{clip}/camera        K, dist, and R, t where the camera's place is known; of a camera that moves this is the
                          reference camera, and frame_K, frame_dist, frame_turn, frame_offset, frame_known say how
                          each frame's camera stands to it (posemill.camera_motion)
    /{clip}/{track}       the datasets of ``posemill.formats.schema``, attrs: dims, units, frame on each; {name}_beyond
                          has the rest of the joints

No time stamps, no absolute paths, no random ids: the same work gives the same bytes. Opens in plain h5py and with
``xarray.open_datatree(path, engine="h5netcdf")``.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import h5py

from posemill.errors import ArtifactError, PosemillError, expected
from posemill.formats.artifact_layout import REDO, read_tree, write_tree
from posemill.formats.artifact_model import (
    Artifact,
    Clip,
    Track,
    first_misfit,
    only_clip,
    only_joints,
    schema_named,
    validate,
)
from posemill.formats.atomic import write_bytes
from posemill.formats.schema import SCHEMAS, Schema

__all__ = [
    "Artifact",
    "Clip",
    "Track",
    "file_sha256",
    "first_misfit",
    "only_clip",
    "only_joints",
    "read",
    "to_bytes",
    "write",
]

BLOCK = 512


def to_bytes(artifact: Artifact, where: object = "artifact") -> bytes:
    """Serialise a valid artifact; equal artifacts give equal bytes."""
    validate(artifact, where)
    schema = SCHEMAS[artifact.schema]
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=BLOCK) as f:
        write_tree(f, artifact, schema)
    data = bytearray(buffer.getvalue())
    header = _header(schema, len(data), hashlib.sha256(memoryview(data)[BLOCK:]).hexdigest())
    data[: len(header)] = header
    return bytes(data)


def write(path: Path, artifact: Artifact) -> None:
    """Validate and write an artifact in one step; byte-identical for identical content.

    Raises
    ------
    ArtifactError
        The artifact does not fit its schema (a bug of the stage that made it).
    InputError
        The folder cannot be written, or the disk is full.
    """
    write_bytes(path, to_bytes(artifact, path))


def _header(schema: Schema, size: int, digest: str) -> bytes:
    text = f"posemill artifact\nschema {schema.name}\nversion {schema.version}\nbytes {size}\nsha256 {digest}\n"
    return text.encode().ljust(BLOCK, b"\n")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with Path(path).open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def read(path: Path, schema: str | None = None) -> Artifact:
    """Read an artifact, trusting nothing.

    Parameters
    ----------
    path
        The file.
    schema
        The kind that the caller needs; any if None.

    Raises
    ------
    ArtifactError
        The file is missing, truncated, foreign, older, changed since it was written, or not what its schema says.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: expected an artifact, got: {error.strerror}") from error
    name, version = _check_header(data, path)
    spec = schema_named(name, path)
    if schema is not None and name != schema:
        raise ArtifactError(expected("kind of artifact", schema, name, where=path))
    if version != spec.version:
        todo = REDO if version < spec.version else "update posemill"
        raise ArtifactError(expected(f"{name} version", spec.version, version, where=path, do=todo))
    try:
        with h5py.File(io.BytesIO(data), "r") as f:
            artifact = read_tree(f, spec, path)
    except PosemillError as error:
        raise error if isinstance(error, ArtifactError) else ArtifactError(f"{path}: {error}") from error
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(f"{path}: expected the layout of {name} {version}, got: {reason}; {REDO}") from error
    artifact.sha256 = hashlib.sha256(data).hexdigest()
    validate(artifact, path)
    return artifact


def _check_header(data: bytes, path: Path) -> tuple[str, int]:
    """Check kind, size and checksum before HDF5 sees the file; return (schema, version)."""
    lines = data[:BLOCK].split(b"\n")
    if lines[0] != b"posemill artifact":
        found = "an HDF5 file of another program" if data[:8] == b"\x89HDF\r\n\x1a\n" else f"{len(data)} other bytes"
        raise ArtifactError(expected("contents", "a posemill artifact", found, where=path))
    try:
        entries = dict(line.decode().split(" ", 1) for line in lines[1:6] if line)
        name, version, size, digest = (
            entries["schema"],
            int(entries["version"]),
            int(entries["bytes"]),
            entries["sha256"],
        )
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: expected a readable header, got a damaged one; {REDO}") from error
    if size != len(data):
        raise ArtifactError(
            expected("size", f"{size} bytes", f"{len(data)} bytes (cut or appended)", where=path, do=REDO)
        )
    found = hashlib.sha256(memoryview(data)[BLOCK:]).hexdigest()
    # The header itself is compared whole, so that no byte of the file is outside the check.
    header = f"posemill artifact\nschema {name}\nversion {version}\nbytes {size}\nsha256 {digest}\n".encode()
    if found != digest or data[:BLOCK] != header.ljust(BLOCK, b"\n"):
        raise ArtifactError(
            f"{path}: checksum: expected {digest[:12]}, got {found[:12]}: "
            f"damaged or changed after it was written; {REDO}"
        )
    return name, version
