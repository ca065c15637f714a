"""A pose in space: on its path over a floor, with the poses before and after it.

Own orthographic drawing on flat axes: matplotlib's 3D axes have no equal aspect with a floor, and take a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from posemill.arrays import Points3
from posemill.skeleton import JointSet, joint_set
from posemill.view.clip_view import CONTACT, FAINT, INK, LEFT, MIDDLE, PAPER, PATH, RIGHT, ClipView, bare

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_space"]

_GRID, _GHOST = "#c9d1d9", "#9fb0c3"
# Turns (x right, y down, z forward) into axes whose third is up.
_CAMERA_TO_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
_H36M = joint_set("h36m17")
_ANKLES = _H36M.indices(("left_ankle", "right_ankle"))
_GRID_M = 0.5


class _Look:
    """An orthographic look from ``azimuth`` (where the viewer stands, about the up axis) and ``elevation``."""

    def __init__(self, azimuth_deg: float, elevation_deg: float) -> None:
        a, e = np.deg2rad([azimuth_deg, elevation_deg])
        self.toward = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        right = np.array([-np.sin(a), np.cos(a), 0.0])
        self._axes = np.stack([right, np.cross(self.toward, right)])

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) metres to (..., 2) metres on the picture."""
        return points @ self._axes.T

    def nearness(self, points: np.ndarray) -> np.ndarray:
        """Larger is nearer to the viewer."""
        return points @ self.toward


def draw_space(ax: Axes, view: ClipView) -> None:
    """Draw floor, path, past and later poses, and the pose of the frame."""
    bare(ax)
    ax.set_aspect("equal", adjustable="datalim")
    names, joints, centre = joint_set(view.joint_set_3d), view.joints.astype(np.float64), view.camera_centre
    if view.axes == "camera":
        joints, centre = joints @ _CAMERA_TO_UP.T, np.zeros(3)
    joints = np.where(view.valid[..., None], joints, np.nan)
    frames = _sampled(view) if view.temporal else [view.frame]
    shown = joints[[*frames, view.frame]]
    if not np.isfinite(shown).any():
        ax.text(0.5, 0.5, "no valid pose in this clip", transform=ax.transAxes, ha="center", color=FAINT, fontsize=13)
        return
    floor = 0.0 if view.axes == "world" else float(np.nanmin(shown[..., 2]))
    look = _Look(_azimuth(joints[view.frame], shown, centre), 18.0)
    _draw_floor(ax, look, shown, floor, view.axes == "world")
    if view.temporal:
        path = joints[:, 0].copy()
        path[:, 2] = floor
        ax.plot(*look(path).T, color=PATH, lw=2.0, zorder=2, solid_capstyle="round")
        for frame in frames:
            _draw_pose(ax, look, joints[frame], names, ghost=True)
    now = joints[view.frame]
    _draw_shadow(ax, look, now, names, floor)
    _draw_pose(ax, look, now, names, ghost=False)
    for foot, ankle in enumerate(_ANKLES):
        if view.contact[view.frame, foot] and np.isfinite(now[ankle]).all():
            ring = dict(s=150, facecolors="none", edgecolors=CONTACT, linewidths=2.2, zorder=900)
            ax.scatter(*look(now[ankle]), **ring)
    ax.margins(0.04)
    _draw_notes(ax, view)


def _azimuth(now: Points3, shown: Points3, camera_centre: np.ndarray | None) -> float:
    """Where to stand: 35 degrees round from the camera, so that the pose is seen as the frame does not show it."""
    body = np.nanmean(now if np.isfinite(now).any() else shown.reshape(-1, 3), axis=0)
    seen_from = (np.array([body[0], body[1] - 1.0, 0.0]) if camera_centre is None else camera_centre) - body
    return float(np.rad2deg(np.arctan2(seen_from[1], seen_from[0]))) + 35.0


def _sampled(view: ClipView) -> list[int]:
    """About seven frames over the clip, with a pose, that stand apart from the one shown."""
    whole = np.flatnonzero(view.valid[:, 0])
    picks = np.unique(whole[np.linspace(0, len(whole) - 1, 7).astype(int)]) if len(whole) else whole
    return [int(frame) for frame in picks if abs(int(frame) - view.frame) > len(view.time) / 20]


