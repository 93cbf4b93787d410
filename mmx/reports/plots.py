"""What all plots share: their colours, panels without a frame, and how one is written."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmx.store.atomic import atomic_file

GRID = "#e3e3e0"
DOTS_PER_INCH = 130


def take_frame_off(panel: Axes) -> None:
    """Leave the numbers of a panel, and behind what is drawn its grid, without lines around it."""
    panel.set_axisbelow(True)
    for side in ("top", "right", "left", "bottom"):
        panel.spines[side].set_visible(False)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG.

    Raises:
        ResourceError: when the disk is full or closed; the old file stays as it was.
    """
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH, format="png")
