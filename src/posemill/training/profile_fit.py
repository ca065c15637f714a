"""Fit a detector's error profile to its keypoints and the truth; pure functions of arrays.

Let ``r`` be a keypoint's error at its joint's depth, in shares of stature, and ``A`` (2, 3) the picture of the joint's
axes there. The offset is what explains ``r = A o`` best over all frames and views, in the sense of Huber; its standard
error is that of the jackknife over clips, as errors within a clip go together. Of what remains, a clip's mean is its
constant part. What lies further than 3.5 pooled robust deviations from a clip's median is an outlier. Of the rest, the
size is the robust deviation, and the correlation in time that of the Gaussian process whose signs agree as often
(``sin(pi/2 E[s s'])``): an AR(1) and white noise, less what taking off the clip's mean costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import rankdata

from posemill.arrays import Points2, Points3
from posemill.errors import InputError, expected
from posemill.joint_axes import base_of, joint_axes
from posemill.training.profile import HIP_WIDTHS, SCORE_LEVELS, DetectorProfile, JointProfile

__all__ = ["LARGEST", "OUTLIER", "FitClip", "fit_profile", "huber_offsets"]

OUTLIER = 3.5
LARGEST = 0.3
"""Errors beyond this share of stature are taken for so large when sizes are averaged."""
_LAG_S = 1.0
_SEEN = 0.01
"""Least share of the pictures' power along any axis."""
_LEG = ("knee", "ankle", "heel", "big_toe")
# Legs are exchanged where their keypoints are nearer to the other leg by this factor; not told from an error where the
# legs are this near to each other (share of stature).
_SWAP, _APART = 0.6, 0.03
_WINSOR = 2.5


