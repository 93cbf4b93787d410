"""Time and memory of each command against its size, a plot each: `python -m benchmarks.growth`, some minutes.

Each point is a process of its own: it makes the work ready, then measures one call: seconds of the wall,
or of the processor with `--clock cpu`, and how far its resident memory rose above what was there. What
takes less than two seconds is measured three times, and the median counts. What is larger than this
machine is computed: the measured points are fitted by a + b N (or a + b N^2, which is said), with relative
errors alike, and the points are drawn hollow and marked. Everything goes to benchmarks/growth: a page, its
plots and the numbers, after each command; one that fails is told and stops no other, and the exit code is 1.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.growth_works import GROWTHS, Growth
from benchmarks.results import machine
from benchmarks.samples import CLOCKS, extra_memory

FOLDER = Path(__file__).parent / "growth"
NUMBERS = "growth.json"
TIMES, SHORT = 3, 2.0
GROWN = 2.0
LIMIT = 300
"""Seconds that a point may take."""
SECONDS, MEMORY = "seconds", "memory_mib"
LEAST = {SECONDS: 1e-6, MEMORY: 1.0}
INK, SECOND = "#2f6db5", "#d1752a"


class Failed(Exception):
    """A point could not be measured; the words say which and why."""


Point = Mapping[str, Any]
"""`size`, `seconds`, `memory_mib`, and whether it was `computed`."""


def measure(name: str, size: int, folder: Path, clock: str) -> dict[str, float]:
    """One point, in this process; the smallest one before it loads what is loaded once."""
    growth, now = GROWTHS[name], CLOCKS[clock]
    growth.make(growth.measured[0], folder / f"warm-{size}")()
    work = growth.make(size, folder)
    times: list[float] = []

    def once() -> None:
        began = now()
        work()
        times.append(now() - began)

    memory = extra_memory(once)
    # what can be done again leaves nothing behind that the next one would find
    while name not in ("prepare", "extract", "train") and len(times) < TIMES and times[0] < SHORT:
        once()
    return {SECONDS: statistics.median(times), MEMORY: memory}


def apart(name: str, size: int, folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    """The same in a process of its own, with its threads fixed."""
    words = [sys.executable, "-m", "benchmarks.growth", "--here", name, str(size), str(folder)]
    words += ["--threads", str(asked.threads), "--clock", asked.clock]
    fixed = os.environ | {"OMP_NUM_THREADS": str(asked.threads)}
    root = Path(__file__).parents[1]
    try:
        done = subprocess.run(words, env=fixed, cwd=root, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{name} at {size:,}: not done after {LIMIT} seconds") from late
    if done.returncode:
        raise Failed(f"{name} at {size:,}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def fit(sizes: Sequence[int], values: Sequence[float], power: int) -> tuple[float, float]:
    """The a and b of a + b N^power, neither below 0, by least squares of relative errors."""
    grown, found = numpy.array(sizes, float) ** power, numpy.array(values, float)
    a, b = numpy.linalg.lstsq(numpy.stack([1 / found, grown / found], 1), numpy.ones(len(found)), rcond=None)[
        0
    ]
    if b < 0:
        return float(found.max()), 0.0
    return (float(a), float(b)) if a >= 0 else (0.0, float(1 / (grown / found).mean()))


def with_computed(growth: Growth, points: Sequence[Point]) -> list[dict[str, Any]]:
    """The measured points, and those beyond."""
    sizes = [point["size"] for point in points]
    times, memory = ([max(point[key], LEAST[key]) for point in points] for key in (SECONDS, MEMORY))
    a, b = fit(sizes, times, growth.power)
    # what hardly grew over the sizes measured is not made to grow beyond them
    base, slope = fit(sizes, memory, 1) if max(memory) > GROWN * min(memory) else (max(memory), 0.0)
    beyond = [
        {"size": size, SECONDS: a + b * size**growth.power, MEMORY: base + slope * size, "computed": True}
        for size in growth.computed
    ]
    return [{**point, "computed": False} for point in points] + beyond


def draw(growth: Growth, points: Sequence[Point], path: Path) -> None:
    """Seconds and memory against size, both axes logarithmic."""
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _panel(left, points, SECONDS, "seconds", INK)
    _panel(right, points, MEMORY, "memory it adds (MiB)", SECOND)
    for axes in (left, right):
        axes.set_xlabel(growth.axis)
    figure.suptitle(growth.title, fontsize=11)
    figure.savefig(path, dpi=110)


def _panel(axes: Axes, points: Sequence[Point], key: str, label: str, colour: str) -> None:
    def line(some: Sequence[Point], style: str, **look: object) -> None:
        sizes, values = [p["size"] for p in some], [max(p[key], LEAST[key]) for p in some]
        axes.plot(sizes, values, style, color=colour, **look)

    measured = [point for point in points if not point["computed"]]
    beyond = [point for point in points if point["computed"]]
    line(measured, "o-", label="measured")
    if beyond:
        line([measured[-1], *beyond], "--")
        line(beyond, "o", markerfacecolor="white", label="computed")
        axes.legend(frameon=False, fontsize=8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(label, fontsize=9)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def page(record: Mapping[str, Any]) -> str:
    """The numbers as a table, with the plots."""
    how = f"{record['machine']}; {record['threads']} threads, {record['clock']} clock"
    lines = [
        "# Growth",
        "",
        f"Time and memory of each command against its size. Written by `python -m benchmarks.growth`, "
        f"{record['date']}: {how}.",
        "*Slanted* numbers, and hollow points, are computed from the others and not measured. Memory is what "
        "the work adds to what its",
        "inputs take; a search reads the index where it lies, so that pages of its file count. Below 1 MiB "
        "it is drawn as 1.",
    ]
    for name, points in record["growths"].items():
        growth = GROWTHS[name]
        law = "a + b N" if growth.power == 1 else "a + b N²"
        lines += ["", f"## {growth.title}", "", f"![{growth.title}]({name}.png)", ""]
        lines += [f"| {growth.axis} | seconds | MiB |", "|---|---|---|"]
        for point in points:
            cells = f"{point['size']:,}", f"{point[SECONDS]:.3g}", f"{point[MEMORY]:,.0f}"
            lines.append(
                "| " + " | ".join(f"*{cell}*" if point["computed"] else cell for cell in cells) + " |"
            )
        if growth.computed:
            lines += ["", f"Computed: seconds by {law}, memory by a + b N where it has at least doubled."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what is asked for; keep the numbers, plots and page of all that was ever measured."""
    parser = argparse.ArgumentParser(description=f"Growths: {', '.join(GROWTHS)}.")
    parser.add_argument("--only", nargs="+", metavar="GROWTH", choices=GROWTHS, default=list(GROWTHS))
    parser.add_argument("--quick", action="store_true", help="Only the two smallest sizes; nothing is kept.")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    parser.add_argument("--here", nargs=3, metavar=("GROWTH", "SIZE", "FOLDER"), help="Print one point.")
    asked = parser.parse_args()
    if asked.here:
        torch.set_num_threads(asked.threads)
        name, size, folder = asked.here
        sys.stdout.write(json.dumps(measure(name, int(size), Path(folder), asked.clock)) + "\n")
        return
    failed = []
    for name in asked.only:
        try:
            points = measured(name, asked)
        except Failed as failure:
            sys.stderr.write(f"{failure}\n")
            failed.append(name)
            continue
        if not asked.quick:
            keep(name, with_computed(GROWTHS[name], points), asked)
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
        raise SystemExit(1)


