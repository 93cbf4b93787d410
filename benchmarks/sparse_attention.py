"""Time and memory of dense and sparse attention over lengths from 50 to 2,000.

Run: python -m benchmarks.sparse_attention [--threads 1] [--device cpu] [--backward] [--lengths 50 200 ..]

Each row is a length: milliseconds of one attention (the median of rounds in which every form takes its
turn), and the most memory above what its inputs take. Lengths of the grid are the squares nearest to those
asked for.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.profiler import ProfilerActivity, profile

from mmx.nn.sparse_attention import GridWindow, TopK, Window

LENGTHS = (50, 100, 200, 400, 800, 1_200, 2_000)
ITEMS, HEADS, WIDTH = 8, 4, 64
HALF, RADIUS, KEPT = 16, 1, 32
ROUNDS = 15
Form = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def plain(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Two products with all scores between them."""
    scores = (query @ key.transpose(-2, -1) / WIDTH**0.5).masked_fill(~mask[:, None, None, :], -torch.inf)
    return scores.softmax(-1) @ value


def fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """PyTorch's fused kernel, which holds no scores."""
    return scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])


def patterned(pattern: Window | GridWindow | TopK) -> Form:
    """A sparse form as a function of tokens and mask."""
    return lambda query, key, value, mask: pattern(query, key, value, mask, 0.0)


def forms(length: int) -> dict[str, tuple[int, Form]]:
    """Keys that a form reads, and the form, by name."""
    side = round(length**0.5)
    return {
        "dense, fused": (length, fused),
        "dense, plain": (length, plain),
        f"window {2 * HALF}": (length, patterned(Window(HALF))),
        f"grid {2 * RADIUS + 1} x {2 * RADIUS + 1}": (side * side, patterned(GridWindow(RADIUS))),
        f"top {KEPT}": (length, patterned(TopK(KEPT))),
    }


def once(form: Form, tokens: list[Tensor], mask: Tensor, backward: bool) -> None:
    """One attention, with its gradient where asked for."""
    found = form(*tokens, mask)
    if backward:
        found.sum().backward()
    if found.is_cuda:
        torch.cuda.synchronize()


def draw(keys: int, device: torch.device, backward: bool) -> tuple[list[Tensor], Tensor]:
    """Queries, keys and values of a global token and so many others; half of the items are shorter."""
    tokens = [
        torch.randn(ITEMS, HEADS, keys + 1, WIDTH, device=device, requires_grad=backward) for _ in range(3)
    ]
    mask = torch.ones(ITEMS, keys + 1, dtype=torch.bool, device=device)
    mask[::2, 1 + keys - keys // 5 :] = False
    return tokens, mask


def peak(form: Form, tokens: list[Tensor], mask: Tensor, backward: bool) -> float:
    """MiB above the inputs."""
    if tokens[0].is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        once(form, tokens, mask, backward)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        once(form, tokens, mask, backward)
    held = most = 0
    changes = (event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]")
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most / 2**20


def measure(length: int, device: torch.device, backward: bool) -> dict[str, tuple[float, float]]:
    """Milliseconds and MiB of each form."""
    torch.manual_seed(0)
    ready = {name: (form, *draw(keys, device, backward)) for name, (keys, form) in forms(length).items()}
    seconds: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(ROUNDS):
        for name, given in ready.items():
            begun = time.perf_counter()
            once(*given, backward)
            seconds[name].append(time.perf_counter() - begun)
    return {
        name: (1e3 * statistics.median(seconds[name]), peak(*given, backward))
        for name, given in ready.items()
    }


def say(line: str) -> None:
    """A line at once, since the long lengths take a while."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backward", action="store_true", help="with the gradient")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler of memory tells of its starts and stops
    names = list(forms(asked.lengths[0]))
    say(f"{ITEMS} items, {HEADS} heads of {WIDTH}, float32, {asked.device}, {asked.threads} threads")
    say(f"{'length':>6}  " + "  ".join(f"{name:>20}" for name in names))
    for length in asked.lengths:
        found = measure(length, torch.device(asked.device), asked.backward)
        cells = (f"{found[name][0]:8.2f} ms {found[name][1]:5.1f} MiB" for name in names)
        say(f"{length:>6}  " + "  ".join(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    main()
