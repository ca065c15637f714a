"""One skeleton per subject: bone lengths over all clips, and their scale in metres.

One view cannot tell a tall person far away from a short one near by, so scale is fixed once, before any translation:
from the person's height if it is given, else from the bodies that the lifter was trained on.

Stature from bones
------------------
``stature = (thigh + shin) / 0.491``, the mean of both legs (Drillis and Contini 1966: hip joint at 0.530 of stature,
ankle at 0.039). Trunk, neck and head are left out: where their joints are differs between data sets (the trunk bones
are 0.263 of stature in CMU motion capture, 0.29 by anatomy), and they add nothing to the legs. On 16 CMU subjects the
median height of the head joint above the floor is 0.932 of this stature (between eyes and hair line) with a standard
deviation of 2.6 % (median residual 1.4 %), in which is how upright they stood; with the trunk it is 2.7 %. Hence the
default sigma of 3 %.

References
----------
Drillis, Contini, "Body segment parameters", 1966; tabulated in Winter, "Biomechanics and Motor Control of Human
Movement", 2009, figure 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posemill.arrays import PerJoint, Points3
from posemill.errors import ClipError
from posemill.skeleton import JOINT_SETS, bone_lengths, joint_set

__all__ = ["PROPORTIONS", "Skeleton", "fit_skeleton", "over_axes", "stature"]

_SET = JOINT_SETS["h36m17"]
_BONES = tuple(_SET.joints[child] for _, child in _SET.bones)
_STATURE_WEIGHTS = np.array([0.5 * name.endswith(("knee", "ankle")) for name in _BONES]) / 0.491
_MIRROR = np.array([_BONES.index(_SET.joints[_SET.flip_permutation[_SET.index(name)]]) for name in _BONES])

_HALF = {"hip": 0.0535, "knee": 0.235, "ankle": 0.258, "shoulder": 0.115, "elbow": 0.172, "wrist": 0.165}
_MIDDLE = {"spine": 0.127, "thorax": 0.136, "neck_nose": 0.085, "head_top": 0.086}
PROPORTIONS = np.array([_MIDDLE.get(name) or _HALF[name.split("_")[1]] for name in _BONES])
"""(16,) bone lengths over stature, median of the same subjects; stands in for bones that were never seen."""
# The same of the feet: from the ankle to heel and big toe, and from heel to toe.
_FOOT, _SOLE = {"heel": 0.061, "toe": 0.111}, 0.148


@dataclass(frozen=True)
class Skeleton:
    """A subject's bones.

    Attributes
    ----------
    lengths_m
        (B,) metres, in the order of the bones of ``joints_of``, left and right alike.
    scale
        Metres per unit of the lifter's output, applied in ``lengths_m`` already.
    scale_sigma
        Relative standard deviation of the scale.
    scale_source
        ``height_m``, ``lifter_prior``, ``camera_height_m``, ``calibration``, ``depth_network``; joined by ``+`` where
        several say it.
    assumed
        Names of the bones' children that were never seen; their lengths are the median body's.
    joints_of
        ``h36m17``, or a joint set whose bones begin with its 16.
    sole_m
        Distance of heel and big toe, which with their bones makes the foot rigid; NaN without them.
    """

    lengths_m: np.ndarray
    scale: float
    scale_sigma: float
    scale_source: str
    assumed: tuple[str, ...] = ()
    joints_of: str = "h36m17"
    sole_m: float = float("nan")

    @property
    def body_lengths_m(self) -> np.ndarray:
        """(16,) lengths of the bones of h36m17."""
        return self.lengths_m[: len(_BONES)]

    @property
    def stature_m(self) -> float:
        """Standing height that these bones make."""
        return float(stature(self.body_lengths_m))

    def body(self) -> Skeleton:
        """Return the same body without heels and toes."""
        assumed = tuple(name for name in self.assumed if name in _BONES)
        return replace(self, lengths_m=self.body_lengths_m, assumed=assumed, joints_of=_SET.name, sole_m=float("nan"))

    def scaled(self, factor: float, sigma: float, source: str) -> Skeleton:
        """Return the same body ``factor`` times as large, and from where its size is known now."""
        return replace(
            self,
            lengths_m=self.lengths_m * factor,
            sole_m=self.sole_m * factor,
            scale=self.scale * factor,
            scale_sigma=sigma,
            scale_source=source,
        )

    def with_feet(self, poses: list[Points3], joints_of: str) -> Skeleton:
        """Add the bones that ``joints_of`` has beyond h36m17, heels and toes: medians over poses (T, J, 3) of that set.

        What was never seen has the length of the median body's.
        """
        names, first = joint_set(joints_of), len(_BONES)
        children = [names.joints[child] for _, child in names.bones[first:]]
        if not children:
            return self
        mirror = [children.index(names.joints[names.flip_permutation[names.index(child)]]) for child in children]
        seen = np.concatenate([np.zeros((0, len(children))), *(bone_lengths(p, joints_of)[:, first:] for p in poses)])
        known = np.isfinite(seen).any(axis=0)
        own = np.full(len(children), np.nan)
        own[known] = np.nanmedian(seen[:, known], axis=0) * self.scale
        # Both sides are alike; one that was never seen is as the other.
        sides = np.stack([own, own[mirror]])
        either = np.isfinite(sides).any(axis=0)
        feet = self.stature_m * np.array([_FOOT[child.rsplit("_", 1)[1]] for child in children])
        feet[either] = np.nanmean(sides[:, either], axis=0)
        absent = tuple(child for child, there in zip(children, known, strict=True) if not there)
        lengths_m = np.concatenate([self.lengths_m, feet])
        soles = np.concatenate([np.zeros(0), *(_soles(pose, joints_of) for pose in poses)])
        sole_m = _SOLE * self.stature_m
        if np.isfinite(soles).any():
            sole_m = float(np.nanmedian(soles)) * self.scale
        return replace(self, lengths_m=lengths_m, assumed=(*self.assumed, *absent), joints_of=joints_of, sole_m=sole_m)


def _soles(pose: Points3, joints_of: str) -> np.ndarray:
    """Distances (2 T,) of heel and big toe, of both feet, in poses (T, J, 3)."""
    names = joint_set(joints_of)
    heels, toes = (names.indices((f"left_{part}", f"right_{part}")) for part in ("heel", "big_toe"))
    return np.linalg.norm(pose[:, heels] - pose[:, toes], axis=-1).ravel()


def stature(lengths: np.ndarray) -> np.ndarray:
    """Standing height, barefoot to the top of the head, of bones (..., 16); same unit."""
    return lengths @ _STATURE_WEIGHTS


def over_axes(sigma: np.ndarray) -> np.ndarray:
    """One standard deviation (..., J) for standard deviations along three axes (..., J, 3): their root mean square."""
    return np.sqrt(np.mean(np.asarray(sigma, dtype=np.float64) ** 2, axis=-1))


def fit_skeleton(
    poses: list[Points3],
    sigmas: list[PerJoint],
    *,
    height_m: float | None = None,
    height_sigma: float = 0.03,
    prior_sigma: float = 0.06,
) -> Skeleton:
    """Estimate a subject's bone lengths from all poses, and their scale.

    Frames may differ in size (a lifter's own noise of scale): shape and size are told apart by taking out each frame's
    median ratio to the common shape. Lengths are medians weighted by the bones' sigma; left and right are one.

    Parameters
    ----------
    poses
        Per clip (T, 17, 3) in the lifter's unit, root-relative; NaN where unknown.
    sigmas
        Per clip (T, 17), same unit.
    height_m
        The person's standing height. None: the lifter's own size stays.

    Raises
    ------
    ClipError
        A height is to be applied, and the legs are in no frame.
    """
    source, sigma = ("lifter_prior", prior_sigma) if height_m is None else ("height_m", height_sigma)
    parent, child = np.array(_SET.bones).T
    seen = [p for p in poses if len(p)]
    lengths = np.concatenate([bone_lengths(p) for p in seen]) if seen else np.zeros((0, 16))
    spread = [np.hypot(s[:, parent], s[:, child]) for p, s in zip(poses, sigmas, strict=True) if len(p)]
    weights = 1 / np.maximum(np.concatenate(spread), 1e-6) ** 2 if seen else np.zeros((0, 16))
    weights = np.where(np.isfinite(lengths) & np.isfinite(weights), weights, 0.0)
    known = weights.any(axis=0)
    size = np.ones(len(lengths))
    if not known.any():
        return Skeleton(PROPORTIONS * (height_m or 1.7), 1.0, sigma, source, _BONES)
    shape = _weighted_median(lengths, weights)
    for _ in range(3):
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = lengths / shape
        size = _weighted_median(ratio.T, (weights * shape**2).T)
        with np.errstate(invalid="ignore", divide="ignore"):
            shape = _weighted_median(lengths / size[:, None], weights * size[:, None] ** 2)
    importance = (weights * shape**2).sum(axis=1, where=known)
    shape = _mirror_mean(shape) * _weighted_median(size[:, None], importance[:, None])
    unseen = np.isnan(shape)
    if height_m is not None and unseen[_STATURE_WEIGHTS > 0].any():
        raise ClipError(
            "the scale cannot be taken from height_m: thighs and shins are in no frame; leave height_m empty"
        )
    factor = float(np.nanmedian(shape / PROPORTIONS))
    shape = np.where(unseen, PROPORTIONS * factor, shape)
    scale = 1.0 if height_m is None else float(height_m / stature(shape))
    assumed = tuple(name for name, absent in zip(_BONES, unseen, strict=True) if absent)
    return Skeleton(shape * scale, scale, sigma, source, assumed)


def _mirror_mean(shape: np.ndarray) -> np.ndarray:
    both = np.stack([shape, shape[_MIRROR]])
    count = np.isfinite(both).sum(axis=0)
    return np.where(count > 0, np.nansum(both, axis=0) / np.maximum(count, 1), np.nan)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median over the first axis, (N, B) to (B,); NaN where all weights are 0.

    The middle of the cumulated weight, interpolated, so that equal weights give the ordinary median.
    """
    used = np.isfinite(values) & (weights > 0)
    order = np.argsort(np.where(used, values, np.inf), axis=0)
    value = np.take_along_axis(np.where(used, values, np.nan), order, axis=0)
    weight = np.take_along_axis(np.where(used, weights, 0.0), order, axis=0)
    total = weight.sum(axis=0)
    lower = np.cumsum(weight, axis=0)
    half = total / 2 * (1 - 1e-12)
    columns = np.arange(values.shape[1])
    first = np.argmax(lower >= half, axis=0)
    # Where half of the weight ends exactly between two values, their mean.
    second = np.argmax(lower > total / 2 * (1 + 1e-12), axis=0)
    second = np.where(total > 0, second, first)
    middle = (value[first, columns] + value[np.maximum(second, first), columns]) / 2
    return np.where(total > 0, middle, np.nan)