@dataclass(frozen=True)
class FitClip:
    """Detections and truth of one person in one clip.

    Attributes
    ----------
    joints
        K names, of limb joints and feet.
    plane, exact
        (T, K, 2) detected and true points on the undistorted normalised plane; NaN where not detected.
    score
        (T, K).
    joints_camera
        (T, J, 3) metres, camera frame, of the joints ``names``.
    stature_m, fps
        Of the person, of the clip.
    """

    joints: tuple[str, ...]
    plane: Points2
    score: np.ndarray
    joints_camera: Points3
    names: tuple[str, ...]
    stature_m: float
    fps: float

    @property
    def lost(self) -> np.ndarray:
        """(T,) frames without any keypoint."""
        return ~np.isfinite(self.plane).any((-1, -2))

    @property
    def hip_width(self) -> np.ndarray:
        """(T,) width of the hips in the picture over their true width."""
        left, right = (self.joints_camera[:, self.names.index(f"{side}_hip")] for side in ("left", "right"))
        seen = np.linalg.norm(left[:, :2] / left[:, 2:] - right[:, :2] / right[:, 2:], axis=-1)
        return seen * (left + right)[:, 2] / 2 / np.linalg.norm(left - right, axis=-1)

    @property
    def legs_swapped(self) -> np.ndarray:
        """(T,) frames where the legs' keypoints fit the other leg far better: knees to toes, as far as known."""
        own, other, apart = np.zeros((3, len(self.plane)))
        for kind in _LEG:
            pair = [f"{side}_{kind}" for side in ("left", "right")]
            if set(pair) <= set(self.joints):
                at = self.joints_camera[:, [self.names.index(j) for j in pair]]
                exact = at[..., :2] / at[..., 2:] * (at[:, :, 2:] / self.stature_m)
                found = self.plane[:, [self.joints.index(j) for j in pair]] * (at[:, :, 2:] / self.stature_m)
                own += np.linalg.norm(found - exact, axis=-1).sum(-1)
                other += np.linalg.norm(found[:, ::-1] - exact, axis=-1).sum(-1)
                apart = np.maximum(apart, np.linalg.norm(exact[:, 0] - exact[:, 1], axis=-1))
        return (other < _SWAP * own) & (apart > _APART)

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Errors (T, K, 2) in shares of stature, and the picture (T, K, 2, 3) of the axes there.

        NaN where a joint is not detected or is taken for the other leg's.
        """
        at = self.joints_camera[:, [self.names.index(j) for j in self.joints]].astype(np.float64)
        exact = at[..., :2] / at[..., 2:]
        error = (self.plane - exact) * at[..., 2:] / self.stature_m
        leg = np.array([base_of(joint) in _LEG for joint in self.joints])
        error[self.legs_swapped[:, None] & leg] = np.nan
        axes = joint_axes(self.joints_camera.astype(np.float64), self.names, self.joints)
        picture = axes[..., :2] - exact[..., None, :] * axes[..., 2:]
        return error, np.swapaxes(picture, -1, -2)


def fit_profile(
    name: str, clips: Sequence[FitClip], progress: Callable[[str], None] = lambda _: None
) -> DetectorProfile:
    """Fit a profile to clips of one detector and frame rate.

    Parameters
    ----------
    progress
        Told each kind of joint when it is done.

    Raises
    ------
    InputError
        Fewer than four clips, several frame rates or joints, or a kind of joint that is hardly ever detected.
    """
    if len(clips) < 4 or len({(c.fps, c.joints) for c in clips}) != 1:
        found = f"{len(clips)} clips at {sorted({c.fps for c in clips})} frames/s"
        raise InputError(expected("clips to fit noise to", "four or more of one frame rate and joint set", found))
    errors = [clip.errors() for clip in clips]
    kinds = dict.fromkeys(base_of(j) for j in clips[0].joints)
    joints, loud = {}, []
    for kind in kinds:
        columns = [i for i, j in enumerate(clips[0].joints) if base_of(j) == kind]
        missing = [~np.isfinite(c.plane[~c.lost][:, columns]).all(-1) for c in clips]
        series = [
            (e[:, c], a[:, c], clip.score[:, c]) for (e, a), clip in zip(errors, clips, strict=True) for c in columns
        ]
        owner = np.repeat(np.arange(len(clips)), len(columns))
        joints[kind], level = _fit_kind(kind, series, owner, clips[0].fps)
        joints[kind] = replace(
            joints[kind],
            missing=float(np.concatenate(missing).mean()),
            missing_s=_spell([m[:, i] for m in missing if len(m) for i in range(len(columns))], clips[0].fps),
        )
        loud.append(level.reshape(len(clips), len(columns)))
        progress(kind)
    by_clip = np.nanmean(np.concatenate(loud, axis=1), axis=1)
    swapped, width = (np.concatenate([getattr(c, n) for c in clips]) for n in ("legs_swapped", "hip_width"))
    view = np.digitize(width, HIP_WIDTHS)
    lost = [c.lost for c in clips]

    def share(of_view: int) -> float:
        """How often legs are exchanged in one kind of view; 0 where no clip shows it."""
        return float(swapped[view == of_view].mean()) if (view == of_view).any() else 0.0

    return DetectorProfile(
        name,
        joints,
        float(np.nanstd(by_clip)),
        (share(0), share(1), share(2)),
        _spell([c.legs_swapped for c in clips], clips[0].fps),
        float(np.concatenate(lost).mean()),
        _spell(lost, clips[0].fps),
    )


def _fit_kind(
    kind: str, series: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], owner: np.ndarray, fps: float
) -> tuple[JointProfile, np.ndarray]:
    """Errors of one kind of joint, and the logarithm of how much louder than usual each series is."""
    rows = np.concatenate([e for e, _, _ in series])
    known = np.isfinite(rows).all(-1)
    if known.mean() < 0.05:
        raise InputError(expected(f"keypoints of {kind}", "5 % or more detected", f"{100 * known.mean():.1f} %"))
    clip_of = np.concatenate([np.full(len(e), c) for (e, _, _), c in zip(series, owner, strict=True)])
    pictures = np.concatenate([a for _, a, _ in series])
    offset, se = huber_offsets(rows[known], pictures[known], clip_of[known])
    rest = [e - a @ offset for e, a, _ in series]
    deviation = [_less_median(e) for e in rest]
    scale = _robust(np.concatenate(deviation))
    far = [np.linalg.norm(d, axis=-1) > OUTLIER * scale for d in deviation]
    calm = [np.where(f[:, None], np.nan, e) for e, f in zip(rest, far, strict=True)]
    mean = np.array([np.nanmean(e, axis=0) if np.isfinite(e).any() else (np.nan, np.nan) for e in calm])
    calm = [e - m for e, m in zip(calm, mean, strict=True)]
    frames = float(np.mean([len(e) for e in rest]))
    slow, slow_s, jitter = _in_time(calm, fps, frames)
    of_mean = slow**2 * _mean_share(slow_s * fps, frames) + jitter**2 / frames
    seen = np.concatenate(far)[known]
    lengths = np.minimum(np.linalg.norm(np.concatenate(deviation)[known], axis=-1), LARGEST)
    level = np.array([_loudness(e) for e in calm])
    score = np.concatenate([s for _, _, s in series])[known]
    length = np.linalg.norm(np.concatenate(rest)[known], axis=-1)
    profile = JointProfile(
        offset=tuple(offset),
        offset_se=tuple(se),
        scatter=float(np.sqrt(max(_winsorised(mean) ** 2 - of_mean, 0.0))),
        slow=slow,
        slow_s=slow_s,
        jitter=jitter,
        outliers=float(seen.mean()),
        outlier_size=float(np.sqrt((lengths[seen] ** 2).mean() / 2)) if seen.any() else 0.0,
        outlier_s=_spell(far, fps),
        score_quantiles=tuple(np.quantile(score, SCORE_LEVELS)),
        score_error=_rank_correlation(score, length) if np.ptp(score) > 0 else 0.0,
    )
    return profile, level - np.nanmedian(level)


def _loudness(errors: np.ndarray) -> float:
    """Logarithm of the size of errors (T, 2) about their mean; NaN of a single one, which says nothing of it."""
    squares = errors[np.isfinite(errors).all(-1)] ** 2
    return float(np.log(squares.mean()) / 2) if squares.any() else np.nan


def huber_offsets(errors: np.ndarray, pictures: np.ndarray, clip_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offset that explains errors best, and its standard error.

    Parameters
    ----------
    errors, pictures
        (N, 2) and (N, 2, A): errors, and what a unit of each offset looks like.
    clip_of
        (N,) index of the clip.

    Returns
    -------
    (A,) and (A,): Huber's estimate with a bend at 1.5 robust deviations, and the jackknife over clips.

    Raises
    ------
    InputError
        The pictures do not show all offsets: everybody was seen from one side.
    """
    plain = np.einsum("nia,nib->ab", pictures, pictures) / max(len(pictures), 1)
    if not (np.linalg.eigvalsh(plain).min(initial=np.inf) > _SEEN * plain.trace()):
        raise InputError(expected("clips to fit noise to", "bodies seen from several sides", "one view or nearly so"))
    offset = np.zeros(pictures.shape[-1])
    weight = np.ones(len(errors))
    for _ in range(20):
        normal = np.einsum("n,nia,nib->ab", weight, pictures, pictures)
        offset = np.linalg.solve(normal, np.einsum("n,nia,ni->a", weight, pictures, errors))
        length = np.linalg.norm(errors - pictures @ offset, axis=-1)
        # The median length of a 2D normal error is 1.1774 of its deviation.
        weight = np.minimum(1.0, 1.5 * np.median(length) / 1.1774 / np.maximum(length, 1e-12))
    parts = []
    for clip in np.unique(clip_of):
        own = clip_of == clip
        left = np.einsum("n,nia,nib->ab", weight[own], pictures[own], pictures[own])
        right = np.einsum("n,nia,ni->a", weight[own], pictures[own], errors[own])
        parts.append((left, right))
    left, right = sum(p[0] for p in parts), sum(p[1] for p in parts)
    without = np.array([np.linalg.solve(left - a, right - b) for a, b in parts])
    return offset, np.sqrt((len(parts) - 1) / len(parts) * ((without - without.mean(0)) ** 2).sum(0))


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def _less_median(errors: np.ndarray) -> np.ndarray:
    return errors - np.nanmedian(errors, axis=0) if np.isfinite(errors).any() else errors


