"""Muse: a post's words and picture through two encoders, a cross transformer, and the layers of a task.

Source: seed 002. A post without a picture has a learned token in its place.
Shapes: C posts, L tokens, P cells of the image encoder, V tokens of a picture, D width.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.core.assets import Assets
from mmx.core.batch import Batch
from mmx.core.errors import UsageError
from mmx.core.present import present
from mmx.core.tower import Tower
from mmx.methods.muse.assets import TAGGING, labels
from mmx.methods.muse.cross_transformer import CrossTransformer, Sequence
from mmx.methods.muse.exchange import mean_of
from mmx.methods.muse.head import Fused, PostHead, WordHead
from mmx.methods.muse.regularisers import Regularisers
from mmx.methods.muse.settings import MuseSettings


class Fusion(nn.Module):
    """What leads from the encoders' vectors to the cross transformer, and that itself."""

    def __init__(self, settings: MuseSettings, towers: dict[str, Tower]) -> None:
        super().__init__()
        self.settings = settings
        self.text_input = _fit(towers["text"].width, settings.width) if "text" in towers else None
        self.image_input = _fit(towers["image"].width, settings.width) if "image" in towers else None
        if self.image_input is not None:
            self.missing = nn.Parameter(torch.randn(settings.width) * 0.02)
        self.cross = CrossTransformer(settings)

    def read_image(self, cells: Tensor | None, there: Tensor) -> Sequence:
        """[C, P, F] or None where no post has a picture, [C] bool -> tokens [C, V, D]."""
        if cells is None:
            tokens = self.missing.expand(len(there), 1, -1)
            return Sequence(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=there.device))
        shown = present(self.image_input)(pool_cells(cells, self.settings.image_side))
        tokens = torch.where(there[:, None, None], shown, self.missing.to(shown.dtype))
        first = torch.arange(shown.shape[1], device=there.device) == 0
        return Sequence(tokens, there[:, None] | first)


class Muse(nn.Module):
    """The encoders, the fusion, the head of the task, and what is generated beside it."""

    def __init__(self, settings: MuseSettings, towers: dict[str, Tower], assets: Assets) -> None:
        super().__init__()
        self.settings = settings
        self.text_tower = towers["text"].module if "text" in towers else None
        self.image_tower = towers["image"].module if "image" in towers else None
        self.fusion = Fusion(settings, towers)
        names, values = labels(assets), assets.values
        if values["task"] == TAGGING:
            self.head = WordHead(settings, names, len(values["letters"]))
        else:
            self.head = PostHead(settings, len(names))
        words = len(values["vocabulary"]["words"]) if settings.writes_captions else 0
        self.regularisers = Regularisers(settings, words) if settings.regularised else None

    def read(self, batch: Batch) -> tuple[Sequence | None, Tensor | None, Sequence | None]:
        """The tokens of the words, the pooled text [C, D], and the tokens of the pictures."""
        text = pooled = image = None
        if self.text_tower is not None:
            mask = batch.token_mask[:, : self.settings.max_tokens]
            found = self.text_tower(batch.token_ids[:, : self.settings.max_tokens], mask)
            fit = present(self.fusion.text_input)
            text = Sequence(fit(found["token_features"]), mask)
            pooled = fit(found["text_features"])
        if self.settings.reads_images:
            image = self.fusion.read_image(self._cells(batch), batch.image_mask)
        return text, pooled, image

    def fuse(self, text: Sequence | None, pooled: Tensor | None, image: Sequence | None) -> Fused:
        """What `read` gave -> through the cross transformer."""
        fused_text, fused_image = self.fusion.cross(text, image)
        return Fused(
            text=fused_text,
            image=fused_image,
            image_mask=None if image is None else image.mask,
            text_tokens=None if text is None else text.tokens,
            pooled_text=pooled,
            pooled_image=None if image is None else mean_of(image.tokens, image.mask),
        )

    def _cells(self, batch: Batch) -> Tensor | None:
        """[C, P, F] of a frozen encoder or of our own; zeros for posts without a picture."""
        if self.image_tower is None or batch.pixels is None:
            return batch.patch_features
        seen = self.image_tower(batch.pixels[batch.image_mask])["patch_features"]
        cells = seen.new_zeros(len(batch.pixels), *seen.shape[1:])
        return cells.index_put((batch.image_mask.nonzero().squeeze(1),), seen)


def pool_cells(cells: Tensor, side: int) -> Tensor:
    """[C, P, F] of a square grid -> [C, side side, F]; 0 leaves them as they are.

    Raises:
        UsageError: when the cells are no square grid.
    """
    if side == 0:
        return cells
    edge = math.isqrt(cells.shape[1])
    if edge * edge != cells.shape[1]:
        raise UsageError(
            f"image_side={side} pools a square grid, and the image encoder gives {cells.shape[1]} cells. "
            "Set image_side=0."
        )
    grid = cells.transpose(1, 2).unflatten(2, (edge, edge))
    return functional.adaptive_avg_pool2d(grid, side).flatten(2).transpose(1, 2)


def build(settings: MuseSettings, towers: dict[str, Tower], assets: Assets) -> Muse:
    """The model of the task that the assets were counted for."""
    return Muse(settings, towers, assets)


def decode(model: Muse, batch: Batch) -> tuple[Tensor, Tensor]:
    """A batch -> tags [C, W] int64, -1 where no word is read, and how probable each is [C, W] float32."""
    emissions, mask = model.head.emissions(batch, model.fuse(*model.read(batch)))
    tags = model.head.crf.decode(emissions, mask)
    probable = model.head.crf.marginals(emissions, mask)
    scores = probable.gather(2, tags.clamp_min(0)[..., None]).squeeze(2)
    length = min(model.settings.max_tokens, batch.token_ids.shape[1])
    unread = (batch.word_starts < 0) | (batch.word_starts >= length)
    return tags.masked_fill(unread, -1), scores.masked_fill(unread, 0.0)


def sort(model: Muse, batch: Batch) -> Tensor:
    """A batch -> probabilities of the classes [C, K] float32."""
    return model.head(model.fuse(*model.read(batch))).softmax(dim=1)


def _fit(width: int, wanted: int) -> nn.Module:
    return nn.Identity() if width == wanted else nn.Linear(width, wanted)
