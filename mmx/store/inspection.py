"""Looking closely at a picture's file: does it open, what is in it, and which other pictures is it like.

Near duplicates: 64 gradient bits a picture (dHash, N. Krawetz, "Kind of Like That", 2013) find candidates,
and a thumbnail of 8 x 8 colours confirms them, since flat pictures have few gradients.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
from PIL import Image

from mmx.store.images import load_image

HASH_SIDE = 8
THUMB = 32
BANDS = (11, 11, 11, 11, 10, 10)
MAX_BITS = len(BANDS) - 1
MAX_DIFFERENCE = 6.0
BLOCK = 2048


@dataclass(frozen=True)
class PictureFacts:
    """What was found in one readable picture."""

    width: int
    height: int
    digest: str
    """Hash of the file's bytes, 32 hex digits."""
    gradients: int
    """64 bits: whether each of 8 x 8 places is brighter than its right neighbour."""
    thumbnail: bytes
    """8 x 8 RGB."""


def inspect_picture(path: Path) -> PictureFacts:
    """Decode a picture to its last byte and take its marks.

    Raises:
        ImageError: with the reason why it cannot be read.
    """
    small = load_image(path, longest=(THUMB, THUMB))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    with Image.open(path) as opened:
        width, height = opened.size
    grey = small.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    rising = numpy.diff(numpy.asarray(grey).astype(numpy.int16), axis=1) > 0
    gradients = int.from_bytes(numpy.packbits(rising).tobytes(), "big")
    thumbnail = small.resize((HASH_SIDE, HASH_SIDE), Image.Resampling.BOX).tobytes()
    return PictureFacts(width, height, digest, gradients, thumbnail)


def near_duplicates(facts: Sequence[PictureFacts]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of pictures that look alike and are not byte for byte the same."""
    gradients = numpy.array([fact.gradients for fact in facts], dtype=numpy.uint64)
    thumbnails = numpy.frombuffer(b"".join(fact.thumbnail for fact in facts), dtype=numpy.uint8)
    thumbnails = thumbnails.reshape(len(facts), 3 * HASH_SIDE**2).astype(numpy.int16)
    pairs: set[tuple[int, int]] = set()
    for left, right in _candidates(gradients):
        far = numpy.abs(thumbnails[left] - thumbnails[right]).mean(axis=1)
        close = far <= MAX_DIFFERENCE
        pairs.update(zip(left[close].tolist(), right[close].tolist(), strict=True))
    return sorted(pair for pair in pairs if facts[pair[0]].digest != facts[pair[1]].digest)


def _candidates(gradients: numpy.ndarray) -> Iterator[tuple[numpy.ndarray, numpy.ndarray]]:
    """Pairs that differ in at most `MAX_BITS` bits: these agree wholly in at least one band of bits."""
    for place, width in enumerate(BANDS):
        start = numpy.uint64(sum(BANDS[:place]))
        key = (gradients >> start) & numpy.uint64((1 << width) - 1)
        order = numpy.argsort(key, kind="stable")
        edges = numpy.flatnonzero(numpy.diff(key[order])) + 1
        for bucket in numpy.split(order, edges):
            if len(bucket) > 1:
                yield from _close_pairs(gradients, bucket)


def _close_pairs(
    gradients: numpy.ndarray, bucket: numpy.ndarray
) -> Iterator[tuple[numpy.ndarray, numpy.ndarray]]:
    for start in range(0, len(bucket), BLOCK):
        rows = bucket[start : start + BLOCK]
        bits = numpy.bitwise_count(gradients[rows][:, None] ^ gradients[bucket[start:]][None, :])
        left, right = numpy.nonzero(bits <= MAX_BITS)
        forward = right > left
        first, second = rows[left[forward]], bucket[start:][right[forward]]
        yield numpy.minimum(first, second), numpy.maximum(first, second)


def groups_of(keys: Sequence[str]) -> list[list[int]]:
    """Positions that share a key, for each key that occurs more than once, in order of first occurrence."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        places[key].append(place)
    return [found for found in places.values() if len(found) > 1]
