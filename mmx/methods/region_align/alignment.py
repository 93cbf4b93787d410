"""How well the words of a caption are grounded in the regions of an image.

Source: seed 004, "Stage 2 - Fine-Grained Cross-Attention Alignment"; the unit length of tokens and regions,
the scale and W_o = 0 at the start are ours.
Shapes: Q captions, G images, L tokens, R regions, T token width, F region width, A attention width.
"""

import torch
from torch import Tensor, nn

from mmx.methods.region_align.masking import region_shares, token_mean, token_shares
from mmx.methods.region_align.pair_blocks import Kept, score_pairs


class RegionTokenAlignment(nn.Module):
    """Lets every token of a caption look for itself among the regions of an image.

        alpha[m, k] = softmax_k((W_q t_m) . (W_k r_k) / sqrt(A))    sums to 1 over regions
        u_k         = W_o W_v r_k                                   W_o = 0 at the start
        s_fine      = mean_m sum_k alpha[m, k] t_m . u_k            no unit, unbounded

    Since t_m . W_o (sum_k alpha[m, k] W_v r_k) is the same, and (W_q t_m) . (W_k r_k) is t_m . W_q' W_k r_k,
    a pair is scored from the tokens as they are, and from keys W_q' W_k r_k and u of its image.
    """

    def __init__(
        self, token_width: int, region_width: int, attention_width: int = 256, scale_logits: bool = True
    ) -> None:
        super().__init__()
        self.factor = attention_width**-0.5 if scale_logits else 1.0
        self.query = nn.Linear(token_width, attention_width, bias=False)
        self.key = nn.Linear(region_width, attention_width, bias=False)
        self.value = nn.Linear(region_width, attention_width, bias=False)
        self.output = nn.Linear(attention_width, token_width, bias=False)
        for layer in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(self.output.weight)

    def is_silent(self) -> bool:
        """Whether every score is 0, as before anything is learned."""
        return not self.output.weight.any()

    def keep_regions(self, regions: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """[G, R, F], [G, R] bool -> keys [G, R, T], evidence [G, R, T], mask [G, R]."""
        keys = self.key(regions) @ self.query.weight * self.factor
        return {"keys": keys, "evidence": self.output(self.value(regions)), "mask": mask}

    def keep_tokens(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """[Q, L, T], [Q, L] bool -> tokens [Q, L, T], mask [Q, L]."""
        return {"tokens": tokens, "mask": mask}

    def forward(self, images: Kept, texts: Kept) -> Tensor:
        """What is kept of G images and of Q captions -> fine_scores [Q, G]."""
        return score_pairs(self._score_block, images, texts)

    def by_member(self, images: Kept, texts: Kept) -> Tensor:
        """The same of the one member that there is [Q, G, 1]."""
        return self(images, texts)[..., None]

    def shares(self, images: Kept, texts: Kept) -> Tensor:
        """What is kept of C images and of their C captions -> alpha [C, L, R]."""
        match = texts["tokens"] @ images["keys"].transpose(1, 2)
        return region_shares(match, images["mask"][:, None])

    def explain(self, images: Kept, texts: Kept) -> Tensor:
        """What is kept of C images and of their C captions -> alpha[m, k] t_m . u_k / M [C, L, R], whose sum
        is s_fine.
        """
        agreement = texts["tokens"] @ images["evidence"].transpose(1, 2)
        return self.shares(images, texts) * agreement * token_shares(texts["mask"])[..., None]

    @staticmethod
    def _score_block(images: Kept, texts: Kept) -> Tensor:
        # One product: an image alone has few regions, and twice as many rows take little longer.
        both = torch.cat([images["keys"], images["evidence"]], dim=1)
        flat = both.flatten(0, 1) @ texts["tokens"].flatten(0, 1).T
        match, agreement = flat.view(len(both), 2, images["mask"].shape[1], flat.shape[1]).unbind(1)
        gathered = (region_shares(match, images["mask"][..., None], dim=1) * agreement).sum(dim=1)
        return token_mean(gathered.unflatten(1, texts["mask"].shape), texts["mask"]).T


class LateInteraction(nn.Module):
    """Lets every token of a caption take the one region that is nearest to it.

        s_fine = g mean_m max_k t_m . r_k        cosine; tokens and regions are of one space

    Without regions to bring into that space it has nothing to learn and g = 1; where there is a map that is
    to be learned, g is learned too and 0 at the start.
    Source: arXiv 2111.07783 (FILIP), 3.1.
    """

    def __init__(self, learned: bool) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(())) if learned else None

    def is_silent(self) -> bool:
        """Whether every score is 0, as before anything is learned."""
        return self.gate is not None and not self.gate.any()

    def keep_regions(self, regions: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """[G, R, T], [G, R] bool -> regions [G, R, T], mask [G, R]."""
        return {"regions": regions, "mask": mask}

    def keep_tokens(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """[Q, L, T], [Q, L] bool -> tokens [Q, L, T], mask [Q, L]."""
        return {"tokens": tokens, "mask": mask}

    def forward(self, images: Kept, texts: Kept) -> Tensor:
        """What is kept of G images and of Q captions -> fine_scores [Q, G]."""
        scores = score_pairs(self._score_block, images, texts)
        return scores if self.gate is None else self.gate * scores

    def by_member(self, images: Kept, texts: Kept) -> Tensor:
        """The same of the one member that there is [Q, G, 1]."""
        return self(images, texts)[..., None]

    def explain(self, images: Kept, texts: Kept) -> Tensor:
        """What is kept of C images and of their C captions -> g t_m . r_k / M of each token's nearest region,
        0 elsewhere [C, L, R], whose sum is s_fine.
        """
        match = texts["tokens"] @ images["regions"].transpose(1, 2)
        hidden = match.masked_fill(~images["mask"][:, None], torch.finfo(match.dtype).min)
        nearest = torch.zeros_like(match).scatter(-1, hidden.argmax(dim=-1, keepdim=True), 1.0)
        taken = nearest * match * images["mask"][:, None] * token_shares(texts["mask"])[..., None]
        return taken if self.gate is None else self.gate * taken

    @staticmethod
    def _score_block(images: Kept, texts: Kept) -> Tensor:
        match = _all_pairs(texts["tokens"], images["regions"])
        mask = images["mask"][None, None]
        nearest = match.masked_fill(~mask, torch.finfo(match.dtype).min).amax(dim=-1)
        nearest = torch.where(mask.any(dim=-1), nearest, 0.0)
        return token_mean(nearest.transpose(1, 2), texts["mask"][:, None])


def _all_pairs(of_tokens: Tensor, of_regions: Tensor) -> Tensor:
    """[Q, L, A], [G, R, A] -> inner products [Q, L, G, R] of every token with every region."""
    flat = of_tokens.flatten(0, 1) @ of_regions.flatten(0, 1).T
    return flat.view(*of_tokens.shape[:2], *of_regions.shape[:2])
