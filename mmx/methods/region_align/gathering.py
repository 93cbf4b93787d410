"""A picture pooled anew for each caption, and how near the caption is to what it found there.

Source: a picture pooled by the attention of a caption, arXiv 2203.15086 (X-Pool), 4.2; cosines as attention,
arXiv 1803.08024 (SCAN), 3.1. The views, learning from wholes and the members are ours.
Shapes: Q captions, G images, C captions with an image each, L tokens, R regions, T token width, F region
width, K members, V views with the whole image, D compared width.
"""

import torch
from torch import Tensor, nn

from mmx.methods.region_align.masking import region_shares
from mmx.methods.region_align.overview import Overview
from mmx.methods.region_align.pair_blocks import Kept, score_pairs
from mmx.nn.precision import unit
from mmx.nn.projection import PerceptronHead

WHOLE = 0.5
"""How much the view of all regions counts before anybody looks, as a share of all others together."""
LEAST = 1e-6
"""Added to a squared length."""


class CaptionGathering(nn.Module):
    """Lets a caption look among the regions of an image, and compares it with all that it found.

        a[k] = softmax_k(sharpness t . r_k + log weight of view k)         unit vectors
        v = sum_k a[k] r_k
        s_fine = cosine(t, v)                                              the mean over members

    t comes of the mean of the tokens, r_k of the regions, each by a perceptron. The mean of all regions is
    one more region, and weighs as much as half of the others together. Windows of a grid stand for its
    patches. An image is kept as its r_k, a caption as its t: one product gives every pair, and the length of
    v comes of the inner products of an image's own regions.
    What is learned from is the cosine of t and the whole image: the same perceptron reads its regions
    without having learned from them, since what was learned from regions was of use in training only.
    """

    def __init__(
        self,
        token_width: int,
        region_width: int,
        hidden: int,
        width: int,
        members: int,
        sharpness: float,
        power: float = 1.0,
        window: int = 1,
        dropouts: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        """Take widths, the number of members, the power and windows of regions, and dropout of what is read
        of tokens, of what is read of regions, and inside the perceptrons.
        """
        super().__init__()
        self.sharpness = sharpness
        self.region_views = Overview(region_width, power, window)
        self.token_views = Overview(token_width, 1.0)
        of_tokens, of_regions, inside = dropouts
        self.tokens, self.regions = (
            nn.ModuleList(
                nn.Sequential(nn.Dropout(dropout), PerceptronHead(in_width, hidden, width, inside))
                for _ in range(members)
            )
            for in_width, dropout in ((token_width, of_tokens), (region_width, of_regions))
        )

    def is_silent(self) -> bool:
        """Whether nothing was learned yet, so that scores mean nothing."""
        return not self.region_views.whole.seen.any()

    def keep_regions(self, regions: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """[G, R, F], [G, R] bool -> evidence [G, V, K, D], mask [G, V], parts [G, R], the mask that came; in
        training of the first view alone.
        """
        views, there = self.region_views(regions, mask)
        return {"evidence": _mapped(self.regions, views), "mask": there, "parts": mask}

    def keep_tokens(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """[Q, L, T], [Q, L] bool -> caption [Q, 1, K, D], mask [Q, 1]."""
        views, there = self.token_views(tokens, mask, whole_only=True)
        return {"caption": _mapped(self.tokens, views), "mask": there}

    def forward(self, images: Kept, texts: Kept) -> Tensor:
        """What is kept of G images and of Q captions -> fine_scores [Q, G], 0 before anything is learned."""
        found = self.by_member(images, texts).mean(dim=-1)
        return torch.zeros_like(found) if self.is_silent() else found

    def by_member(self, images: Kept, texts: Kept) -> Tensor:
        """What is kept of G images and of Q captions -> the cosine of each member [Q, G, K]."""
        return score_pairs(self._score_block, images, texts)

    def explain(self, images: Kept, tokens: Tensor, mask: Tensor) -> Tensor:
        """What is kept of C images, and the tokens of their C captions [C, L, T] with mask [C, L] bool ->
        what each token and region add to s_fine [C, L, R].

        A region adds a[k] t . r_k / |v|. That is shared out among tokens as each by itself meets the region,
        softmax_m(sharpness t_m . r_k), and what a window or the whole adds is spread over its patches.
        """
        words, there = self.token_views(tokens, mask)
        words, there = _mapped(self.tokens, words), there[:, 1:]
        found = []
        for member in range(words.shape[2]):
            evidence, of_tokens = images["evidence"][:, :, member], words[:, :, member]
            match = of_tokens @ evidence.transpose(1, 2)
            taken = self._shares(match[:, 0], images["mask"])
            length = ((taken[:, None] @ evidence).square().sum(dim=-1) + LEAST).sqrt()
            added = taken * match[:, 0] / length
            of_words = region_shares(self.sharpness * match[:, 1:].transpose(1, 2), there[:, None])
            found.append(of_words.transpose(1, 2) * added[:, None])
        return torch.stack(found).mean(dim=0) @ self.region_views.shares(images["parts"])

    def _shares(self, match: Tensor, mask: Tensor) -> Tensor:
        """Cosines of a caption with views [.., V], which of them are there -> a [.., V]."""
        weight = torch.ones(mask.shape, device=mask.device)
        weight[..., 0] = WHOLE * mask[..., 1:].sum(dim=-1).clamp(min=1)
        return region_shares(self.sharpness * match + weight.log(), mask)

    def _score_block(self, images: Kept, texts: Kept) -> Tensor:
        there, scores = texts["mask"][..., None], []
        for member in range(texts["caption"].shape[2]):
            caption, evidence = texts["caption"][:, 0, member], images["evidence"][:, :, member]
            match = (caption @ evidence.flatten(0, 1).T).view(len(caption), *evidence.shape[:2])
            found = self._shares(match, images["mask"])
            between = evidence @ evidence.transpose(1, 2)
            squared = ((found.transpose(0, 1) @ between).transpose(0, 1) * found).sum(dim=-1)
            scores.append((found * match * there).sum(dim=-1) * torch.rsqrt(squared + LEAST))
        return torch.stack(scores, dim=-1)


def _mapped(maps: nn.ModuleList, views: Tensor) -> Tensor:
    """[B, V, F] -> [B, V, K, D] of each member, unit length."""
    return unit(torch.stack([each(views) for each in maps], dim=2))
