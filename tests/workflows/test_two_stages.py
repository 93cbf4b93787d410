"""Evaluating, comparing and selecting by two stages, with a method whose ranks are worked out by hand.

The 10 pictures of val have the colours 5 0 1 2 3 4 5 0 1 2, and 1 2 3 1 2 3 1 2 3 0 captions.
The first stage knows the half (0 to 2, or 3 to 5) that a colour is of, the second the colour.
"""

import dataclasses
import json
from pathlib import Path

import pytest

import mmx.methods
from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows.evaluate import evaluate
from mmx.workflows.evaluate_settings import EvaluateSettings
from mmx.workflows.evaluation import Evaluation
from tests.workflows.evaluated_home import STUBS, add_two_stages, fresh_home

FIRST = {"t2i_recall@1": 0.0, "t2i_recall@5": 100 * 7 / 18, "t2i_recall@10": 100.0}
"""A caption of half 0 to 2 ties with 5 wrong pictures, each of the 7 of half 3 to 5 with 3."""
SECOND = {"t2i_recall@1": 100 * 5 / 18, "t2i_recall@5": 100.0, "t2i_recall@10": 100.0}
"""Only colours 3 and 4 have but one picture, with 2 and 3 captions; the others tie with one wrong picture."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The trained home, with the stub method's folder on the path."""
    monkeypatch.setattr(mmx.methods, "__path__", [*mmx.methods.__path__, str(STUBS)])
    return fresh_home(tmp_path / "home")


def measured(home: Home, name: str = "two", /, **changes: object) -> Evaluation:
    settings = EvaluateSettings(home=home, run=Path(name), device="cpu")
    return evaluate(dataclasses.replace(settings, **changes), SilentReporter())


def t2i(metrics: dict[str, float]) -> dict[str, float]:
    return {name: metrics[name] for name in FIRST}


def test_both_stages_have_a_row_and_the_second_one_is_the_headline(home: Home) -> None:
    add_two_stages(home)

    found = measured(home)

    first, second = found.rows
    assert (first.name, second.name) == ("first stage", "re-ranked, top 100")
    assert t2i(first.metrics) == pytest.approx(FIRST) and t2i(second.metrics) == pytest.approx(SECOND)
    assert found.headline == second.name and found.metrics == second.metrics
    assert found.intervals == second.intervals and first.intervals.keys() == second.intervals.keys()
    assert "cosine + weight x fine" in " ".join(found.definitions)


def test_scoring_all_pairs_is_a_row_of_its_own_after_the_nearest(home: Home) -> None:
    add_two_stages(home)

    found = measured(home, rerank_top="all")

    assert [row.name for row in found.rows] == ["first stage", "re-ranked, top 100", "fully scored"]
    assert found.headline == "fully scored"
    assert found.rows[1].metrics == found.rows[2].metrics  # there are fewer than a hundred


def test_only_as_many_as_asked_for_are_ranked_again(home: Home) -> None:
    """Among the nearest 4 are all pictures of half 3 to 5; of the other half 4 wrong ones come before the
    right one, so that its 11 captions stay where they were.
    """
    add_two_stages(home)

    found = measured(home, rerank_top="4").metrics

    assert t2i(found) == pytest.approx({**SECOND, "t2i_recall@5": FIRST["t2i_recall@5"]})
    assert measured(home, rerank_top="1").metrics == measured(home, rerank_top="0").metrics


def test_without_the_second_stage_there_is_one_row(home: Home) -> None:
    add_two_stages(home)

    found = measured(home, rerank_top="0")

    assert [row.name for row in found.rows] == ["first stage"] == [found.headline]
    assert t2i(found.metrics) == pytest.approx(FIRST)


def test_training_selects_by_both_stages_and_keeps_what_the_first_alone_gives(home: Home) -> None:
    val = add_two_stages(home).metrics()["val"]
    found = measured(home)

    assert val == pytest.approx({**found.metrics, "first_rsum": found.rows[0].metrics["rsum"]})
    assert val["rsum"] > val["first_rsum"]


def test_a_second_stage_of_weight_zero_is_selected_and_measured_by_the_first(home: Home) -> None:
    val = add_two_stages(home, weight=0.0).metrics()["val"]
    found = measured(home)

    assert val["rsum"] == val["first_rsum"]
    assert [row.name for row in found.rows] == ["first stage"]
    assert found.facts["second_stage_weight"] == 0.0
    with pytest.raises(UsageError, match="weight 0, so that there is nothing to tune"):
        measured(home, tune_weight=True)


