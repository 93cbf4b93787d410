"""A confusion matrix as one picture: rows are the right classes, columns what was said."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from mmx.reports.lettering import FAINT, INK, printable
from mmx.reports.plots import save_figure, take_frame_off

CELL, LEAST, MOST = 0.22, 3.2, 22.0
"""Inches of a class, and of the matrix."""
NUMBERS_UP_TO = 40
"""Classes among which each count is written in its cell."""
LONGEST_NAME = 24


def draw_confusion(title: str, names: Sequence[str], confusion: Tensor, out_path: Path) -> None:
    """Draw counts [C, C] as PNG, each row shaded by its shares.

    Raises:
        ResourceError: when the picture cannot be written.
    """
    side = min(MOST, max(LEAST, CELL * len(names)))
    shares = confusion.double() / confusion.sum(1, keepdim=True).clamp(min=1)
    figure = Figure(figsize=(side + 2.2, side + 2.0), layout="constrained", facecolor="white")
    panel = figure.subplots()
    panel.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    panel.set_title(printable(title), loc="left", fontsize=11, fontweight="bold", color=INK)
    shown = [_short(name) for name in names]
    size = 8 if side < MOST else 5
    panel.set_xticks(range(len(names)), shown, rotation=90, fontsize=size)
    panel.set_yticks(range(len(names)), shown, fontsize=size)
    panel.set_xlabel("said", fontsize=9, color=FAINT)
    panel.set_ylabel("right", fontsize=9, color=FAINT)
    panel.tick_params(colors=FAINT, length=0)
    if len(names) <= NUMBERS_UP_TO:
        for row, column in confusion.nonzero().tolist():
            colour = "white" if shares[row, column] > 0.55 else INK
            count = int(confusion[row, column])
            panel.text(column, row, str(count), ha="center", va="center", fontsize=6, color=colour)
    take_frame_off(panel)
    save_figure(figure, out_path)


def _short(name: str) -> str:
    plain = printable(name)
    return plain if len(plain) <= LONGEST_NAME else plain[: LONGEST_NAME - 1] + "…"
