"""How well entities are found: precision, recall and F1 of spans of words, by two rules of what a span is.

A span counts where its type, its first and its last word are those of the gold; sums run over all posts.

Source: the rules as seqeval has them; percentile bootstrap over posts (Efron & Tibshirani 1993).
Shapes: N posts, T types.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from numpy import ndarray
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities

RULES = ("strict", "conll")
SCORES = ("precision", "recall", "f1")
METRICS = tuple(f"{score}_{rule}" for rule in RULES for score in SCORES)
OUTSIDE = "O"
RESAMPLES = 2_000
PERMUTATIONS = 2_000
LEVEL = 0.95
DRAWS_AT_ONCE = 2_000_000
EQUAL = 1e-9

DEFINITIONS = {
    "strict": "strict: a span begins with B-X and goes on with I-X (IOB2); an I-X that follows neither is "
    "no span.",
    "conll": "conll: as conlleval and seqeval by default: an I-X that follows neither opens a span too.",
    "match": "A span is right where type, first and last word are; micro-averaged over all posts, at word "
    "level. Words cut off by the model's limit count as predicted O.",
    "interval": f"Intervals: {LEVEL:.0%} percentile bootstrap, {RESAMPLES:,} resamples of whole posts.",
    "paired": "Difference: the first run less the second on the same posts, with its paired interval; "
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
    for post, (right, said) in enumerate(pairs):
        for column, spans in enumerate((right & said, said, right)):
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
    return [TypeScores(name, *scores, gold=gold, predicted=said) for name, scores, (_, said, gold) in rows]


def intervals(
    counts: SpanCounts, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """The 95% interval of each of the three."""
    posts = counts.counts.sum(1)
    random = numpy.random.default_rng(seed)
    values = []
    block = max(DRAWS_AT_ONCE // max(len(posts), 1), 1)
    for first in range(0, resamples, block):
        drawn = random.integers(0, len(posts), (min(block, resamples - first), len(posts)))
        values.append(_scores(posts[drawn].sum(1)))
    low, high = numpy.percentile(numpy.concatenate(values), [50 * (1 - LEVEL), 50 * (1 + LEVEL)], axis=0)
    return {name: (float(low[place]), float(high[place])) for place, name in enumerate(SCORES)}


def paired_p(ours: SpanCounts, theirs: SpanCounts, permutations: int = PERMUTATIONS, seed: int = 0) -> float:
    """How probable it is that the two runs' F1 differ as much when each post's spans are swapped by chance.

    Raises:
        ValueError: when the runs are over different posts.
    """
    left, right = ours.counts.sum(1), theirs.counts.sum(1)
    if left[:, 2].tolist() != right[:, 2].tolist():
        raise ValueError("the two runs answer different posts")
    seen = abs(_scores(left.sum(0)[None])[0, 2] - _scores(right.sum(0)[None])[0, 2])
    random = numpy.random.default_rng([seed, 1])
    change, larger = right - left, 0
    for _ in range(permutations):
        moved = change[random.random(len(left)) < 0.5].sum(0)
        one, other = _scores(numpy.stack([left.sum(0) + moved, right.sum(0) - moved]))[:, 2]
        larger += abs(one - other) >= seen - EQUAL
    return (1 + larger) / (1 + permutations)


def _scores(totals: ndarray) -> ndarray:
    """[.., 3] of right, predicted and gold -> [.., 3] of precision, recall and F1 in percent."""
    right, said, gold = (totals[..., column].astype(numpy.float64) for column in range(3))
    whole = [said, gold, (said + gold) / 2]
    return numpy.stack([100 * right / numpy.maximum(part, EQUAL) * (part > 0) for part in whole], axis=-1)
