"""What grows: the core path of each command at a given size, made ready so that one call does the work alone.

`index`, `search` and `evaluate` are given drawn vectors, 512 wide; `prepare`, `extract` and `train` run
whole, over drawn photos of 64 x 64 with five captions each, as the command line would; `fewshot` fits and
scores every classifier once on drawn features.
"""

import contextlib
import csv
import io
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

WIDTH, HITS, CAPTIONS, SIDE = 512, 10, 5, 64
AT_ONCE = 1 << 16
NAME = "grown"
WORDS = [
    "a",
    "dog",
    "cat",
    "red",
    "old",
    "man",
    "woman",
    "ball",
    "tree",
    "runs",
    "sits",
    "on",
    "the",
    "grass",
]
SHOTS, CLASSES = 16, 37

Work = Callable[[], object]


@dataclass(frozen=True)
class Growth:
    """One plot: `make(size, folder)` gives the work; sizes beyond those measured are computed."""

    title: str
    axis: str
    make: Callable[[int, Path], Work]
    measured: tuple[int, ...]
    computed: tuple[int, ...] = ()
    power: int = 1
    """Time grows as a + b N^power; memory as a + b N."""


def unit_vectors(rows: int, seed: int = 0) -> Tensor:
    """[rows, 512]."""
    random, found = torch.Generator().manual_seed(seed), torch.empty(rows, WIDTH)
    for part in found.split(AT_ONCE):
        part.copy_(normalize(torch.randn(len(part), WIDTH, generator=random), dim=1))
    return found


def make_index(size: int, folder: Path) -> Work:
    """Write the index of so many vectors, codes and checksums included."""
    from mmx.store.entries import Entry
    from mmx.store.gallery import Gallery

    vectors = unit_vectors(size)
    entries = [Entry(f"{row}.jpg", f"/photos/{row}.jpg") for row in range(size)]
    folder.mkdir(exist_ok=True)
    path = folder / f"{size}.safetensors"
    return lambda: Gallery("/photos", "growth", entries, vectors).save(path)


def _write_index(size: int, folder: Path) -> None:
    make_index(size, folder)()


def index_file(size: int, folder: Path) -> Path:
    """An index that is there; it is made by another process, whose memory is not counted."""
    path = folder / f"{size}.safetensors"
    if not path.exists():
        other = multiprocessing.get_context("spawn").Process(target=_write_index, args=(size, folder))
        other.start()
        other.join()
    return path


def make_search(size: int, folder: Path) -> Work:
    """Open the index and find the ten nearest to one query."""
    from mmx.search.nearest import nearest
    from mmx.store.gallery import Gallery

    path, query = index_file(size, folder), unit_vectors(1, seed=1)
    return lambda: nearest(query, Gallery.open(path), HITS)


def make_asked_again(size: int, folder: Path) -> Work:
    """The ten nearest to one query in an index that is open, as `mmx serve` has it."""
    from mmx.search.nearest import nearest
    from mmx.store.gallery import Gallery

    gallery, query = Gallery.open(index_file(size, folder)), unit_vectors(1, seed=1)
    nearest(query, gallery, HITS)
    return lambda: nearest(query, gallery, HITS)


def make_pq(size: int, folder: Path) -> Work:
    """Compress an index that is open, recall measured."""
    from mmx.search.approximate import build
    from mmx.search.nearest import nearest
    from mmx.store.gallery import Gallery

    gallery = Gallery.open(index_file(size, folder))
    gallery.image_vectors.sum()  # its pages are in memory before, so that only what is added counts
    probes = {"photos": gallery.image_vectors[:128].clone()}
    truth = {name: nearest(queries, gallery, HITS)[1] for name, queries in probes.items()}
    return lambda: build("pq", gallery, probes, truth)


def make_evaluate(size: int, folder: Path) -> Work:
    """Ranks of so many images and five times as many captions, both ways."""
    from mmx.tasks.recall import ranks, recall_metrics

    image, text, group = unit_vectors(size), unit_vectors(CAPTIONS * size, seed=1), torch.arange(size)
    return lambda: recall_metrics(ranks(image, text, group, group.repeat_interleave(CAPTIONS)))


def mmx(*words: str | Path) -> None:
    """A command, in this process; its result goes nowhere."""
    from mmx.cli.app import app

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        app([str(word) for word in words], standalone_mode=False)


