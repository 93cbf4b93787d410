"""One query over the index of real photos: mmx's own ways to search beside Milvus, in one interleaved run.

    python -m benchmarks.search_milvus PLACE [--kinds exact,hnsw] [--rounds 7] [--address http://HOST:19530]

PLACE is a folder whose index is in the home, or a file of an index; a folder's run encodes the sentences. The
index is copied into Milvus, embedded in a temporary file unless the address of a cluster is given (its
collection `benchmark_..` is removed again). Asked are 64 of the photos and 64 plain sentences. In each round
every contestant answers every query in turn. Printed as JSON: seconds to build, by the clock and of the
processor; megabytes on the disk; the median milliseconds of a query, by the clock with quartiles, and of the
processor (of all threads of the process, the embedded server's among them), which other work on the machine
does not stretch; recall@10 against exact search, and in how many of the answers the ten are the same in the
same order.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.search.approximate import build
from mmx.search.exact import top_k
from mmx.search.gallery_index import GalleryIndex, LocalIndex
from mmx.store.gallery import Gallery
from mmx.store.gallery_rows import key_of
from mmx.workflows.compressed import PLACES, SUBJECTS
from mmx.workflows.index_address import milvus
from mmx.workflows.index_copy import read_gallery
from mmx.workflows.picture_columns import folder_columns
from mmx.workflows.searcher import open_maker

HITS, ASKED = 10, 64

Answer = Callable[[Tensor], Tensor]
"""[1, D] -> rows [1, 10]"""


def queries_of(gallery: Gallery, home: Home) -> Tensor:
    """[128, D]: photos of the index, and sentences as the run encodes them that made it."""
    random = torch.Generator().manual_seed(1)
    rows = torch.randperm(len(gallery.image_vectors), generator=random)[:ASKED]
    matcher = open_maker(gallery.made_by, gallery.fingerprint, gallery.source, home, "cpu")
    sentences = [f"{subject} {place}" for place in PLACES for subject in SUBJECTS][:ASKED]
    return torch.cat([gallery.image_vectors[rows], matcher.encode_texts(sentences)])


def disk_bytes(path: Path) -> int:
    """What files take."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def in_milvus(gallery: Gallery, address: str, kind: str) -> tuple[GalleryIndex, dict[str, Any]]:
    """A copy, opened, and what it took to write and to build."""
    clock = Clock()
    milvus().write_gallery(address, gallery, folder_columns(gallery), kind, SilentReporter())
    built = clock.read()
    index = milvus().MilvusIndex.open(address)
    return index, {"build_s": built[0], "build_processor_s": built[1], "effort": index.header.effort}


class Clock:
    """Seconds since it was made, by the wall and of the processor."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Both."""
        return time.perf_counter() - self._began[0], time.process_time() - self._began[1]


def measure(answers: Mapping[str, Answer], queries: Tensor, rounds: int) -> dict[str, dict[str, Any]]:
    """By name: median milliseconds of a query with quartiles, and of the processor."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in answers}
    for _ in range(rounds):
        for query in queries.split(1):
            for name, answer in answers.items():
                clock = Clock()
                answer(query)
                taken[name].append(clock.read())
    found = {}
    for name, times in taken.items():
        low, middle, high = statistics.quantiles((1e3 * wall for wall, _ in times), n=4)
        processor = 1e3 * statistics.median(spent for _, spent in times)
        found[name] = {"ms": middle, "quartiles": [low, high], "processor_ms": processor, "asked": len(times)}
    return found


def asks(index: GalleryIndex, row_of: dict[int, int] | None) -> Answer:
    """[1, D] -> rows [1, 10] of the gallery."""

    def answer(query: Tensor) -> Tensor:
        keys = index.nearest(query, HITS)[1]
        return keys if row_of is None else torch.tensor([[row_of[key] for key in keys[0].tolist()]])

    return answer


def main() -> None:
    """Copy, compare, measure, print."""
    words = argparse.ArgumentParser()
    words.add_argument("place")
    words.add_argument("--kinds", default="exact,hnsw")
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--address")
    words.add_argument("--home", type=Path)
    given = words.parse_args()
    home = Home.find(given.home)
    gallery = read_gallery(given.place, home)
    queries = queries_of(gallery, home)
    row_of = {key_of(entry.id): row for row, entry in enumerate(gallery.entries)}
    probes = {"queries": queries}
    right = top_k(queries, gallery.image_vectors, HITS)[1]
    clock = Clock()
    compressed = build("pq", gallery, probes, {"queries": right})
    built = clock.read()
    made = {"exact": {}, "pq": {"build_s": built[0], "build_processor_s": built[1]}}
    indexes: dict[str, GalleryIndex] = {"exact": LocalIndex(gallery), "pq": LocalIndex(gallery, compressed)}
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.kinds.split(","):
            name, file = f"milvus {kind}", f"{folder}/{kind}.db"
            address = f"{given.address}#benchmark_{kind}" if given.address else file
            indexes[name], made[name] = in_milvus(gallery, address, kind)
            if not given.address:
                made[name]["disk_mb"] = disk_bytes(Path(file)) / 1e6
        answers = {
            name: asks(index, None if isinstance(index, LocalIndex) else row_of)
            for name, index in indexes.items()
        }
        for name, answer in answers.items():
            rows = torch.cat([answer(query) for query in queries.split(1)])
            made[name]["recall@10"] = float((rows[:, :, None] == right[:, None, :]).any(dim=1).float().mean())
            made[name]["same_ten_in_order"] = int((rows == right).all(dim=1).sum())
        for name, taken in measure(answers, queries, given.rounds).items():
            made[name] |= taken
        for name, index in indexes.items():
            if not isinstance(index, LocalIndex):
                index.close()
                if given.address:
                    milvus().remove_index(f"{given.address}#benchmark_{name.split()[1]}")
    about = {"pictures": len(row_of), "width": gallery.image_vectors.shape[1], "queries": len(queries)}
    sys.stdout.write(json.dumps({**about, "threads": torch.get_num_threads(), "contestants": made}, indent=1))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
