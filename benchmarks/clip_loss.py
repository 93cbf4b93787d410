"""The contrastive loss of 1,024 pairs and its gradient: mmx's beside open_clip's, as published.

Both begin with vectors that are not of unit length, which CLIP's model divides by their length before its
loss; both are asked for the gradients of images, captions and the scale.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.side_by_side import Contestant, Different, Match, Peer, Row, main
from mmx.methods.attention_clip.loss import corrected_loss
from mmx.nn.contrastive import positive_pairs

WIDTH, SCALE = 512, 14.3
MOST_APART = 1e-5

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def gradients(loss: Loss, leaves: list[Tensor]) -> list[Tensor]:
    """The loss and its gradients of images, captions and the scale."""
    total = loss(*leaves)
    return [total.detach(), *torch.autograd.grad(total, leaves)]


def compare(mine: list[Tensor], theirs: list[Tensor]) -> Mapping[str, float]:
    """The largest difference of the loss or of a gradient, as a share of its largest value."""
    apart = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(mine, theirs, strict=True))
    if apart > MOST_APART:
        raise Different(f"loss or gradients lie {apart} apart")
    return {"apart": apart}


def make(quick: bool) -> Match:
    """Pairs of noise."""
    from open_clip.loss import ClipLoss

    pairs = 64 if quick else 1024
    leaves = [torch.randn(pairs, WIDTH), torch.randn(pairs, WIDTH), torch.tensor(SCALE)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    groups, published = torch.arange(pairs), ClipLoss()

    def ours(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
        return corrected_loss(image, text, scale, positive_pairs(groups, groups))

    def theirs(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
        return published(normalize(image, dim=-1), normalize(text, dim=-1), scale)

    peer = partial(gradients, theirs, leaves)
    return Contestant("mmx", partial(gradients, ours, leaves)), [
        Peer("open_clip", peer, compare=compare, origin="as published", faster=1.5)
    ]


ROWS = [
    Row(
        "clip-loss",
        "contrastive loss, 1,024 pairs, d 512, forward and backward",
        make,
        packages=("open-clip-torch",),
        note="Three products of matrices beside open_clip's six are two thirds of mmx's time. Tables of "
        "targets and two log-softmaxes gave way to the positive scores and to sums whose exponentials "
        "serve the gradient too (a fifth faster than torch's log-sum-exps). Tried: one table of "
        "exponentials for both directions (a few percent faster, but rows far below the greatest "
        "score come to nothing).",
    )
]

if __name__ == "__main__":
    main(__file__, ROWS)
