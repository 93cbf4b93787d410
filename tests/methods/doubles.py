"""Small batches, towers that stand for encoders, and a small corpus to count from.

The towers are linear maps of mean colours and of token ids.
"""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmx.core.assets import Assets, AssetSource, ConceptTable
from mmx.core.batch import Batch
from mmx.core.method import Method
from mmx.core.record import Record
from mmx.core.settings import resolve
from mmx.core.tower import Tower

WIDTH, PATCHES, REGIONS, LENGTH = 12, 4, 5, 6
WORDS, CONCEPTS, NAMED = 50, 6, 3
"""Token ids stay under WORDS, concepts under CONCEPTS; a caption names up to NAMED of them."""
IMAGE_FIELDS = {
    "pixels",
    "image_features",
    "patch_features",
    "region_features",
    "region_mask",
    "region_boxes",
    "region_features_mirrored",
    "image_group",
}


def settings_of(method: Method, preset: str | None) -> object:
    """The defaults, under a preset."""
    changes = dict(method.presets[preset]) if preset else {}
    # The regions here make no grid that windows could be laid on.
    changes.pop("region_window", None)
    return resolve(method.settings, [(preset or "default", changes)], "")[0]


class StubImageTower(nn.Module):
    """Four patches a picture, each a linear map of its mean colour; three blocks; one space with the text."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.embedding_width = width
        self.stem, self.middle, self.top = (
            nn.Linear(3, width),
            nn.Linear(width, width),
            nn.Linear(width, width),
        )

    def blocks(self) -> list[list[str]]:
        """Names from input to output."""
        return [["stem"], ["middle"], ["top"]]

    def forward(self, pixels: Tensor, project: bool = False) -> dict[str, Tensor]:
        """[B, 3, height, width] uint8 -> image_features [B, F], patch_features [B, 4, F], image_embedding
        [B, F] and, if asked for, patch_embedding [B, 4, F].
        """
        colours = (
            nn.functional.adaptive_avg_pool2d(pixels.to(self.stem.weight.dtype) / 255, 2)
            .flatten(2)
            .transpose(1, 2)
        )
        patches = self.top(self.middle(self.stem(colours)).tanh())
        read = {"image_features": patches.mean(1), "patch_features": patches}
        return _with_embeddings(read, "image", "patch", project)


class StubTextTower(nn.Module):
    """Embeds each token by itself; three blocks; one space with the image."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.embedding_width = width
        self.vocabulary, self.mask_id, self.sign_ids = WORDS, WORDS - 1, frozenset({0})
        self.words, self.middle, self.top = (
            nn.Embedding(WORDS, width),
            nn.Linear(width, width),
            nn.Linear(width, width),
        )

    def blocks(self) -> list[list[str]]:
        """Names from input to output."""
        return [["words"], ["middle"], ["top"]]

    def forward(self, token_ids: Tensor, token_mask: Tensor, project: bool = False) -> dict[str, Tensor]:
        """[C, L], [C, L] -> text_features [C, F], token_features [C, L, F], text_embedding [C, F] and, if
        asked for, token_embedding [C, L, F].
        """
        tokens = self.top(self.middle(self.words(token_ids)).tanh()) * token_mask[..., None]
        pooled = tokens.sum(1) / token_mask.sum(1, keepdim=True)
        return _with_embeddings({"text_features": pooled, "token_features": tokens}, "text", "token", project)


def _with_embeddings(read: dict[str, Tensor], whole: str, part: str, project: bool) -> dict[str, Tensor]:
    """The same, with unit vectors of the whole and, if asked for, of the parts."""
    unit = {f"{whole}_embedding": nn.functional.normalize(read[f"{whole}_features"], dim=-1)}
    if project:
        unit[f"{part}_embedding"] = nn.functional.normalize(read[f"{part}_features"], dim=-1)
    return read | unit


