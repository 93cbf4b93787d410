"""The one contract of everything that can be searched, and how a gallery in a file fulfils it.

Shapes: Q queries, N pictures, D width of the shared space, k hits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow
import torch
from torch import Tensor

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.present import present
from mmx.search.approximate import Compressed
from mmx.search.nearest import nearest, nearest_rows
from mmx.search.where import rows_where
from mmx.store.entries import Entry
from mmx.store.gallery import Gallery


class GalleryIndex(Protocol):
    """Pictures with their vectors, wherever they are kept.

    A key is a whole number from 0 by which a picture is known. What `where` gives and `nearest` and `count`
    take is the index's own affair.
    """

    @property
    def source(self) -> str:
        """What was encoded: a folder, or a corpus with its split."""

    @property
    def fingerprint(self) -> str:
        """Of what encoded it."""

    @property
    def unreadable(self) -> Sequence[Entry]:
        """Pictures without a vector."""

    def __len__(self) -> int:
        """Pictures that can be found."""

    def where(self, condition: str) -> Any:
        """The pictures for which a condition in SQL holds.

        Raises:
            UsageError: when it is no condition over their columns, or more than is understood there.
        """

    def count(self, allowed: Any = None) -> int:
        """How many pictures are allowed."""

    def nearest(self, queries: Tensor, k: int, allowed: Any = None) -> tuple[Tensor, Tensor]:
        """[Q, D] -> scores [Q, k] float32, falling, and keys [Q, k] int64; of the same score the one whose
        name comes first. With fewer pictures there are fewer hits. A score is the inner product in float64,
        rounded to float32.

        Raises:
            UsageError: when k is negative, or a query is zero or holds NaN or infinity.
            ArtifactError: when the widths differ.
        """

    def entries_at(self, keys: Sequence[int]) -> list[Entry]:
        """What is known of some pictures.

        Raises:
            ArtifactError: when there is none of a key.
        """

    def vectors_at(self, keys: Sequence[int]) -> Tensor:
        """[n, D] float32 of some pictures."""


@dataclass(frozen=True)
class LocalIndex:
    """A gallery in a file, searched exactly or through a compressed index; a key is a row of it."""

    gallery: Gallery
    compressed: Compressed | None = None
    columns: Callable[[], pyarrow.Table] | None = None
    """What a condition may ask of the pictures."""

    @property
    def source(self) -> str:
        """What was encoded."""
        return self.gallery.source

    @property
    def fingerprint(self) -> str:
        """Of what encoded it."""
        return self.gallery.fingerprint

    @property
    def unreadable(self) -> Sequence[Entry]:
        """Pictures without a vector."""
        return self.gallery.unreadable

    def __len__(self) -> int:
        return len(self.gallery.entries)

    def where(self, condition: str) -> Tensor:
        """[N] bool."""
        return rows_where(present(self.columns)(), condition)

    def count(self, allowed: Tensor | None = None) -> int:
        """How many pictures are allowed."""
        return len(self) if allowed is None else int(allowed.sum())

    def nearest(self, queries: Tensor, k: int, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[Q, D] -> scores and rows [Q, k]; what is allowed alone is searched exactly."""
        return nearest(queries, self.gallery, k, allowed, self.compressed)

    def entries_at(self, keys: Sequence[int]) -> list[Entry]:
        """What is known of some pictures.

        Raises:
            ArtifactError: when there is no such row.
        """
        strange = next((key for key in keys if not 0 <= key < len(self)), None)
        if strange is not None:
            raise ArtifactError(
                f"there is no picture {strange} in the index of '{self.source}'. Search again."
            )
        return [self.gallery.entries[key] for key in keys]

    def vectors_at(self, keys: Sequence[int]) -> Tensor:
        """[n, D] float32."""
        return self.gallery.image_vectors.index_select(0, torch.tensor(keys, dtype=torch.int64))

    def count_captions(self, allowed: Tensor | None = None) -> int:
        """How many captions the pictures that are allowed have.

        Raises:
            UsageError: when there are no captions.
        """
        return int(self._caption_mask(allowed).sum())

    def nearest_captions(self, query: Tensor, k: int, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[1, D] -> scores [1, k] and rows [1, k] of captions, of pictures that are allowed.

        Raises:
            UsageError: when there are no captions.
        """
        mask = None if allowed is None else self._caption_mask(allowed)
        return nearest_rows(query, self._caption_vectors(), k, mask)

    def owners(self, captions: Tensor) -> Tensor:
        """Rows of captions [k] int64 -> the rows of their pictures [k]."""
        ends = torch.from_numpy(self.gallery.captions.entries.caption_ends)
        return torch.searchsorted(ends, captions, right=True)

    def _caption_vectors(self) -> Tensor:
        if self.gallery.text_vectors is None:
            raise UsageError(f"'{self.source}' has no captions to find. Leave out --captions.")
        return self.gallery.text_vectors

    def _caption_mask(self, allowed: Tensor | None) -> Tensor:
        rows = torch.arange(len(self._caption_vectors()))
        return torch.ones_like(rows, dtype=torch.bool) if allowed is None else allowed[self.owners(rows)]


def in_file(index: GalleryIndex) -> LocalIndex:
    """The same index, for what only a gallery in a file has: captions.

    Raises:
        UsageError: when it is kept elsewhere.
    """
    if not isinstance(index, LocalIndex):
        raise UsageError(f"'{index.source}' has no captions to find. Leave out --captions.")
    return index
