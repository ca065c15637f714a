"""One picture of one clip: a frame with its 2D keypoints beside the 3D pose on its path, and the clip's course below.

Own orthographic drawing on flat axes: matplotlib's 3D axes have no equal aspect with a floor, and take a second.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Points3, Times
from posemill.skeleton import JointSet, joint_set

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ClipView", "draw_clip", "draw_message"]

_INK, _FAINT, _PAPER = "#1d2733", "#8a96a3", "#ffffff"
_LEFT, _RIGHT, _MIDDLE = "#1f77d0", "#e8622c", "#3c4654"
_GRID, _PATH, _GHOST, _CONTACT = "#c9d1d9", "#7a4fb5", "#9fb0c3", "#1c9c5b"
# Turns (x right, y down, z forward) into axes whose third is up.
_CAMERA_TO_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
_H36M = joint_set("h36m17")
_ANKLES = _H36M.indices(("left_ankle", "right_ankle"))
_GRID_M = 0.5
_WIDE_IN, _HIGH_IN, _DPI = 14.0, 7.2, 100


@dataclass(frozen=True)
class ClipView:
    """What is drawn of one clip and person.

    Attributes
    ----------
    title
        Headline.
    frame
        Index of the frame that is shown.
    time
        (T,) seconds.
    rgb
        (H, W, 3) uint8, the frame.
    joint_set_2d, keypoints, score
        (J, 2) px and (J,) of the frame; NaN where unknown.
    joint_set_3d, joints, valid
        (T, J, 3) m in ``axes``, (T, J); the set is h36m17 or begins with it.
    contact
        (T, 2) left and right foot on the floor.
    sigma_m
        (T, J, 3).
    axes
        ``world`` (z up) or ``camera``.
    axes_label
        Where the axes come from, for the reader.
    camera_centre
        (3,) in ``axes``, to choose the side to look from; None: unknown.
    temporal
        False for unrelated stills: then no path is drawn.
    """

    title: str
    frame: int
    time: Times
    rgb: np.ndarray
    joint_set_2d: str
    keypoints: Points2
    score: PerJoint
    joint_set_3d: str
    joints: Points3
    valid: Flags
    contact: np.ndarray
    sigma_m: Points3
    axes: str
    axes_label: str
    camera_centre: np.ndarray | None = None
    temporal: bool = True


def draw_clip(view: ClipView) -> bytes:
    """Draw a clip; PNG, 1400 x 720 pixels."""
    figure = _figure()
    height, width = view.rgb.shape[:2]
    bottom, top = (0.215, 0.885) if view.temporal else (0.07, 0.885)
    share = float(np.clip((top - bottom) * _HIGH_IN * width / height / _WIDE_IN, 0.2, 0.55))
    _draw_image(figure.add_axes((0.015, bottom, share, top - bottom)), view)
    _draw_scale(figure, view, bottom - 0.03)
    _draw_space(figure.add_axes((share + 0.03, bottom, 0.955 - share, top - bottom)), view)
    if view.temporal:
        _draw_course(figure.add_axes((0.075, 0.05, 0.905, 0.085)), view)
    figure.text(0.015, 0.945, view.title, fontsize=15, fontweight="bold", color=_INK, va="center")
    figure.text(0.985, 0.945, view.axes_label, fontsize=11, color=_INK, va="center", ha="right")
    return _png(figure)


def draw_message(title: str, message: str) -> bytes:
    """Draw a picture that says why there is none; PNG of the same size."""
    import textwrap

    figure = _figure("#f6f2f0")
    figure.text(0.5, 0.62, title, fontsize=22, fontweight="bold", color=_INK, ha="center")
    figure.text(0.5, 0.54, "failed", fontsize=16, color="#b3261e", ha="center", va="center")
    text = "\n".join(textwrap.wrap(message, 90)[:8])
    figure.text(0.5, 0.48, text, fontsize=13, color=_INK, ha="center", va="top", linespacing=1.5, parse_math=False)
    return _png(figure)


def _figure(paper: str = _PAPER) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDE_IN, _HIGH_IN), dpi=_DPI, facecolor=paper)


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    # No software version or date in the file: equal pictures are equal bytes.
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _bare(ax: Axes) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


# ---------------------------------------------------------------------------------------------- 2D


def _draw_image(ax: Axes, view: ClipView) -> None:
    """Draw the frame with bones and joints coloured by score."""
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    _bare(ax)
    height, width = view.rgb.shape[:2]
    ax.imshow(view.rgb, interpolation="antialiased")
    ax.set_xlim(-0.5, width - 0.5)
    ax.set_ylim(height - 0.5, -0.5)
    ax.set_anchor("S")
    joints = joint_set(view.joint_set_2d)
    known = np.isfinite(view.keypoints).all(-1)
    bones = [(a, b) for a, b in joints.bones if known[a] and known[b]]
    colours = colormaps["RdYlGn"]
    # Thin lines on a small person: the picture is to be checked against the body beneath.
    shown = ax.get_position().width * _WIDE_IN * _DPI / width
    size = float(np.ptp(view.keypoints[known], axis=0).max()) * shown if known.any() else 0.0
    thick = float(np.clip(size / 120, 1.2, 2.6))
    if bones:
        lines = [view.keypoints[[a, b]] for a, b in bones]
        score = [float(min(view.score[a], view.score[b])) for a, b in bones]
        ax.add_collection(LineCollection(lines, colors="#00000090", linewidths=1.9 * thick, capstyle="round"))
        ax.add_collection(LineCollection(lines, colors=colours(score), linewidths=thick, capstyle="round"))
    spots = view.keypoints[known]
    ax.scatter(*spots.T, s=6 * thick, c=colours(view.score[known]), edgecolors="#00000090", linewidths=0.8, zorder=3)


def _draw_scale(figure: Figure, view: ClipView, y: float) -> None:
    """Draw the colours' meaning below the frame."""
    from matplotlib import colormaps

    bar = figure.add_axes((0.015, y - 0.007, 0.08, 0.014))
    bar.imshow(np.linspace(0, 1, 64)[None], aspect="auto", cmap=colormaps["RdYlGn"], extent=(0, 1, 0, 1))
    _bare(bar)
    known = int(np.isfinite(view.keypoints).all(-1).sum())
    text = f"score 0 … 1    {known} of {len(view.keypoints)} {view.joint_set_2d} keypoints"
    figure.text(0.101, y, text, fontsize=9, color=_INK, va="center")


