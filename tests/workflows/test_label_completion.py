"""A row of its own for labels that are completed from the whole split, beside the model's own numbers."""

import json
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmx.cli.app import app
from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows.evaluate import EvaluateSettings, evaluate
from mmx.workflows.stage_rows import COMPLETED
from tests.workflows.explained_home import explained_home


@pytest.fixture
def drawn(tmp_path: Path) -> Home:
    return explained_home(tmp_path / "home")


def test_completed_labels_have_a_row_that_never_is_the_headline(
    drawn: Home, reporter: SilentReporter
) -> None:
    plain = evaluate(EvaluateSettings(drawn, Path("words")), reporter)
    found = evaluate(EvaluateSettings(drawn, Path("words"), complete_labels=True), reporter)

    assert [row.name for row in found.rows] == ["first stage", COMPLETED]
    assert found.headline == "first stage"
    assert found.metrics == plain.metrics
    assert sum("not a number of the model" in text for text in found.definitions) == 1
    assert not any("k-reciprocal" in text.lower() for text in found.definitions)


class Listener(SilentReporter):
    """Hears what is embedded."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    def progress(self, title: str, *about: object, **more: object) -> AbstractContextManager:
        self.titles.append(title)
        return super().progress(title, *about, **more)


def test_captions_are_embedded_again_for_it_and_pictures_are_not(drawn: Home) -> None:
    listener = Listener()

    evaluate(EvaluateSettings(drawn, Path("words"), complete_labels=True), listener)

    embedded = [title for title in listener.titles if title.startswith("embedding")]
    assert sorted(embedded) == ["embedding captions", "embedding captions", "embedding images"]


def test_the_second_run_of_a_comparison_is_taken_as_it_is(drawn: Home, reporter: SilentReporter) -> None:
    found = evaluate(
        EvaluateSettings(drawn, Path("words"), compare=Path("tokens"), complete_labels=True), reporter
    )

    assert found.comparison.headline == "first stage"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"run": Path("tokens")}, r"tokens' does not ask what a caption names"),
        ({"model": "random:clip", "dataset": "drawn"}, r"'random:clip' does not ask what a caption names"),
    ],
)
def test_a_model_that_asks_for_no_labels_is_refused(
    drawn: Home, reporter: SilentReporter, asked: dict, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        evaluate(EvaluateSettings(drawn, complete_labels=True, **asked), reporter)


def test_the_command_shows_the_row(drawn: Home) -> None:
    words = ["evaluate", "words", "--transductive-label-completion", "--home", str(drawn.root), "--json"]

    answer = CliRunner().invoke(app, words)

    assert answer.exit_code == 0
    rows = json.loads(answer.stdout)["rows"]
    assert [(row["name"], row["weight_from"]) for row in rows] == [
        ("first stage", None),
        (COMPLETED, "source"),
    ]
