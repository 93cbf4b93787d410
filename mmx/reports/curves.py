"""Learning curves of a run as one picture: loss and its parts, what val says, and the rates."""

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmx.core.errors import ArtifactError
from mmx.reports.lettering import FAINT, INK
from mmx.reports.plots import GRID, save_figure, take_frame_off

COLOURS = ("#2f6db5", "#d1752a", "#3c8f5a", "#a3478f", "#8a6d3b", "#4aa3a3")
PANEL = (5.2, 3.6)
KINDS = ("step", "epoch")
RSUM = "val/rsum"
NOT_CURVES = {"kind", "step", "epoch", "stage", "seconds", "val_seconds", "best"}


def draw_curves(log_path: Path, out_path: Path) -> None:
    """Draw the log of a run as PNG: loss (nats), of val `rsum` or else all, rates and what else the method
    gauges, with a line where a stage begins.

    Args:
        log_path: a `log.jsonl`; a last line cut short by a kill is left out.
        out_path: where the picture goes.

    Raises:
        ArtifactError: when the log is absent, broken, or holds no step and no epoch.
        ResourceError: when the picture cannot be written.
    """
    lines = read_log(log_path)
    steps = [line for line in lines if line["kind"] == "step"]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    if not steps and not epochs:
        raise ArtifactError(f"'{log_path}' holds no step and no epoch to draw. Train at least one epoch.")
    val = series(epochs, lambda name: name.startswith("val/"))
    drawn = {
        "loss": series(steps, lambda name: not name.startswith(("lr/", "gauge/"))),
        "val": {RSUM: val[RSUM]} if RSUM in val else val,
        "learning rate": series(steps, lambda name: name.startswith("lr/")),
    }
    gauges = series(steps, lambda name: name.startswith("gauge/"))
    if gauges:
        drawn["gauges"] = {name.removeprefix("gauge/"): curve for name, curve in gauges.items()}
    starts = stage_starts(steps or epochs)
    figure = Figure(figsize=(PANEL[0] * len(drawn), PANEL[1]), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(drawn))
    for panel, (title, curves) in zip(panels, drawn.items(), strict=True):
        _draw_panel(panel, title, curves, starts)
    save_figure(figure, out_path)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines about steps and epochs, nested values named `outer/inner`.

    Raises:
        ArtifactError: when the log is absent, or a line before the last is no JSON object.
    """
    try:
        written = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"the log '{path}' cannot be read ({error}). Is it a run's log.jsonl?") from error
    lines = []
    for number, text in enumerate(written, start=1):
        try:
            line = json.loads(text)
        except ValueError as error:
            if number == len(written):
                break
            raise ArtifactError(f"line {number} of '{path}' is not JSON ({error}). Train again.") from error
        if isinstance(line, dict) and line.get("kind") in KINDS:
            lines.append(_flat(line))
    return lines


def series(
    lines: Sequence[Mapping[str, Any]], wanted: Callable[[str], bool]
) -> dict[str, tuple[list[float], list[float]]]:
    """Each name -> (steps, values) of every number whose name is wanted; what is not finite leaves a gap."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for line in lines:
        for name, value in line.items():
            if name in NOT_CURVES or not isinstance(value, int | float) or isinstance(value, bool):
                continue
            if wanted(name):
                steps, values = curves.setdefault(name, ([], []))
                steps.append(float(line.get("step", line.get("epoch", len(steps) + 1))))
                values.append(float(value) if math.isfinite(value) else math.nan)
    return curves


def stage_starts(lines: Sequence[Mapping[str, Any]]) -> list[tuple[float, str]]:
    """(step, name) of each stage after the first."""
    starts = []
    for before, line in itertools.pairwise(lines):
        if before.get("stage") != line.get("stage"):
            starts.append((float(line.get("step", 0)), str(line.get("stage"))))
    return starts


def _flat(line: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}/")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _draw_panel(
    panel: Axes, title: str, curves: Mapping[str, Any], starts: Sequence[tuple[float, str]]
) -> None:
    panel.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK)
    for number, (name, (steps, values)) in enumerate(curves.items()):
        # One point draws no line: a marker shows it.
        marker = "o" if len(steps) < 30 else None
        strong = name.endswith("total") or len(curves) == 1
        colour = INK if name.endswith("total") else COLOURS[number % len(COLOURS)]
        width = 2.0 if strong else 1.2
        panel.plot(
            steps, values, color=colour, linewidth=width, marker=marker, markersize=3, label=_short(name)
        )
    for step, name in starts:
        panel.axvline(step, color=FAINT, linewidth=0.8, linestyle=":")
        panel.annotate(
            name, (step, 1), (3, -3), xycoords=("data", "axes fraction"), textcoords="offset points",
            fontsize=8, color=FAINT, va="top",
        )  # fmt: skip
    if curves:
        panel.legend(frameon=False, fontsize=9, labelcolor=INK)
    else:
        panel.text(0.5, 0.5, "nothing logged", transform=panel.transAxes, ha="center", color=FAINT)
    panel.set_xlabel("step", fontsize=9, color=FAINT)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    panel.tick_params(labelsize=9, colors=FAINT)
    panel.grid(color=GRID, linewidth=0.7)
    take_frame_off(panel)


def _short(name: str) -> str:
    return name.removeprefix("loss/").removeprefix("lr/").removeprefix("val/")
