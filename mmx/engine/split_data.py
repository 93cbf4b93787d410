"""SplitData: one split as a model reads it, whether from cached features or from pixels and token ids.

Shapes: B images, C captions, L tokens, P patches, F width. Row i is record i of the manifest's split;
captions are numbered through the split, those of record i being
`caption_offsets[i] : caption_offsets[i + 1]`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy
import torch
from torch import Tensor

from mmx.core.batch import Batch
from mmx.core.record import Record
from mmx.core.view import View
from mmx.engine.augment import augment_pixels
from mmx.engine.regions import image_fields
from mmx.store.features import FeatureStore
from mmx.store.images import read_pixels
from mmx.store.shard import MIRRORED

PADDING = {"token_ids": 0}
"""By field; -1 where nothing else is said."""


class ImageSource(Protocol):
    """Where the images of a split come from."""

    def read(self, rows: Tensor, variants: Sequence[int] | None) -> dict[str, Tensor]:
        """[B] int64 -> the image fields of a Batch; `variants` are seeds of the training variation, None
        for none.
        """


class TextSource(Protocol):
    """Where the captions of a split come from."""

    @property
    def lengths(self) -> Tensor | None:
        """[number of captions] int64: tokens of each, as far as they are read; None where none are."""

    def read(self, captions: Tensor) -> dict[str, Tensor]:
        """[C] int64 -> the text fields of a Batch."""


@dataclass(frozen=True)
class PixelImages:
    """Pictures decoded when they are asked for."""

    paths: Sequence[Path | None]
    """None where a record has no picture, and none is asked for."""
    view: View
    augment: str = "none"
    beside: "FeatureImages | None" = None
    """Features of the same pictures that are read along."""

    def read(self, rows: Tensor, variants: Sequence[int] | None) -> dict[str, Tensor]:
        """[B] -> pixels [B, 3, height, width] uint8, and what is read along."""
        pictures = []
        for place, row in enumerate(rows.tolist()):
            seed = None if variants is None else variants[place]
            if seed is None or self.augment == "none":
                pictures.append(read_pixels(self.paths[row], self.view))
            else:
                pictures.append(augment_pixels(self.paths[row], self.view, self.augment, seed))
        pixels = torch.from_numpy(numpy.stack(pictures))
        return {"pixels": pixels, **(self.beside.read(rows, variants) if self.beside else {})}


@dataclass(frozen=True)
class FeatureImages:
    """Features of a frozen image encoder, memory-mapped."""

    store: FeatureStore
    fields: tuple[str, ...]
    augment: str = "none"
    beside: "FeatureImages | None" = None
    """Features of another encoder that are read along."""

    def read(self, rows: Tensor, variants: Sequence[int] | None) -> dict[str, Tensor]:
        """[B] -> image_features [B, F], patch_features [B, P, F], region_features [B, R, F] with region_mask
        [B, R] and region_boxes [B, R, 4], as far as they are asked for, float32.

        With `augment="flip"` the odd variants are read from the features of the mirrored pictures. Fields
        named `<field>_mirrored` are left out in training.
        """
        fields, mirrored = self.fields, None
        if variants is not None:
            fields = tuple(field for field in fields if not field.endswith(MIRRORED))
            if self.augment == "flip":
                mirrored = torch.tensor([seed % 2 == 1 for seed in variants])
        read = image_fields(
            fields,
            self.store.fields,
            lambda field: self.store.read(field, rows, mirrored),
            self.store.grid_view,
        )
        return {**read, **(self.beside.read(rows, variants) if self.beside else {})}


class NumberTexts:
    """Captions as whole numbers, made once: the tokens of each, the concepts it names.

    They are held in two flat tensors a field, so that a worker process shares them instead of copying lists.
    """

    def __init__(self, numbers: Mapping[str, Sequence[Sequence[int]]]) -> None:
        """Take the numbers of every caption by name: `token_ids`, others of a Batch, or a method's own."""
        self._flat = {
            field: torch.tensor([number for row in rows for number in row], dtype=torch.int64)
            for field, rows in numbers.items()
        }
        self._offsets = {
            field: torch.tensor([0, *map(len, rows)]).cumsum(0) for field, rows in numbers.items()
        }

    @property
    def lengths(self) -> Tensor | None:
        """[number of captions] int64: tokens of each; None where there are only concepts."""
        return self._offsets["token_ids"].diff() if "token_ids" in self._offsets else None

    def read(self, captions: Tensor) -> dict[str, Tensor]:
        """[C] -> token_ids [C, L] padded with 0, with token_mask [C, L], and the other fields padded with -1,
        as far as they are there.
        """
        read = {}
        for field in self._flat:
            read[field], mask = self._padded(field, captions)
            if field == "token_ids":
                read["token_mask"] = mask
        return read

    def _padded(self, field: str, captions: Tensor) -> tuple[Tensor, Tensor]:
        begins, ends = self._offsets[field][captions], self._offsets[field][captions + 1]
        lengths = ends - begins
        place = torch.arange(int(lengths.max()) if len(lengths) else 0)
        mask = place < lengths[:, None]
        padded = torch.full(mask.shape, PADDING.get(field, -1))
        padded[mask] = self._flat[field][(begins[:, None] + place)[mask]]
        return padded, mask


