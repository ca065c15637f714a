"""Whether the sigma that merge states is the error's: motion capture before virtual cameras, and subjects with a truth.

Motion capture goes through lift, place and merge as the workflow does it, before static cameras whose place is known
(those of benchmarks/world.py), the person's height given; with the exact 2D and with noisy 2D. A subject that went
through the workflow (--subject MERGED3D TRUTH) is one draw of the scale's error, which all of its clips share.

Per row, along the world's three axes: the share of errors within one stated sigma (68 % if it is right), the median of
the errors and the mean sigma in mm. Feet stand where merge found a contact.

    python benchmarks/merge_sigma.py [--motion MOTION.h5 --names S007,S011] [--views 6] [--lifter posemill]
        [--subject MERGED3D TRUTH] [--json docs/records/merge_sigma.json]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from world import OPTIONS, Seen, arguments, from_motion, leave

from posemill.formats.artifact import file_sha256, read
from posemill.merging.feet import SeenPerson, smooth_soles
from posemill.merging.merge import merge
from posemill.merging.options import MergeOptions
from posemill.merging.soles import ANKLES
from posemill.metrics.uncertainty import share_within
from posemill.placement.subject import measure

BODY, MERGE = slice(17), MergeOptions.model_validate({})


class Errors(NamedTuple):
    """Errors and sigma (T, 17, 3) m of a clip's joints in the world, and standing feet (T, 2)."""

    error: np.ndarray
    sigma: np.ndarray
    contact: np.ndarray


def of_motion(seen: list[Seen]) -> Iterator[Errors]:
    """Place and merge each subject's clips of each view."""
    for subject in sorted({s.subject for s in seen}):
        clips = {s.name: s for s in seen if s.subject == subject}
        observed = {name: replace(s.observed, camera=s.camera) for name, s in clips.items()}
        body = measure(
            {name: {"p1": one} for name, one in observed.items()},
            height_m=next(iter(clips.values())).height_m,
            camera_heights_m={},
            cameras={},
            joints_of=next(iter(observed.values())).joints_of,
            options=OPTIONS,
        ).skeleton
        for name, one in observed.items():
            sigma, joints = clips[name].sigma, clips[name].joints
            assert sigma is not None and joints is not None
            path = one.path(body, OPTIONS)
            soles = smooth_soles(one.time, one.pose * body.scale, MERGE)
            found = merge(
                one.time,
                one.pose,
                sigma,
                path.root,
                path.sigma,
                body,
                one.camera,
                temporal=True,
                options=MERGE,
                seen=SeenPerson(one.keypoints, one.keypoint_sigma_px, one.seen, "h36m17", soles),
                shared_sigma=body.scale_sigma,
            )
            yield Errors(found.joints[:, BODY] - joints, found.sigma[:, BODY], found.contact)


def of_subject(merged3d: Path, truth3d: Path) -> Iterator[Errors]:
    """Clips that the workflow merged in the world."""
    truth = read(truth3d, "truth3d")
    for name, clip in read(merged3d, "merged3d").clips.items():
        if clip.status == "ok" and clip.attrs["frame"] == "world":
            found, true = (next(iter(c.tracks.values())).arrays for c in (clip, truth.clips[name]))
            error = found["joints"][:, BODY].astype(np.float64) - true["joints"][:, BODY]
            yield Errors(error, found["sigma"][:, BODY].astype(np.float64), found["contact"])


def rows(clips: Iterable[Errors]) -> dict[str, dict[str, list[float]]]:
    """Figures by kind of joint."""
    kinds: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    others = np.setdiff1d(np.arange(1, BODY.stop), ANKLES)
    for e, s, contact in clips:
        ankles, spread = e[:, ANKLES], s[:, ANKLES]
        parts = {"root": (e[:, 0], s[:, 0]), "standing ankles": (ankles[contact], spread[contact])}
        parts |= {"other ankles": (ankles[~contact], spread[~contact]), "others": (e[:, others], s[:, others])}
        for kind, (error, sigma) in (parts | {"all": (e, s)}).items():
            kinds.setdefault(kind, []).append((error.reshape(-1, 3), sigma.reshape(-1, 3)))
    out = {}
    for kind, pairs in kinds.items():
        error, sigma = (np.concatenate(part) for part in zip(*pairs, strict=True))
        figures = {
            "within_1_sigma_percent": 100 * share_within(error, sigma),
            "median_mm": 1000 * np.nanmedian(np.abs(error), axis=0),
            "sigma_mm": 1000 * np.nanmean(sigma, axis=0),
        }
        out[kind] = {name: [round(float(v), 1) for v in values] for name, values in figures.items()}
    return out


def main() -> None:
    """Print the table, and write the record."""
    given = arguments(__doc__, views=6, files=2)
    found, inputs = {}, {}
    for source in ("exact", "noisy") if given.motion else ():
        seen = from_motion(given.motion, given.names, given.views, given.lifter, source, calibrated=True)
        found[f"motion capture, {source}"] = rows(of_motion(seen))
        inputs[given.motion.name] = file_sha256(given.motion)
    for merged3d, truth3d in given.subject:
        found[f"{read(truth3d, 'truth3d').subject}, {merged3d.name}"] = rows(of_subject(merged3d, truth3d))
        inputs |= {path.name: file_sha256(path) for path in (merged3d, truth3d)}
    for label, kinds in found.items():
        print(f"{label}\n{'':16}{'within one sigma %':>20}{'median error mm':>24}{'mean sigma mm':>24}")
        for kind, figures in kinds.items():
            print(f"{kind:16}" + "   ".join("".join(f"{v:7.1f}" for v in values) for values in figures.values()))
    leave(given, inputs, "posemill.stages.merge", found)


if __name__ == "__main__":
    main()
