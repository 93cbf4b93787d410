"""Hinges over a table of scores in which an image and a caption may each have several right partners.

Source: arXiv 1707.05612, sections 3.1 and 3.2.
Shapes: B images, C captions, N pairs that belong together.
"""

import torch
from torch import Tensor


def hardest_hinge(scores: Tensor, positive: Tensor, margin: float) -> Tensor:
    """[B, C] cosine, [B, C] bool, cosine -> scalar >= 0 in cosine: the hardest wrong partner of each pair.

    loss = mean_ij [m + max_k S_ik - S_ij]+ + mean_ij [m + max_k S_kj - S_ij]+
                                        i and j belong together, k does not; nothing where there is no k
    """
    wrong = scores.masked_fill(positive, -torch.inf)
    by_image = margin + wrong.amax(dim=1, keepdim=True) - scores
    by_text = margin + wrong.amax(dim=0, keepdim=True) - scores
    hinges = (by_image.relu() + by_text.relu()).masked_fill(~positive, 0.0)
    return hinges.sum() / positive.sum()


def mean_hinge(scores: Tensor, positive: Tensor, margin: float) -> Tensor:
    """[B, C] cosine, [B, C] bool, cosine -> scalar >= 0 in cosine: the mean over all wrong partners.

    It is the sum of hinges divided by the number of wrong partners, so that it does not grow with the batch.
    """
    image, text = positive.nonzero(as_tuple=True)
    right = scores[image, text][:, None]
    by_image = _mean_over_wrong(margin + scores[image] - right, ~positive[image])
    by_text = _mean_over_wrong(margin + scores.T[text] - right, ~positive.T[text])
    return (by_image + by_text).mean()


def _mean_over_wrong(values: Tensor, wrong: Tensor) -> Tensor:
    """[N, C], [N, C] bool -> [N]."""
    return values.relu().masked_fill(~wrong, 0.0).sum(dim=1) / wrong.sum(dim=1).clamp(min=1)
