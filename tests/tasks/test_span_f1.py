"""Entities by two rules, and how many of them are found."""

import numpy
import pytest
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from mmx.tasks.resampling import intervals, paired_test
from mmx.tasks.span_f1 import SpanSums, count_spans, find_spans, span_metrics, type_scores

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def random_posts(seed: int, posts: int = 30) -> list[list[str]]:
    random = numpy.random.default_rng(seed)
    return [random.choice(TAGS, random.integers(1, 9)).tolist() for _ in range(posts)]


def disturbed(posts: list[list[str]], seed: int) -> list[list[str]]:
    random = numpy.random.default_rng(seed)
    return [[tag if random.random() < 0.8 else random.choice(TAGS) for tag in post] for post in posts]


@pytest.mark.parametrize(
    ("tags", "strict", "conll"),
    [
        (["B-PER", "I-PER", "O"], [("PER", 0, 2)], [("PER", 0, 2)]),
        (["O", "I-PER", "I-PER"], [], [("PER", 1, 3)]),
        (["B-PER", "I-LOC"], [("PER", 0, 1)], [("PER", 0, 1), ("LOC", 1, 2)]),
        (["B-LOC", "B-LOC"], [("LOC", 0, 1), ("LOC", 1, 2)], [("LOC", 0, 1), ("LOC", 1, 2)]),
        (["O", "O"], [], []),
    ],
)
def test_an_inside_tag_without_a_beginning_is_a_span_by_one_rule_alone(
    tags: list[str], strict: list, conll: list
) -> None:
    assert find_spans(tags, "strict") == strict
    assert find_spans(tags, "conll") == conll


def test_a_span_with_another_end_is_wrong_twice() -> None:
    counts = count_spans([["B-PER", "I-PER", "O"]], [["B-PER", "O", "O"]], "strict")

    assert counts.counts.tolist() == [[[0, 1, 1]]]
    assert span_metrics(counts) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_two_of_three_found_and_one_too_many_is_two_thirds() -> None:
    gold = [["B-PER", "O", "B-LOC"], ["B-LOC"]]
    said = [["B-PER", "O", "B-LOC"], ["B-PER"]]

    counts = count_spans(gold, said, "strict")

    assert span_metrics(counts)["f1"] == pytest.approx(200 / 3)
    per, loc = sorted(type_scores(counts), key=lambda row: row.type, reverse=True)
    assert (per.type, per.gold, per.predicted, per.precision) == ("PER", 1, 2, 50.0)
    assert (loc.gold, loc.predicted, loc.recall) == (2, 1, 50.0)


@pytest.mark.parametrize("seed", range(4))
def test_f1_is_that_of_seqeval_by_both_rules(seed: int) -> None:
    gold = random_posts(seed)
    said = disturbed(gold, seed + 10)

    strict, conll = (span_metrics(count_spans(gold, said, rule))["f1"] for rule in ("strict", "conll"))

    assert strict == pytest.approx(100 * f1_score(gold, said, mode="strict", scheme=IOB2))
    assert conll == pytest.approx(100 * f1_score(gold, said))


def test_without_any_entity_all_numbers_are_zero() -> None:
    assert span_metrics(count_spans([["O"]], [["O"]], "strict")) == {"precision": 0, "recall": 0, "f1": 0}


def test_an_interval_holds_the_number_and_is_the_same_for_the_same_seed() -> None:
    gold = random_posts(1, posts=80)
    counts = count_spans(gold, disturbed(gold, 2), "strict")

    low, high = intervals([SpanSums({"strict": counts})], resamples=300)["f1_strict"]

    assert low < span_metrics(counts)["f1"] < high
    assert intervals([SpanSums({"strict": counts})], resamples=300)["f1_strict"] == (low, high)


def test_a_run_differs_from_a_worse_one_and_not_from_itself() -> None:
    gold = random_posts(1, posts=80)
    nothing = [["O"] * len(post) for post in gold]
    counts = [count_spans(gold, said, "strict") for said in (disturbed(gold, 2), nothing)]
    good, bad = (SpanSums({"strict": found}) for found in counts)

    assert paired_test([good], [good], permutations=200)["f1_strict"].p == 1.0
    found = paired_test([good], [bad], permutations=200)["f1_strict"]
    assert found.p < 0.01
    assert found.difference == pytest.approx(span_metrics(counts[0])["f1"]) and found.low > 0


def test_posts_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="a post of 2 words has 1 predicted tags"):
        count_spans([["O", "O"]], [["O"]], "strict")
    counts = [count_spans([gold], [["O"]], "strict") for gold in (["O"], ["B-X"])]
    with pytest.raises(ValueError, match="different items"):
        paired_test(*([SpanSums({"strict": found})] for found in counts))
