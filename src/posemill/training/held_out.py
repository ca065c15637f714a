"""How well a lifter does on windows of motion that it never saw, through its own adapter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from posemill.anthropometry import STANDARD_LENGTH_M, body_length
from posemill.camera import Camera
from posemill.lifters.protocol import LifterCard, LiftInput
from posemill.metrics.pose import joint_errors, p_joint_errors
from posemill.placement.ray import root_rays, turned_to_ray
from posemill.skeleton import JOINT_SETS, convert, joint_set
from posemill.training.sequences import Windows

__all__ = ["FOURTEEN", "HeldOut", "as_clip", "measure"]

FOURTEEN = np.setdiff1d(np.arange(17), JOINT_SETS["h36m17"].indices(("spine", "neck_nose", "head_top")))
_LIMBS = JOINT_SETS["h36m17"].indices(JOINT_SETS["limbs12"].joints)


@dataclass(frozen=True)
class HeldOut:
    """Errors over all frames of all windows; metres.

    Attributes
    ----------
    mpjpe17, p_mpjpe17, p_mpjpe12
        Means; MPJPE with the person's size given.
    axis_rms
        (17,) root mean square per joint and axis.
    within_sigma
        (3,) share of errors within one sigma along x, y and z.
    valid
        Share of frames that were answered whole.
    mpjpe14, p_mpjpe14
        As above, without spine, nose and head.
    sigma_ratios
        (N, 17, 3) float32, length of each error in sigmas.
    """

    mpjpe17: float
    p_mpjpe17: float
    p_mpjpe12: float
    axis_rms: np.ndarray
    within_sigma: np.ndarray
    valid: float
    mpjpe14: float
    p_mpjpe14: float
    sigma_ratios: np.ndarray


def as_clip(
    windows: Windows, index: int, card: LifterCard, fps: float, detector: str = "", *, in_world: bool = False
) -> LiftInput:
    """One window as the clip that a lifter gets, in the joints that its card wants.

    ``in_world``: the camera's place is calibrated too (its origin is the camera's).
    """
    width, height = (int(v) for v in windows.size[index])
    camera = Camera.from_focal(width, height, float(windows.focal_px[index]), source="calibration", sigma=0.0)
    if in_world:
        camera = replace(camera, R=windows.R[index], t=np.zeros(3))
    points, valid, score, _ = convert(windows.keypoints[index], "h36m17", card.joint_set_in)
    frames = len(points)
    sigma = np.full(valid.shape, 0.01 * windows.stature_px[index])
    return LiftInput(points, score, sigma, valid, np.arange(frames) / fps, camera, frames > 1, detector)


def measure(
    lifter: Any, card: LifterCard, windows: Windows, fps: float, detector: str = "", *, in_world: bool = False
) -> HeldOut:
    """Lift every window as a clip of its own and compare with the truth, frames and joints alike.

    Parameters
    ----------
    detector
        Who the lifter is told has found the joints.
    in_world
        Whether cameras know where they are, and so where up is.
    """
    body = joint_set(card.joint_set_out).indices(JOINT_SETS["h36m17"].joints)
    answers, truths, ratios = [], [], []
    for i in range(len(windows.keypoints)):
        truth = windows.relative[i]
        clip = as_clip(windows, i, card, fps, detector, in_world=in_world)
        lifted = lifter.lift(clip).only(body)
        answer = lifted.joints_relative
        if card.ray_blind:
            # It answers as if the person stood on the optical axis; place turns that to where the person is.
            seen = windows.keypoints[i]
            known = np.isfinite(seen).all(-1)
            rays = root_rays(clip.time, seen, "h36m17", known, clip.camera, temporal=clip.temporal)
            answer = turned_to_ray(answer, rays)
        known = np.isfinite(answer).all((-1, -2))
        # One picture does not tell a person's size.
        size = body_length(truth).mean() / body_length(answer[known]).mean() if known.any() else np.nan
        answers.append(answer * size)
        # Sigma is of the answer as it is, of a standard body: that its own size is a little off is an error too.
        taught = body_length(truth).mean() / STANDARD_LENGTH_M
        ratios.append(np.abs(answer - truth / taught) / np.maximum(lifted.sigma_axes, 1e-9))
        truths.append(truth)
    pred, true = np.concatenate(answers), np.concatenate(truths)
    known = np.isfinite(pred).all((-1, -2))
    pred, true = pred[known], true[known]
    ratio = np.concatenate(ratios)[known].astype(np.float32)
    error = pred - true
    return HeldOut(
        float(joint_errors(pred, true, root=0).mean()),
        float(p_joint_errors(pred, true).mean()),
        float(p_joint_errors(pred[:, _LIMBS], true[:, _LIMBS]).mean()),
        np.sqrt((error**2).mean((0, 2))),
        (ratio[:, 1:] <= 1).mean((0, 1)),
        float(known.mean()),
        float(joint_errors(pred, true, root=0)[:, FOURTEEN].mean()),
        float(p_joint_errors(pred[:, FOURTEEN], true[:, FOURTEEN]).mean()),
        ratio,
    )
