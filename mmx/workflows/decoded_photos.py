"""Photos from files through an encoder, decoded beside the network."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from mmx.core.reporter import Reporter
from mmx.core.view import View
from mmx.engine.pictures import Pixels, join_pictures
from mmx.store.images import ImageError, read_pixels

DECODERS = 4

T = TypeVar("T")


def decode_photos(paths: Sequence[Path], view: View, size: int) -> Iterator[list[tuple[int, Tensor | str]]]:
    """Lists of `size` photos in order: (place, pixels uint8 [3, height, width], or why there are none)."""

    def read(path: Path) -> Tensor | str:
        try:
            return torch.from_numpy(read_pixels(path, view))
        except ImageError as error:
            return str(error)

    def one_by_one() -> Iterator[tuple[int, Tensor | str]]:
        with ThreadPoolExecutor(DECODERS) as pool:
            # Executor.map would decode every picture ahead of the network; a window bounds the memory.
            for window in _batched(list(enumerate(paths)), size * DECODERS):
                yield from zip(
                    (place for place, _ in window), pool.map(read, (path for _, path in window)), strict=True
                )

    yield from _batched(one_by_one(), size)


def encode_photos(
    paths: Sequence[Path], view: View, size: int, encode: Callable[[Pixels], Tensor], reporter: Reporter
) -> tuple[Tensor, list[tuple[int, str]]]:
    """Vectors [N, D] of the readable photos, in order, and (place, reason) of all others.

    Args:
        paths: where they are.
        view: what the encoder sees of them.
        size: how many are encoded at once.
        encode: pictures -> [B, D] on the CPU.
        reporter: hears of the progress.
    """
    vectors: list[Tensor] = []
    failures: list[tuple[int, str]] = []
    with reporter.progress("encode photos", len(paths), "photos") as bar:
        for pictures in decode_photos(paths, view, size):
            failures += [(place, read) for place, read in pictures if isinstance(read, str)]
            pixels = [read for _, read in pictures if not isinstance(read, str)]
            if pixels:
                vectors.append(encode(join_pictures(pixels, view)))
            bar.advance(len(pictures))
    return torch.cat(vectors) if vectors else torch.empty(0, 0), failures


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
