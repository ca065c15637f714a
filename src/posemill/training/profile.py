"""How a detector errs, in numbers that were fitted to its detections; and their JSON form.

Lengths are shares of the person's stature, times are seconds. A detected limb joint is the projection of motion
capture's joint moved by ``offset`` along axes fixed to the body (:mod:`posemill.joint_axes`), plus, in the
image plane and per coordinate: a part that is constant over a clip (``scatter``), one that forgets itself with the
time constant ``slow_s`` (``slow``), one new in every frame (``jitter``), and for the share ``outliers`` of the time,
in spells of ``outlier_s``, a displacement of size ``outlier_size``. ``spread`` is by how much clips differ in all but
the offset: the standard deviation of the logarithm. Beside that, left and right leg may be taken for each other, the
more often the narrower the hips appear, and whole frames may lack the person.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.atomic import write_bytes
from posemill.joint_axes import AXES

__all__ = [
    "SCORE_LEVELS",
    "DetectorProfile",
    "JointProfile",
    "profile_of",
    "profile_text",
    "read_profile",
    "shipped",
    "write_profile",
]

_FORMAT = "posemill detector profile 1"
_WHOLE = ("spread", "leg_swaps", "leg_swap_s", "frames_missing", "frames_missing_s")
SCORE_LEVELS: tuple[float, ...] = tuple(np.linspace(0, 1, 11).tolist())
"""Probabilities of :attr:`JointProfile.score_quantiles`."""


HIP_WIDTHS: tuple[float, float] = (0.2, 0.4)
"""Bounds between narrow, oblique and wide views: width of the hips in the picture over their true width."""


@dataclass(frozen=True)
class JointProfile:
    """Errors of one kind of joint, both sides alike; see the module's head.

    Attributes
    ----------
    offset, offset_se
        (3,) along the axes of :data:`posemill.joint_axes.AXES`, and its standard error; 0 and NaN for an axis
        that the data say nothing of.
    scatter, slow, slow_s, jitter, outliers, outlier_size, outlier_s
        See the module's head.
    missing, missing_s
        Share of the time without this keypoint, and how long such a spell lasts.
    score_quantiles
        (11,) the detector's score at :data:`SCORE_LEVELS`.
    score_error
        Rank correlation between score and length of the error (negative: low scores err more).
    """

    offset: tuple[float, float, float]
    offset_se: tuple[float, float, float]
    scatter: float
    slow: float
    slow_s: float
    jitter: float
    outliers: float = 0.0
    outlier_size: float = 0.0
    outlier_s: float = 0.2
    missing: float = 0.0
    missing_s: float = 0.2
    score_quantiles: tuple[float, ...] = (1.0,) * 11
    score_error: float = 0.0


@dataclass(frozen=True)
class DetectorProfile:
    """Errors of one detector.

    Attributes
    ----------
    name
        Of the detector.
    joints
        Kind of joint (hip, knee, ankle, shoulder, elbow, wrist; heel and big_toe where known) to its errors.
    spread
        Standard deviation, between clips, of the logarithm of how much they err.
    leg_swaps, leg_swap_s
        Share of the time with left and right leg exchanged, in narrow, oblique and wide views, and how long it lasts.
    frames_missing, frames_missing_s
        Share of the frames without any keypoint, and how long such a spell lasts.
    card
        What it was fitted to, how, and under which terms the data are.
    """

    name: str
    joints: dict[str, JointProfile]
    spread: float
    leg_swaps: tuple[float, float, float] = (0.0, 0.0, 0.0)
    leg_swap_s: float = 0.2
    frames_missing: float = 0.0
    frames_missing_s: float = 0.2
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def offsets(self) -> dict[str, tuple[float, float, float]]:
        """Kind of joint to its offset."""
        return {kind: errors.offset for kind, errors in self.joints.items()}


def write_profile(path: Path, profile: DetectorProfile) -> None:
    """Write a profile as JSON."""
    joints = {
        kind: {"axes": AXES[kind], **{key: _rounded(value) for key, value in asdict(errors).items()}}
        for kind, errors in profile.joints.items()
    }
    whole = {key: _rounded(getattr(profile, key)) for key in _WHOLE}
    document = {"format": _FORMAT, "name": profile.name, **whole, "joints": joints, "card": profile.card}
    write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())


def _rounded(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_rounded(v) for v in value]
    return None if np.isnan(value) else float(f"{value:.5g}")


def read_profile(path: Path) -> DetectorProfile:
    """Read a profile.

    Raises
    ------
    InputError
        The file is not there or is no profile.
    """
    try:
        return _profile(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        what = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise InputError(expected("detector profile", "what posemill noise fit writes", what, where=path)) from None


@cache
def shipped(name: str) -> DetectorProfile:
    """Return a profile that comes with posemill; raises InputError with the names there are."""
    folder = resources.files("posemill.training") / "profiles"
    names = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))
    if name not in names:
        raise InputError(expected("detector profile", f"a file or one of {', '.join(names)}", name))
    return _profile(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))


def profile_of(name: str) -> DetectorProfile:
    """Profile from a file, whose name ends in .json, or one that comes with posemill."""
    return read_profile(Path(name)) if name.endswith(".json") else shipped(name)


def _profile(document: dict[str, Any]) -> DetectorProfile:
    if document.get("format") != _FORMAT:
        raise ValueError(f"format {document.get('format')!r}")
    joints = {}
    for kind, values in document["joints"].items():
        if kind not in AXES or tuple(values.pop("axes")) != AXES[kind]:
            raise ValueError(f"joint {kind!r} or its axes")
        joints[kind] = JointProfile(**{key: _checked(key, value) for key, value in values.items()})
    missing = {"hip", "knee", "ankle", "shoulder", "elbow", "wrist"} - set(joints)
    if missing:
        raise ValueError(f"no {', '.join(sorted(missing))}")
    whole = {key: _checked(key, document[key]) for key in _WHOLE}
    return DetectorProfile(str(document["name"]), joints, card=dict(document.get("card", {})), **whole)


_LENGTHS = {"offset": 3, "offset_se": 3, "leg_swaps": 3, "score_quantiles": len(SCORE_LEVELS)}
_KNOWN = {f.name for f in fields(JointProfile)} | set(_WHOLE)


def _checked(key: str, value: Any) -> Any:
    if key not in _KNOWN:
        raise ValueError(f"unknown {key!r}")
    if key in _LENGTHS:
        if len(value) != _LENGTHS[key]:
            raise ValueError(f"{key}: {len(value)} values")
        return tuple(float("nan") if v is None else float(v) for v in value)
    if not np.isfinite(float(value)) or (key != "score_error" and float(value) < 0):
        raise ValueError(f"{key}: {value}")
    return float(value)


def profile_text(profile: DetectorProfile) -> str:
    """Return the profile as a table in percent of stature, and its card."""
    lines = [
        f"{profile.name}: errors in % of stature (offset along body axes ± standard error; the rest per coordinate in "
        f"the image); clips differ by a factor of exp(±{profile.spread:.2f})",
        f"{'joint':9} {'offset':64} {'scatter':>7} {'slow':>6} {'s':>5} {'jitter':>6} {'outliers':>8} {'size':>5} "
        f"{'s':>5} {'missing':>7} {'score 10/50 %':>13} {'corr.':>5}",
    ]
    for kind, e in profile.joints.items():
        offset = "  ".join(
            f"{axis} {'unknown' if np.isnan(se) else f'{100 * value:+.2f} ± {100 * se:.2f}'}"
            for axis, value, se in zip(AXES[kind], e.offset, e.offset_se, strict=True)
        )
        q = e.score_quantiles
        lines.append(
            f"{kind:9} {offset:64} {100 * e.scatter:7.2f} {100 * e.slow:6.2f} {e.slow_s:5.2f} {100 * e.jitter:6.2f} "
            f"{100 * e.outliers:7.1f}% {100 * e.outlier_size:5.1f} {e.outlier_s:5.2f} {100 * e.missing:6.1f}% "
            f"{q[1]:6.2f}/{q[5]:.2f} {e.score_error:6.2f}"
        )
    swaps = ", ".join(f"{100 * share:.1f}" for share in profile.leg_swaps)
    lines += [
        f"legs exchanged: {swaps} % of the time in narrow, oblique and wide views, for {profile.leg_swap_s:.2f} s",
        f"frames without the person: {100 * profile.frames_missing:.1f} %, for {profile.frames_missing_s:.2f} s",
    ]
    lines += [f"{key}: {value}" for key, value in profile.card.items()]
    return "\n".join(lines) + "\n"
