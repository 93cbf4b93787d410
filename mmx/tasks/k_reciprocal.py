"""k-reciprocal re-ranking: an image is nearer to a query whose nearest images are also the image's own.

Source: arXiv 1701.08398, sections 3.2 to 3.4. There query and gallery are of one kind; here a query is a
caption, which joins through its nearest images, so that what counts as near among images is never compared
with what counts as near between words and images (ours). It looks at the whole gallery, at no other query.
Shapes: N images, C captions, D width, K neighbours, P images that an encoding names at most.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

NEIGHBOURS, EXPANSION, SHARE = 20, 6, 0.3
"""k1, k2 and lambda of the source."""
OVERLAP = 2 / 3
"""Of a neighbour's own neighbours that must be shared, for the rest of them to join."""
ROWS = 256

WEIGHT = (1 - SHARE) / SHARE
"""score = cosine + WEIGHT x overlap sorts as the source's (1 - lambda) Jaccard distance + lambda distance."""

DEFINITION = (
    f"k-reciprocal: score = cosine + {WEIGHT:.2f} x overlap of the reciprocal neighbours, for the nearest "
    f"images of each caption (arXiv 1701.08398, k1 {NEIGHBOURS}, k2 {EXPANSION}, lambda {SHARE}). It looks "
    "at the whole gallery, which no model does that answers one pair at a time: a row of its own."
)


@dataclass(frozen=True)
class Encodings:
    """Each item as a distribution over the images near to it; rows sum to 1."""

    image: Tensor
    """[X, P] int64, padded with any image."""
    share: Tensor
    """[X, P] float32, 0 on padding."""


@dataclass(frozen=True)
class KReciprocal:
    """Overlap of captions and images; a fine score of `mmx.tasks.rerank`."""

    images: Encodings
    texts: Encodings

    @classmethod
    def of(cls, image: Tensor, text: Tensor) -> "KReciprocal":
        """[N, D], [C, D] unit length, on the CPU -> the encodings of all images and captions."""
        near = _nearest(image, image, NEIGHBOURS + 1)
        own = _encode(image, near)
        return cls(_mean(own, near[:, :EXPANSION]), _mean(own, _nearest(text, image, EXPANSION)))

    def __call__(self, image_rows: Tensor, text_rows: Tensor) -> Tensor:
        """[G], [Q] int64 -> overlaps [Q, G] float32: sum min / sum max of two encodings, 0..1."""
        dense = _dense(self.images.image[image_rows], self.images.share[image_rows], len(self.images.image))
        named, share = self.texts.image[text_rows], self.texts.share[text_rows]
        theirs = dense[:, named.flatten()].view(len(image_rows), *named.shape)
        shared = torch.minimum(theirs, share).sum(-1).T
        return shared / (2 - shared)


def _nearest(query: Tensor, image: Tensor, number: int) -> Tensor:
    """[X, D], [N, D] -> the nearest images of each query [X, K], best first."""
    return torch.cat(
        [(some @ image.T).topk(min(number, len(image)), dim=1).indices for some in query.split(ROWS)]
    )


def _encode(image: Tensor, near: Tensor) -> Encodings:
    """[N, D], neighbours [N, K] -> each image by its reciprocal neighbours, and theirs where most are shared.

    share = exp(cosine - 1), made to sum to 1
    """
    half = near[:, : NEIGHBOURS // 2 + 1]
    back, half_back = _reciprocal(near), _reciprocal(half)
    parts = []
    for rows in torch.arange(len(near)).split(ROWS):
        named = torch.zeros(len(rows), len(image)).scatter_(1, near[rows], back[rows].float())
        # What the neighbours name: [rows, K, half].
        theirs, counts = half[near[rows]], half_back[near[rows]] & back[rows][..., None]
        known = named.gather(1, theirs.flatten(1)).view(theirs.shape) > 0
        joins = (known & counts).sum(-1) >= OVERLAP * counts.sum(-1)
        joined = (counts & joins[..., None]).float()
        named.scatter_reduce_(1, theirs.flatten(1), joined.flatten(1), "amax")
        parts.append(_sparse(named * (image[rows] @ image.T - 1).exp()))
    return _stack(parts)


def _reciprocal(near: Tensor) -> Tensor:
    """[N, K] -> [N, K] bool: which neighbours have the image among their own nearest."""
    parts = torch.arange(len(near)).split(ROWS)
    return torch.cat([(near[near[rows]] == rows[:, None, None]).any(-1) for rows in parts])


def _mean(own: Encodings, near: Tensor) -> Encodings:
    """The mean encoding of the images [X, K] near to each item."""
    number = len(own.image)
    return _stack(
        [
            _sparse(_dense(own.image[some].flatten(1), own.share[some].flatten(1), number))
            for some in near.split(ROWS)
        ]
    )


def _dense(named: Tensor, share: Tensor, number: int) -> Tensor:
    """[X, P], [X, P] -> [X, number]."""
    return torch.zeros(len(named), number).scatter_add_(1, named, share)


def _sparse(dense: Tensor) -> Encodings:
    """[X, N], not negative, none of its rows nothing -> the same by what is not 0, made to sum to 1."""
    share, named = dense.topk(int((dense > 0).sum(1).max()), dim=1)
    return Encodings(named, share / share.sum(1, keepdim=True))


def _stack(parts: list[Encodings]) -> Encodings:
    width = max(part.image.shape[1] for part in parts)
    padded = [(part.image, part.share, width - part.image.shape[1]) for part in parts]
    return Encodings(
        torch.cat([functional.pad(image, (0, lacking)) for image, _, lacking in padded]),
        torch.cat([functional.pad(share, (0, lacking)) for _, share, lacking in padded]),
    )
