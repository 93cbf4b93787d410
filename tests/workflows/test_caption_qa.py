"""Caption QA with a stub matcher: which captions a photo brings, and in which order a question puts them."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.engine.evaluator import Embeddings
from mmx.store.images import ImageError, load_image
from mmx.store.manifest import write_manifest
from mmx.workflows import searchable as search_workflow
from mmx.workflows.caption_qa import CaptionQaResult, CaptionQaSettings, caption_qa, caption_qa_with

WORDS = ("red", "green", "blue", "runs", "sleeps")


class StubMatcher:
    """An axis a word; a photo is its colour, with a little of everything that is done."""

    name, fingerprint, opened = "stub", "stub-1", None

    def encode_texts(self, captions: Sequence[str]) -> torch.Tensor:
        named = torch.tensor([[float(word in caption.lower()) for word in WORDS] for caption in captions])
        return normalize(named + 1e-3, dim=1)

    def encode_images(
        self, paths: Sequence[Path], reporter: object
    ) -> tuple[torch.Tensor, list[tuple[int, str]]]:
        try:
            colour = load_image(paths[0]).getpixel((0, 0))
        except ImageError as error:
            return torch.empty(0, 0), [(0, str(error))]
        vector = torch.tensor([[*(value / 255 for value in colour), 0.1, 0.1]])
        return normalize(vector, dim=1), []


CAPTIONS = {
    "train": [
        ("a.png", ("a red one runs", "A Red one runs.", "a red one sleeps")),
        ("b.png", ("a green one runs", "the green one sleeps")),
    ],
    "val": [("c.png", ("a red one",))],
}


@pytest.fixture
def asked(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CaptionQaSettings:
    """A red photo, and a corpus of colours that stub vectors stand for."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, colour in (("a", "red"), ("b", "green"), ("c", "red"), ("photo", "red")):
        Image.new("RGB", (8, 8), colour).save(photos / f"{name}.png")
    records = {
        split: [Record(name, split, name, captions) for name, captions in pictures]
        for split, pictures in CAPTIONS.items()
    }
    write_manifest(home.dataset("colours"), "colours", photos, records)

    def embed(
        matcher: StubMatcher, manifest: object, settings: object, reporter: object, split: str
    ) -> Embeddings:
        texts = [caption for _, captions in CAPTIONS[split] for caption in captions]
        count = len(CAPTIONS[split])
        text = matcher.encode_texts(texts)
        return Embeddings(
            torch.ones(count, 5), text, torch.arange(count), torch.zeros(len(text)), torch.arange(count)
        )

    monkeypatch.setattr(search_workflow, "_embed", embed)
    return CaptionQaSettings(photos / "photo.png", "who sleeps?", dataset="colours", home=home)


def ask(settings: CaptionQaSettings, **changes: object) -> CaptionQaResult:
    return caption_qa_with(
        StubMatcher(), CaptionQaSettings(**{**vars(settings), **changes}), SilentReporter()
    )


def test_candidates_are_near_the_photo_and_their_order_is_by_the_question(asked: CaptionQaSettings) -> None:
    """Two wordings are red; without the photo the green one that sleeps would be as near to the question."""
    result = ask(asked, candidates=2)

    assert [found.caption for found in result.candidates] == ["a red one sleeps", "a red one runs"]
    assert [found.id for found in result.candidates] == ["a.png", "a.png"]
    first = result.candidates[0]
    assert first.rank == 1
    assert first.question_score == pytest.approx(0.5**0.5, abs=0.01)
    assert first.photo_score == pytest.approx(1.1 / (1.02 * 2) ** 0.5, abs=0.01)
    assert (result.size, result.retrieved, result.source) == (5, 2, "colours train")


def test_another_question_turns_the_order_round_and_leaves_the_candidates(asked: CaptionQaSettings) -> None:
    sleeps, runs = ask(asked, candidates=2), ask(asked, candidates=2, question="who runs?")

    assert [found.caption for found in runs.candidates] == ["a red one runs", "a red one sleeps"]
    assert {found.photo_score for found in runs.candidates} == {
        found.photo_score for found in sleeps.candidates
    }


def test_captions_of_one_wording_are_one_candidate(asked: CaptionQaSettings) -> None:
    """Of `a red one runs` and `A Red one runs.` the first is kept."""
    result = ask(asked)

    assert result.retrieved == len(result.candidates) == 4
    assert "A Red one runs." not in [found.caption for found in result.candidates]


@pytest.mark.parametrize(("top", "shown"), [(0, 0), (1, 1), (99, 4)])
def test_as_many_are_shown_as_are_asked_for_and_there(top: int, shown: int, asked: CaptionQaSettings) -> None:
    assert len(ask(asked, top=top).candidates) == shown


def test_another_split_has_other_candidates(asked: CaptionQaSettings) -> None:
    assert [found.caption for found in ask(asked, split="val").candidates] == ["a red one"]
    with pytest.raises(UsageError, match=r"no split 'test'\. There are: train, val"):
        ask(asked, split="test")


def test_it_is_called_retrieval_and_the_document_has_the_documented_keys(asked: CaptionQaSettings) -> None:
    document = json.loads(json.dumps(ask(asked, top=1).document()))

    assert set(document) == {
        "schema", "photo", "question", "matcher", "source", "size", "retrieved", "candidates", "definition"
    }  # fmt: skip
    assert document["schema"] == "mmx.caption-qa/1"
    assert set(document["candidates"][0]) == {
        "rank", "caption", "question_score", "photo_score", "id", "path"
    }  # fmt: skip
    assert document["definition"].startswith("Retrieval: the captions of 'colours train'")
    assert "none is an answer made for this photo" in document["definition"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": None}, "there is no question"),
        ({"question": " \n"}, "there is no question"),
        ({"run": Path("r"), "model": "m"}, "two ways"),
        ({"model": "clip", "dataset": None}, "'clip' has no captions of its own"),
        ({"top": -1}, "--top -1"),
        ({"candidates": 0}, "0 candidates"),
    ],
)
def test_words_that_do_not_fit_together_are_refused(
    changes: dict[str, object], message: str, asked: CaptionQaSettings
) -> None:
    with pytest.raises(UsageError, match=message):
        ask(asked, **changes)


def test_a_photo_that_cannot_be_read_is_named(asked: CaptionQaSettings, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    for name, reason in (("absent.jpg", "missing"), ("text.jpg", "text, not a picture")):
        with pytest.raises(DataError, match=rf"the photo '.*{name}' cannot be read: {reason}"):
            ask(asked, photo=tmp_path / name)


def test_a_corpus_that_is_not_prepared_or_no_run_at_all_is_told(asked: CaptionQaSettings) -> None:
    with pytest.raises(ArtifactError, match="mmx prepare absent"):
        ask(asked, dataset="absent")
    with pytest.raises(ArtifactError, match="no run in"):
        caption_qa(asked, SilentReporter())