# ---------------------------------------------------------------------------------------------- 3D


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


def _draw_space(ax: Axes, view: ClipView) -> None:
    """Draw floor, path, past and later poses, and the pose of the frame."""
    _bare(ax)
    ax.set_aspect("equal", adjustable="datalim")
    names, joints, centre = joint_set(view.joint_set_3d), view.joints.astype(np.float64), view.camera_centre
    if view.axes == "camera":
        joints, centre = joints @ _CAMERA_TO_UP.T, np.zeros(3)
    joints = np.where(view.valid[..., None], joints, np.nan)
    frames = _sampled(view) if view.temporal else [view.frame]
    shown = joints[[*frames, view.frame]]
    if not np.isfinite(shown).any():
        ax.text(0.5, 0.5, "no valid pose in this clip", transform=ax.transAxes, ha="center", color=_FAINT, fontsize=13)
        return
    floor = 0.0 if view.axes == "world" else float(np.nanmin(shown[..., 2]))
    look = _Look(_azimuth(joints[view.frame], shown, centre), 18.0)
    _draw_floor(ax, look, shown, floor, view.axes == "world")
    if view.temporal:
        path = joints[:, 0].copy()
        path[:, 2] = floor
        ax.plot(*look(path).T, color=_PATH, lw=2.0, zorder=2, solid_capstyle="round")
        for frame in frames:
            _draw_pose(ax, look, joints[frame], names, ghost=True)
    now = joints[view.frame]
    _draw_shadow(ax, look, now, names, floor)
    _draw_pose(ax, look, now, names, ghost=False)
    for foot, ankle in enumerate(_ANKLES):
        if view.contact[view.frame, foot] and np.isfinite(now[ankle]).all():
            ring = dict(s=150, facecolors="none", edgecolors=_CONTACT, linewidths=2.2, zorder=900)
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
        ax.plot(*look(np.stack([corner, tip])).T, color=_INK, lw=1.6, zorder=1, solid_capstyle="round")
        x, y = look(corner + 0.5 * np.eye(3)[axis])
        ax.text(x, y, name, color=_INK, fontsize=9, ha="center", va="center")
    kind = "floor z = 0" if is_world else "grid at the lowest joint; the floor is not known"
    note = f"{kind}, {step:g} m squares"
    ax.text(1.0, -0.045, note, transform=ax.transAxes, fontsize=9, color=_INK, va="center", ha="right")


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
        colour = {"left": _LEFT, "right": _RIGHT}.get(side, _MIDDLE)
        line, zorder = look(pose[[a, b]]).T, 10 + 3 * rank
        ax.plot(*line, color=_PAPER, lw=8.0, zorder=zorder, solid_capstyle="round")
        ax.plot(*line, color=colour, lw=5.0, zorder=zorder + 1, solid_capstyle="round")
        ax.scatter(*line, s=20, color=_PAPER, edgecolors=colour, linewidths=1.6, zorder=zorder + 2)


