"""How well entities are found: precision, recall and F1 of spans of words, by two rules of what a span is.

A span counts where its type, its first and its last word are those of the gold; sums run over all posts.

Source: the rules as seqeval has them; percentile bootstrap over posts (Efron & Tibshirani 1993).
Shapes: N posts, T types.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy
from numpy import ndarray
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities

from mmx.tasks.resampling import LEVEL, PERMUTATIONS, RESAMPLES, Sums

RULES = ("strict", "conll")
SCORES = ("precision", "recall", "f1")
METRICS = tuple(f"{score}_{rule}" for rule in RULES for score in SCORES)
OUTSIDE = "O"
EQUAL = 1e-9

DEFINITIONS = {
    "strict": "strict: a span begins with B-X and goes on with I-X (IOB2); an I-X that follows neither is "
    "no span.",
    "conll": "conll: as conlleval and seqeval by default: an I-X that follows neither opens a span too.",
    "match": "A span is right where type, first and last word are; micro-averaged over all posts, at word "
    "level. Words cut off by the model's limit count as predicted O.",
    "interval": f"Intervals: {LEVEL:.0%} percentile bootstrap, {RESAMPLES:,} resamples of whole posts.",
    "paired": "Intervals of differences are paired: over the same posts of both; "
    f"p: two-sided, {PERMUTATIONS:,} swaps of whole posts.",
}
"""What the numbers mean, printed and saved with them."""

Span = tuple[str, int, int]
"""Type, first word, word after the last."""


@dataclass(frozen=True)
class SpanCounts:
    """Spans of each post by type, by one rule."""

    types: tuple[str, ...]
    counts: ndarray
    """[N, T, 3] int64: right, predicted, gold."""


@dataclass(frozen=True)
class TypeScores:
    """One type of entity, in percent."""

    type: str
    precision: float
    recall: float
    f1: float
    gold: int
    predicted: int


def find_spans(tags: Sequence[str], rule: str) -> list[Span]:
    """The spans that the tags of one post make."""
    if rule == "conll":
        return [(kind, begin, last + 1) for kind, begin, last in get_entities(list(tags))]
    (found,) = Entities([list(tags)], scheme=IOB2).entities
    return [(span.tag, span.start, span.end) for span in found]


def count_spans(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], rule: str) -> SpanCounts:
    """Tags of all posts, right ones and predicted ones -> what each post adds.

    Raises:
        ValueError: when the posts or their words are not as many.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} posts have {len(predicted)} predictions")
    pairs = []
    for right, said in zip(gold, predicted, strict=True):
        if len(right) != len(said):
            raise ValueError(f"a post of {len(right)} words has {len(said)} predicted tags")
        pairs.append((set(find_spans(right, rule)), set(find_spans(said, rule))))
    types = sorted({span[0] for pair in pairs for spans in pair for span in spans})
    place = {name: number for number, name in enumerate(types)}
    counts = numpy.zeros((len(pairs), len(types), 3), dtype=numpy.int64)
    for post, (gold_spans, spans_said) in enumerate(pairs):
        for column, spans in enumerate((gold_spans & spans_said, spans_said, gold_spans)):
            for span in spans:
                counts[post, place[span[0]], column] += 1
    return SpanCounts(tuple(types), counts)


def span_metrics(counts: SpanCounts) -> dict[str, float]:
    """`precision`, `recall` and `f1` of all spans together, in percent; 0 where there is none."""
    return dict(zip(SCORES, _scores(counts.counts.sum((0, 1))[None])[0].tolist(), strict=True))


def type_scores(counts: SpanCounts) -> list[TypeScores]:
    """The same of each type by itself."""
    totals = counts.counts.sum(0)
    rows = zip(counts.types, _scores(totals).tolist(), totals.tolist(), strict=True)
    return [
        TypeScores(name, precision, recall, f1, gold, said)
        for name, (precision, recall, f1), (_, said, gold) in rows
    ]


class SpanSums:
    """What each post adds, [N, 3 R]: spans that are right, predicted and gold, by each of R rules."""

    def __init__(self, rules: Mapping[str, SpanCounts]) -> None:
        self.names = tuple(f"{score}_{rule}" for rule in rules for score in SCORES)
        posts = [counts.counts.sum(1) for counts in rules.values()]
        self._posts = numpy.concatenate(posts, axis=1).astype(numpy.float64)
        self.number, self.width = self._posts.shape

    def add(self, weights: ndarray) -> ndarray:
        """[draws, N] how often each post counts -> [draws, 3 R]."""
        return weights @ self._posts

    def scores(self, sums: ndarray, whole: bool = False) -> ndarray:
        """[draws, 3 R] -> [draws, 3 R]: precision, recall and F1 in percent."""
        return _scores(sums.reshape(len(sums), -1, len(SCORES))).reshape(len(sums), -1)

    def same_items(self, other: Sums) -> bool:
        """Whether another run is over posts with as many gold spans each."""
        return isinstance(other, SpanSums) and numpy.array_equal(self._posts[:, 2::3], other._posts[:, 2::3])


def _scores(totals: ndarray) -> ndarray:
    """[.., 3] of right, predicted and gold -> [.., 3] of precision, recall and F1 in percent."""
    right, said, gold = (totals[..., column].astype(numpy.float64) for column in range(3))
    whole = [said, gold, (said + gold) / 2]
    return numpy.stack([100 * right / numpy.maximum(part, EQUAL) * (part > 0) for part in whole], axis=-1)
