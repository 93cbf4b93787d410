"""Sparse attention beside dense: eight items, four heads of 64, at the lengths of two grids of patches.

The least length at which a sparse form wins depends on the machine. That a form attends to what it says is a
matter of the tests; here only the two dense forms must agree.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.side_by_side import Contestant, Different, Match, Peer, Row, main, not_compared
from mmx.methods.attention_clip.sparse_attention import GridWindow, TopK, Window

ITEMS, HEADS, WIDTH = 8, 4, 64
HALF, RADIUS, KEPT = 16, 1, 32
MOST_APART = 1e-5
Form = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def plain(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Two products with all scores between them."""
    scores = (query @ key.transpose(-2, -1) / WIDTH**0.5).masked_fill(~mask[:, None, None, :], -torch.inf)
    return scores.softmax(-1) @ value


def fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """PyTorch's fused kernel, which holds no scores."""
    return scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])


def patterned(pattern: Window | GridWindow | TopK) -> Form:
    """A sparse form as a function of tokens and mask."""
    return lambda query, key, value, mask: pattern(query, key, value, mask, 0.0)


def forms(length: int) -> dict[str, Form]:
    """By name; a square length is that of a grid."""
    return {
        "dense, fused": fused,
        "dense, plain": plain,
        f"window {2 * HALF}": patterned(Window(HALF)),
        f"grid {2 * RADIUS + 1} x {2 * RADIUS + 1}": patterned(GridWindow(RADIUS)),
        f"top {KEPT}": patterned(TopK(KEPT)),
    }


def draw(keys: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys and values of a global token and so many others; half of the items are shorter."""
    query, key, value = (torch.randn(ITEMS, HEADS, keys + 1, WIDTH) for _ in range(3))
    mask = torch.ones(ITEMS, keys + 1, dtype=torch.bool)
    mask[::2, 1 + keys - keys // 5 :] = False
    return query, key, value, mask


def compare(mine: Tensor, theirs: Tensor) -> Mapping[str, float]:
    """The largest difference of the dense forms."""
    apart = float((mine - theirs).abs().max())
    if apart > MOST_APART:
        raise Different(f"the dense forms lie {apart} apart")
    return {"apart": apart}


def make(length: int, quick: bool) -> Match:
    """Dense attention as it is used, and the sparse forms beside it."""
    length = 64 if quick else length
    given = draw(length)
    work = {name: partial(form, *given) for name, form in forms(length).items()}
    return Contestant("dense, fused", work.pop("dense, fused")), [
        Peer(
            name,
            each,
            compare=compare if name == "dense, plain" else not_compared,
            origin="written here" if name == "dense, plain" else "mmx otherwise",
        )
        for name, each in work.items()
    ]


ROWS = [
    Row("attention-196", "attention over 196 tokens", partial(make, 196), memory=True, rounds=5),
    Row("attention-2025", "attention over 2,025 tokens", partial(make, 2025), memory=True, rounds=5),
]

if __name__ == "__main__":
    main(__file__, ROWS)
