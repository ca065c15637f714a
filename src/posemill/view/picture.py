"""One picture of one clip: a frame with its keypoints beside the 3D pose on its path, and the clip's course below."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from posemill.arrays import Times
from posemill.skeleton import joint_set
from posemill.view.clip_view import CONTACT, INK, MIDDLE, PAPER, ClipView, bare
from posemill.view.space import draw_space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_clip", "draw_message"]

_WIDE_IN, _HIGH_IN, _DPI = 14.0, 7.2, 100


def draw_clip(view: ClipView) -> bytes:
    """Draw a clip; PNG, 1400 x 720 pixels."""
    figure = _figure()
    height, width = view.rgb.shape[:2]
    bottom, top = (0.215, 0.885) if view.temporal else (0.07, 0.885)
    share = float(np.clip((top - bottom) * _HIGH_IN * width / height / _WIDE_IN, 0.2, 0.55))
    _draw_image(figure.add_axes((0.015, bottom, share, top - bottom)), view)
    _draw_scale(figure, view, bottom - 0.03)
    draw_space(figure.add_axes((share + 0.03, bottom, 0.955 - share, top - bottom)), view)
    if view.temporal:
        _draw_course(figure.add_axes((0.075, 0.05, 0.905, 0.085)), view)
    figure.text(0.015, 0.945, view.title, fontsize=15, fontweight="bold", color=INK, va="center")
    figure.text(0.985, 0.945, view.axes_label, fontsize=11, color=INK, va="center", ha="right")
    return _png(figure)


def draw_message(title: str, message: str) -> bytes:
    """Draw a picture that says why there is none; PNG of the same size."""
    import textwrap

    figure = _figure("#f6f2f0")
    figure.text(0.5, 0.62, title, fontsize=22, fontweight="bold", color=INK, ha="center")
    figure.text(0.5, 0.54, "failed", fontsize=16, color="#b3261e", ha="center", va="center")
    text = "\n".join(textwrap.wrap(message, 90)[:8])
    figure.text(0.5, 0.48, text, fontsize=13, color=INK, ha="center", va="top", linespacing=1.5, parse_math=False)
    return _png(figure)


def _figure(paper: str = PAPER) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDE_IN, _HIGH_IN), dpi=_DPI, facecolor=paper)


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    # No software version or date in the file: equal pictures are equal bytes.
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------------- 2D


def _draw_image(ax: Axes, view: ClipView) -> None:
    """Draw the frame with bones and joints coloured by score."""
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    bare(ax)
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
    bare(bar)
    known = int(np.isfinite(view.keypoints).all(-1).sum())
    text = f"score 0 … 1    {known} of {len(view.keypoints)} {view.joint_set_2d} keypoints"
    figure.text(0.101, y, text, fontsize=9, color=INK, va="center")


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
        ("pose", view.valid.any(1), MIDDLE),
        ("left foot", view.contact[:, 0], CONTACT),
        ("right foot", view.contact[:, 1], CONTACT),
    ]
    for row, (_, flag, colour) in enumerate(rows):
        ax.axhspan(-row - 0.3, -row + 0.3, color="#eef1f4", lw=0)
        ax.broken_barh(_runs(flag, view.time), (-row - 0.3, 0.6), color=colour, alpha=0.8, lw=0)
    ax.axvline(view.time[view.frame], color="#d01f4e", lw=1.6)
    ax.set_yticks([-row for row in range(len(rows))], [name for name, _, _ in rows], fontsize=9, color=INK)
    ax.tick_params(length=0, labelsize=9, colors=INK)
    step = float(np.median(np.diff(view.time))) if len(view.time) > 1 else 1.0
    ax.set_xlim(view.time[0], view.time[-1] + step)
    ax.set_ylim(-len(rows) + 0.5, 0.5)
    ax.xaxis.set_major_formatter("{x:g} s")
    for spine in ax.spines.values():
        spine.set_visible(False)
