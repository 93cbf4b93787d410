"""What muse makes up of posts, for people to look at: captions of their pictures, pictures of their words."""

import torch

from mmx.core.assets import Assets
from mmx.core.batch import Batch
from mmx.core.method import Generated
from mmx.core.present import present
from mmx.methods.muse.model import Muse
from mmx.words.vocabulary import Vocabulary

LONGEST = 30
"""Words of a caption."""


@torch.no_grad()
def generate(model: Muse, assets: Assets, batch: Batch, seed: int) -> Generated:
    """A caption of each picture, and a picture of each post's words; no captions where nothing learned to
    make up either.

    Captions are the likeliest words one by one, pictures are drawn by the seed.
    """
    parts = model.regularisers
    pictures = torch.zeros(len(batch.image_mask), 3, 0, 0, dtype=torch.uint8)
    if parts is None or (parts.captioner is None and parts.pixels is None):
        return Generated((), pictures)
    _, pooled, image = model.read(batch)
    captions = [""] * len(batch.image_mask)
    if parts.captioner is not None and bool(batch.image_mask.any()):
        there = batch.image_mask
        words = Vocabulary.from_values(assets.values["vocabulary"]).words
        shown = present(image)
        tokens = parts.subspace(shown.tokens[there])
        written = parts.captioner.write(tokens, shown.mask[there], LONGEST)
        for place, ids in zip(there.nonzero().squeeze(1).tolist(), written, strict=True):
            captions[place] = " ".join(words[word] for word in ids)
    if parts.pixels is not None:
        drawn = parts.pixels.sample(parts.subspace(pooled), model.settings.thumbnail, seed)
        pictures = ((drawn + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()
    return Generated(captions, pictures)
