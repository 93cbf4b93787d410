"""Times on a CUDA card against its roofline: `python -m benchmarks.gpu`, in under ten minutes.

    python -m benchmarks.gpu [--only ROW ..] [--no-compile] [--within SECONDS] [--out FOLDER]
    python -m benchmarks.gpu --device cpu --tiny       tries all of it without a card; nothing is kept

A row is a process of its own, so that one that runs out of memory or fails ends no other: it stands in the
page as what happened to it. First come all rows as they are, then those under `torch.compile`, as far as
there is time. The card's peaks are measured in the same run by products of random matrices and by a copy.
The records go to results-gpu/CARD.json, and gpu.md is written from them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from benchmarks.gpu_page import FOLDER, write
from benchmarks.gpu_rows import CASES, COMPILED, PLAIN
from benchmarks.gpu_works import Case, Work
from benchmarks.results import machine

PEAKS = "peaks"
LIMIT = 150
"""Seconds that a process may take."""
SAMPLE_SECONDS, SAMPLES, LEAST = 0.05, 30, 5


def gru_flops(input_shape: Sequence[int], weights: Sequence[Sequence[int]], *_: object, **__: object) -> int:
    """Of cuDNN's recurrent layer over packed words [N, W]: each weight matrix once a word."""
    tokens = numpy.prod(input_shape[:-1], dtype=int)
    return int(tokens * sum(2 * shape[0] * shape[1] for shape in weights if len(shape) == 2))


def gru_gradient_flops(*given: Any, **named: Any) -> int:
    """The gradients of the words and of the weights."""
    return 2 * gru_flops(*given, **named)


def fused_flops(shape: Sequence[int], weight: Sequence[int], *_: object, out_shape: Sequence[int]) -> int:
    """Of the convolutions that mmx runs in oneDNN on a processor."""
    return conv_flop_count(shape, weight, out_shape)


UNCOUNTED = {
    torch.ops.mkldnn._convolution_pointwise: fused_flops,
    torch.ops.aten._cudnn_rnn: gru_flops,
    torch.ops.aten._cudnn_rnn_backward: gru_gradient_flops,
}
"""What torch's counter passes over."""


def wait(device: torch.device) -> None:
    """Until all that was asked of the card is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def timed(call: Callable[[], object], device: torch.device, seconds: float) -> dict[str, float]:
    """Warm up, then the median and quartiles of a call; short ones are repeated within a sample. Without
    seconds, one sample, which shows that it works.
    """
    for _ in range(3 if seconds else 1):
        began = time.perf_counter()
        call()
        wait(device)
        first = time.perf_counter() - began
    repeats = min(max(round(SAMPLE_SECONDS / first), 1), 1000)
    samples: list[float] = []
    until = time.perf_counter() + seconds
    least = LEAST if seconds else 1
    while len(samples) < least or (len(samples) < SAMPLES and time.perf_counter() < until):
        began = time.perf_counter()
        for _ in range(repeats):
            call()
        wait(device)
        samples.append((time.perf_counter() - began) / repeats)
    low, high = numpy.percentile(samples, [25, 75])
    return {"median_s": statistics.median(samples), "quartiles_s": [low, high], "samples": len(samples)}


def waits(call: Callable[[], object], device: torch.device) -> dict[str, int] | None:
    """Where the processor waits for the card within a call: place in the code -> times; None without one."""
    if device.type != "cuda":
        return None
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            call()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found = [each for each in heard if "synchronizing" in str(each.message)]
    return dict(Counter(f"{'/'.join(Path(each.filename).parts[-3:])}:{each.lineno}" for each in found))


@contextmanager
def products_in(variant: str) -> Iterator[None]:
    """Let products of float32 matrices be made in TF32 where the variant says so."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if variant == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def measure(case: Case, variant: str, device: torch.device, tiny: bool) -> dict[str, Any]:
    """One variant of a row, in this process."""
    seconds = 0.0 if tiny else 3.0
    precision = "bf16" if variant.startswith("bf16") else "fp32"
    with products_in(variant):
        work: Work = case.make(device, precision, tiny)
        counter = FlopCounterMode(display=False, custom_mapping=UNCOUNTED)
        with counter:
            work.call()
        began = time.perf_counter()
        if variant == COMPILED:
            for part in work.parts:
                part.compile()
            work.call()
            wait(device)
        compiled = time.perf_counter() - began
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        found = timed(work.call, device, seconds)
        found |= {"items": work.items, "flops": counter.get_total_flops(), "least_bytes": work.least_bytes}
        found["compile_s"] = compiled if variant == COMPILED else None
        found["peak_mib"] = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None
        found["waits"] = waits(work.call, device)
        if work.fed is not None:
            found["fed"] = timed(work.fed, device, seconds)
    return found


