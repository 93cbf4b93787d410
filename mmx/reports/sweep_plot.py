"""What a setting does to a metric on val: a line over its values, as PNG."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from mmx.reports.lettering import FAINT, INK
from mmx.reports.plots import GRID, save_figure, take_frame_off

SIZE = (6.4, 4.0)


def draw_sweep(
    setting: str, metric: str, found: Mapping[str, tuple[float, float | None]], title: str, path: Path
) -> None:
    """Draw the metric over the values of a setting, in the order given, with its deviation over seeds where
    there is one; the best one is marked.

    Raises:
        ResourceError: when the picture cannot be written.
    """
    figure = Figure(figsize=SIZE, layout="constrained", facecolor="white")
    panel = figure.subplots()
    values = [value for value, _ in found.values()]
    places = range(len(values))
    best = max(places, key=values.__getitem__)
    panel.plot(places, values, color=INK, linewidth=1.6, marker="o", markersize=5)
    spread = [deviation for _, deviation in found.values() if deviation is not None]
    if len(spread) == len(found):
        panel.errorbar(places, values, yerr=spread, fmt="none", ecolor=INK, elinewidth=1.0, capsize=4)
    panel.plot([best], [values[best]], color="#d1752a", marker="o", markersize=9)
    for place, value in zip(places, values, strict=True):
        text = panel.annotate(
            f"{value:.1f}", (place, value), (0, 10), textcoords="offset points", ha="center", fontsize=9
        )
        # over a line that climbs past the next point
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
    panel.set_xticks(list(places), list(found))
    panel.margins(y=0.25)
    panel.set_xlabel(setting, fontsize=10, color=FAINT)
    panel.set_ylabel(f"val {metric.replace('_', ' ')}", fontsize=10, color=FAINT)
    panel.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    panel.tick_params(labelsize=9, colors=FAINT)
    panel.grid(color=GRID, linewidth=0.7)
    take_frame_off(panel)
    save_figure(figure, path)
