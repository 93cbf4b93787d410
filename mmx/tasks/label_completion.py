"""Label completion: a caption of a test set is taken to name what captions near it in that set name too.

It looks at the whole set of queries before it answers one of them (it is transductive), and among the nearest
captions are mostly those of the same image. So it is never part of a model's own numbers.
Source: CVSE code (BruceW91/CVSE, commit 94c2191, evaluation.py:451-477); how many are near is ours.
Shapes: N images, C captions, D shared width, K neighbours.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

NEAREST = 5
BLOCK = 1024
DEFINITION = (
    f"Labels completed: a caption also counts as naming the concepts of its {NEAREST} nearest captions of "
    "this split, and of the captions just before and after it in the ranking of its best image. This looks "
    "at all queries at once, which no search can do: not a number of the model."
)


def near_captions(image: Tensor, text: Tensor) -> Tensor:
    """[N, D], [C, D], unit length -> [C, K] int64: captions near each one; its own number fills up."""
    captions = torch.arange(len(text))
    nearest, best = [], []
    for some in captions.split(BLOCK):
        among = text[some] @ text.T
        among[torch.arange(len(some)), some] = -torch.inf
        nearest.append(among.topk(min(NEAREST, len(text) - 1)).indices)
        best.append((text[some] @ image.T).argmax(1))
    return torch.cat([torch.cat(nearest), _adjacent(image, text, torch.cat(best))], dim=1)


def completed_labels(labels: Sequence[Sequence[int]], near: Tensor) -> list[list[int]]:
    """What each of C captions names, and [C, K] -> what it and those near it name, each number once."""
    return [
        sorted({*own, *(number for place in places for number in labels[place])})
        for own, places in zip(labels, near.tolist(), strict=True)
    ]


def _adjacent(image: Tensor, text: Tensor, best: Tensor) -> Tensor:
    """[C] each caption's best image -> [C, 2]: the captions before and after it in that image's ranking."""
    found = torch.arange(len(text))[:, None].repeat(1, 2)
    for row in best.unique().tolist():
        asking = (best == row).nonzero().squeeze(1)
        order = (text @ image[row]).argsort(descending=True, stable=True)
        place = order.argsort()[asking]
        found[asking, 0] = order[(place - 1).clamp(min=0)]
        found[asking, 1] = order[(place + 1).clamp(max=len(text) - 1)]
    return found
