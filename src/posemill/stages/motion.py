"""``posemill motion import``: captures of animation software to one motion file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.mocap import body_of, read_capture
from posemill.formats.motion import MotionClip, read_motion, write_motion
from posemill.progress import progress

__all__ = ["import_motion"]


def import_motion(
    files: Sequence[Path],
    output: Path,
    *,
    fps: float = 50.0,
    group: str | None = None,
    feet: bool = True,
    max_speed_m_s: float = 14.0,
    add: Path | None = None,
) -> list[str]:
    """Read captures, repair them, and write their joints and feet.

    Parameters
    ----------
    files
        BVH and AMC files, and the ASF files of their subjects; a folder stands for all such files in it. Of a clip that
        is there as AMC and as BVH, the AMC file counts.
    fps
        Frame rate to write.
    group
        Group of all clips; None: ``train`` for skeletons that are the subject's own, else ``extra``.
    feet
        Whether heels and toes are written.
    max_speed_m_s
        A clip in which a joint moves faster from one frame to the next is damaged and left out.
    add
        A motion file of the same rate; its clips that are not among the files are taken over.

    Returns
    -------
    One line for each clip that was left out.

    Raises
    ------
    InputError
        No capture among the files, two of one clip, or a file that cannot be used.
    """
    if not fps > 0:
        raise InputError(expected("--fps", "a positive number", fps))
    paths = [path for given in files for path in _expanded(Path(given))]
    skeletons = [path for path in paths if path.suffix.lower() == ".asf"]
    captures = [path for path in paths if path.suffix.lower() != ".asf"]
    if not captures:
        raise InputError(expected("files", "BVH or AMC files", ", ".join(map(str, files)) or "none"))
    clips: list[MotionClip] = []
    origins, terms, left_out = [], [], []
    originals = {path.stem for path in captures if path.suffix.lower() == ".amc"}
    for path in [path for path in captures if path.stem in originals and path.suffix.lower() != ".amc"]:
        left_out.append(f"{path}: left out: {path.stem}.amc is the original")
        captures.remove(path)
    seen: dict[tuple[str, str], Path] = {}
    for path in progress(captures, len(captures), "import", "file"):
        try:
            capture = read_capture(path, skeletons)
        except InputError as error:
            left_out.append(f"{path}: left out: {str(error).removeprefix(f'{path}: ')}")
            continue
        name = (capture.subject, capture.clip)
        if name in seen:
            raise InputError(expected("files", f"one of {'/'.join(name)}", f"{seen[name]} and {path}"))
        seen[name] = path
        body = body_of(capture, fps)
        fastest = float(np.linalg.norm(np.diff(body.joints, axis=0), axis=-1).max(initial=0.0)) * fps
        if fastest > max_speed_m_s:
            left_out.append(f"{path}: left out: a joint moves at {fastest:.1f} m/s (more than {max_speed_m_s:g})")
            continue
        where = group or ("train" if capture.source.own_body else "extra")
        clips.append(
            MotionClip(
                where, *name, fps, body.joints.astype(np.float32), body.feet.astype(np.float32) if feet else None
            )
        )
        origins.append(f"{path.name}, {capture.source.name}, {capture.fps:g} Hz")
        terms.append(capture.source.terms)
    if not clips:
        raise InputError(left_out[0])
    for clip in read_motion(add, groups=None) if add is not None else []:
        if clip.fps != fps:
            raise InputError(expected("fps", fps, clip.fps, where=add))
        if (clip.subject, clip.clip) not in seen:
            clips.append(clip)
            origins.append(Path(add or "").name)
    write_motion(output, clips, attrs={"acknowledgement": " ".join(sorted(set(terms)))}, origins=origins)
    minutes = sum(len(clip.joints) for clip in clips) / fps / 60
    print(f"{output}: {len(clips)} clips, {minutes:.1f} minutes, {len({c.subject for c in clips})} subjects")
    for line in left_out:
        print(line)
    return left_out


def _expanded(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix.lower() in (".bvh", ".amc", ".asf"))
