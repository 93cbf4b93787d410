"""A prepared dataset of a few drawn pictures, for tests that extract."""

from pathlib import Path

import numpy
from PIL import Image

from mmx.core.home import Home
from mmx.core.record import Record
from mmx.store.manifest import Manifest, write_manifest

WORDS = ("red", "green", "blue", "dog", "cat", "runs", "sleeps", "on", "grass", "sand")


def make_corpus(home: Home, name: str = "small", records: int = 10, split: str = "test") -> Manifest:
    """`records` pictures of noise; record i has i % 3 captions, but the first has two."""
    random = numpy.random.default_rng(0)
    folder = home.dataset(name)
    images = folder / "images"
    images.mkdir(parents=True)
    rows = []
    for number in range(records):
        pixels = random.integers(0, 256, (8, 12, 3), dtype=numpy.uint8)
        Image.fromarray(pixels).resize((60, 40)).save(images / f"p{number}.png")
        count = 2 if number == 0 else number % 3
        captions = tuple(" ".join(random.choice(WORDS, 2 + place + number % 4)) for place in range(count))
        rows.append(Record(f"id{number}", split, f"p{number}.png", captions))
    return write_manifest(folder, name, images, {split: rows})


def contents(folder: Path) -> dict[str, bytes]:
    """Name -> bytes of the shards of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("[!.]*.safetensors"))}
