"""Draw figures against training steps."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

__all__ = ["draw_curves"]

_COLOURS = ("#20639b", "#c0561f", "#3a7d44", "#7a4a9e", "#8c6d1f", "#555555")
_INK, _PAPER, _GRID = "#222222", "#ffffff", "#d9d9d9"


def draw_curves(
    title: str, curves: Mapping[str, Sequence[tuple[float, float]]], *, across: str = "step", up: str = "mm"
) -> bytes:
    """Draw lines through points, named at their ends; PNG.

    Parameters
    ----------
    curves
        Name to (x, y) in ascending x.
    across, up
        What the axes are.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=100, facecolor=_PAPER, layout="constrained")
    axes = figure.add_subplot()
    for (name, points), colour in zip(curves.items(), _COLOURS * (1 + len(curves) // len(_COLOURS)), strict=False):
        xs, ys = [x for x, _ in points], [y for _, y in points]
        axes.plot(xs, ys, color=colour, linewidth=1.8, marker="o", markersize=3.5, label=name)
        if points:
            end = (xs[-1], ys[-1])
            axes.annotate(f"{ys[-1]:.1f}", end, (5, 0), textcoords="offset points", color=colour, va="center")
    axes.set_title(title, loc="left", color=_INK, parse_math=False)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_ylim(bottom=0)
    axes.grid(color=_GRID, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if curves:
        axes.legend(frameon=False)
    buffer = io.BytesIO()
    # No software version or date in the file: equal pictures are equal bytes.
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