def test_a_second_stage_that_harms_on_val_is_tuned_down(home: Home) -> None:
    """With weight -1 the right colour ties with the wrong half; with smaller shares it only is the last of
    its own, which in a tie of all it was already. Of equally good shares the one nearest to training wins.
    """
    add_two_stages(home, weight=-1.0)

    found = measured(home, split="test", tune_weight=True)

    first, trained_row, tuned = found.rows
    assert (tuned.name, tuned.weight, tuned.weight_from) == (
        "re-ranked, top 100, weight chosen on val", -0.75, "val",
    )  # fmt: skip
    assert tuned.metrics == first.metrics and tuned.metrics["rsum"] > trained_row.metrics["rsum"]
    assert found.headline == trained_row.name
    assert "Weight chosen on val" in " ".join(found.definitions)
    assert "flatters" not in " ".join(found.definitions)


def test_the_trained_weight_wins_a_tie_and_a_weight_tuned_on_the_split_shown_says_so(home: Home) -> None:
    add_two_stages(home)

    found = measured(home, tune_weight=True)

    assert found.tuning.weight == 1.0 and set(found.tuning.tried) >= {0.0, 0.5, 2.0}
    assert "which flatters" in " ".join(found.definitions)


def test_the_run_keeps_all_rows(home: Home) -> None:
    add_two_stages(home)

    found = measured(home, rerank_top="all", tune_weight=True)

    kept = json.loads((home.runs / "two" / "metrics.json").read_text())["evaluations"][0]
    document = json.loads(json.dumps(found.document()))
    assert kept["rows"] == document["rows"] and kept["headline"] == "fully scored"
    assert [(row["rerank_top"], row["weight_from"]) for row in kept["rows"]] == [
        (0, None), (100, "training"), ("all", "training"), ("all", "val"),
    ]  # fmt: skip
    assert kept["metrics"] == kept["rows"][2]["metrics"]
    assert kept["tuning"]["split"] == "val"
    assert {"weight": 1.0, "rsum": found.metrics["rsum"]} in kept["tuning"]["tried"]


def test_headlines_are_compared_and_ranks_of_another_row_are_not_taken_for_them(home: Home) -> None:
    add_two_stages(home)
    add_two_stages(home, "idle", weight=0.0)

    measured(home, rerank_top="0")
    found = measured(home, "idle", compare=Path("two"))
    again = measured(home, "idle", compare=Path("two"))

    assert (found.headline, found.comparison.headline) == ("first stage", "re-ranked, top 100")
    assert t2i(found.comparison.metrics) == pytest.approx(SECOND)
    assert again.comparison == found.comparison
    other = measured(home, compare=Path("first")).comparison
    assert other.headline == "first stage"


def test_the_worst_queries_are_those_of_the_headline(home: Home) -> None:
    """A caption of a colour with two pictures puts the other one first, with the same score of 1 + 1."""
    add_two_stages(home)

    by_both = measured(home, worst=30).worst
    by_first = measured(home, worst=30, rerank_top="0").worst

    cases = [case for case in by_both if case.direction == "t2i"]
    assert len(cases) == 13 and {case.rank for case in cases} == {2}
    assert {(case.right_score, case.first_score) for case in cases} == {(2.0, 2.0)}
    assert {case.rank for case in by_first if case.direction == "t2i"} == {4, 6}
    assert {case.first_score for case in by_first} == {1.0}


def test_a_right_answer_too_far_to_be_ranked_again_is_named_with_the_score_it_would_have(home: Home) -> None:
    add_two_stages(home)

    cases = [case for case in measured(home, worst=30, rerank_top="1").worst if case.direction == "t2i"]

    assert {case.rank for case in cases} == {4, 6}
    assert {case.right_score for case in cases} == {2.0}
    assert all(case.first != case.right for case in cases)


@pytest.mark.parametrize(
    ("run", "changes", "words"),
    [
        ("two", {"rerank_top": "ten"}, "--rerank-top 'ten' is not possible"),
        ("two", {"rerank_top": "-1"}, "--rerank-top '-1' is not possible"),
        ("two", {"rerank_top": "0", "tune_weight": True}, "leaves out what --tune-weight tunes"),
        ("first", {"rerank_top": "100"}, "first' has no second stage. Leave out --rerank-top 100"),
        ("first", {"tune_weight": True}, "has no second stage. Leave out --tune-weight"),
        (
            "first",
            {"run": None, "model": "random:clip", "dataset": "small", "rerank_top": "all"},
            "'random:clip' has no second stage",
        ),
    ],
)
def test_words_that_do_not_fit_are_refused(
    home: Home, run: str, changes: dict[str, object], words: str
) -> None:
    add_two_stages(home)

    with pytest.raises(UsageError, match=words):
        measured(home, run, **changes)


def test_a_run_without_a_second_stage_may_be_asked_to_leave_it_out(home: Home) -> None:
    assert measured(home, "first", rerank_top="0").headline == "first stage"
