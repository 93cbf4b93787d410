"""Small few-shot episodes: blobs around class directions, with class texts near them."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.core.classifier import ClassTexts, Episode


def random_unit(rows: int, width: int, seed: int) -> Tensor:
    """[rows, width], of unit length."""
    return normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def make_episode(
    classes: int = 5,
    shots: int = 4,
    width: int = 16,
    noise: float = 0.25,
    texts: str = "shared",
    seed: int = 0,
) -> tuple[Episode, Tensor, Tensor]:
    """An episode, and features [60 C, width] with labels that nobody has seen.

    `texts` is `shared` (near the class directions), `other` (of a space of their own) or `none`.
    """
    centres = random_unit(classes, width, seed)
    random = torch.Generator().manual_seed(seed + 1)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        labels = torch.arange(classes).repeat_interleave(count)
        spread = noise * torch.randn(len(labels), width, generator=random)
        return normalize(centres[labels] + spread, dim=1), labels

    near = {"shared": centres + 0.3 * random_unit(classes, width, 9), "other": random_unit(classes, 7, 8)}
    found = None
    if texts != "none":
        words = tuple(f"a photo of class {label}." for label in range(classes))
        found = ClassTexts(normalize(near[texts], dim=1), torch.arange(classes), words, texts == "shared")
    (features, labels), (val, val_labels), (test, test_labels) = draw(shots), draw(min(shots, 4)), draw(60)
    return Episode(features, labels, val, val_labels, classes, found, seed), test, test_labels