def _robust(values: np.ndarray) -> float:
    """Standard deviation of normal values with a few others among them, about 0."""
    return 1.4826 * float(np.nanmedian(np.abs(values)))


def _winsorised(values: np.ndarray) -> float:
    """Root mean square of values that are cut at 2.5 robust deviations."""
    values = values[np.isfinite(values)]
    cut = _WINSOR * _robust(values)
    return float(np.sqrt((np.clip(values, -cut, cut) ** 2).mean()))


def _spell(flags: Sequence[np.ndarray], fps: float) -> float:
    """Mean length in seconds of the runs of True; one frame where there are none."""
    total = sum(int(f.sum()) for f in flags)
    starts = sum(int(f[0]) + int((f[1:] & ~f[:-1]).sum()) for f in flags)
    return max(total, 1) / max(starts, 1) / fps


def _mean_share(constant: float, frames: float) -> float:
    """Variance of the mean of so many frames of an AR(1) of variance 1 and this time constant in frames."""
    lag = np.arange(1, max(int(frames), 1))
    return float((1 + 2 * ((1 - lag / frames) * np.exp(-lag / constant)).sum()) / frames)


def _in_time(series: Sequence[np.ndarray], fps: float, frames: float) -> tuple[float, float, float]:
    """Slow part, its time constant in seconds, and jitter, of series (T, 2) without their clips' medians."""
    size = _robust(np.concatenate(series))
    lags = np.arange(1, min(round(_LAG_S * fps), int(frames) - 2) + 1)
    signs = [np.where(np.isfinite(e), np.sign(e), np.nan) for e in series]
    agree = np.array(
        [np.nanmean(np.concatenate([(s[k:] * s[:-k]).ravel() for s in signs if len(s) > k])) for k in lags]
    )
    correlation = np.sin(np.pi / 2 * agree)

    def residual(p: np.ndarray) -> np.ndarray:
        share, constant = 1 / (1 + np.exp(-p[0])), np.exp(p[1])
        lost = share * _mean_share(constant * fps, frames) + (1 - share) / frames
        return (share * np.exp(-lags / fps / constant) - lost) / (1 - lost) - correlation

    found = least_squares(residual, [2.0, np.log(0.3)], bounds=([-4.0, np.log(0.02)], [12.0, np.log(2.0)])).x
    share, constant = 1 / (1 + np.exp(-found[0])), float(np.exp(found[1]))
    lost = share * _mean_share(constant * fps, frames) + (1 - share) / frames
    whole = size / np.sqrt(1 - lost)
    return float(whole * np.sqrt(share)), constant, float(whole * np.sqrt(1 - share))
