"""What merging does for feet and the path: beside the peers' way, and beside placing alone, against a truth.

Six results of the same lifted poses, all in the world:

- peers: as the lifters' own demos show them. The pose turned by one constant Human3.6M camera (that of VideoPose3D's
  demo), no translation, the clip's lowest joint set to z = 0.
- placed: the pose at the subject's bone lengths on the placed root; nothing smoothed, limited or locked.
- smoothed: with jitter taken out and joint limits, nothing fitted to the image, feet not locked.
- locked: the same with standing feet held and the root corrected by them.
- fitted: pose and root fitted to the image, the bones and the floor; feet not locked.
- merged: the defaults, fitted and locked.

Of each clip: RTE and W-MPJPE (the first two frames of every 100 aligned), MPJPE (12 limbs, root-relative, world axes),
median root error, mean speed of the ankles while the true heel stands (the true ankle's own beside it), F1 of contacts
in frames and feet, distance of the projected ankles from the true ones in the image, jitter (and the truth's), frames
with an ankle lower than 0.039 of stature. Of heels and toes, where the lifter gives them: median distance from the true
ones, median angle between the foot's direction (heel to toe) and the true one, mean speed of heel and toe while the
true one stands, frames with one of them below the floor. What is called heel and toe differs: the twin's lie 52 mm
under the ankle of a flat foot, those of captured motion, which the lifter learned, 74 mm. The means are over clips.

Inputs are a subject's folders that the workflow left, detected and exact:

    snakemake --cores all results/S9/merged3d.mediapipe.posemill.h5
    snakemake --cores all --config detector=exact -- results/S9/merged3d.exact.posemill.h5
    python benchmarks/merge.py results/S9 --truth resources/demo/S9/truth.h5 [--json docs/records/merge.json]

References
----------
Pavllo et al.: "3D human pose estimation in video with temporal convolutions", CVPR 2019: the demo's camera rotation.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from record import write_record
from scipy.spatial.transform import Rotation

from posemill.formats.artifact import Artifact, only_joints, read
from posemill.geometry import unit
from posemill.merging.soles import SOLES
from posemill.metrics.feet import contact_score, joint_foot_sliding, pair_contacts
from posemill.metrics.motion import jitter
from posemill.metrics.world import rte, w_mpjpe
from posemill.placement.skeleton_scale import stature
from posemill.provenance import StageRequest, code_hash
from posemill.skeleton import JOINT_SETS, LIMBS
from posemill.stages import merge

SET = JOINT_SETS["h36m17"]
ANKLES, LIMB = SET.indices(("left_ankle", "right_ankle")), SET.indices(LIMBS)
HEELS = (0, 2)
# The same four points in the truth's joints, and their columns of its contacts.
TRUE_SOLES = JOINT_SETS["posemill28"].indices(tuple(JOINT_SETS["posemill21"].joints[i] for i in SOLES.ravel()))
# w last, as scipy has it: the rotation from the camera to the world that VideoPose3D's demo applies to every video.
DEMO_CAMERA = Rotation.from_quat([-0.1500701755285263, -0.755240797996521, 0.6223280429840088, 0.1407056450843811])
OFF = {"fit_image": False, "lock_feet": False, "joint_limits": False, "cutoff_hz": None}
LOCKED, FITTED = {"fit_image": False}, {"lock_feet": False}
WAYS = {"placed": OFF, "smoothed": LOCKED | FITTED, "locked": LOCKED, "fitted": FITTED, "merged": {}}
COLUMNS = {
    "rte_percent": ("RTE %", 6),
    "w_mpjpe_mm": ("W-MPJPE", 8),
    "mpjpe_mm": ("MPJPE", 6),
    "root_median_mm": ("root", 6),
    "ankle_slide_mm_s": ("slide mm/s", 11),
    "true_slide_mm_s": ("true", 5),
    "contact_f1_percent": ("F1 %", 6),
    "foot_reprojection_px": ("foot px", 8),
    "jitter_m_s3": ("jitter", 7),
    "true_jitter_m_s3": ("true", 6),
    "pierced_percent": ("pierced %", 10),
    "sole_mm": ("sole mm", 8),
    "foot_deg": ("foot deg", 9),
    "sole_slide_mm_s": ("slide", 6),
    "sole_pierced_percent": ("pierced %", 10),
}


def merged(folder: Path, detector: str, lifter: str, options: dict[str, object]) -> Artifact:
    """The subject merged anew with these options."""
    paths = [
        folder / name
        for name in (
            f"keypoints2d.{detector}.h5",
            f"lifted3d.{detector}.{lifter}.h5",
            f"placed3d.{detector}.{lifter}.h5",
        )
    ]
    with tempfile.TemporaryDirectory() as work:
        output = Path(work) / "merged3d.h5"
        merge.run(*paths, output, StageRequest("merge", options=options))
        return read(output, "merged3d")


def peers(joints_relative: np.ndarray) -> np.ndarray:
    """Joints (T, 17, 3) in the room that demos invent."""
    world = DEMO_CAMERA.apply(joints_relative.reshape(-1, 3)).reshape(joints_relative.shape)
    return world - (0.0, 0.0, float(np.nanmin(world[..., 2])))


def measure(
    time: np.ndarray,
    joints: np.ndarray,
    truth: dict[str, np.ndarray],
    stature_m: float,
    contact: np.ndarray | None = None,
    seen: np.ndarray | None = None,
) -> dict[str, float]:
    """Figures of one clip; those without a meaning are missing.

    ``joints`` (T, J, 3) m in the world, of h36m17 or posemill21; ``contact`` (T, 2); ``seen`` (T, 2, 2) px of ankles.
    """
    true = truth["joints"][:, :17].astype(np.float64)
    heels = pair_contacts(truth["contact"][:, HEELS])

    def slide(points: np.ndarray) -> float:
        return 1000 * float(np.nanmean(joint_foot_sliding(points[:, ANKLES], heels, time_s=time)))

    out = {
        "rte_percent": rte(joints[:, 0], true[:, 0]),
        "w_mpjpe_mm": 1000 * w_mpjpe(joints[:, LIMB], true[:, LIMB]),
        "ankle_slide_mm_s": slide(joints),
        "true_slide_mm_s": slide(true),
        "jitter_m_s3": jitter(joints[:, LIMB], time_s=time),
        "true_jitter_m_s3": jitter(true[:, LIMB], time_s=time),
        "pierced_percent": 100 * float((joints[:, ANKLES, 2] < 0.039 * stature_m - 1e-4).any(-1).mean()),
    }
    if contact is None or seen is None:
        return out
    feet = truth["contact"].reshape(-1, 2, 2).any(-1)
    relative = ((joints - joints[:, :1])[:, :17]) - (true - true[:, :1])
    return (
        out
        | soles(time, joints, truth)
        | {
            "mpjpe_mm": 1000 * float(np.nanmean(np.linalg.norm(relative[:, LIMB], axis=-1))),
            "root_median_mm": 1000 * float(np.nanmedian(np.linalg.norm(joints[:, 0] - true[:, 0], axis=-1))),
            "contact_f1_percent": 100 * float(contact_score(contact.reshape(-1, 1), feet.reshape(-1, 1)).f1[0]),
            "foot_reprojection_px": float(
                np.nanmean(np.linalg.norm(seen - truth["keypoints"][:, ANKLES].astype(np.float64), axis=-1))
            ),
        }
    )


def soles(time: np.ndarray, joints: np.ndarray, truth: dict[str, np.ndarray]) -> dict[str, float]:
    """Figures of heels and toes of joints (T, J, 3) m in the world; none without them."""
    if joints.shape[1] == len(SET):
        return {}
    own, true = joints[:, SOLES.ravel()], truth["joints"][:, TRUE_SOLES].astype(np.float64)
    foot, true_foot = (unit(p[:, 1::2] - p[:, ::2]) for p in (own, true))
    slide = joint_foot_sliding(own, pair_contacts(truth["contact"]), time_s=time)
    return {
        "sole_mm": 1000 * float(np.nanmedian(np.linalg.norm(own - true, axis=-1))),
        "foot_deg": float(np.degrees(np.nanmedian(np.arccos(np.clip((foot * true_foot).sum(-1), -1, 1))))),
        "sole_slide_mm_s": 1000 * float(np.nanmean(slide)),
        "sole_pierced_percent": 100 * float((own[..., 2] < -1e-4).any(-1).mean()),
    }


def subject(folder: Path, truth: Artifact, detector: str, lifter: str) -> dict[str, dict[str, dict[str, float]]]:
    """Figures by way and clip."""
    rows: dict[str, dict[str, dict[str, float]]] = {"peers": {}}
    lifted = only_joints(read(folder / f"lifted3d.{detector}.{lifter}.h5", "lifted3d"), "h36m17")
    for way, options in WAYS.items():
        result = merged(folder, detector, lifter, options)
        rows[way] = {}
        for name, clip in result.clips.items():
            if clip.status != "ok" or clip.attrs["frame"] != "world" or clip.camera is None:
                continue
            arrays = next(iter(clip.tracks.values())).arrays
            true = next(iter(truth.clips[name].tracks.values())).arrays
            joints = arrays["joints"].astype(np.float64)
            lengths = np.linalg.norm(np.diff(joints[:, SET.bones], axis=2)[:, :, 0], axis=-1)
            height = float(stature(np.nanmedian(lengths, axis=0)))
            seen = clip.camera.project(arrays["joints_camera"][:, ANKLES].astype(np.float64))
            rows[way][name] = measure(clip.time, joints, true, height, arrays["contact"], seen)
            if name not in rows["peers"]:
                pose = next(iter(lifted.clips[name].tracks.values())).arrays["joints_relative"].astype(np.float64)
                rows["peers"][name] = measure(clip.time, peers(pose), true, height)
    return rows


def main() -> None:
    """Print a table per source, and write a record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--detector", action="append", help="default: exact and mediapipe")
    parser.add_argument("--lifter", default="posemill")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    truth = read(args.truth, "truth3d")
    record: dict[str, object] = {
        "code": code_hash("posemill.stages.merge"),
        "truth_sha256": truth.sha256,
        "lifter": args.lifter,
    }
    # Clips in which somebody stands all the time have no unknown contacts to average over, nor do gaps.
    warnings.filterwarnings("ignore", "Mean of empty slice")
    sources: dict[str, object] = {}
    for detector in args.detector or ("exact", "mediapipe"):
        rows = subject(args.folder, truth, detector, args.lifter)
        means = {
            way: {
                c: float(np.nanmean([f[c] for f in clips.values()]))
                for c in COLUMNS
                if all(c in f for f in clips.values())
            }
            for way, clips in rows.items()
        }
        sources[detector] = {"clips": rows, "means": means}
        print(f"{truth.subject}, {detector}, {args.lifter}: means over {len(rows['merged'])} clips; mm unless said")
        print(f"{'':10}" + "".join(f"{title:>{width}}" for title, width in COLUMNS.values()))
        for way, values in means.items():
            cells = (f"{values[c]:{w}.1f}" if c in values else f"{'-':>{w}}" for c, (_, w) in COLUMNS.items())
            print(f"{way:10}" + "".join(cells))
        worst = min(rows["merged"], key=lambda name: rows["merged"][name]["contact_f1_percent"])
        print(f"least F1 of a clip: {rows['merged'][worst]['contact_f1_percent']:.1f} % ({worst})\n")
    record["sources"] = sources
    write_record(args.json, _rounded(record))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return round(value, 2) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
