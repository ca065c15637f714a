"""Mistakes that would otherwise only show as a strange number.

Each check compares a prediction with its truth under one suspicion (other units, left and right swapped, a mirror,
joints in another order, frames shifted) and raises only if the suspicion explains much of the error, all through the
clip. A bad result stays a bad result: noise, a mean pose or a smoothed motion gains next to nothing from any of them.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from posemill.arrays import Flags, Points3
from posemill.errors import InputError
from posemill.geometry import align
from posemill.metrics.pose import p_joint_errors
from posemill.metrics.shift import check_time_shift
from posemill.skeleton import joint_set

__all__ = ["check_all", "check_joint_order", "check_sides", "check_units"]

_MM = 1000.0
# A suspicion must explain a good part of the error, and more than annotations differ by.
_FALLS_BY_M = 0.02
_ORDER_FALLS_TO = 0.5
# Swapped sides are so all the time, not in some frames.
_SIDES_FALL_TO = 0.7
_SIDES_FRAMES = 0.9
# Frames that the checks of still poses look at, spread over the clip.
_SAMPLE = 500


def _sample(pred: Points3, truth: Points3, valid: Flags | None) -> tuple[np.ndarray, np.ndarray]:
    """Frames (N, J, 3) for the checks, NaN where a joint does not count; joints that never count stay NaN."""
    if pred.shape != truth.shape or truth.ndim != 3:
        raise InputError(f"poses to check: expected (T, J, 3) of one shape, got {pred.shape} and {truth.shape}")
    x, y = np.asarray(pred, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    counts = np.isfinite(x).all(-1) & np.isfinite(y).all(-1)
    if valid is not None:
        counts &= valid
    x, y = (np.where(counts[..., None], points, np.nan) for points in (x, y))
    chosen = np.flatnonzero(counts.sum(-1) >= 4)
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, _SAMPLE).astype(int))] if len(chosen) else chosen
    return x[chosen], y[chosen]


def check_units(pred: Points3, truth: Points3, *, valid: Flags | None = None) -> None:
    """Raise if one is about a thousand (or a hundred) times as large as the other.

    Parameters
    ----------
    pred, truth
        (T, J, 3) in the same unit and frame, as the caller believes.
    valid
        (T, J) joints that count.

    Raises
    ------
    InputError
        It looks like millimetres (or centimetres) against metres.
    """
    x, y = _sample(pred, truth, valid)
    if not len(x):
        return
    sizes = [np.nanmedian(np.nanmax(p, axis=1) - np.nanmin(p, axis=1), axis=0).max() for p in (x, y)]
    if min(sizes) <= 0:
        return
    ratio = sizes[0] / sizes[1]
    for factor, name in ((1000.0, "millimetres"), (100.0, "centimetres")):
        for who, other, value in (("prediction", "truth", ratio), ("truth", "prediction", 1 / ratio)):
            if factor / 2.5 < value < factor * 2.5:
                raise InputError(
                    f"units look mixed: expected prediction and truth in metres, got a {who} {value:.0f} times as large"
                    f" as the {other}; divide the {who} by {factor:.0f} if it is in {name}"
                )


def check_sides(pred: Points3, truth: Points3, *, joints_of: str = "h36m17", valid: Flags | None = None) -> None:
    """Raise if the prediction fits far better with its left and right swapped, or mirrored, or both.

    Parameters
    ----------
    pred, truth
        (T, J, 3) metres, any one frame: similarity transforms are taken out.
    joints_of
        Their joint set.
    valid
        (T, J) joints that count.

    Raises
    ------
    InputError
        Names what looks wrong, and by how much the error falls.
    """
    x, y = _sample(pred, truth, valid)
    if not len(x):
        return
    order = joint_set(joints_of).flip_permutation
    # A joint counts if its twin does, so that every suspicion is measured on the same joints.
    known = (np.isfinite(x) & np.isfinite(y)).all(-1)
    known &= known[:, order]
    enough = known.sum(-1) >= 4
    if not enough.any():
        return
    x, y = (np.where(known[..., None], points, np.nan)[enough] for points in (x, y))
    before = _by_frame(x, y)
    mirror = np.array([-1.0, 1.0, 1.0])
    suspects = {
        "left and right look swapped": ("swapped", x[:, order]),
        "the prediction looks mirrored (one axis, or the depth, has the wrong sign)": ("mirrored", x * mirror),
        "the prediction looks like that of a mirrored image": ("mirrored and swapped", x[:, order] * mirror),
    }
    errors = {mistake: _by_frame(points, y) for mistake, (_, points) in suspects.items()}
    mistake = min(errors, key=lambda name: errors[name].mean())
    after = errors[mistake]
    fewer_m = before.mean() - after.mean()
    if fewer_m > max(_FALLS_BY_M, (1 - _SIDES_FALL_TO) * before.mean()) and (after < before).mean() > _SIDES_FRAMES:
        raise InputError(
            f"{mistake}: P-MPJPE falls from {before.mean() * _MM:.0f} to {after.mean() * _MM:.0f} mm when"
            f" {suspects[mistake][0]}; check the joint order and the flip of the input"
        )


def _by_frame(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """P-MPJPE (N,) of frames that all have joints that count."""
    return np.nanmean(p_joint_errors(x, y), axis=-1)


def check_joint_order(pred: Points3, truth: Points3, *, joints_of: str = "h36m17", valid: Flags | None = None) -> None:
    """Raise if the prediction fits far better with its joints in another order.

    The order is sought by aligning, giving each true joint the predicted one that moves like it, and aligning again;
    it starts from the distances between joints, which are the same however the pose is turned.

    Parameters and Raises as in :func:`check_sides`.
    """
    x, y = _sample(pred, truth, valid)
    if not len(x):
        return
    names = joint_set(joints_of).joints
    if len(names) != x.shape[1]:
        raise InputError(f"joints: expected the {len(names)} of {joints_of}, got {x.shape[1]}")
    usable = np.flatnonzero((np.isfinite(x) & np.isfinite(y)).all(-1).mean(0) > 0.5)
    x, y = x[:, usable], y[:, usable]
    # Frames of which every usable joint is known, and not all at one point.
    keep = (np.ptp(x, axis=1).max(-1) > 0) & (np.ptp(y, axis=1).max(-1) > 0)
    x, y = x[keep], y[keep]
    if len(usable) < 4 or not len(x):
        return
    identity = np.arange(len(usable))
    before = _by_joint(x, y, identity)
    order = min(
        (_settle(x, y, start) for start in (_from_distances(x, y), identity)), key=lambda o: _by_joint(x, y, o).mean()
    )
    moved = order != identity
    if not moved.any():
        return
    after = _by_joint(x, y, order)
    was, now = before[moved].mean(), after[moved].mean()
    if now < _ORDER_FALLS_TO * was and was - now > _FALLS_BY_M and after.mean() < before.mean():
        pairs = [f"{names[usable[k]]} holds {names[usable[i]]}" for i, k in enumerate(order) if i != k]
        shown = ", ".join(pairs[:4]) + (f" and {len(pairs) - 4} more" if len(pairs) > 4 else "")
        raise InputError(
            f"joints look shuffled: in the prediction {shown}; P-MPJPE falls from {before.mean() * _MM:.0f} to"
            f" {after.mean() * _MM:.0f} mm in that order; check the joint set of the prediction"
        )


def _by_joint(x: np.ndarray, y: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Mean error (J,) of each true joint after alignment in an order."""
    return np.linalg.norm(align(x[:, order], y) - y, axis=-1).mean(0)