def probe(device: torch.device, tiny: bool) -> dict[str, float]:
    """FLOP/s of products of random matrices by variant, bytes/s of a copy on the card (read and written),
    and to it from memory that is pinned and that is not.
    """
    side, size = (128, 1 << 16) if tiny else (8192, 1 << 30)
    seconds, found = (0.0 if tiny else 1.0), {}
    for variant in PLAIN:
        kind = torch.bfloat16 if variant == "bf16" else torch.float32
        one, other = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
        with products_in(variant):
            found[variant] = 2 * side**3 / timed(partial(torch.mm, one, other), device, seconds)["median_s"]
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=device)
    there = torch.empty_like(source)
    found["copy"] = 2 * size / timed(partial(there.copy_, source), device, seconds)["median_s"]
    if device.type == "cuda":
        held = torch.ones(size // 4, dtype=torch.uint8)
        for name, some in (("from memory", held), ("from pinned memory", held.pin_memory())):
            sent = partial(there[: size // 4].copy_, some, non_blocking=True)
            found[name] = size // 4 / timed(sent, device, seconds)["median_s"]
    return found


def here(name: str, variants: Sequence[str], device: torch.device, tiny: bool) -> None:
    """Print a record a line, each as soon as it is there."""
    for variant in variants:
        try:
            found = probe(device, tiny) if name == PEAKS else measure(CASES[name], variant, device, tiny)
        except torch.OutOfMemoryError as error:
            found = {"failed": f"out of memory: {str(error).split('.')[0]}"}
        except Exception as error:
            traceback.print_exc()
            found = {"failed": f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}"}
        sys.stdout.write(json.dumps({"variant": variant, **found}) + "\n")
        sys.stdout.flush()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def apart(name: str, variants: Sequence[str], asked: argparse.Namespace, limit: float) -> dict[str, Any]:
    """The same in a process of its own: variant -> what was found, or what happened."""
    if limit < 1:
        return {variant: {"failed": f"not begun within {asked.within:.0f} s"} for variant in variants}
    words = [sys.executable, "-m", "benchmarks.gpu", "--here", name, *variants, "--device", asked.device]
    words += ["--tiny"] * asked.tiny
    try:
        done = subprocess.run(
            words, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=limit
        )
        said, errors, end = done.stdout, done.stderr, f"ended with {done.returncode}"
    except subprocess.TimeoutExpired as late:
        said, errors = ((text or b"").decode() for text in (late.stdout, late.stderr))
        end = f"not done within {limit:.0f} s"
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    found = {line.pop("variant"): line for line in lines}
    missing = {"failed": "; ".join([end, *errors.strip().splitlines()[-1:]])}
    if len(found) < len(variants) or any("failed" in each for each in found.values()):
        sys.stderr.write(errors)
    return {variant: found.get(variant, missing) for variant in variants}


def main() -> None:
    """Measure what is asked for and write the page; the exit code is 1 where a row failed."""
    parser = argparse.ArgumentParser(description=f"Rows: {', '.join(CASES)}.")
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=CASES, default=list(CASES))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="Small shapes; nothing is kept.")
    parser.add_argument("--no-compile", action="store_true", help="Leave torch.compile out.")
    parser.add_argument("--within", type=float, default=560.0, help="No row begins after so many seconds.")
    parser.add_argument("--out", type=Path, default=FOLDER, help="Where results-gpu/ and gpu.md are written.")
    parser.add_argument("--here", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.here:
        return here(asked.here[0], asked.here[1:], torch.device(asked.device), asked.tiny)
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA card here. Try it all with --device cpu --tiny.")
    if asked.device == "cpu" and not asked.tiny:
        parser.error("at full size these rows are for a card. With --device cpu, add --tiny.")
    until = time.monotonic() + asked.within
    rest = partial(lambda: min(LIMIT, until - time.monotonic()))
    peaks, rows = apart(PEAKS, [PEAKS], asked, rest())[PEAKS], {name: {} for name in asked.only}
    for compiled in (False, True)[: 1 if asked.no_compile else 2]:
        for name in asked.only:
            variants = [variant for variant in CASES[name].variants if (variant == COMPILED) == compiled]
            rows[name] |= apart(name, variants, asked, rest()) if variants else {}
            for variant in variants:
                sys.stdout.write(told(name, variant, rows[name][variant]))
                sys.stdout.flush()
    if not asked.tiny:
        asked.out.mkdir(parents=True, exist_ok=True)
        about = {"card": torch.cuda.get_device_name(), "date": date.today().isoformat(), "machine": machine()}
        about |= {"torch": torch.__version__, "peaks": peaks}
        cases = {name: CASES[name] for name in asked.only}
        said = {n: {"title": c.title, "unit": c.unit, "convolves": c.convolves} for n, c in cases.items()}
        kept = {name: {**said[name], "variants": rows[name]} for name in cases}
        write({**about, "rows": kept}, list(CASES), asked.out)
    if "failed" in peaks or any("failed" in found for row in rows.values() for found in row.values()):
        raise SystemExit(1)


def told(name: str, variant: str, found: dict[str, Any]) -> str:
    """A record in a line."""
    if "failed" in found:
        return f"{name}, {variant}: {found['failed']}\n"
    median, items = found["median_s"], found["items"]
    return f"{name}, {variant}: {1e3 * median:.4g} ms, {items / median:,.0f} {CASES[name].unit}/s\n"


if __name__ == "__main__":
    main()
