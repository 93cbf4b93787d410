"""Linear classifiers by full-batch descent, pulled back to where they start, along a path of pulls.

Source: the search within a span of directions is that of Narkiss and Zibulevsky 2005 (sequential subspace
optimization); that the span is kept along the path is ours.
Shapes: N samples, F feature width, C classes, M directions.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

PULLS = (1e-2, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
"""Weights of the pull, from a strong one to next to none."""
SLOPE, STEPS = 2e-5, 100
"""A pull is done where no number of the gradient is larger, after so many steps, or where a step fails."""
DIRECTIONS, NUMBERS = 64, 2**27
"""Directions that are kept at most, and numbers of them and of their logits: half a gigabyte of each."""
FEWEST = 2
"""The last two alone make a descent much like that by conjugate gradients."""
FLATTEST, SHORTEST, NOISE = 1e-6, 1e-3, 1e-6
"""The least curvature as a share of the greatest; the least share of a step that is tried; the share of a
loss that it may rise by, for its sum is one of float32.
"""
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
    samples, mean, spread = _standard(features, weights)
    descent = _Descent(samples, labels, start @ features.T, weights)
    for pull in PULLS:
        slopes = descent.settle(pull) / spread
        yield pull, start + slopes, -slopes @ mean


class _Descent:
    """Where V stands, and the last gradients on its way there, each with the logits that it would add.

    Logits are linear in V. A Newton step towards the best of the whole span of M directions, over M numbers,
    thus needs no other look at the samples; two products a look bring the next direction. For another pull
    the span is as good as before.
    """

    def __init__(self, samples: Tensor, labels: Tensor, logits: Tensor, weights: Tensor) -> None:
        """[N, F], [N], logits [C, N] at V = 0, [N]."""
        self._samples, self._weights = samples, weights
        self._right = labels, torch.arange(len(labels))
        self._moved = samples.new_zeros(len(logits), samples.shape[1])
        most = max(FEWEST, min(DIRECTIONS, NUMBERS // max(logits.numel(), self._moved.numel())))
        self._directions = samples.new_empty(most, self._moved.numel())
        self._added = samples.new_empty(most, *logits.shape)
        self._products = samples.new_empty(most, most)
        self._seen = 0
        self._stand(logits, *self._look(logits))

    def settle(self, pull: float) -> Tensor:
        """V [C, F] where the gradient is next to nothing, or where this was given up."""
        if self._seen:
            self._step(pull)
        for _ in range(STEPS):
            slope = self._errors @ self._samples + pull * self._moved
            if float(slope.abs().max()) <= SLOPE:
                break
            self._add(slope / slope.norm())
            if not self._step(pull):
                break
        return self._moved

    def _add(self, direction: Tensor) -> None:
        """[C, F], in the place of the oldest where there are many."""
        place = self._seen % len(self._directions)
        self._seen += 1
        flat, there = direction.flatten(), slice(self._seen)
        self._directions[place] = flat
        torch.mm(direction, self._samples.T, out=self._added[place])
        self._products[place, there] = self._products[there, place] = self._directions[there] @ flat

    def _step(self, pull: float) -> bool:
        """To the least of the loss within the span, as its curvature has it; False where none is lower."""
        there = slice(min(self._seen, len(self._directions)))
        directions, added = self._directions[there], self._added[there]
        slope = added.flatten(1) @ self._errors.flatten() + pull * (directions @ self._moved.flatten())
        step = -_solve(self._curvature(added) + pull * self._products[there, there], slope)
        moved, logits = (step @ directions).view_as(self._moved), torch.tensordot(step, added, 1)
        loss = self._loss + pull / 2 * float(self._moved.square().sum())
        share = 1.0
        while share > SHORTEST:
            further, beyond = self._moved + share * moved, self._logits + share * logits
            found = self._look(beyond)
            if found[0] + pull / 2 * float(further.square().sum()) <= loss * (1 + NOISE):
                self._moved = further
                self._stand(beyond, *found)
                return True
            share /= 2
        return False

    def _curvature(self, added: Tensor) -> Tensor:
        """[M, C, N] -> the lower triangle [M, M] of that of the loss without the pull."""
        weighted = self._shares * self._weights
        found = added.new_zeros(len(added), len(added))
        for row, logits in enumerate(added):
            bent = (logits - (self._shares * logits).sum(0)).mul_(weighted)
            found[row, : row + 1] = added[: row + 1].flatten(1) @ bent.flatten()
        return found

    def _look(self, logits: Tensor) -> tuple[float, Tensor]:
        """[C, N] -> the mean loss, and the shares of the classes [C, N]."""
        largest = logits.amax(0)
        powers = (logits - largest).exp_()
        sums = powers.sum(0)
        losses = largest + sums.log() - logits[self._right]
        return float(self._weights @ losses), powers.div_(sums)

    def _stand(self, logits: Tensor, loss: float, shares: Tensor) -> None:
        self._logits, self._loss, self._shares = logits, loss, shares
        self._errors = shares * self._weights
        self._errors[self._right] -= self._weights


def _solve(curvature: Tensor, slope: Tensor) -> Tensor:
    """The lower triangle of [M, M], [M] -> [M]; a direction nearly of the others' span stays bounded."""
    values, vectors = torch.linalg.eigh(curvature.double())
    values = values.clamp(min=FLATTEST * float(values[-1]))
    return (vectors @ ((vectors.T @ slope.double()) / values)).to(slope.dtype)


def _standard(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[N, F], [N] -> what is learned from [N, F], the mean [F] taken from it, and what it was divided by [F]:
    the deviation times the mean length of what is divided by it.
    """
    mean = weights @ features
    samples = features - mean
    deviation = (weights @ samples.square()).sqrt()
    deviation = deviation.clamp(min=LEAST_SPREAD * float(deviation.mean())).clamp(min=1e-12)
    samples /= deviation
    length = max(float(weights @ samples.norm(dim=1)), 1e-12)
    return samples.div_(length), mean, deviation * length