def _from_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Order that makes each joint's distances to the others, over time, most alike."""

    def profile(points: np.ndarray) -> np.ndarray:
        """Sorted distances of each joint to the others in each frame, (J, N * J), by the size of the pose."""
        distance = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
        distance /= distance.mean((1, 2), keepdims=True)
        return np.sort(distance, axis=-1).transpose(1, 0, 2).reshape(points.shape[1], -1)

    thin = slice(None, None, max(1, len(x) // 100))
    a, b = profile(x[thin]), profile(y[thin])
    cost = np.abs(b[:, None] - a[None]).mean(-1)
    return linear_sum_assignment(cost)[1]


def _settle(x: np.ndarray, y: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Align and assign in turns until the order stays."""
    for _ in range(20):
        # The predicted joints in their own order, by the transform that the present one gives.
        moved = align(x[:, order], y)[:, np.argsort(order)]
        cost = np.linalg.norm(y[:, :, None] - moved[:, None], axis=-1).mean(0)
        better = linear_sum_assignment(cost)[1]
        if np.array_equal(better, order):
            break
        order = better
    return order


def check_all(
    pred: Points3,
    truth: Points3,
    *,
    joints_of: str = "h36m17",
    valid: Flags | None = None,
    temporal: bool = True,
) -> None:
    """Run every check of one clip, the likeliest mistakes first.

    Parameters
    ----------
    pred, truth
        (T, J, 3) metres in one frame.
    joints_of
        Their joint set.
    valid
        (T, J) joints that count.
    temporal
        False for a set of stills, which has no motion to be shifted.

    Raises
    ------
    InputError
        The first suspicion that explains the error.
    """
    check_units(pred, truth, valid=valid)
    check_sides(pred, truth, joints_of=joints_of, valid=valid)
    check_joint_order(pred, truth, joints_of=joints_of, valid=valid)
    if temporal:
        check_time_shift(pred, truth, valid=valid)
