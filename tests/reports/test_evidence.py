"""Evidence by hand: shades, parts and rest, how alike words look, and what is told of it."""

import json

import pytest
from PIL import Image

from mmx.reports.evidence import Evidence, Word, shades

BOXES = ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0))


def make(words: tuple[Word, ...], adds_up: bool = True, score: float = 1.0) -> Evidence:
    picture = Image.new("RGB", (40, 30), "red")
    return Evidence(1, "id", "path.png", "a dog", score, picture, BOXES, words, adds_up)


def test_what_is_at_most_the_mean_is_not_shown_and_the_largest_fully() -> None:
    """Mean 2: 4 is 1, 3 is half, 2 and below nothing."""
    assert shades([4, 3, 2, 1, 0]) == [1, 0.5, 0, 0, 0]
    assert shades([-4, -3, -2, -1, 0]) == [0, 0, 0, 0.5, 1]


@pytest.mark.parametrize("weights", [[], [0.3], [0.1, 0.1 + 1e-9], [0, 0, 0]])
def test_equal_weights_point_nowhere(weights: list[float]) -> None:
    assert shades(weights) == [0] * len(weights)


def test_parts_and_rest_are_the_score_and_regions_add_up_over_words() -> None:
    found = make((Word("a", (0.1, 0.2), "stop"), Word("dog", (0.3, -0.1))), score=0.8)

    assert found.accounted_for == pytest.approx(0.5)
    assert found.together() == pytest.approx((0.4, 0.1))
    document = json.loads(json.dumps(found.document()))
    assert document["rest"] == pytest.approx(0.3)
    assert document["words"][1] == {
        "text": "dog", "kind": "word", "unknown": False, "weight": pytest.approx(0.2), "weights": [0.3, -0.1]
    }  # fmt: skip
    assert "+0.500 of 0.800. The rest, +0.300," in " ".join(found.notes)


def test_attention_is_no_part_of_the_score_and_is_said_to_be_none() -> None:
    found = make((Word("dog", (0.9, 0.1)),), adds_up=False)

    assert found.accounted_for is None
    assert found.document()["rest"] is None
    assert "attention" in " ".join(found.notes)


def test_words_that_look_at_the_same_regions_are_alike_and_grammar_has_no_say() -> None:
    same = make((Word("big", (0.2, 0.1)), Word("dog", (0.8, 0.4)), Word("the", (0.0, 1.0), "stop")))
    opposite = make((Word("big", (0.1, 0.2)), Word("dog", (0.8, 0.4))))

    assert same.alike == pytest.approx(1)
    assert "nearly the same regions" in " ".join(same.notes)
    assert opposite.alike == pytest.approx(-1)
    assert "nearly the same" not in " ".join(opposite.notes)
    assert make((Word("dog", (0.8, 0.4)),)).alike is None


def test_the_contrast_is_how_many_times_the_average_region_the_most_met_one_has() -> None:
    """3 / 2 and 1 / 1, on average 1.25; a word that speaks against the picture has no average to exceed."""
    found = make((Word("big", (3, 1)), Word("dog", (1, 1)), Word("red", (-1, -2))))

    assert found.contrast == pytest.approx(1.25)
    assert "1.25 times" in " ".join(found.notes)


def test_where_no_word_looks_anywhere_that_is_what_is_told() -> None:
    assert "No word met one region more than another." in make((Word("dog", (0.0, 0.0)),)).notes