def _draw_floor(ax: Axes, look: _Look, shown: Points3, floor: float, is_world: bool) -> None:
    from matplotlib.collections import LineCollection

    flat = shown.reshape(-1, 3)[:, :2]
    low = np.floor((np.nanmin(flat, 0) - 0.3) / _GRID_M) * _GRID_M
    high = np.ceil((np.nanmax(flat, 0) + 0.3) / _GRID_M) * _GRID_M
    step = _GRID_M * max(1, int(np.ceil((high - low).max() / _GRID_M / 24)))
    xs, ys = (np.arange(a, b + step / 2, step) for a, b in zip(low, high, strict=True))
    lines = [[(x, ys[0], floor), (x, ys[-1], floor)] for x in xs] + [
        [(xs[0], y, floor), (xs[-1], y, floor)] for y in ys
    ]
    drawn = look(np.array(lines))
    ax.add_collection(LineCollection(list(drawn), colors=_GRID, linewidths=0.9, zorder=0))
    outline = np.array([(xs[0], ys[0]), (xs[-1], ys[0]), (xs[-1], ys[-1]), (xs[0], ys[-1])])
    ax.fill(*look(np.column_stack([outline, np.full(4, floor)])).T, color="#f3f5f7", zorder=-1)
    corner = np.array([xs[0], ys[0], floor])
    names = ("x", "y", "z") if is_world else ("x", "z", "-y")
    for axis, name in enumerate(names):
        tip = corner + 0.4 * np.eye(3)[axis]
        ax.plot(*look(np.stack([corner, tip])).T, color=INK, lw=1.6, zorder=1, solid_capstyle="round")
        x, y = look(corner + 0.5 * np.eye(3)[axis])
        ax.text(x, y, name, color=INK, fontsize=9, ha="center", va="center")
    kind = "floor z = 0" if is_world else "grid at the lowest joint; the floor is not known"
    note = f"{kind}, {step:g} m squares"
    ax.text(1.0, -0.045, note, transform=ax.transAxes, fontsize=9, color=INK, va="center", ha="right")


def _bones(pose: Points3, joints: JointSet) -> list[tuple[int, int]]:
    known = np.isfinite(pose).all(-1)
    return [(a, b) for a, b in joints.bones if known[a] and known[b]]


def _draw_shadow(ax: Axes, look: _Look, pose: Points3, joints: JointSet, floor: float) -> None:
    for a, b in _bones(pose, joints):
        bone = pose[[a, b]].copy()
        bone[:, 2] = floor
        ax.plot(*look(bone).T, color="#000000", alpha=0.10, lw=7, zorder=1, solid_capstyle="round")


def _draw_pose(ax: Axes, look: _Look, pose: Points3, joints: JointSet, *, ghost: bool) -> None:
    """Bones from far to near, each with a light rim that separates it from those behind."""
    bones = _bones(pose, joints)
    if ghost:
        for a, b in bones:
            ax.plot(*look(pose[[a, b]]).T, color=_GHOST, alpha=0.55, lw=2.0, zorder=3, solid_capstyle="round")
        return
    order = np.argsort([float(look.nearness(pose[[a, b]].mean(0))) for a, b in bones]) if bones else []
    for rank, index in enumerate(order):
        a, b = bones[int(index)]
        side = joints.joints[b].partition("_")[0]
        colour = {"left": LEFT, "right": RIGHT}.get(side, MIDDLE)
        line, zorder = look(pose[[a, b]]).T, 10 + 3 * rank
        ax.plot(*line, color=PAPER, lw=8.0, zorder=zorder, solid_capstyle="round")
        ax.plot(*line, color=colour, lw=5.0, zorder=zorder + 1, solid_capstyle="round")
        ax.scatter(*line, s=20, color=PAPER, edgecolors=colour, linewidths=1.6, zorder=zorder + 2)


def _draw_notes(ax: Axes, view: ClipView) -> None:
    """Name the colours, and the mean sigma of the pose, along the upper edge."""
    from matplotlib.lines import Line2D

    # As in the summary: of the joints that all methods have.
    sigma = view.sigma_m[view.frame, : len(_H36M)]
    entries: list[tuple[str, Line2D]] = [
        (n, Line2D([], [], color=c, lw=5)) for n, c in (("left", LEFT), ("right", RIGHT))
    ]
    if view.temporal:
        entries.append(("pelvis path", Line2D([], [], color=PATH, lw=2)))
    if view.contact.any():
        ring = Line2D([], [], ls="", marker="o", mfc="none", mec=CONTACT, ms=10, mew=2.2)
        entries.append(("foot on the floor", ring))
    if np.isfinite(sigma).any():
        entries.append((f"mean sigma {1000 * float(np.nanmean(sigma)):.0f} mm", Line2D([], [], lw=0)))
    names, handles = [name for name, _ in entries], [handle for _, handle in entries]
    ax.legend(
        handles,
        names,
        loc="upper right",
        bbox_to_anchor=(1.0, 1.05),
        ncols=len(entries),
        frameon=False,
        fontsize=10,
        labelcolor=INK,
        handlelength=1.2,
        columnspacing=1.4,
    )