def make_batch(images: int = 4, captions_per_image: int = 1, seed: int = 0) -> Batch:
    """A batch with every field filled, so that any towers can read it; the first of a kind is the longest."""
    random = torch.Generator().manual_seed(seed)
    captions = images * captions_per_image
    lengths = torch.randint(2, LENGTH + 1, (captions,), generator=random)
    lengths[0] = LENGTH
    mask = torch.arange(LENGTH) < lengths[:, None]
    tokens = torch.randn(captions, LENGTH, WIDTH, generator=random) * mask[..., None]
    patches = torch.randn(images, PATCHES, WIDTH, generator=random)
    quarters = torch.randint(0, 256, (images, 3, 2, 2), generator=random, dtype=torch.uint8)
    token_ids = torch.randint(1, WORDS, (captions, LENGTH), generator=random) * mask
    region_counts = torch.randint(1, REGIONS + 1, (images,), generator=random)
    region_counts[0] = REGIONS
    region_mask = torch.arange(REGIONS) < region_counts[:, None]
    regions = torch.randn(2, images, REGIONS, WIDTH, generator=random) * region_mask[..., None]
    corners = torch.rand(images, REGIONS, 2, generator=random) / 2
    concepts = torch.randint(0, CONCEPTS, (captions, NAMED), generator=random)
    named = torch.randint(0, NAMED + 1, (captions,), generator=random)
    named[0] = NAMED
    return Batch(
        pixels=quarters.repeat_interleave(4, 2).repeat_interleave(4, 3),
        image_features=patches.mean(1),
        patch_features=patches,
        region_features=regions[0],
        region_mask=region_mask,
        region_boxes=torch.cat([corners, corners + 0.5], dim=-1) * region_mask[..., None],
        region_features_mirrored=regions[1],
        image_group=torch.arange(images),
        token_ids=token_ids,
        text_features=tokens.sum(1) / lengths[:, None],
        token_features=tokens,
        token_mask=mask,
        concept_ids=concepts.masked_fill(torch.arange(NAMED) >= named[:, None], -1),
        text_group=torch.arange(images).repeat_interleave(captions_per_image),
    )


def take(batch: Batch, images: Tensor, captions: Tensor) -> Batch:
    """The images and captions of a batch that are asked for, in the order asked for."""
    return Batch.of(
        {name: value[images if name in IMAGE_FIELDS else captions] for name, value in batch.filled().items()}
    )


def pad(batch: Batch, extra: int) -> Batch:
    """The same captions and images with `extra` places of rubbish behind their parts, masked."""
    images, captions = len(batch.region_mask), len(batch.token_mask)
    hidden, rubbish = (
        torch.zeros(captions, extra, dtype=torch.bool),
        torch.full((captions, extra, WIDTH), 1e3),
    )
    no_region, region = torch.zeros(images, extra, dtype=torch.bool), torch.full((images, extra, WIDTH), 1e3)
    return dataclasses.replace(
        batch,
        token_ids=torch.cat([batch.token_ids, torch.zeros(captions, extra, dtype=torch.int64)], 1),
        token_features=torch.cat([batch.token_features, rubbish], 1),
        token_mask=torch.cat([batch.token_mask, hidden], 1),
        concept_ids=torch.cat([batch.concept_ids, torch.full((captions, extra), -1)], 1),
        region_features=torch.cat([batch.region_features, region], 1),
        region_features_mirrored=torch.cat([batch.region_features_mirrored, region], 1),
        region_boxes=torch.cat([batch.region_boxes, torch.zeros(images, extra, 4)], 1),
        region_mask=torch.cat([batch.region_mask, no_region], 1),
    )


def count_concepts(count: int) -> ConceptTable:
    """At most six concepts, `word4` to `word9`, by falling count; each stands beside its neighbours."""
    kept = min(count, CONCEPTS)
    words = tuple(f"word{place}" for place in range(4, 4 + kept))
    counts = torch.arange(20, 20 - kept, -1)
    beside = (torch.arange(kept)[:, None] - torch.arange(kept)[None, :]).abs() == 1
    kinds = ("object", "object", "object", "object", "property", "motion")[:kept]
    forms = {form: place for place, word in enumerate(words) for form in (word, f"{word}s")}
    return ConceptTable(words, kinds, forms, counts, 8 * beside)


def read_vectors(file: str, words: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Vectors of width 7 for all words but the last."""
    found = torch.arange(len(words)) < len(words) - 1
    return torch.randn(len(words), 7, generator=torch.Generator().manual_seed(3)) * found[:, None], found


RECORDS = tuple(
    Record(str(row), "train", f"{row}.jpg", (f"word{4 + row} word{5 + row} stands",) * 4, identity=row)
    for row in range(WORDS)
)
SOURCE = AssetSource(RECORDS, count_concepts, read_vectors)


def count_assets(method: Method, settings: object) -> Assets:
    """What a method counts of the small corpus."""
    return method.assets(settings, SOURCE)


def build(method: Method, settings: object, seed: int = 0) -> nn.Module:
    """The model of these settings over stub towers, in training mode."""
    torch.manual_seed(seed)
    uses = method.towers(settings)
    stubs = {"image": StubImageTower, "text": StubTextTower}
    towers = {name: Tower(WIDTH, stubs[name]() if use.trainable else None) for name, use in uses.items()}
    return method.build(settings, towers, count_assets(method, settings))
