"""The last layers of muse: a tag for each word, or a class for the post.

Source: seed 002; code of MuSE, commit 812dc19. The gate, the encoders' own vectors and letters are ours.
Shapes: C posts, L tokens, W words, K tags or classes, D width, F width of the text encoder.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.present import present
from mmx.methods.muse.crf import Crf, illegal_pairs
from mmx.methods.muse.settings import MuseSettings
from mmx.methods.muse.spelling import Spelling
from mmx.nn.precision import at_least_float32


@dataclass(frozen=True)
class Fused:
    """What the cross transformer made of a batch, and what it was made from; None for what is not read."""

    text: Tensor | None
    """[C, L + 1, D], the class token first."""
    image: Tensor | None
    """[C, V + 1, D], the class token first."""
    image_mask: Tensor | None
    """[C, V] bool, without the class token."""
    text_tokens: Tensor | None
    """[C, L, D] before the cross transformer."""
    pooled_text: Tensor | None
    """[C, D] before the cross transformer."""
    pooled_image: Tensor | None
    """[C, D] before the cross transformer."""


class Joint(nn.Module):
    """W2 [text ; picture], in which the picture may be weighed by how well it fits."""

    def __init__(self, settings: MuseSettings, extra: int = 0) -> None:
        """Make it with room for so many further numbers beside the two halves."""
        super().__init__()
        halves = settings.reads_text + settings.reads_images
        self.gate = nn.Linear(halves * settings.width, 1) if settings.image_gate and halves == 2 else None
        self.join = nn.Linear(halves * settings.width + extra, settings.width)
        self.dropout = nn.Dropout(settings.head_dropout)

    def forward(self, text: Tensor | None, image: Tensor | None, extra: list[Tensor]) -> Tensor:
        """[.., D] of each half that is read, [.., any] -> [.., D]."""
        halves = [half for half in (text, image) if half is not None]
        if self.gate is not None:
            halves[1] = halves[1] * self.gate(torch.cat(halves, dim=-1)).sigmoid()
        return self.dropout(self.join(torch.cat([*halves, *extra], dim=-1)))


class WordHead(nn.Module):
    """A conditional random field over the words of a post."""

    def __init__(self, settings: MuseSettings, tags: list[str], letters: int) -> None:
        """Make it for these tags, and for an alphabet of so many letters."""
        super().__init__()
        self.settings = settings
        self.spelling = Spelling(letters, settings.spelling_width) if settings.spelling else None
        extra = settings.width * settings.tower_path + (self.spelling.width if self.spelling else 0)
        self.joint = Joint(settings, extra)
        self.output = nn.Linear(settings.width, len(tags))
        self.crf = Crf(len(tags), *(illegal_pairs(tags) if settings.legal_tags else ()))

    def emissions(self, batch: Batch, fused: Fused) -> tuple[Tensor, Tensor]:
        """A batch, fused -> scores of the tags of each word [C, W, K] float32, [C, W] bool: which words there
        are and are read; the first of a post always counts as one.
        """
        text = present(fused.text)
        length = text.shape[1] - 1
        mask = (batch.word_starts >= 0) & (batch.word_starts < length)
        places = batch.word_starts.clamp(0, length - 1)
        extra = [_at(fused.text_tokens, places)] if self.settings.tower_path else []
        if self.spelling is not None:
            extra.append(self.spelling(batch.own_ids["spelling_ids"]).to(text.dtype))
        joined = self.joint(_at(text[:, 1:], places), self._beside(fused, places), extra)
        first = torch.arange(mask.shape[1], device=mask.device) == 0
        return at_least_float32(self.output(joined)), mask | first

    def _beside(self, fused: Fused, places: Tensor) -> Tensor | None:
        """[C, W, D]: the token of the picture that stands beside each word."""
        if fused.image is None:
            return None
        if self.settings.pairing == "class":
            return fused.image[:, :1].expand(-1, places.shape[1], -1)
        # a picture of fewer tokens than there are words is gone through again
        return _at(fused.image[:, 1:], places % present(fused.image_mask).sum(1, keepdim=True))


class PostHead(nn.Module):
    """A class for the whole post, from both class tokens."""

    def __init__(self, settings: MuseSettings, classes: int) -> None:
        super().__init__()
        self.settings = settings
        halves = settings.reads_text + settings.reads_images
        self.joint = Joint(settings, halves * settings.width if settings.tower_path else 0)
        self.output = nn.Linear(settings.width, classes)

    def forward(self, fused: Fused) -> Tensor:
        """Fused -> scores of the classes [C, K] float32."""
        text, image = (None if half is None else half[:, 0] for half in (fused.text, fused.image))
        pooled = (fused.pooled_text, fused.pooled_image)
        extra = [half for half in pooled if half is not None] if self.settings.tower_path else []
        return at_least_float32(self.output(self.joint(text, image, extra)))


def _at(tokens: Tensor, places: Tensor) -> Tensor:
    """[C, L, D], [C, W] -> [C, W, D]."""
    return tokens.gather(1, places[..., None].expand(-1, -1, tokens.shape[2]))
