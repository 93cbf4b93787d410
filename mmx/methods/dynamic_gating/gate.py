"""The gate: which rows of a memory a picture opens, and how far.

Shapes: B pictures, M rows of the memory, F width.
"""

from torch import Tensor


def gate(scores: Tensor, top_k: int | None = None) -> Tensor:
    """[B, M] -> alpha [B, M]: softmax over the k best of each row, exactly 0 elsewhere; None opens all.

    Rows sum to 1 with exactly min(k, M) places that may differ from 0, also where scores are tied.
    """
    if top_k is None or top_k >= scores.shape[1]:
        return scores.softmax(1)
    best, places = scores.topk(top_k, dim=1)
    return scores.new_zeros(scores.shape).scatter(1, places, best.softmax(1))