def photos(count: int, folder: Path) -> Path:
    """A folder of so many drawn photos with a table of five captions each, and mmx's home beside it."""
    raw = folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    os.environ["MMX_HOME"] = str(folder / "home")
    random = numpy.random.default_rng(0)
    with (raw / "captions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "caption"])
        for number in range(count):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=numpy.uint8)
            Image.fromarray(pixels).resize((SIDE, SIDE)).save(raw / f"{number}.jpg")
            for _ in range(CAPTIONS):
                table.writerow([f"{number}.jpg", " ".join(random.choice(WORDS, 10))])
    return raw


def make_prepare(size: int, folder: Path) -> Work:
    """`mmx prepare` of so many captions."""
    raw = photos(size // CAPTIONS, folder / f"prepare-{size}")
    from mmx.workflows import prepare  # noqa: F401  loading it is no part of the growth

    return lambda: mmx("prepare", NAME, "--raw", raw)


def make_extract(size: int, folder: Path) -> Work:
    """`mmx extract` of so many photos and their captions, loading of the `offline` towers included."""
    raw = photos(size, folder / f"extract-{size}")
    mmx("prepare", NAME, "--raw", raw)
    from mmx.workflows import extract  # noqa: F401

    return lambda: mmx("extract", NAME, "--encoder", "offline", "--shard-size", "32")


def make_train(size: int, folder: Path) -> Work:
    """`mmx train` of attention-clip for an epoch over features that are there, validation included."""
    raw = photos(size // CAPTIONS, folder / f"train-{size}")
    mmx("prepare", NAME, "--raw", raw)
    mmx("extract", NAME, "--encoder", "random:resnet", "--encoder", "random:bert")
    from mmx.workflows import train  # noqa: F401

    words = ("--dataset", NAME, "--preset", "tiny", "--epochs", "1", "--set", "batch_size=64")
    return lambda: mmx("train", "attention-clip", *words, "--out", folder / f"run-{size}")


def make_fewshot(classes: int, shots: int) -> Work:
    """Fit and score each classifier once."""
    from mmx.core.classifier import ClassTexts, Episode
    from mmx.workflows.contenders import find_contenders

    random = torch.Generator().manual_seed(0)
    centres = normalize(torch.randn(classes, WIDTH, generator=random), dim=1)

    def drawn(count: int) -> tuple[Tensor, Tensor]:
        labels = torch.arange(classes).repeat_interleave(count)
        noise = torch.randn(len(labels), WIDTH, generator=random) * 2.5 / WIDTH**0.5
        return normalize(centres[labels] + noise, dim=1), labels

    texts = ClassTexts(centres, torch.arange(classes), ("",) * classes, True)
    shown, val, (test, _) = drawn(shots), drawn(min(shots, 4)), drawn(20)
    episode = Episode(*shown, *val, classes, texts)

    def work() -> None:
        for contender in find_contenders((), ()):
            settings = contender.settings("auto", shots)
            fitted = contender.classifier.fit(settings, episode)
            contender.classifier.score(settings, fitted.tensors, test)

    return work


VECTORS = (1_000, 10_000, 100_000, 1_000_000)
GROWTHS = {
    "index": Growth("mmx index: writing an index", "vectors", make_index, VECTORS),
    "index-pq": Growth("mmx index --kind pq: compressing", "vectors", make_pq, VECTORS),
    "search": Growth("mmx search: open an index, ask once", "vectors", make_search, VECTORS),
    "serve": Growth("mmx serve: an answer", "vectors", make_asked_again, VECTORS),
    "evaluate": Growth(
        "mmx evaluate: ranks of N images and 5 N captions",
        "images",
        make_evaluate,
        (1_000, 3_000, 10_000),
        (100_000, 1_000_000),
        power=2,
    ),
    "prepare": Growth("mmx prepare", "captions", make_prepare, (500, 2_000, 8_000), (100_000, 1_000_000)),
    "extract": Growth(
        "mmx extract, offline towers", "photos", make_extract, (64, 128, 256), (10_000, 100_000, 1_000_000)
    ),
    "train": Growth(
        "mmx train attention-clip, tiny, an epoch",
        "captions",
        make_train,
        (500, 2_000, 8_000),
        (100_000, 1_000_000),
    ),
    "fewshot-classes": Growth(
        f"mmx fewshot: all classifiers, {SHOTS} shots",
        "classes",
        lambda size, _: make_fewshot(size, SHOTS),
        (10, 30, 100),
        (1_000,),
        power=2,
    ),
    "fewshot-shots": Growth(
        f"mmx fewshot: all classifiers, {CLASSES} classes",
        "shots a class",
        lambda size, _: make_fewshot(CLASSES, size),
        (1, 4, 16),
        (64,),
    ),
}
