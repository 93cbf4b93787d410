"""Recall metrics: mmx against loops over queries and against full sorting, in one interleaved run.

    python benchmarks/recall_metrics.py [--images 1000] [--captions 5] [--width 1024] [--rounds 7]

Every contestant is given the same vectors and must give the same ranks before anything is timed. Then each
round runs all of them in turn, with a 2048^3 matrix product before and after as a probe of the machine; where
the probe is under 75% of the best one, the round is left out. Printed: medians, quartiles, ratios to mmx, and
the memory that each takes besides its vectors, in a process of its own.

The contestants are written here from their descriptions. `query loop` takes the queries one by one, as VSE++
does; `matrix loop` makes the score matrix first and sorts its rows and columns in turn, in float64 (as in
vse_infty) and in float32; `torch argsort` and `torch topk` rank the whole matrix at once.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy
import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.tasks.recall import ranks

Contestant = Callable[[Tensor, Tensor, int], tuple[numpy.ndarray, numpy.ndarray]]
PROBE_SHARE = 0.75


def by_mmx(image: Tensor, text: Tensor, captions: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The function under test."""
    groups = torch.arange(len(image))
    found = ranks(image, text, groups, groups.repeat_interleave(captions))
    return found.i2t.numpy(), found.t2i.numpy()


