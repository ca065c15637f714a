"""All errors of one clip against its truth, as far as both sides say enough for each; what is not known is named."""

from __future__ import annotations

import numpy as np

from posemill.errors import InputError
from posemill.formats.poses import PoseClip
from posemill.metrics.feet import joint_foot_sliding, pair_contacts, true_contacts
from posemill.metrics.image import pixel_errors
from posemill.metrics.motion import acceleration_errors, jerk, velocity_errors
from posemill.metrics.pairing import ClipErrors, Pair, match_frames, run_checks
from posemill.metrics.pose import joint_errors, n_joint_errors, p_joint_errors
from posemill.metrics.protocols import Protocol
from posemill.metrics.world import root_error, rte, w_joint_errors, wa_joint_errors
from posemill.skeleton import convert

__all__ = ["compare"]

_OF_JOINTS = (
    *("pose", "scaled", "aligned", "aligned_visible", "apart", "velocity", "acceleration", "jerk", "jerk_truth"),
    *("w", "wa", "rte", "contact", "sliding", "sliding_truth", "sigma"),
)


def compare(
    pred: PoseClip,
    truth: PoseClip,
    chosen: Protocol,
    *,
    names: tuple[str, str],
    joint_sets: tuple[str, str],
    keypoints: tuple[np.ndarray, np.ndarray, str] | None = None,
    height_m: float | None = None,
    accept: tuple[str, ...] = (),
) -> ClipErrors:
    """Compare one clip.

    Parameters
    ----------
    pred, truth
        The same person in the same clip.
    chosen
        Protocol, which names joints and root.
    names
        Subject and clip.
    joint_sets
        Of prediction and truth.
    keypoints
        Times (T,), detected (T, J, 2) px with NaN where unknown, and their joint set: adds errors in the image.
    height_m
        The person's height, which makes them relative.
    accept
        Checks (:data:`posemill.metrics.pairing.CHECKS`) whose suspicion is recorded and not raised.

    Raises
    ------
    InputError
        No frame is common to both, or a check finds a mistake.
    """
    # Half a frame, and of stills, which have numbers for times, half a number.
    tolerance_s = 0.5 / truth.rate if np.isfinite(truth.rate) else 0.5
    rows = match_frames(pred.time, truth.time, tolerance_s)
    if len(rows[0]) == 0:
        spans = [f"{c.time[0]:.3f}-{c.time[-1]:.3f} s" for c in (pred, truth)]
        raise InputError(f"expected frames within {tolerance_s:.4f} s of the truth's, got {' and '.join(spans)}")
    pair = Pair(pred, truth, joint_sets, chosen, rows)
    rooted = (pred.joints.keys() | pred.root.keys()) & truth.joints.keys()
    if pred.own_world:
        rooted = rooted - {"world"}
    frame = next((f for f in ("world", "camera") if f in rooted), "")
    own, other, same = pair.axes() if pred.joints else ("", next(iter(truth.joints)), False)
    label = frame or ("relative" if same else "aligned" if own else "image")
    out = ClipErrors(*names, pred.person, label, len(pair.k), len(truth.time))
    out.facts = {
        "fps": float(pred.fps) if pred.fps > 0 else None,
        "frames_merged": len(pred.time),
        "largest_time_difference_s": round(float(np.abs(pred.time[pair.i] - pair.time).max()), 6),
    }
    y = pair.truth_in(other)
    known = np.zeros(y.shape[:2], bool)
    known[:, pair.joints] = True
    known &= np.isfinite(y).all(-1)
    seen = _flags(known, pair, out)
    if own:
        x = pair.pred_in(own)
        run_checks(x, y, known, same, pair, accept, out)
        _poses(x, y, known, seen, same, pair, out)
        _motion(x, y, known, same, pair, out)
        _world(known, pair, out)
        _feet(pair, out)
        _sigma(known, pair, out)
    else:
        out.leave_out("the prediction has no 3D joints", *_OF_JOINTS)
    _roots(frame, pair, out)
    _image(keypoints, known, height_m, pair, out)
    return out


def _flags(known: np.ndarray, pair: Pair, out: ClipErrors) -> np.ndarray | None:
    """``all`` and, where the truth says so, ``visible`` (N, J); the latter is returned for all joints of the set."""
    out.values["all"] = known[:, pair.joints]
    if pair.truth.visible is None:
        out.leave_out("the truth does not say which joints the camera sees", "visible", "aligned_visible")
        return None
    seen = pair.truth.visible[pair.k].astype(np.float64)[..., None]
    # A joint made of several is seen if all of them are.
    seen = convert(np.where(seen > 0, seen, np.nan), pair.sets[1], pair.chosen.joint_set)[1] & known
    out.values["visible"] = seen[:, pair.joints]
    return seen


