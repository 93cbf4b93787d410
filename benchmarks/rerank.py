"""Second-stage retrieval: all pairs and the nearest hundred, beside an einsum that makes every v_m.

    python benchmarks/rerank.py [--images 1000] [--captions 5] [--width 512] [--attention 256] [--rounds 3]

The second stage is cross-attention between the tokens of a caption and the regions of an image. `full` scores
all pairs, `top 100` the hundred nearest of each query in both directions; both are the functions that `mmx
evaluate` calls, on what it holds in float16. `naive` is written here from the equations: it attends, makes
the vector v_m of every token for every image, maps it, and multiplies. It is timed on a slice of the pairs,
and its time for all of them is extrapolated from their number.

Before anything is timed the fine scores of a slice must agree with the naive ones in float64, the nearest of
as many as there are with full scoring, and weight 0 with the first stage. Then each round runs all of them in
turn, with a 2048^3 matrix product before and after as a probe of the machine; where the probe is under 75% of
the best one, the round is left out. Printed: medians, and the memory that each takes besides what is kept, in
a process of its own.
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
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.core.task import Rerank
from mmx.engine.kept import KeptBatches, KeptItems
from mmx.engine.second_stage import SecondStage
from mmx.methods.region_align.alignment import RegionTokenAlignment
from mmx.tasks.recall import Ranks
from mmx.tasks.rerank import FirstStage, rerank

PROBE_SHARE = 0.75
TOP = 100
BATCH = 256
FEATURES = 1024
"""Width of a region's features before the map to keys and evidence."""


@dataclass(frozen=True)
class Data:
    """What two stages need, of random images and captions."""

    first: FirstStage
    model: RegionTokenAlignment
    regions: Tensor
    tokens: Tensor
    second: SecondStage


def make_data(asked: argparse.Namespace) -> Data:
    """Captions near their image, so that ranks spread as those of a trained model do."""
    torch.manual_seed(0)
    images, captions = asked.images, asked.images * asked.captions
    image = normalize(torch.randn(images, asked.width), dim=1)
    noise = torch.randn(captions, asked.width) * (9.0 / asked.width**0.5)
    text = normalize(image.repeat_interleave(asked.captions, 0) + noise, dim=1)
    groups = torch.arange(images)
    first = FirstStage.of(image, text, groups, groups.repeat_interleave(asked.captions))
    model = RegionTokenAlignment(asked.width, FEATURES, asked.attention)
    torch.nn.init.normal_(model.output.weight, std=asked.width**-0.5)
    model.query.weight.data *= 30  # so that a token looks at some regions and not at their mean
    regions = normalize(torch.randn(images, asked.regions, FEATURES), dim=2)
    tokens = normalize(torch.randn(captions, asked.tokens, asked.width), dim=2)
    with torch.inference_mode():
        kept = (
            _kept(model.keep_regions, regions),
            _kept(model.keep_tokens, tokens),
        )
    second_stage = Rerank(
        _nothing, _nothing, lambda model, images, texts: model(images, texts), lambda _: 1.0
    )
    device, order = torch.device("cpu"), torch.arange(captions)
    second = SecondStage(model, second_stage, *kept, order, device, [], [])
    return Data(first, model, regions, tokens, second)


def _nothing(model: object, batch: object) -> dict[str, Tensor]:
    return {}


def _kept(keep: Callable[[Tensor, Tensor], dict[str, Tensor]], items: Tensor) -> KeptItems:
    batches = KeptBatches()
    for some in items.split(BATCH):
        batches.add(keep(some, torch.ones(some.shape[:2], dtype=torch.bool)))
    return batches.join(torch.arange(len(items)))


def ranked(data: Data, top: int | None) -> Ranks:
    """The functions under test."""
    with data.second.scoring() as score:
        return rerank(data.first, score, [1.0], top, data.second.order, data.second.pairs)[0]


@torch.inference_mode()
def naive(model: RegionTokenAlignment, regions: Tensor, tokens: Tensor) -> Tensor:
    """[G, R, F], [Q, L, T] -> s_fine [Q, G] as the equations are written, v_m [Q, G, L, A] and all."""
    queries, keys, values = model.query(tokens) * model.factor, model.key(regions), model.value(regions)
    alpha = torch.einsum("qla,gra->qglr", queries, keys).softmax(dim=-1)
    gathered = torch.einsum("qglr,gra->qgla", alpha, values)
    return torch.einsum("qld,qgld->qgl", tokens, model.output(gathered)).mean(dim=-1)


def check_equal(data: Data, asked: argparse.Namespace) -> dict[str, float]:
    """Fine scores of a slice, and the two laws on it; exits where they do not hold."""
    images, texts = torch.arange(12), torch.arange(30)
    with data.second.scoring() as score:
        ours = score(images, texts).double()
    exact = naive(data.model.double(), data.regions[images].double(), data.tokens[texts].double())
    data.model.float()
    apart = float((ours - exact).abs().max() / exact.abs().max())
    with torch.inference_mode():
        kept = data.model.keep_regions(data.regions[images], torch.ones(12, asked.regions, dtype=torch.bool))
        words = data.model.keep_tokens(data.tokens[texts], torch.ones(30, asked.tokens, dtype=torch.bool))
        in_float32 = float((data.model(kept, words) - exact).abs().max() / exact.abs().max())
    if apart > 2e-3 or in_float32 > 1e-5:
        raise SystemExit(f"the fine scores differ from the naive ones: {apart}, in float32 {in_float32}")
    _check_laws(data)
    return {"held_in_float16": apart, "in_float32": in_float32}