def measured(name: str, asked: argparse.Namespace) -> list[Point]:
    """The points of a growth, each told as it is there.

    Raises:
        Failed: at the first point that could not be measured.
    """
    points: list[Point] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in GROWTHS[name].measured[: 2 if asked.quick else None]:
            point = {"size": size, **apart(name, size, Path(folder), asked)}
            sys.stdout.write(f"{name} {size:,}: {point[SECONDS]:.3g} s, {point[MEMORY]:.0f} MiB\n")
            sys.stdout.flush()
            points.append(point)
    return points


def keep(name: str, points: Sequence[Point], asked: argparse.Namespace, folder: Path = FOLDER) -> None:
    """Put a growth beside those that are kept: its numbers, its plot, and the page of all."""
    folder.mkdir(exist_ok=True)
    kept = folder / NUMBERS
    there = json.loads(kept.read_text())["growths"] if kept.exists() else {}
    there[name] = points
    about = {"machine": machine(), "threads": asked.threads, "clock": asked.clock}
    growths = {each: there[each] for each in GROWTHS if each in there}
    record = {"date": date.today().isoformat(), **about, "growths": growths}
    kept.write_text(json.dumps(record, indent=1) + "\n")
    draw(GROWTHS[name], points, folder / f"{name}.png")
    (folder / "README.md").write_text(page(record))


if __name__ == "__main__":
    main()
