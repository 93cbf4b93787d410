"""How well classes are told apart: accuracy, F1, the confusion matrix, and whether probabilities hold.

Shapes: N samples, C classes. Percentages run from 0 to 100; a class is a number from 0 to C - 1.
Source: temperature scaling and the expected calibration error of Guo et al. 2017.
"""

from dataclasses import dataclass

import numpy
import torch
from numpy import ndarray
from torch import Tensor

from mmx.tasks.resampling import LEVEL, PERMUTATIONS, RESAMPLES, Sums

BINS = 15
STEPS, CLOSE = 60, 1e-9
"""Of Newton's method at most, or of halving; it ends where a step would change less than this share."""
TEMPERATURES = (1e-3, 1e3)
"""The range in which a temperature is looked for, in units of the spread of the logits."""
CELLS_AT_ONCE = 2_000_000

DEFINITIONS = {
    "accuracy": "Accuracy: share of samples whose most probable class is the right one, in percent.",
    "f1": "F1 of a class: 2 TP / (2 TP + FP + FN), 0 where it is neither there nor said; weighted: by how "
    "often each class is there; macro: the mean over the classes that are there or said.",
    "calibration": f"Calibration error: mean gap between confidence and accuracy over {BINS} bins of equal "
    "width, weighted by their samples, in percent.",
    "interval": f"Intervals: {LEVEL:.0%} percentile bootstrap, {RESAMPLES:,} resamples of whole samples.",
    "paired": "Intervals of differences are paired: over the same samples of both; "
    f"p: two-sided, {PERMUTATIONS:,} swaps of whole samples.",
}
"""What the numbers mean, printed and saved with them."""

METRICS = ("accuracy", "weighted_f1", "macro_f1")


@dataclass(frozen=True)
class ClassScores:
    """What each class got, each [C] float64: `precision`, `recall` and `f1` in percent; `support` int64."""

    precision: Tensor
    recall: Tensor
    f1: Tensor
    support: Tensor


