"""Memory and time of a training step against the images of a batch, whole and in chunks.

Run: python -m benchmarks.chunk_memory [--device cpu] [--batches 16 32 ..] [--chunks 16 ..] [--out FILE.png]

Both towers are trained (random:resnet, random:bert), captions have 32 tokens. Memory is the most that a step
holds above the weights, their gradients included; time is the least of two steps.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import matplotlib
import torch
from matplotlib import pyplot
from torch import nn
from torch.profiler import ProfilerActivity, profile

from mmx.core.assets import NO_ASSETS
from mmx.core.batch import Batch
from mmx.core.discover import find_method
from mmx.core.method import Method
from mmx.core.settings import resolve
from mmx.core.tower import Tower
from mmx.encoders.load import load_encoder
from mmx.engine.cut_gradients import CutGradients
from mmx.engine.pieces import Piece, cut_batches
from mmx.engine.processes import SINGLE

METHOD = "attention-clip"
BATCHES, CHUNKS = (16, 32, 64, 128), (32, 8)
TOKENS, WORDS = 32, 1_000


def build(device: torch.device) -> tuple[Method, nn.Module]:
    """The method, and a model whose towers are trained."""
    method = find_method(METHOD)
    asked = {"train_image": True, "train_text": True}
    settings, _ = resolve(method.settings, [("tiny", method.presets["tiny"]), ("benchmark", asked)], "")
    encoders = {side: load_encoder(f"random:{kind}", side) for side, kind in SIDES.items()}
    towers = {side: Tower(encoder.width, encoder) for side, encoder in encoders.items()}
    return method, method.build(settings, towers, NO_ASSETS).to(device).train()


SIDES = {"image": "resnet", "text": "bert"}


def draw(images: int, model: nn.Module) -> Batch:
    """So many pictures, with a caption each."""
    view = model.image_tower.view
    group = torch.arange(images)
    return Batch(
        pixels=torch.randint(0, 256, (images, 3, view.height, view.width), dtype=torch.uint8),
        token_ids=torch.randint(5, WORDS, (images, TOKENS)),
        token_mask=torch.ones(images, TOKENS, dtype=torch.bool),
        image_group=group,
        text_group=group,
    )


def step(method: Method, model: nn.Module, batch: Batch, chunk: int | None, device: torch.device) -> None:
    """The gradient of a batch, as training works it out."""
    if chunk is None or chunk >= len(batch.pixels):
        method.loss(model, batch.to(device), 0.5)["total"].backward()
    else:
        images = len(batch.pixels)
        pieces = [
            Piece(number, Batch.of({name: value[first:end] for name, value in batch.filled().items()}))
            for number, first, end in cut_batches(images, chunk, 0, 1).bounds(images)
        ]
        CutGradients(method, model, SINGLE, device, nullcontext).compute(pieces, 0.5, torch.manual_seed)
    model.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.synchronize()


def peak(work: partial, device: torch.device) -> float:
    """MiB above what is held before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    held = most = 0
    changes = (event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]")
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most / 2**20


def measure(work: partial, device: torch.device) -> tuple[float, float]:
    """MiB and seconds."""
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return peak(work, device), min(seconds)


def plot(batches: Sequence[int], found: dict[str, list[tuple[float, float]]], device: str, path: str) -> None:
    """Memory and time side by side, a line for each chunk."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, values in found.items():
        left.plot(batches, [memory for memory, _ in values], marker="o", label=name)
        right.plot(batches, [seconds for _, seconds in values], marker="o", label=name)
    left.set(xlabel="images of a batch", ylabel="MiB above the weights", title=f"memory of a step, {device}")
    right.set(xlabel="images of a batch", ylabel="seconds", title="time of a step")
    for axes in (left, right):
        axes.set_ylim(bottom=0)
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, show and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--chunks", type=int, nargs="+", default=CHUNKS)
    parser.add_argument("--out", default="chunk_memory.png")
    asked = parser.parse_args()
    torch.manual_seed(0)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler of memory tells of its starts and stops
    matplotlib.use("Agg")
    device = torch.device(asked.device)
    method, model = build(device)
    found: dict[str, list[tuple[float, float]]] = {}
    for chunk in (None, *asked.chunks):
        name = "whole" if chunk is None else f"--chunk {chunk}"
        for images in asked.batches:
            work = partial(step, method, model, draw(images, model), chunk, device)
            memory, seconds = measure(work, device)
            found.setdefault(name, []).append((memory, seconds))
            sys.stdout.write(f"{name:>12} {images:>5} images {memory:9.1f} MiB {seconds:7.2f} s\n")
            sys.stdout.flush()
    plot(asked.batches, found, asked.device, asked.out)


if __name__ == "__main__":
    main()