def by_loop(image: Tensor, text: Tensor, captions: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """One query at a time: product with the gallery, argsort, search for the right rows."""
    images, texts = image.numpy(), text.numpy()
    i2t, t2i = numpy.zeros(len(images), dtype=int), numpy.zeros(len(texts), dtype=int)
    for i in range(len(images)):
        order = numpy.argsort(images[i] @ texts.T)[::-1]
        i2t[i] = min(numpy.where(order == j)[0][0] for j in range(captions * i, captions * (i + 1)))
        scores = texts[captions * i : captions * (i + 1)] @ images.T
        for k in range(captions):
            order = numpy.argsort(scores[k])[::-1]
            t2i[captions * i + k] = numpy.where(order == i)[0][0]
    return i2t, t2i


def by_matrix_loop(image: Tensor, text: Tensor, captions: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The whole score matrix first, then a loop of argsorts over its rows and columns."""
    return _loop_over(image.numpy() @ text.numpy().T, captions)


def by_matrix_loop_in_float64(
    image: Tensor, text: Tensor, captions: int
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The same on float64 vectors."""
    return _loop_over(image.double().numpy() @ text.double().numpy().T, captions)


def _loop_over(scores: numpy.ndarray, captions: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    images, texts = scores.shape
    i2t, t2i = numpy.zeros(images, dtype=int), numpy.zeros(texts, dtype=int)
    for i in range(images):
        order = numpy.argsort(scores[i])[::-1]
        i2t[i] = min(numpy.where(order == j)[0][0] for j in range(captions * i, captions * (i + 1)))
    for j in range(texts):
        t2i[j] = numpy.where(numpy.argsort(scores[:, j])[::-1] == j // captions)[0][0]
    return i2t, t2i


def by_argsort(image: Tensor, text: Tensor, captions: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Sorts all scores of both directions at once."""
    scores, owner = image @ text.T, torch.arange(len(image)).repeat_interleave(captions)
    right = owner[scores.argsort(dim=1, descending=True)] == torch.arange(len(image))[:, None]
    i2t = right.int().argmax(1)
    t2i = (scores.T.argsort(dim=1, descending=True) == owner[:, None]).int().argmax(1)
    return i2t.numpy(), t2i.numpy()


def by_topk(image: Tensor, text: Tensor, captions: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Only the first ten of each query: a rank of 10 stands for 10 and more."""
    scores, owner = image @ text.T, torch.arange(len(image)).repeat_interleave(captions)
    right = owner[scores.topk(10, dim=1).indices] == torch.arange(len(image))[:, None]
    found = scores.T.topk(10, dim=1).indices == owner[:, None]
    return tuple(torch.where(hit.any(1), hit.int().argmax(1), 10).numpy() for hit in (right, found))


def by_product(image: Tensor, text: Tensor, captions: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Only the matrix product: the floor under every contestant."""
    return (image @ text.T).numpy(), numpy.zeros(0)


CONTESTANTS: dict[str, Contestant] = {
    "mmx": by_mmx,
    "product alone": by_product,
    "query loop": by_loop,
    "matrix loop": by_matrix_loop,
    "matrix loop float64": by_matrix_loop_in_float64,
    "torch argsort": by_argsort,
    "torch topk": by_topk,
}


def vectors(images: int, captions: int, width: int) -> tuple[Tensor, Tensor]:
    """Captions near their image, so that ranks spread as those of a trained model do."""
    random = torch.Generator().manual_seed(0)
    image = normalize(torch.randn(images, width, generator=random), dim=1)
    noise = torch.randn(images * captions, width, generator=random) * (9.0 / width**0.5)
    return image, normalize(image.repeat_interleave(captions, 0) + noise, dim=1)


def check_equal(image: Tensor, text: Tensor, captions: int, names: list[str]) -> dict[str, float]:
    """Ranks must agree; a pair of scores that float32 cannot tell apart may swap two neighbours."""
    ours = by_mmx(image, text, captions)
    for name in names:
        if name in ("mmx", "product alone"):
            continue
        for mine, theirs in zip(ours, CONTESTANTS[name](image, text, captions), strict=True):
            if name == "torch topk":
                mine = mine.clip(max=10)
            wrong = numpy.abs(mine - theirs)
            if wrong.max() > 1 or (wrong > 0).mean() > 0.005:
                raise SystemExit(
                    f"{name} gives other ranks than mmx: {int((wrong > 0).sum())} of {len(mine)}"
                )
            recalls = [abs(100 * (mine < k).mean() - 100 * (theirs < k).mean()) for k in (1, 5, 10)]
            if max(recalls) > 100.0 * 2 / len(mine):
                raise SystemExit(f"{name} gives another recall than mmx: {recalls}")
    return {f"i2t_recall@{k}": 100 * float((ours[0] < k).mean()) for k in (1, 5, 10)} | {
        f"t2i_recall@{k}": 100 * float((ours[1] < k).mean()) for k in (1, 5, 10)
    }


def probe(side: int = 2048) -> float:
    """GFLOP/s of a float32 matrix product."""
    matrix = torch.ones(side, side)
    began = time.perf_counter()
    matrix @ matrix
    return 2 * side**3 / (time.perf_counter() - began) / 1e9


def peak_extra(contestant: Contestant, image: Tensor, text: Tensor, captions: int) -> float:
    """MiB that resident memory rises above its level before, sampled every 2 ms; Linux only."""
    peak, done = [0], threading.Event()

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], resident())

    contestant(image[:16], text[: 16 * captions], captions)
    before, watcher = resident(), threading.Thread(target=watch)
    watcher.start()
    contestant(image, text, captions)
    done.set()
    watcher.join()
    return max(peak[0] - before, 0) / 2**20


def memory_of(name: str, asked: argparse.Namespace) -> float:
    """`peak_extra` of one contestant in a fresh process, where no freed memory lies ready."""
    shape = ["--images", asked.images, "--captions", asked.captions, "--width", asked.width]
    command = [sys.executable, __file__, "--memory", name, *map(str, shape)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(
    names: list[str], image: Tensor, text: Tensor, captions: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each contestant in each round that the probe accepts."""
    samples: list[tuple[float, dict[str, float]]] = []
    for _ in range(rounds):
        speed, times = probe(), {}
        for name in names:
            began = time.perf_counter()
            CONTESTANTS[name](image, text, captions)
            times[name] = time.perf_counter() - began
        samples.append((min(speed, probe()), times))
    best = max(speed for speed, _ in samples)
    kept = [times for speed, times in samples if speed >= PROBE_SHARE * best]
    sys.stderr.write(f"{len(kept)} of {rounds} rounds kept; probe at best {best:.0f} GFLOP/s\n")
    return {name: [times[name] for times in kept] for name in names}


def main() -> None:
    """Check, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--captions", type=int, default=5)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument(
        "--memory", choices=list(CONTESTANTS), help="Only print the memory of this one, in MiB."
    )
    asked = parser.parse_args()
    image, text = vectors(asked.images, asked.captions, asked.width)
    if asked.memory:
        sys.stdout.write(f"{peak_extra(CONTESTANTS[asked.memory], image, text, asked.captions):.1f}\n")
        return
    recalls = check_equal(image, text, asked.captions, asked.only)
    memory = {name: memory_of(name, asked) for name in asked.only}
    times = measure(asked.only, image, text, asked.captions, asked.rounds)
    ours = statistics.median(times["mmx"])
    rows = []
    for name in asked.only:
        low, middle, high = numpy.percentile(times[name], [25, 50, 75]) * 1e3
        ratios = [other / mine for other, mine in zip(times[name], times["mmx"], strict=True)]
        rows.append(
            {
                "name": name,
                "median_ms": round(middle, 1),
                "quartiles_ms": [round(low, 1), round(high, 1)],
                "ratio": round(middle / 1e3 / ours, 2),
                "ratio_of_rounds": [round(min(ratios), 2), round(max(ratios), 2)],
                "peak_extra_mib": round(memory[name], 1),
            }
        )
    shape = f"{asked.images} images x {asked.images * asked.captions} captions, width {asked.width}"
    document = {"shape": shape, "threads": torch.get_num_threads(), "recalls": recalls, "rows": rows}
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