def _poses(
    x: np.ndarray,
    y: np.ndarray,
    known: np.ndarray,
    seen: np.ndarray | None,
    same: bool,
    pair: Pair,
    out: ClipErrors,
) -> None:
    """``pose``, ``scaled``, ``aligned``, ``aligned_visible``, ``apart`` (N, J) m."""
    at = pair.joints
    out.values["aligned"] = p_joint_errors(x, y, valid=known)[:, at]
    if seen is not None:
        out.values["aligned_visible"] = p_joint_errors(x, y, valid=seen)[:, at]
    if not same:
        out.leave_out(_no_axes(pair), "pose", "scaled", "apart")
        return
    out.values["pose"] = joint_errors(x, y, root=pair.root, valid=known)[:, at]
    out.values["scaled"] = n_joint_errors(x, y, root=pair.root, valid=known)[:, at]
    out.values["apart"] = joint_errors(x, y, root=pair.root)[:, pair.apart]


def _no_axes(pair: Pair) -> str:
    return f"no axes in common: {_frames(pair)}"


def _frames(pair: Pair) -> str:
    return f"prediction {', '.join(pair.pred.joints) or 'none'}; truth {', '.join(pair.truth.joints)}"


def _roots(frame: str, pair: Pair, out: ClipErrors) -> None:
    """``root``, ``depth``, ``lateral`` (N,) m."""
    if not frame:
        out.leave_out(f"roots are in no common frame: {_frames(pair)}", "root", "depth", "lateral")
        return
    truth = pair.truth_in(frame)[:, pair.root]
    own = pair.pred.root.get(frame)
    pred = pair.pred_in(frame)[:, pair.root] if own is None else own[pair.i].astype(np.float64)
    camera = next((c.camera for c in (pair.truth, pair.pred) if c.camera is not None and c.camera.in_world), None)
    centre = camera.centre if frame == "world" and camera is not None else None
    error = root_error(pred, truth, camera_centre=centre)
    out.values["root"] = error.total
    if frame == "world" and camera is None:
        out.leave_out("no camera in the world", "depth", "lateral")
        return
    out.values |= {"depth": error.depth, "lateral": error.lateral}


def _motion(x: np.ndarray, y: np.ndarray, known: np.ndarray, same: bool, pair: Pair, out: ClipErrors) -> None:
    """``velocity`` (N-1, J) m/s, ``acceleration`` (N-2, J) m/s², ``jerk``, ``jerk_truth`` (N-3, J) m/s³."""
    names = ("velocity", "acceleration", "jerk", "jerk_truth")
    if not pair.temporal:
        out.leave_out("stills, or too few frames, have no motion", *names)
        return
    time, at = pair.time, pair.joints
    if same:
        out.values["velocity"] = velocity_errors(x, y, time_s=time, root=pair.root, valid=known)[:, at]
        out.values["acceleration"] = acceleration_errors(x, y, time_s=time, root=pair.root, valid=known)[:, at]
    else:
        out.leave_out(_no_axes(pair), "velocity", "acceleration")
    # With the root's own motion, so in a frame that stands.
    for name, clip, poses in (("jerk", pair.pred, pair.pred_in), ("jerk_truth", pair.truth, pair.truth_in)):
        frame = next((f for f in ("world", "camera") if f in clip.joints), None)
        if frame is None:
            out.leave_out(f"needs poses in the world or before the camera, got {', '.join(clip.joints)}", name)
        else:
            out.values[name] = jerk(poses(frame), time_s=time, valid=known)[:, at]


def _world(known: np.ndarray, pair: Pair, out: ClipErrors) -> None:
    """``w``, ``wa`` (N, J) m, ``rte`` () percent."""
    if not (pair.in_world and pair.temporal):
        out.leave_out("needs a motion in the world on both sides", "w", "wa", "rte")
        return
    pred, truth = pair.pred_in("world"), pair.truth_in("world")
    out.values["w"] = w_joint_errors(pred, truth, valid=known)[:, pair.joints]
    out.values["wa"] = wa_joint_errors(pred, truth, valid=known)[:, pair.joints]
    way = np.array(rte(pred[:, pair.root], truth[:, pair.root]))
    if np.isfinite(way):
        out.values["rte"] = way
    else:
        out.leave_out("the root of the truth does not move", "rte")


