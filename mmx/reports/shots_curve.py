"""Accuracy over shots as one picture: a line a classifier, its deviation over seeds as a bar."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from mmx.reports.lettering import FAINT, INK, printable
from mmx.reports.plots import GRID, save_figure, take_frame_off

COLOURS = (
    "#2f6db5", "#d1752a", "#3c8f5a", "#a3478f", "#8a6d3b", "#4aa3a3", "#b0483f", "#6a6ad0", "#7a8a2f",
    "#d9789f", "#5b6b7a", "#c2a02a", "#7fb3e0",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HEIGHT, WIDTH = 4.6, 8.4
GAP = 0.045
"""Least distance between two names, as a share of the height."""

Points = Sequence[tuple[int, float, float]]
"""(shots, mean, deviation), rising."""


def draw_shots_curve(
    title: str, beneath: str, lines: Mapping[str, Points], strong: str, out_path: Path
) -> None:
    """Draw each line as PNG, its name at its end; with one number of shots, a dot each in order of height.

    Args:
        title: says what was measured on what.
        beneath: a fainter line under it.
        lines: name -> its points.
        strong: the name that is drawn in ink.
        out_path: where the picture goes.

    Raises:
        ResourceError: when the picture cannot be written.
    """
    shots = sorted({point[0] for points in lines.values() for point in points})
    one = len(shots) == 1
    height = max(2.2, 0.34 * len(lines) + 1.2) if one else HEIGHT
    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
    panel = figure.subplots()
    figure.suptitle(printable(title), x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK)
    panel.set_title(printable(beneath), loc="left", fontsize=9, color=FAINT)
    colours = {
        name: INK if name == strong else COLOURS[place % len(COLOURS)] for place, name in enumerate(lines)
    }
    if one:
        _draw_dots(panel, lines, colours)
    else:
        _draw_lines(panel, lines, colours, strong, shots)
    panel.tick_params(labelsize=9, colors=FAINT, length=0)
    take_frame_off(panel)
    save_figure(figure, out_path)


def _draw_dots(panel: Axes, lines: Mapping[str, Points], colours: Mapping[str, str]) -> None:
    order = sorted(lines, key=lambda name: lines[name][0][1])
    for place, name in enumerate(order):
        _, mean, deviation = lines[name][0]
        panel.errorbar(mean, place, xerr=deviation, fmt="o", color=colours[name], markersize=6, capsize=3)
        panel.annotate(
            f"{mean:.1f}", (mean + deviation, place), (8, 0), textcoords="offset points", va="center",
            fontsize=9, color=colours[name],
        )  # fmt: skip
    panel.set_yticks(range(len(order)), [printable(name) for name in order])
    panel.margins(x=0.12)
    panel.set_ylim(-0.6, len(order) - 0.4)
    panel.set_xlabel("accuracy, percent", fontsize=9, color=FAINT)
    panel.grid(color=GRID, linewidth=0.7)


def _draw_lines(
    panel: Axes, lines: Mapping[str, Points], colours: Mapping[str, str], strong: str, shots: Sequence[int]
) -> None:
    panel.set_xscale("log", base=2)
    for place, (name, points) in enumerate(lines.items()):
        x, mean, deviation = zip(*points, strict=True)
        width, front = (2.2, 3) if name == strong else (1.2, 2)
        panel.errorbar(
            x, mean, yerr=deviation, color=colours[name], marker=MARKERS[place % len(MARKERS)], markersize=4,
            linewidth=width, capsize=2, elinewidth=0.8, zorder=front,
        )  # fmt: skip
    panel.xaxis.set_major_locator(FixedLocator(list(shots)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.set_xlabel("shots a class", fontsize=9, color=FAINT)
    panel.set_ylabel("accuracy, percent", fontsize=9, color=FAINT)
    panel.grid(color=GRID, linewidth=0.7)
    low, high = panel.get_ylim()
    ends = {name: points[-1][1] for name, points in lines.items()}
    for name, height in _apart(ends, (high - low) * GAP, high).items():
        panel.annotate(
            printable(name), (1, height), (6, 0), xycoords=("axes fraction", "data"), fontsize=9, va="center",
            textcoords="offset points", color=colours[name], fontweight="bold" if name == strong else None,
            annotation_clip=False,
        )  # fmt: skip


def _apart(heights: Mapping[str, float], gap: float, highest: float) -> dict[str, float]:
    """The heights moved as little as is needed for none to be too high or nearer than the gap to the next."""
    order = sorted(heights, key=lambda name: heights[name])
    placed = [heights[name] for name in order]
    for _ in range(50 * len(placed)):
        moved = False
        for lower in range(len(placed) - 1):
            lack = gap - (placed[lower + 1] - placed[lower])
            if lack > gap * 1e-3:
                placed[lower] -= lack / 2
                placed[lower + 1] += lack / 2
                moved = True
        if not moved:
            break
    for place in reversed(range(len(placed))):
        placed[place] = min(placed[place], highest)
        highest = placed[place] - gap
    return dict(zip(order, placed, strict=True))