@dataclass(frozen=True)
class FeatureTexts:
    """Features of a frozen text encoder, memory-mapped."""

    store: FeatureStore
    fields: tuple[str, ...]

    @property
    def lengths(self) -> Tensor | None:
        """[number of captions] int64: tokens of each; None where only pooled features are read."""
        return self.store.token_lengths() if "token_features" in self.fields else None

    def read(self, captions: Tensor) -> dict[str, Tensor]:
        """[C] -> text_features [C, F], token_features [C, L, F] with token_mask [C, L], as far as asked
        for.
        """
        read: dict[str, Tensor] = {}
        for field in self.fields:
            if field == "token_features":
                read["token_features"], read["token_mask"] = self.store.read_tokens(captions)
            else:
                read[field] = self.store.read(field, captions)
        return read


@dataclass(frozen=True)
class JoinedTexts:
    """What several sources say of the same captions."""

    sources: Sequence[TextSource]

    @property
    def lengths(self) -> Tensor | None:
        """Those of the first source that has any."""
        return next((found for source in self.sources if (found := source.lengths) is not None), None)

    def read(self, captions: Tensor) -> dict[str, Tensor]:
        """[C] -> the fields of all sources."""
        return {field: value for source in self.sources for field, value in source.read(captions).items()}


@dataclass(frozen=True)
class SplitData:
    """One split: its records, and a source for each modality."""

    records: Sequence[Record]
    images: ImageSource
    texts: TextSource
    posts: bool = False
    """Whether the records are posts, which are read without a picture too."""

    @cached_property
    def caption_offsets(self) -> Tensor:
        """[N + 1] int64: where the captions of each record begin."""
        counts = torch.tensor([len(record.captions) for record in self.records])
        return torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])

    @cached_property
    def image_group(self) -> Tensor:
        """[N] int64: the record's identity; a record without one is a group of its own, with a negative
        number.
        """
        groups = [
            -1 - row if record.identity is None else record.identity
            for row, record in enumerate(self.records)
        ]
        return torch.tensor(groups)

    @cached_property
    def text_group(self) -> Tensor:
        """[number of captions] int64: the group of the image that each caption describes."""
        return self.image_group.repeat_interleave(self.caption_offsets.diff())

    def batch(self, rows: Tensor, captions: Tensor, variants: Sequence[int] | None = None) -> Batch:
        """[B], [C] -> the images and captions asked for, in the order asked for, with their groups."""
        groups = {"image_group": self.image_group[rows], "text_group": self.text_group[captions]}
        return Batch.of({**self.images.read(rows, variants), **self.texts.read(captions), **groups})