def _feet(pair: Pair, out: ClipErrors) -> None:
    """``contact``, ``contact_truth`` (N, 2) flags; ``sliding``, ``sliding_truth`` (N-1, 2) m/s of the ankles."""
    truth = None if pair.truth.contact is None else pair.truth.contact[pair.k]
    points = pair.truth.contact_points
    sides = [[i for i, name in enumerate(points) if name.startswith(side)] for side in ("left", "right")]
    if truth is None or pair.pred.contact is None or len(pair.pred.contact_points) != 2:
        who = "truth" if truth is None else "prediction"
        out.leave_out(f"the {who} states no contacts", "contact")
    else:
        out.values["contact"] = pair.pred.contact[pair.i]
        out.values["contact_truth"] = np.stack([truth[:, side].any(-1) for side in sides], -1)
    if not (pair.in_world and pair.temporal):
        out.leave_out("needs a motion in the world on both sides", "sliding", "sliding_truth")
        return
    feet = pair.truth_in("world")[:, pair.ankles]
    if truth is None:
        stands = true_contacts(feet, time_s=pair.time)
        out.facts["contacts_from"] = "true ankles slower than 0.3 m/s"
    else:
        # While the heel stands the ankle does too; when the foot rolls over the toes it moves.
        heels = [next((i for i in side if points[i].endswith("heel")), side[0]) for side in sides]
        stands = pair_contacts(truth[:, heels])
        out.facts["contacts_from"] = "the truth's " + " and ".join(points[i] for i in heels)
    steps = np.diff(pair.time)
    stands = stands & (steps < 1.5 * np.median(steps))[:, None]
    out.values["sliding"] = joint_foot_sliding(pair.pred_in("world")[:, pair.ankles], stands, time_s=pair.time)
    out.values["sliding_truth"] = joint_foot_sliding(feet, stands, time_s=pair.time)


def _sigma(known: np.ndarray, pair: Pair, out: ClipErrors) -> None:
    """``signed`` and ``sigma`` (N, J, 3) m, in the frame that sigma is stated in."""
    sigma, frame = pair.pred.sigma, pair.pred.sigma_frame
    target = "camera" if frame == "relative" and "relative" not in pair.truth.joints else frame
    if sigma is None:
        out.leave_out("the prediction states no sigma", "sigma")
    elif target == "world" and pair.pred.own_world:
        out.leave_out("sigma is stated in a world whose north and origin are not the truth's", "sigma")
    elif target not in pair.truth.joints or (own := pair.own_joints()) is None:
        out.leave_out(
            f"sigma is stated for {pair.sets[0]} in the frame {frame}, which the truth does not have", "sigma"
        )
    else:
        x, y = pair.pred_in(frame), pair.truth_in(target)
        if frame == "relative":
            x, y = (p - p[:, pair.root, None] for p in (x, y))
        spread = sigma[pair.i][:, own].astype(np.float64)
        # A joint at the origin by definition has neither error nor sigma.
        spread = np.where(known[..., None] & (spread > 0), spread, np.nan)[:, pair.joints]
        out.values |= {"signed": (x - y)[:, pair.joints], "sigma": spread}
        out.facts["sigma_frame"] = frame


def _image(
    keypoints: tuple[np.ndarray, np.ndarray, str] | None,
    known: np.ndarray,
    height_m: float | None,
    pair: Pair,
    out: ClipErrors,
) -> None:
    """``image`` (N, J): distances by the person's height in the image."""
    truth = pair.truth
    if keypoints is None:
        out.leave_out("no keypoints2d given", "image")
        return
    if truth.keypoints is None or truth.camera is None or height_m is None or "camera" not in truth.joints:
        out.leave_out("the truth has no keypoints, camera and height", "image")
        return
    time, points, source = keypoints
    i, k = match_frames(time, truth.time, 0.5 / truth.rate if np.isfinite(truth.rate) else 0.5)
    found = convert(points[i].astype(np.float64), source, pair.chosen.joint_set)[0]
    # In the rows of the matched truth frames; NaN where the keypoints have no frame for one.
    aligned = np.full((len(truth.time), *found.shape[1:]), np.nan)
    aligned[k] = found
    target = convert(truth.keypoints[pair.k].astype(np.float64), pair.sets[1], pair.chosen.joint_set)[0]
    height_px = truth.camera.focal_px * height_m / pair.truth_in("camera")[:, pair.root, 2]
    out.values["image"] = pixel_errors(aligned[pair.k], target, height_px, valid=known)[:, pair.joints]
