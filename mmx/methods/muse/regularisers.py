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
from mmx.methods.muse.captioner import Captioner
from mmx.methods.muse.cross_transformer import Sequence
from mmx.methods.muse.exchange import mean_of
from mmx.methods.muse.mixture import mixture_nll
from mmx.methods.muse.pixel_cnn import PixelCnn
from mmx.methods.muse.settings import MuseSettings


class Regularisers(nn.Module):
    """The shared subspace and what generates from it."""

    def __init__(self, settings: MuseSettings, words: int) -> None:
        """Make them for so many words that are known."""
        super().__init__()
        self.subspace = nn.Linear(settings.width, settings.width)
        self.captioner = Captioner(settings, words) if settings.writes_captions else None
        self.pixels = PixelCnn(settings) if settings.draws == "pixels" else None
        self.features = nn.Linear(settings.width, settings.width) if settings.draws == "features" else None

    def forward(self, batch: Batch, pooled: Tensor, image: Sequence) -> Mapping[str, Tensor]:
        """A batch, the pooled text [B, D], the picture's tokens -> `caption` in nats a word, `generator` in
        nats a picture or a cosine distance; means over the posts that have a picture, else 0.
        """
        there = batch.image_mask
        losses = {}
        for name, part in (("caption", self.captioner), ("generator", self.pixels or self.features)):
            if part is not None:
                losses[name] = pooled.new_zeros((), dtype=torch.float32)
        if not bool(there.any()):
            return losses
        tokens, mask = image.tokens[there], image.mask[there]
        vector = self.subspace(pooled[there])
        if self.captioner is not None:
            losses["caption"] = self.captioner.nll(self.subspace(tokens), mask, batch.spoken_ids[there])
        if self.pixels is not None:
            losses["generator"] = self._pixel_loss(batch.thumbnails[there], vector)
        if self.features is not None:
            wanted = mean_of(tokens.detach(), mask).float()
            losses["generator"] = (
                1 - functional.cosine_similarity(self.features(vector).float(), wanted).mean()
            )
        return losses

    def _pixel_loss(self, thumbnails: Tensor, vector: Tensor) -> Tensor:
        """[B, 3, side, side] uint8, [B, D] -> nats of a picture."""
        pixels = thumbnails.float() / 127.5 - 1
        return mixture_nll(pixels, self.pixels(pixels, vector)).mean()