def _draw_notes(ax: Axes, view: ClipView) -> None:
    """Name the colours, and the mean sigma of the pose, along the upper edge."""
    from matplotlib.lines import Line2D

    # As in the summary: of the joints that all methods have.
    sigma = view.sigma_m[view.frame, : len(_H36M)]
    entries: list[tuple[str, Line2D]] = [
        (n, Line2D([], [], color=c, lw=5)) for n, c in (("left", _LEFT), ("right", _RIGHT))
    ]
    if view.temporal:
        entries.append(("pelvis path", Line2D([], [], color=_PATH, lw=2)))
    if view.contact.any():
        ring = Line2D([], [], ls="", marker="o", mfc="none", mec=_CONTACT, ms=10, mew=2.2)
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
        labelcolor=_INK,
        handlelength=1.2,
        columnspacing=1.4,
    )


# ---------------------------------------------------------------------------------------------- course


def _runs(flag: np.ndarray, time: Times) -> list[tuple[float, float]]:
    """(start, length) in seconds of the runs in which a flag is up."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flag.astype(int), [0]])))
    step = float(np.median(np.diff(time))) if len(time) > 1 else 1.0
    pairs: Sequence[np.ndarray] = list(edges.reshape(-1, 2))
    return [(float(time[a]), float(time[b - 1] - time[a]) + step) for a, b in pairs]


def _draw_course(ax: Axes, view: ClipView) -> None:
    """Draw what was known when, over the clip."""
    rows: list[tuple[str, np.ndarray, str]] = [
        ("pose", view.valid.any(1), _MIDDLE),
        ("left foot", view.contact[:, 0], _CONTACT),
        ("right foot", view.contact[:, 1], _CONTACT),
    ]
    for row, (_, flag, colour) in enumerate(rows):
        ax.axhspan(-row - 0.3, -row + 0.3, color="#eef1f4", lw=0)
        ax.broken_barh(_runs(flag, view.time), (-row - 0.3, 0.6), color=colour, alpha=0.8, lw=0)
    ax.axvline(view.time[view.frame], color="#d01f4e", lw=1.6)
    ax.set_yticks([-row for row in range(len(rows))], [name for name, _, _ in rows], fontsize=9, color=_INK)
    ax.tick_params(length=0, labelsize=9, colors=_INK)
    step = float(np.median(np.diff(view.time))) if len(view.time) > 1 else 1.0
    ax.set_xlim(view.time[0], view.time[-1] + step)
    ax.set_ylim(-len(rows) + 0.5, 0.5)
    ax.xaxis.set_major_formatter("{x:g} s")
    for spine in ax.spines.values():
        spine.set_visible(False)