def _check_laws(data: Data) -> None:
    captions = torch.arange(100)
    first = FirstStage.of(
        data.first.image[:20],
        data.first.text[captions],
        torch.arange(20),
        torch.arange(20).repeat_interleave(5),
    )
    with data.second.scoring() as score:
        full, again = (rerank(first, score, [1.0, 0.0], top) for top in (None, 99))
    if not torch.equal(full[0].t2i, again[0].t2i):
        raise SystemExit("ranking all images again differs from full scoring")
    for found in (full[1], again[1]):
        if not (torch.equal(found.t2i, first.ranks.t2i) and torch.equal(found.i2t, first.ranks.i2t)):
            raise SystemExit("weight 0 differs from the first stage")


def contestants(data: Data, asked: argparse.Namespace) -> dict[str, tuple[Callable[[], object], float]]:
    """Name -> what is timed, and by how much its time is multiplied."""
    regions, tokens = data.regions[: asked.naive_images], data.tokens[: asked.naive_captions]
    share = len(data.regions) * len(data.tokens) / (len(regions) * len(tokens))
    return {
        f"top {TOP}": (lambda: ranked(data, TOP), 1.0),
        "full": (lambda: ranked(data, None), 1.0),
        "naive, extrapolated": (lambda: naive(data.model, regions, tokens), share),
    }


def probe(side: int = 2048) -> float:
    """GFLOP/s of a float32 matrix product."""
    matrix = torch.ones(side, side)
    began = time.perf_counter()
    matrix @ matrix
    return 2 * side**3 / (time.perf_counter() - began) / 1e9


def peak_extra(work: Callable[[], object]) -> float:
    """MiB that resident memory rises above its level before, sampled every 2 ms; Linux only."""
    peak, done = [0], threading.Event()

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], resident())

    before, watcher = resident(), threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return max(peak[0] - before, 0) / 2**20


def memory_of(name: str) -> float:
    """`peak_extra` of one contestant in a fresh process, where no freed memory lies ready."""
    command = [sys.executable, __file__, "--memory", name, *sys.argv[1:]]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(work: dict[str, tuple[Callable[[], object], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant in each round that the probe accepts."""
    samples: list[tuple[float, dict[str, float]]] = []
    for _ in range(rounds):
        speed, times = probe(), {}
        for name, (run, share) in work.items():
            began = time.perf_counter()
            run()
            times[name] = (time.perf_counter() - began) * share
        samples.append((min(speed, probe()), times))
    best = max(speed for speed, _ in samples)
    kept = [times for speed, times in samples if speed >= PROBE_SHARE * best]
    sys.stderr.write(f"{len(kept)} of {rounds} rounds kept; probe at best {best:.0f} GFLOP/s\n")
    return {name: [times[name] for times in kept] for name in work}


def parse() -> argparse.Namespace:
    """What is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (
        ("images", 1000),
        ("captions", 5),
        ("regions", 36),
        ("tokens", 20),
        ("width", 512),
        ("attention", 256),
        ("rounds", 3),
        ("naive-images", 20),
        ("naive-captions", 50),
        ("threads", torch.get_num_threads()),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--memory", help="Only print the memory of this one, in MiB.")
    return parser.parse_args()


def main() -> None:
    """Check, measure, print."""
    asked = parse()
    torch.set_num_threads(asked.threads)
    data = make_data(asked)
    work = contestants(data, asked)
    if asked.memory:
        sys.stdout.write(f"{peak_extra(work[asked.memory][0]):.1f}\n")
        return
    equality = check_equal(data, asked)
    memory = {name: memory_of(name) for name in work}
    times = measure(work, asked.rounds)
    pairs = len(data.first.image) * len(data.first.text)
    rows = [
        {
            "name": name,
            "median_s": round(statistics.median(found), 2),
            "all_s": [round(seconds, 2) for seconds in found],
            "times_as_long_as_full": round(statistics.median(found) / statistics.median(times["full"]), 2),
            "peak_extra_mib": round(memory[name], 1),
        }
        for name, found in times.items()
    ]
    document = {
        "shape": f"{len(data.first.image):,} images x {len(data.first.text):,} captions, {asked.regions} "
        f"regions, {asked.tokens} tokens, width {asked.width}, attention {asked.attention}",
        "threads": asked.threads,
        "naive_on": f"{asked.naive_images * asked.naive_captions:,} of {pairs:,} pairs",
        "kept_mib": round((data.second.images.nbytes + data.second.texts.nbytes) / 2**20, 1),
        "largest_relative_difference": equality,
        "rows": rows,
    }
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
