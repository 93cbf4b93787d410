"""Caption QA: of the captions retrieved for a photo, those nearest to a question. Retrieval, not answering.

Source: seed 004, "Inference", whose nearest caption to the question does not depend on the photo; that the
candidates are captions retrieved for the photo is ours.
Shapes: C captions of the split, K candidates, D width of the shared space.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmx.core.errors import DataError, UsageError
from mmx.core.home import Home
from mmx.core.paths import expanded
from mmx.core.present import present
from mmx.core.reporter import Reporter, SilentReporter
from mmx.search.exact import top_k
from mmx.store.entries import Entry
from mmx.store.gallery import Gallery
from mmx.workflows.matcher import Matcher
from mmx.workflows.search_settings import SearchSettings, shown
from mmx.workflows.searchable import split_galleries
from mmx.workflows.searcher import open_searcher

SCHEMA = "mmx.caption-qa/1"
CANDIDATES = 50
TRAINING = "train"

DEFINITION = (
    "Retrieval: the captions of '{split}' nearest to the photo, one of each wording, in the order of their "
    "nearness to the question. Each was written for the picture beside it: none is an answer made for this "
    "photo."
)


@dataclass(frozen=True)
class CaptionQaSettings:
    """A photo and a question, and whose captions are the candidates."""

    photo: Path
    question: str | None
    run: Path | None = None
    model: str | None = None
    dataset: str | None = None
    """A prepared corpus; the run's own where none is named."""
    split: str = TRAINING
    candidates: int = CANDIDATES
    """Captions that are retrieved for the photo."""
    top: int = 9
    """How many of them are shown."""
    rebuild: bool = False
    home: Home = field(default_factory=Home.find)
    device: str = "auto"


@dataclass(frozen=True)
class Candidate:
    """A caption retrieved for the photo."""

    rank: int
    """By nearness to the question."""
    caption: str
    question_score: float
    """Cosine with the question."""
    photo_score: float
    """Cosine with the photo."""
    id: str
    """The picture that the caption was written for."""
    path: str


@dataclass(frozen=True)
class CaptionQaResult:
    """The candidates, nearest to the question first."""

    photo: str
    question: str
    matcher: str
    source: str
    """The corpus and its split."""
    size: int
    """Captions looked through."""
    retrieved: int
    """Captions of different wording that were retrieved for the photo."""
    candidates: tuple[Candidate, ...]
    definition: str

    def document(self) -> dict[str, Any]:
        """What --json shows; documented in docs/json.md."""
        return {"schema": SCHEMA, **vars(self), "candidates": [vars(found) for found in self.candidates]}


def caption_qa(settings: CaptionQaSettings, reporter: Reporter) -> CaptionQaResult:
    """Retrieve captions for a photo, and order them by a question.

    Raises:
        UsageError: when there is no question, or the words do not fit together.
        DataError: when the photo cannot be read, or the split has no captions.
        ArtifactError: when there is nothing to search with.
    """
    check_question(settings)
    return caption_qa_with(open_searcher(_asked_by_photo(settings), reporter), settings, reporter)


def caption_qa_with(matcher: Matcher, settings: CaptionQaSettings, reporter: Reporter) -> CaptionQaResult:
    """The same, with a matcher that is open already."""
    check_question(settings)
    question = shown(settings.question or "")
    by_photo = _asked_by_photo(settings)
    photo_vector, question_vector = _encode_photo(matcher, settings.photo), matcher.encode_texts([question])
    (gallery,) = split_galleries(matcher, by_photo, reporter)
    photo_scores, rows = _retrieved(photo_vector, gallery, settings)
    question_scores, order = top_k(
        question_vector, present(gallery.text_vectors)[rows], settings.top, names=[question]
    )
    captions = gallery.captions
    candidates = tuple(
        _candidate(rank, captions[rows[place]], score, photo_scores[place])
        for rank, (score, place) in enumerate(
            zip(question_scores[0].tolist(), order[0].tolist(), strict=True), start=1
        )
    )
    return CaptionQaResult(
        photo=shown(str(settings.photo)),
        question=question,
        matcher=matcher.name,
        source=shown(gallery.source),
        size=len(present(gallery.text_vectors)),
        retrieved=len(rows),
        candidates=candidates,
        definition=DEFINITION.format(split=gallery.source),
    )


def check_question(settings: CaptionQaSettings) -> None:
    """Find out before any work whether the words fit together.

    Raises:
        UsageError: when they do not.
    """
    if not (settings.question or "").strip():
        raise UsageError('there is no question. Write: mmx search --caption-qa FILE "what is the dog doing?"')
    if settings.run is not None and settings.model is not None:
        raise UsageError("--run and --model are two ways to search. Give one of them.")
    if settings.model is not None and settings.dataset is None:
        raise UsageError(
            f"'{settings.model}' has no captions of its own. Name a prepared dataset: --dataset NAME"
        )
    if settings.top < 0 or settings.candidates < 1:
        raise UsageError(
            f"--top {settings.top} of {settings.candidates} candidates is not possible. --top is 0 or more, "
            "and there is at least one candidate."
        )


def _asked_by_photo(settings: CaptionQaSettings) -> SearchSettings:
    """The first of the two steps: a search for the captions nearest to the photo."""
    return SearchSettings(
        image=settings.photo,
        captions=True,
        run=settings.run,
        model=settings.model,
        dataset=settings.dataset,
        split=settings.split,
        top=settings.candidates,
        rebuild=settings.rebuild,
        home=settings.home,
        device=settings.device,
    )


def _encode_photo(matcher: Matcher, photo: Path) -> Tensor:
    """[1, D]."""
    vectors, failures = matcher.encode_images([expanded(photo)], SilentReporter())
    if failures:
        raise DataError(f"the photo '{shown(str(photo))}' cannot be read: {failures[0][1]}. Name another.")
    return vectors


def _retrieved(photo: Tensor, gallery: Gallery, settings: CaptionQaSettings) -> tuple[list[float], Tensor]:
    """Scores and rows [K] of the captions nearest to the photo, the first one of each wording."""
    vectors = present(gallery.text_vectors)
    scores, rows = top_k(photo, vectors, len(vectors), names=[shown(str(settings.photo))])
    captions = gallery.captions
    kept: dict[str, tuple[float, int]] = {}
    for score, row in zip(scores[0].tolist(), rows[0].tolist(), strict=True):
        kept.setdefault(_wording(captions[row][1]), (score, row))
        if len(kept) == settings.candidates:
            break
    found = list(kept.values())
    return [score for score, _ in found], torch.tensor([row for _, row in found], dtype=torch.int64)


def _wording(caption: str) -> str:
    """Captions that differ by case, spaces or marks at their ends alone are one candidate."""
    return " ".join(caption.lower().split()).strip(" .!?")


def _candidate(rank: int, caption: tuple[Entry, str], question_score: float, photo_score: float) -> Candidate:
    entry, words = caption
    return Candidate(rank, words, question_score, photo_score, shown(entry.id), shown(entry.path))
