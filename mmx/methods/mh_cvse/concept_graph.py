"""Concepts that keep company: a graph counted from captions, and a network that embeds its nodes.

Source: CVSE code (BruceW91/CVSE, commit 94c2191, util/util_C_GCN.py:29-132 and util/C_GCN.py); arXiv
2007.08883.
Shapes: K concepts, W width of a concept's vector, G hidden width, D shared width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.methods.mh_cvse.settings import MhCvseSettings

LEAK = 0.2


def conditional_probability(counts: Tensor, pairs: Tensor) -> Tensor:
    """[K], [K, K] captions -> P [K, K] float64 in 0..1: P_ij, that concept j is there where i is."""
    return pairs.double() / counts.double().clamp(min=1)[:, None]


def rescale(probability: Tensor, base: float, offset: float) -> Tensor:
    """f(P) = s^(P - u) - s^(-u): 0 at P = 0, and rising the faster the larger P is."""
    return base ** (probability - offset) - base ** (-offset)


def reweigh(edges: Tensor, neighbour_share: float) -> Tensor:
    """[K, K] bool -> W = share G / (column sums of G) + I: each column of G is spread over its edges."""
    spread = edges.double() / edges.sum(dim=0).clamp(min=1)
    return neighbour_share * spread + torch.eye(len(edges), dtype=torch.float64)


def normalize_rows(weights: Tensor) -> Tensor:
    """W' / row sums: what each concept takes in sums to 1; one without edges keeps itself."""
    taken = weights.T
    return taken / taken.sum(dim=1, keepdim=True)


def normalize_faithfully(weights: Tensor) -> Tensor:
    """D^-1/2 W' D^-1/2, D the row sums of W, as in the source; its rows sum to no fixed number."""
    root = weights.sum(dim=1).rsqrt()
    return root[:, None] * weights.T * root[None, :]


def build_adjacency(counts: Tensor, pairs: Tensor, settings: MhCvseSettings) -> Tensor:
    """[K], [K, K] captions -> [K, K] float32, how much each concept takes in from every other and itself."""
    probability = conditional_probability(counts, pairs)
    edges = rescale(probability, settings.edge_base, settings.edge_offset) >= settings.edge_threshold
    edges.fill_diagonal_(False)
    weights = reweigh(edges, settings.neighbour_share)
    normalize = normalize_rows if settings.graph_norm == "row" else normalize_faithfully
    return normalize(weights).float()


class ConceptGraph(nn.Module):
    """Embeds the concepts by a graph network of two layers.

    C = l2(A LeakyReLU(A X Theta1) Theta2)        A: the adjacency, X: vectors of the concepts
    """

    def __init__(self, adjacency: Tensor, vectors: nn.Parameter | Tensor, settings: MhCvseSettings) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        if isinstance(vectors, nn.Parameter):
            self.vectors = vectors
        else:
            self.register_buffer("vectors", vectors)
        self.inner = _drawn(vectors.shape[1], settings.graph_width)
        self.outer = _drawn(settings.graph_width, settings.width)
        self._kept: tuple[tuple[tuple[int, int], ...], Tensor] | None = None

    def forward(self) -> Tensor:
        """-> concepts [K, D] float32, unit length; without gradients kept until a weight changes."""
        if torch.is_grad_enabled():
            return self._embed()
        state = tuple((value._version, value.data_ptr()) for value in (self.vectors, self.inner, self.outer))
        if self._kept is None or self._kept[0] != state:
            self._kept = state, self._embed()
        return self._kept[1]

    def train(self, mode: bool = True) -> "ConceptGraph":
        """As every module, and what was kept is forgotten."""
        self._kept = None
        return super().train(mode)

    def _embed(self) -> Tensor:
        with torch.autocast(self.inner.device.type, enabled=False):
            hidden = functional.leaky_relu(self.adjacency @ (self.vectors @ self.inner), LEAK)
            return functional.normalize(self.adjacency @ (hidden @ self.outer), dim=-1)


def draw_vectors(
    count: int, width: int, vectors: Tensor | None, found: Tensor | None
) -> nn.Parameter | Tensor:
    """Vectors [K, W] of the concepts: fixed pretrained ones, random where none was found; else learned."""
    drawn = torch.randn(count, width if vectors is None else vectors.shape[1]) / width**0.5
    if vectors is None or found is None:
        return nn.Parameter(drawn)
    return torch.where(found[:, None], vectors, drawn)


def _drawn(in_width: int, out_width: int) -> nn.Parameter:
    bound = out_width**-0.5
    return nn.Parameter(torch.empty(in_width, out_width).uniform_(-bound, bound))
