"""Cut-offs of a matcher: above which cosine a given share of the right pictures of a sentence lies.

    kept(s) = right pairs that score s or more / right pairs
    let through(s) = pairs that score s or more / pairs

How much of what is let through is right cannot be told: the captions of a corpus do not say which other
pictures they would fit as well.

Shapes: C sentences, N pictures, D width.
"""

import torch
from torch import Tensor

BINS = 4000
"""Of cosines from -1 to 1."""
SENTENCES_AT_ONCE = 512


def cut_offs(images: Tensor, texts: Tensor, image_of: Tensor) -> dict[int, tuple[float, float]]:
    """[N, D], [C, D], the picture of each sentence [C] -> percent of right pairs kept: (cosine, let through).

    The cosine is the greatest from which on so many are kept; what it lets through is a share of all pairs.
    """
    right, all_pairs = torch.zeros(BINS), torch.zeros(BINS)
    for start in range(0, len(texts), SENTENCES_AT_ONCE):
        places = _bins(texts[start : start + SENTENCES_AT_ONCE] @ images.T)
        owners = image_of[start : start + SENTENCES_AT_ONCE]
        right += torch.bincount(places.gather(1, owners[:, None]).flatten(), minlength=BINS)
        all_pairs += torch.bincount(places.flatten(), minlength=BINS)
    kept, let_through = (counts.flip(0).cumsum(0).flip(0) / counts.sum() for counts in (right, all_pairs))
    found = {}
    for percent in range(1, 100):
        place = int((kept >= percent / 100).nonzero()[-1])
        found[percent] = (2 * place / BINS - 1, float(let_through[place]))
    return found


def _bins(scores: Tensor) -> Tensor:
    return ((scores + 1) * (BINS / 2)).long().clamp_(0, BINS - 1)
