"""mmx evaluate on the screen: tables, JSON, words and exit codes."""

import json
from functools import partial
from pathlib import Path

import pytest

from mmx import methods
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows.train import TrainSettings, train
from tests.typed import typed
from tests.workflows.evaluated_home import fresh_home

STUBS = Path(__file__).parents[1] / "two_stage"


@pytest.fixture
def trained(tmp_path: Path) -> Home:
    """A home with the runs `first` and `second` on one dataset, and `stranger` on another."""
    return fresh_home(tmp_path / "home")


@pytest.fixture
def mmx(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture):
    """Types a command; gives exit code, standard output and standard error."""

    return partial(typed, monkeypatch, capfd)


def evaluate(mmx, home: Home, *words: object) -> tuple[int, str, str]:
    return mmx("evaluate", "--home", home.root, "--device", "cpu", *words)


def test_the_table_gives_value_interval_and_definitions(mmx, trained: Home) -> None:
    code, out, err = evaluate(mmx, trained, "first")

    assert code == 0
    assert "first on small val" in out and "95% interval" in out
    for words in ("i2t recall@1", "t2i recall@10", "rsum", "t2i median rank", " to "):
        assert words in out
    assert "10 images, 18 captions, 1 i2t queries left out" in out
    assert "Ties count against" in out and "percentile bootstrap" in out
    assert "random weights" in out
    assert "embedding images" in err and "embedding" not in out
    assert "next: mmx search" in err and f"--run {trained.runs / 'first'}" in err


def test_compare_shows_both_values_the_difference_and_p(mmx, trained: Home) -> None:
    code, out, _ = evaluate(mmx, trained, "first", "--compare", "second")

    assert code == 0
    for words in (
        "compared",
        "difference",
        "its 95% interval",
        " p ",
        "Compared with:",
        "second",
        "sign flips",
    ):
        assert words in out


def test_worst_queries_are_shown_when_asked_for(mmx, trained: Home) -> None:
    _, out, _ = evaluate(mmx, trained, "first", "--worst", 2)

    assert "worst queries" in out and "put first" in out


def test_json_is_one_document_and_nothing_else(mmx, trained: Home) -> None:
    code, out, _ = evaluate(
        mmx, trained, "first", "--compare", "second", "--worst", 1, "--split", "test", "--json"
    )

    document = json.loads(out)
    assert code == 0
    assert document["schema"] == "mmx.evaluate/1"
    assert (document["dataset"], document["split"]) == ("small", "test")
    low, high = document["intervals"]["rsum"]
    assert low <= document["metrics"]["rsum"] <= high
    assert document["comparison"]["differences"]["rsum"].keys() == {"difference", "low", "high", "p"}
    assert document["worst"][0].keys() >= {"direction", "rank", "query", "right", "first"}
    assert document["command"].startswith("mmx evaluate --home")
    kept = json.loads((trained.runs / "first" / "metrics.json").read_text())["evaluations"]
    assert [one["split"] for one in kept] == ["test"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere",), 4, "mmx: there is no run at 'nowhere'. See what there is: mmx runs"),
        (("first", "--split", "dev"), 2, "mmx: 'small' has no split 'dev'. There are: train, val, test."),
        (("first", "--dataset", "unheard"), 4, "Make it with: mmx prepare unheard"),
        (("first", "--compare", "first"), 2, "would be compared with itself"),
        (("first", "--compare", "stranger"), 4, "have different queries"),
        (("first", "--model", "random:clip"), 2, "Name one of them"),
        (("--model", "random:clip"), 2, "Add --dataset NAME"),
        (("--model", "clip-vit-b33", "--dataset", "small"), 2, "Did you mean 'clip-vit-b32'?"),
        (("first", "--batch-size", "0"), 2, "--batch-size"),
        (("first", "--worst", "-1"), 2, "--worst"),
    ],
)
def test_what_goes_wrong_has_its_exit_code_and_its_words(
    mmx, trained: Home, words: tuple[str, ...], code: int, said: str
) -> None:
    got, out, err = evaluate(mmx, trained, *words)

    assert (got, out) == (code, "")
    assert said in err and "Traceback" not in err


def test_an_empty_home_says_the_two_ways_on(mmx, home: Home) -> None:
    code, _, err = mmx("evaluate")

    assert code == 4
    assert "mmx train METHOD --dataset NAME" in err and "mmx evaluate --model" in err


def test_ranks_that_cannot_be_written_exit_with_6(mmx, trained: Home) -> None:
    (trained.runs / "first" / "ranks").write_text("a file where a folder should be")

    code, _, err = evaluate(mmx, trained, "first")

    assert code == 6
    assert "cannot be written" in err


@pytest.fixture
def two_stages(trained: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The same with a run `two` that has two stages."""
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(STUBS)])
    train(
        TrainSettings("colour-pairs", "small", device="cpu", out=trained.runs / "two", home=trained.root),
        SilentReporter(),
    )
    return trained


def test_both_stages_stand_side_by_side_and_the_headline_is_said(mmx, two_stages: Home) -> None:
    code, out, err = evaluate(mmx, two_stages, "two", "--rerank-top", "all", "--worst", 1)

    assert code == 0
    for words in ("first stage (95%)", "re-ranked, top 100 (95%)", "fully scored (95%)", "27.8 (", "weight"):
        assert words in out
    said = "Headline: fully scored, with the trained weight 1: rsum 461.1; the first stage alone 238.9."
    assert said in out
    assert "worst queries, fully scored" in out
    assert "scoring pairs: 198 pairs" in err


def test_a_comparison_says_which_rows_are_compared(mmx, two_stages: Home) -> None:
    _, out, _ = evaluate(mmx, two_stages, "two", "--compare", "first")

    assert "Compared: re-ranked, top 100, with " in out and "first: first stage" in out
    assert "first stage (95%)" in out and "difference" in out


def test_a_second_stage_left_out_is_said(mmx, two_stages: Home) -> None:
    _, out, _ = evaluate(mmx, two_stages, "two", "--rerank-top", "0")

    assert "The second stage was left out: these are the numbers of the first." in out


def test_json_has_a_row_for_each_stage_and_one_for_the_tuned_weight(mmx, two_stages: Home) -> None:
    _, out, _ = evaluate(mmx, two_stages, "two", "--tune-weight", "--split", "test", "--json")

    document = json.loads(out)
    assert [row["rerank_top"] for row in document["rows"]] == [0, 100, 100]
    assert document["rows"][1]["name"] == document["headline"]
    assert document["rows"][1]["intervals"] == document["intervals"]
    assert document["rows"][2]["weight_from"] == document["tuning"]["split"] == "val"
    assert document["second_stage_weight"] == 1.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("two", "--rerank-top", "many"), "--rerank-top 'many' is not possible."),
        (("two", "--rerank-top", "0", "--tune-weight"), "leaves out what --tune-weight tunes"),
        (("first", "--tune-weight"), "has no second stage. Leave out --tune-weight."),
        (("first", "--rerank-top", "5"), "has no second stage. Leave out --rerank-top 5."),
    ],
)
def test_wishes_for_a_second_stage_that_cannot_be_had_exit_with_2(
    mmx, two_stages: Home, words: tuple[str, ...], said: str
) -> None:
    code, out, err = evaluate(mmx, two_stages, *words)

    assert (code, out) == (2, "")
    assert said in err and "Traceback" not in err