def confusion_matrix(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """[N] int64, [N] int64 -> [C, C] int64: row is the right class, column the one said.

    Raises:
        ValueError: when the lengths differ, or a class is not below `classes`.
    """
    if predicted.shape != labels.shape or predicted.dim() != 1:
        raise ValueError(f"{list(predicted.shape)} predictions have {list(labels.shape)} labels")
    for what, numbers in (("prediction", predicted), ("label", labels)):
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < classes:
            raise ValueError(f"a {what} is not one of {classes} classes")
    return torch.bincount(labels * classes + predicted, minlength=classes * classes).view(classes, classes)


def class_scores(confusion: Tensor) -> ClassScores:
    """[C, C] -> precision, recall and F1 of each class; 0 where there is nothing to divide by."""
    counts = confusion.double()
    right, said, there = counts.diagonal(), counts.sum(0), counts.sum(1)
    return ClassScores(
        precision=_percent(right, said),
        recall=_percent(right, there),
        f1=_percent(2 * right, said + there),
        support=confusion.sum(1),
    )


def classification_metrics(confusion: Tensor) -> dict[str, float]:
    """[C, C] -> `accuracy`, `weighted_f1` and `macro_f1` in percent.

    Raises:
        ValueError: when no sample was counted.
    """
    if not int(confusion.sum()):
        raise ValueError("there is no sample to measure")
    values = _metrics(confusion[None].double(), _only_said(confusion))[0]
    return dict(zip(METRICS, (float(value) for value in values), strict=True))


def intervals(
    predicted: Tensor, labels: Tensor, classes: int, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """[N] int64, [N] int64 -> the 95% bootstrap interval of each metric, in percent.

    Raises:
        ValueError: as for `confusion_matrix`, and when there is no sample.
    """
    confusion = confusion_matrix(predicted, labels, classes)
    if not len(labels):
        raise ValueError("there is no sample to measure")
    cells, absent = confusion.flatten(), _only_said(confusion)
    # only pairs of classes that occur can be drawn, so that a draw is a handful of counts
    there = cells.nonzero().flatten()
    shares = (cells[there].double() / len(labels)).numpy()
    random = numpy.random.default_rng(seed)
    at_once = max(1, CELLS_AT_ONCE // (classes * classes))
    values = []
    for first in range(0, resamples, at_once):
        counts = random.multinomial(len(labels), shares, size=min(at_once, resamples - first))
        drawn = torch.zeros(len(counts), classes * classes, dtype=torch.float64)
        drawn[:, there] = torch.from_numpy(counts).double()
        values.append(_metrics(drawn.view(-1, classes, classes), absent))
    tail = (1 - LEVEL) / 2
    edges = torch.tensor([tail, 1 - tail], dtype=torch.float64)
    low, high = torch.cat(values).quantile(edges, dim=0)
    return {name: (float(low[place]), float(high[place])) for place, name in enumerate(METRICS)}


class ClassSums:
    """What each sample adds: one to the cell of its right class and the one said, of [C, C].

    Raises:
        ValueError: as for `confusion_matrix`.
    """

    def __init__(self, predicted: Tensor, labels: Tensor, classes: tuple[str, ...]) -> None:
        count = len(classes)
        self.names, self.number, self.width = METRICS, len(labels), count * count
        self._labels, self._classes = labels, classes
        self._cells = labels * count + predicted
        self._absent = _only_said(confusion_matrix(predicted, labels, count))

    def add(self, weights: ndarray) -> ndarray:
        """[draws, N] how often each sample counts -> [draws, C * C]."""
        sums = torch.zeros(len(weights), self.width, dtype=torch.float64)
        return sums.index_add_(1, self._cells, torch.from_numpy(weights)).numpy()

    def scores(self, sums: ndarray, whole: bool = False) -> ndarray:
        """[draws, C * C] -> [draws, 3]: accuracy, weighted and macro F1 in percent. In a draw that is not
        whole, a class that is nowhere but was said here has its 0 however seldom it is said.
        """
        confusions = torch.from_numpy(sums).unflatten(1, (len(self._classes), -1))
        absent = torch.zeros_like(self._absent) if whole else self._absent
        return _metrics(confusions, absent).numpy()

    def same_items(self, other: Sums) -> bool:
        """Whether another run is over samples of the same classes."""
        return (
            isinstance(other, ClassSums)
            and self._classes == other._classes
            and torch.equal(self._labels, other._labels)
        )


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """[N, C], [N] int64 -> the temperature under which softmax(logits / temperature) says the labels best.

    It has the least log loss, which is convex in 1 / temperature; it is looked for by Newton's method, or by
    halving where that leads too far, between 0.001 and 1,000 times the spread of the logits. Logits without
    any get 1. As few samples are never proof, the right class is asked for with (N + 1) / (N + 2) alone, as
    Platt (1999) does: logits that are right about all of them keep a finite temperature.

    Raises:
        ValueError: when there is no sample, or a logit is not a number.
    """
    if not len(labels) or not bool(logits.isfinite().all()):
        raise ValueError("a temperature is fitted to samples with finite logits")
    scores = logits.double()
    scores = scores - scores.mean(1, keepdim=True)
    spread = float(scores.square().mean().sqrt())
    if not spread:
        return 1.0
    scores = scores / spread
    wanted = (_targets(labels, logits.shape[1]) * scores).sum(1)
    low, high = (1 / edge for edge in reversed(TEMPERATURES))
    sharpness = 1.0
    for _ in range(STEPS):
        # the slope and the curve of the log loss by the sharpness, 1 / temperature
        shares = (scores * sharpness).softmax(1)
        expected = (shares * scores).sum(1)
        slope = float((expected - wanted).mean())
        curve = float(((shares * scores.square()).sum(1) - expected.square()).mean())
        if abs(slope) <= CLOSE * sharpness * curve:
            break
        low, high = (low, sharpness) if slope > 0 else (sharpness, high)
        sharpness -= slope / max(curve, 1e-300)
        if not low < sharpness < high:
            sharpness = (low * high) ** 0.5
    return spread / sharpness


def calibrated_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """[N, C], [N] int64 -> the log loss of each sample [N] float64, in nats, at the temperature that suits
    these logits best, with the same doubt about the labels as there.

    Their mean tells apart classifiers of any scale, far more finely than how often they are right.
    """
    scores = (logits.double() / fit_temperature(logits, labels)).log_softmax(1)
    return -(_targets(labels, logits.shape[1]) * scores).sum(1)


def _targets(labels: Tensor, classes: int) -> Tensor:
    """[N] int64 -> [N, C] float64: (N + 1) / (N + 2) for the right class, the rest for all others."""
    doubt = 1 / (len(labels) + 2) if classes > 1 else 0.0
    rest = torch.full((len(labels), classes), doubt / max(1, classes - 1), dtype=torch.float64)
    return rest.scatter_(1, labels[:, None], 1 - doubt)


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """[N, C] whose rows sum to 1, [N] int64 -> the expected calibration error in percent.

    Raises:
        ValueError: when there is no sample.
    """
    if not len(labels):
        raise ValueError("there is no sample to measure")
    confidence, predicted = probabilities.double().max(1)
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64)
    gaps.index_add_(0, place, (predicted == labels).double() - confidence)
    return 100 * float(gaps.abs().sum() / len(labels))


def _only_said(confusion: Tensor) -> Tensor:
    """[C, C] -> [C] bool: classes of no sample that were said all the same, whose F1 is 0 in every draw."""
    return (confusion.sum(0) > 0) & (confusion.sum(1) == 0)


def _metrics(confusions: Tensor, absent: Tensor) -> Tensor:
    """[draws, C, C] float64, [C] bool -> [draws, 3] in percent."""
    right, said, there = confusions.diagonal(dim1=1, dim2=2), confusions.sum(1), confusions.sum(2)
    f1, samples = _percent(2 * right, said + there), there.sum(1)
    # a class that is not drawn has no say; one that is nowhere has its 0, however seldom it is said
    known = (((said + there) > 0) | absent).double()
    accuracy = 100 * right.sum(1) / samples
    weighted = (f1 * there).sum(1) / samples
    return torch.stack([accuracy, weighted, (f1 * known).sum(1) / known.sum(1)], dim=1)


def _percent(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, 100 * part / whole.clamp(min=1e-12), torch.zeros_like(part))
