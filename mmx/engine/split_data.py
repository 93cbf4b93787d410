"""SplitData: one split as a model reads it, whether from cached features or from pixels and token ids.

Shapes: B images, C captions, L tokens, P patches, F width. Row i is record i of the manifest's split;
captions are
numbered through the split, those of record i being `caption_offsets[i] : caption_offsets[i + 1]`.
"""

from collections.abc import Sequence
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
from mmx.store.features import FeatureStore
from mmx.store.images import read_pixels


class ImageSource(Protocol):
    """Where the images of a split come from."""

    def read(self, rows: Tensor, variants: Sequence[int] | None) -> dict[str, Tensor]:
        """[B] int64 -> the image fields of a Batch; `variants` are seeds of the training variation, None
        for none.
        """


class TextSource(Protocol):
    """Where the captions of a split come from."""

    def read(self, captions: Tensor) -> dict[str, Tensor]:
        """[C] int64 -> the text fields of a Batch."""


@dataclass(frozen=True)
class PixelImages:
    """Pictures decoded when they are asked for."""

    paths: Sequence[Path]
    view: View
    augment: str = "none"

    def read(self, rows: Tensor, variants: Sequence[int] | None) -> dict[str, Tensor]:
        """[B] -> pixels [B, 3, height, width] uint8."""
        pictures = []
        for place, row in enumerate(rows.tolist()):
            seed = None if variants is None else variants[place]
            if seed is None or self.augment == "none":
                pictures.append(read_pixels(self.paths[row], self.view))
            else:
                pictures.append(augment_pixels(self.paths[row], self.view, self.augment, seed))
        return {"pixels": torch.from_numpy(numpy.stack(pictures))}


@dataclass(frozen=True)
class FeatureImages:
    """Features of a frozen image encoder, memory-mapped."""

    store: FeatureStore
    fields: tuple[str, ...]
    augment: str = "none"

    def read(self, rows: Tensor, variants: Sequence[int] | None) -> dict[str, Tensor]:
        """[B] -> image_features [B, F] and patch_features [B, P, F], as far as they are asked for, float32.

        With `augment="flip"` the odd variants are read from the features of the mirrored pictures.
        """
        mirrored = None
        if variants is not None and self.augment == "flip":
            mirrored = torch.tensor([seed % 2 == 1 for seed in variants])
        return {field: self.store.read_images(field, rows, mirrored) for field in self.fields}


@dataclass(frozen=True)
class TokenTexts:
    """Captions as token ids, tokenised once."""

    token_ids: Sequence[Sequence[int]]

    def read(self, captions: Tensor) -> dict[str, Tensor]:
        """[C] -> token_ids [C, L] and token_mask [C, L], padded to the longest."""
        chosen = [self.token_ids[caption] for caption in captions.tolist()]
        longest = max(len(ids) for ids in chosen)
        token_ids = torch.zeros(len(chosen), longest, dtype=torch.int64)
        for place, ids in enumerate(chosen):
            token_ids[place, : len(ids)] = torch.tensor(ids)
        lengths = torch.tensor([len(ids) for ids in chosen])
        return {"token_ids": token_ids, "token_mask": torch.arange(longest) < lengths[:, None]}


@dataclass(frozen=True)
class FeatureTexts:
    """Features of a frozen text encoder, memory-mapped."""

    store: FeatureStore
    fields: tuple[str, ...]

    def read(self, captions: Tensor) -> dict[str, Tensor]:
        """[C] -> text_features [C, F], token_features [C, L, F] with token_mask [C, L], as far as asked
        for.
        """
        read: dict[str, Tensor] = {}
        for field in self.fields:
            if field == "token_features":
                read["token_features"], read["token_mask"] = self.store.read_tokens(captions)
            else:
                read[field] = self.store.read_texts(field, captions)
        return read


@dataclass(frozen=True)
class SplitData:
    """One split: its records, and a source for each modality."""

    records: Sequence[Record]
    images: ImageSource
    texts: TextSource

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
        return Batch(
            **self.images.read(rows, variants),
            **self.texts.read(captions),
            image_group=self.image_group[rows],
            text_group=self.text_group[captions],
        )
