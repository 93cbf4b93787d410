"""Labels of a split beside the right ones: what a model cut off, what it never saw, and chance."""

import pytest
import torch

from mmx.core.errors import DataError
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.core.task import Classification, Study, Tagging
from mmx.engine.label_split import TaggedPost
from mmx.workflows import labelled
from mmx.workflows.labelled import check_labelled, label_split, post_task

TAGS = ["O", "B-PER", "I-PER"]
TAGGING = Tagging(decode=None, labels=None)
SENTIMENT = Classification(sort=None, labels=None)


def post(number: int, tags: tuple[str, ...] = (), sentiment: str | None = None) -> Record:
    words = tuple(f"w{place}" for place in range(len(tags)))
    return Record(str(number), "test", None, ("some words",), words=words, tags=tags, sentiment=sentiment)


class Split:
    """In the place of a split's data: its records alone."""

    def __init__(self, *records: Record) -> None:
        self.records = records


def tagged(split: Split, *said: tuple[int, ...], patch: pytest.MonkeyPatch) -> labelled.TaggedSplit:
    found = [TaggedPost(tags, (1.0,) * len(tags)) for tags in said]
    patch.setattr(labelled, "tag_split", lambda *told: found)
    return label_split(None, TAGGING, TAGS, split, torch.device("cpu"), "fp32", SilentReporter())


def test_an_entity_that_the_limit_cuts_in_two_is_not_found_and_its_words_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split = Split(post(1, ("O", "B-PER", "I-PER", "I-PER")), post(2, ("B-PER", "O")))

    found = tagged(split, (0, 1, -1, -1), (1, 0), patch=monkeypatch)

    # one of two said, one of two gold: the half that was read is another span
    assert found.metrics["f1_strict"] == found.metrics["f1_conll"] == pytest.approx(50)
    assert "2 words were cut off and count as predicted O." in found.remarks


def test_an_entity_beyond_the_limit_lowers_recall_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    split = Split(post(1, ("B-PER", "O", "B-PER")))

    found = tagged(split, (1, -1, -1), patch=monkeypatch)

    assert found.metrics["precision_strict"] == pytest.approx(100)
    assert found.metrics["recall_strict"] == pytest.approx(50)


def test_posts_without_tags_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tagged(Split(post(1, ("B-PER",)), post(2)), (1,), (), patch=monkeypatch)

    assert found.posts == 1 and found.metrics["f1_strict"] == pytest.approx(100)


def test_a_class_that_training_never_saw_counts_as_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    split = Split(post(1, sentiment="good"), post(2, sentiment="odd"), post(3))
    probabilities = torch.tensor([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]])
    monkeypatch.setattr(labelled, "sort_split", lambda *told: probabilities)

    told = (None, SENTIMENT, ["bad", "good"], split, torch.device("cpu"), "fp32", SilentReporter())
    found = label_split(*told)

    assert found.metrics["accuracy"] == pytest.approx(50) and found.posts == 2
    assert [(row["class"], row["posts"]) for row in found.rows] == [("bad", 0), ("good", 1), ("odd", 1)]
    assert found.rows[2]["said"] == {"bad": 1, "good": 0, "odd": 0}
    assert "1 posts without a class are left out." in found.remarks


@pytest.mark.parametrize("task", [TAGGING, SENTIMENT])
def test_a_split_without_what_is_to_be_told_is_refused(task: Tagging | Classification) -> None:
    with pytest.raises(DataError, match=f"so that {task.name} cannot be measured"):
        check_labelled(task, [post(1)], "'posts' test")


def test_a_task_of_posts_is_told_from_others() -> None:
    assert post_task(TAGGING) is TAGGING
    with pytest.raises(TypeError, match="'study' is no task of posts"):
        post_task(Study(why="it has none"))
