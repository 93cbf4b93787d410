"""Photos from files as an encoder sees them, decoded beside the network."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from mmx.core.view import View
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


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
