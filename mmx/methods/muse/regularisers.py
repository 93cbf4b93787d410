"""What muse generates beside its task: words from pictures, and pictures, or their features, from words.

Source: seed 002; code of MuSE, commit 812dc19, main.py: captions are written from the picture's tokens in the
shared subspace, pictures are drawn from the pooled text in it. Telling features instead of pixels is ours.
Shapes: B posts, V tokens of a picture, D width.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.core.batch import Batch
from mmx.core.present import present
from mmx.methods.muse.captioner import Captioner, caption_loss
from mmx.methods.muse.cross_transformer import Sequence
from mmx.methods.muse.exchange import mean_of
from mmx.methods.muse.mixture import mixture_nll
from mmx.methods.muse.pixel_cnn import PixelCnn
from mmx.methods.muse.settings import MuseSettings
from mmx.nn.precision import at_least_float32


class Regularisers(nn.Module):
    """The shared subspace and what generates from it."""

    def __init__(self, settings: MuseSettings, words: int) -> None:
        """Make them for so many words that are known."""
        super().__init__()
        self.subspace = nn.Linear(settings.width, settings.width)
        self.captioner = Captioner(settings, words) if settings.writes_captions else None
        self.pixels = PixelCnn(settings) if settings.draws == "pixels" else None
        self.features = nn.Linear(settings.width, settings.width) if settings.draws == "features" else None

    def forward(self, batch: Batch, pooled: Tensor, image: Sequence) -> dict[str, Tensor]:
        """A batch, the pooled text [B, D], the picture's tokens -> rows of the P posts that have a picture,
        as far as they are generated: `words_nll` and `words` [1] in all, `unevenness` [X] of tokens;
        `picture_nll` [P] in nats, or `picture_cosine` [P].
        """
        there = batch.image_mask
        if not bool(there.any()):
            return self._nothing(pooled)
        rows: dict[str, Tensor] = {}
        tokens, mask = image.tokens[there], image.mask[there]
        vector = self.subspace(pooled[there])
        if self.captioner is not None:
            rows |= self.captioner.nll(self.subspace(tokens), mask, batch.own_ids["spoken_ids"][there])
        if self.pixels is not None:
            rows["picture_nll"] = self._pixel_nll(batch.thumbnails[there], vector)
        if self.features is not None:
            wanted = at_least_float32(mean_of(tokens.detach(), mask))
            told = at_least_float32(self.features(vector))
            rows["picture_cosine"] = functional.cosine_similarity(told, wanted)
        return rows

    def _nothing(self, pooled: Tensor) -> dict[str, Tensor]:
        none = at_least_float32(pooled.new_zeros(0))
        names = ["words_nll", "unevenness"] if self.captioner is not None else []
        names += ["picture_nll"] * (self.pixels is not None)
        names += ["picture_cosine"] * (self.features is not None)
        words = {"words": none.long()} if self.captioner is not None else {}
        return words | dict.fromkeys(names, none)

    def _pixel_nll(self, thumbnails: Tensor, vector: Tensor) -> Tensor:
        """[P, 3, side, side] uint8, [P, D] -> nats of each picture [P]."""
        pixels = thumbnails.to(torch.promote_types(vector.dtype, torch.float32)) / 127.5 - 1
        return mixture_nll(pixels, present(self.pixels)(pixels, vector))


def add_up(rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The rows of all posts -> `caption` in nats a word, `generator` in nats a picture or a cosine distance,
    as far as they are there; means over the posts that have a picture, else 0.
    """
    losses = {}
    if "words_nll" in rows:
        losses["caption"] = caption_loss(rows["words_nll"], rows["words"], rows["unevenness"])
    if "picture_nll" in rows:
        losses["generator"] = _mean(rows["picture_nll"])
    if "picture_cosine" in rows:
        cosine = rows["picture_cosine"]
        losses["generator"] = 1 - cosine.mean() if len(cosine) else cosine.sum()
    return losses


def _mean(values: Tensor) -> Tensor:
    return values.mean() if len(values) else values.sum()
