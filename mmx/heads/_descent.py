"""Linear classifiers by full-batch L-BFGS, pulled back to where they start, along a path of pulls.

Shapes: N samples, F feature width, C classes.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

PULLS = (1e-2, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
"""Weights of the pull, from a strong one to next to none."""
ITERATIONS = 100
LEAST_SPREAD = 0.1
"""Of the mean deviation: a number that hardly differs among the samples is not made more of than this."""


def descend(
    features: Tensor, labels: Tensor, start: Tensor, sample_weights: Tensor | None = None
) -> Iterator[tuple[float, Tensor, Tensor]]:
    """[N, F], [N] int64, [C, F] (and [N], which sum to 1) -> each pull with weights [C, F] and biases [C].

        z = (x - m) / s        logits = x . start + z . V = x . W + b
        mean CE(logits, y) + pull / 2 ||V||^2

    m and s are the mean and deviation of each feature, s times one number so that z has a mean length of 1:
    a pull on V moves all features alike, however far they spread. This is convex: each pull begins where the
    one before it ended.
    """
    weights = torch.full((len(labels),), 1 / len(labels)) if sample_weights is None else sample_weights
    mean, spread = _spread(features, weights)
    moved = torch.zeros_like(start, requires_grad=True)
    begun, standard = features @ start.T, (features - mean) / spread
    for pull in PULLS:
        optimizer = torch.optim.LBFGS(
            [moved],
            max_iter=ITERATIONS,
            tolerance_grad=1e-5,
            tolerance_change=1e-9,
            line_search_fn="strong_wolfe",
        )

        def loss(optimizer: torch.optim.LBFGS = optimizer, pull: float = pull) -> Tensor:
            optimizer.zero_grad()
            each = cross_entropy(begun + standard @ moved.T, labels, reduction="none")
            total = (weights * each).sum() + pull / 2 * moved.square().sum()
            total.backward()
            return total

        optimizer.step(loss)
        slopes = moved.detach() / spread
        yield pull, start + slopes, -slopes @ mean


def _spread(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """[N, F], [N] -> the mean [F], and the deviation [F] times the mean length of what is divided by it."""
    mean = weights @ features
    deviation = (weights @ (features - mean).square()).sqrt()
    deviation = deviation.clamp(min=LEAST_SPREAD * float(deviation.mean())).clamp(min=1e-12)
    length = float(weights @ ((features - mean) / deviation).norm(dim=1))
    return mean, deviation * max(length, 1e-12)
