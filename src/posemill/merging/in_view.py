"""One person before the camera: fitted to the image, on a path that holds together, and without jitter.

A frame that is fitted by itself knows its root the better the more it sees: a foot that stands flat gives the depth to
centimetres, a leap leaves it to the size in the image. So the root is first fitted with hardly a word of place, then
smoothed over time, each frame by what its fit leaves open, and then the body is fitted again about that path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from posemill.anthropometry import ANKLE_HEIGHT
from posemill.arrays import Flags, Points3, Times, Vector3
from posemill.camera import Camera
from posemill.geometry import unit
from posemill.joint_axes import moved_by
from posemill.merging.feet import PersonInWorld, SeenPerson, flat_on_floor
from posemill.merging.image_fit import Fit, Rays, Standing, fit_body, seen_rays
from posemill.merging.options import MergeOptions
from posemill.merging.parallax import standing_still
from posemill.merging.soles import ANKLES, SOLES, rigid_feet, soles_of
from posemill.merging.steady import LEAST_SIGMA_M, smooth_motion
from posemill.placement.skeleton_scale import Skeleton
from posemill.skeleton import JOINT_SETS, LIMBS, joint_set, normalise_pose
from posemill.smoothing import smooth

__all__ = ["Body", "InView", "as_captured", "of_bones"]

_BODY = slice(len(JOINT_SETS["h36m17"]))
# Place's sigma of the root counts this many times where the image is asked first.
_HARDLY = 5.0
# Errors of neighbouring frames' fits are one for so long, s; root density of the root's white acceleration, m s^-1.5.
_FIT_S, _PATH_Q, _GATE = 0.3, 0.5, 16.0


@dataclass(frozen=True)
class Body:
    """A person before the camera; camera axes, m, NaN where unknown.

    Attributes
    ----------
    joints
        (T, J, 3).
    sigma
        (T, J, 3) relative to the root.
    path
        (T, 3) of the root across its line of sight (twice) and along it, without what is one error of the whole path.
    """

    joints: Points3
    sigma: np.ndarray
    path: Vector3

    def larger(self, factor: float, centres: Vector3 | None) -> Body:
        """The same person larger and as much farther from ``centres`` (T, 3), which looks the same in the image."""
        fixed = 0.0 if centres is None else centres[:, None] * (1 - factor)
        return replace(self, joints=self.joints * factor + fixed)


@dataclass(frozen=True)
class InView:
    """What a clip knows of one person, whatever their size.

    Attributes
    ----------
    time
        (T,) seconds.
    moves
        False for stills, whose frames do not know of each other.
    camera
        None, or without a place in the world: less is known.
    seen
        The person in the image; None: nothing is fitted.
    offset
        (T, 3) m, where in the camera's frame each frame was taken from; None: all at its centre.
    """

    time: Times
    moves: bool
    camera: Camera | None
    seen: SeenPerson | None
    offset: Vector3 | None
    options: MergeOptions

    def in_world(self, body: Body, skeleton: Skeleton) -> PersonInWorld | None:
        """Turn a body into the world's axes; None where there is no world, or nothing moves."""
        camera, feet = self.camera, self.seen
        if camera is None or camera.R is None or not self.moves:
            return None
        joints = camera.camera_to_world(body.joints)
        if self.offset is not None and feet is not None:
            camera, feet = standing_still(feet, camera, self.offset, body.joints)
        return PersonInWorld(self.time, joints, body.sigma, body.path, skeleton, camera, feet)

    def flat_feet(self, body: Body, skeleton: Skeleton) -> Flags | None:
        """Feet (T, 2) flat on the world's floor; None where no floor is asked, or known."""
        if not (self.options.fit_image and self.options.use_floor):
            return None
        person = self.in_world(body, skeleton)
        return None if person is None else flat_on_floor(person, self.options)

    def fitted(self, body: Body, skeleton: Skeleton, flat: Flags | None, like: Body | None = None) -> Body:
        """Fit a body to the image, if it is to be.

        Parameters
        ----------
        body
            As lifted, at the person's scale, on the root's path of place.
        flat
            Of :meth:`flat_feet`.
        like
            An answer that will be near, if there is one, which takes less time.
        """
        camera, rays = self.camera, self._rays
        if camera is None or rays is None:
            return body
        centres = np.zeros((len(self.time), 3)) if self.offset is None else self.offset
        standing = None
        if flat is not None and camera.R is not None:
            over = camera.camera_to_world(centres)[:, 2]
            standing = Standing(camera.up, over, ANKLE_HEIGHT * skeleton.stature_m, flat)
        lengths, sigma = skeleton.body_lengths_m, body.sigma[:, _BODY]
        before = body.joints[:, _BODY] - centres[:, None]
        start = None if like is None else like.joints[:, _BODY] - centres[:, None]
        if self._smooths:
            fit = fit_body(before, sigma, _HARDLY * body.path, lengths, rays, standing, start)
            root, covariance = self._smoothed(fit, centres)
            before = before + (root - before[:, 0])[:, None]
            start = fit.joints + (root - fit.joints[:, 0])[:, None]
            fit = fit_body(before, sigma, np.sqrt(np.einsum("taa->ta", covariance)), lengths, rays, standing, start)
        else:
            fit = fit_body(before, sigma, body.path, lengths, rays, standing, start)
            covariance = fit.root_covariance
        joints, spread = body.joints.copy(), body.sigma.copy()
        joints[:, _BODY], spread[:, _BODY] = fit.joints + centres[:, None], fit.sigma
        if joints.shape[1] > _BODY.stop:
            joints[:, SOLES] = joints[:, ANKLES, None] + soles_of(body.joints)
        root = joints[:, :1]
        path = np.where(np.isfinite(covariance).all((-1, -2))[:, None], _sight(covariance, fit.joints[:, 0]), body.path)
        return Body(of_bones(joints - root, skeleton) + root, spread, path)

    @cached_property
    def _rays(self) -> Rays | None:
        """Rays that bodies are fitted to; None where nothing is."""
        camera, seen = self.camera, self.seen
        if camera is None or seen is None or not self.options.fit_image:
            return None
        return seen_rays(seen.keypoints, seen.sigma_px, seen.valid, seen.joints_of, camera)

    def without_jitter(self, body: Body, before: Body, skeleton: Skeleton) -> Body:
        """Smooth a body over time.

        Fitted joints have jitter all the same: how much of it is taken out goes by what was said of them ``before``.
        """
        if not self._smooths:
            return body
        root = body.joints[:, :1]
        spread = np.sqrt((before.sigma**2).mean(-1))
        pose = smooth_motion(self.time, body.joints - root, spread, self.options)
        spread = np.sqrt((body.path**2).mean(-1, keepdims=True))
        root = smooth_motion(self.time, root, spread, self.options)
        return replace(body, joints=of_bones(pose, skeleton) + root)

    @property
    def _smooths(self) -> bool:
        return self.moves and self.options.cutoff_hz is not None

    def _smoothed(self, fit: Fit, centres: Vector3) -> tuple[Vector3, np.ndarray]:
        """Root (T, 3) from the frames' centres, and its covariance, smoothed by what each frame leaves open."""
        known = np.isfinite(fit.root_covariance).all((-1, -2))
        root = fit.joints[:, 0] + centres
        together = max(1.0, _FIT_S / float(np.median(np.diff(self.time))))
        points, covariance, _ = smooth(
            self.time,
            root[None, :, :, None],
            together * fit.root_covariance[None],
            known[None],
            q=_PATH_Q,
            max_gap_s=self.options.max_gap_s,
            gate=_GATE,
        )
        # Frames without a fit stay where they were.
        root = np.where(known[:, None], points[0, :, :, 0], root)
        return root - centres, np.where(known[:, None, None], covariance[0], np.nan)


def as_captured(
    seen: SeenPerson, body: Body, stature_m: float, camera: Camera, centres: Vector3 | None = None
) -> SeenPerson:
    """Keypoints of a detector whose joints are elsewhere in the body, moved to where motion capture has them.

    Parameters
    ----------
    body
        The person, roughly where they are.
    stature_m
        Theirs.
    centres
        (T, 3) m from where each frame was taken; None: from the camera's centre.
    """
    if not seen.joint_offsets:
        return seen
    joints = body.joints[:, _BODY] - (0.0 if centres is None else centres[:, None])
    moved = camera.project(joints + moved_by(joints, seen.joint_offsets, stature_m)) - camera.project(joints)
    names, keypoints = joint_set(seen.joints_of), seen.keypoints.astype(np.float64)
    for joint, shift in zip(JOINT_SETS["h36m17"].joints, moved.transpose(1, 0, 2), strict=True):
        if joint in LIMBS and joint in names.joints:
            # Where the body is not known, the detector's word stays.
            keypoints[:, names.index(joint)] -= np.nan_to_num(shift)
    return replace(seen, keypoints=keypoints)


def of_bones(joints: Points3, skeleton: Skeleton) -> Points3:
    """Pose (T, J, 3) with the person's bones, and with their feet."""
    return rigid_feet(normalise_pose(joints, skeleton.lengths_m, skeleton.joints_of), skeleton)


def _sight(covariance: np.ndarray, root: Vector3) -> Vector3:
    """Sigma (T, 3) across the line of sight (twice) and along it, of covariances (T, 3, 3) in camera axes."""
    line = unit(root)
    along = np.einsum("ta,tab,tb->t", line, covariance, line)
    across = (np.einsum("taa->t", covariance) - along) / 2
    return np.maximum(np.sqrt(np.stack([across, across, along], -1)), LEAST_SIGMA_M)
