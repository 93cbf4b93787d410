"""The second look of a search: what the first stage brought near is scored by both and sorted again."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from mmx.core.batch import Batch
from mmx.core.errors import TrainingError, UsageError
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.core.task import Rerank, Retrieval
from mmx.engine.evaluation_mode import evaluating
from mmx.engine.second_stage import active
from mmx.search.gallery_index import GalleryIndex, in_file
from mmx.store.entries import Entry
from mmx.workflows.looked_pictures import (
    AT_ONCE,
    LookedPictures,
    joined,
    photos_of_folder,
    pictures_of_split,
)
from mmx.workflows.matcher import Matcher
from mmx.workflows.search_settings import SearchSettings, shown
from mmx.workflows.stage_rows import DEFAULT_TOP

Kept = Mapping[str, Tensor]


@dataclass(frozen=True)
class Found:
    """A picture, or a caption with its picture, that a search found."""

    score: float
    entry: Entry
    caption: str
    source: str
    vector: Tensor
    """[D], of the picture."""
    at: tuple[int, int]
    """Which of the galleries it is in, and the row of its picture there."""
    cosine: float | None = None
    """The first stage's score, where both have looked; `score` is then that of both."""


@dataclass(frozen=True)
class SecondLook:
    """A run's second stage, ready to look at what a query found."""

    matcher: Matcher
    rerank: Rerank
    weight: float
    top: int
    """How many of the nearest are looked at again."""
    settings: SearchSettings
    reporter: Reporter

    def again(self, found: Sequence[Found], indexes: Sequence[GalleryIndex]) -> list[Found]:
        """The nearest by the scores of both stages; then, as they were, those that are farther or whose
        picture cannot be read any more.

        Raises:
            ArtifactError: when features of the pictures are missing or do not fit.
            TrainingError: when a score is not finite.
        """
        model, near = present(self.matcher.opened).model, found[: self.top]
        unit = "captions" if self.settings.captions else "pictures"
        fine: dict[int, float] = {}
        with evaluating(model), self.reporter.progress("second look", len(near), unit) as bar:
            query = self._keep_query()
            for places, kept in self._keep_found(near, indexes):
                pair = (query, kept) if self.settings.captions else (kept, query)
                scores = self.rerank.fine(model, *pair).flatten().tolist()
                fine |= dict(zip(places, scores, strict=True))
                bar.advance(len(places))
        # by place first, so that equal scores keep the order of the first stage
        looked = [self._both(near[place], score) for place, score in sorted(fine.items())]
        rest = [hit for place, hit in enumerate(found) if place not in fine]
        return [*sorted(looked, key=lambda hit: -hit.score), *rest]

    def _both(self, hit: Found, fine: float) -> Found:
        score = hit.score + self.weight * fine
        if not math.isfinite(score):
            raise TrainingError(
                f"the fine score of '{shown(hit.entry.id)}' is not a finite number. Search with "
                "--rerank-top 0, or train again with a smaller rate."
            )
        return replace(hit, score=score, cosine=hit.score)

    def _keep_query(self) -> Kept:
        (asked,) = self.settings.terms
        if asked.picture is None:
            return self._keep_texts([asked.text])
        return self._keep_images(self.matcher.read_image(asked.picture))

    def _keep_found(
        self, near: Sequence[Found], indexes: Sequence[GalleryIndex]
    ) -> Iterator[tuple[list[int], Kept]]:
        """Places among the nearest, with what is kept of them; a picture that cannot be read is left out."""
        if self.settings.captions:
            for places in _some(range(len(near))):
                yield places, self._keep_texts([near[place].caption for place in places])
            return
        device = next(present(self.matcher.opened).model.parameters()).device
        for index in indexes:
            here = [place for place, hit in enumerate(near) if hit.source == index.source]
            if here:
                pictures = self._pictures(index)
                found = pictures.keep([near[place].entry for place in here], self._keep_images)
                for some in _together(found):
                    places = [here[place] for places, _ in some for place in places]
                    yield places, joined([kept for _, kept in some], device)

    def _pictures(self, index: GalleryIndex) -> LookedPictures:
        if self.settings.of_photos:
            return photos_of_folder(self.matcher, self.settings, index, self.reporter)
        return pictures_of_split(self.matcher, self.settings, in_file(index), self.reporter)

    def _keep_images(self, batch: Batch) -> Kept:
        kept = dict(self.rerank.keep_image(present(self.matcher.opened).model, batch))
        kept.pop("image_embedding", None)
        return kept

    def _keep_texts(self, captions: Sequence[str]) -> Kept:
        kept = dict(
            self.rerank.keep_text(present(self.matcher.opened).model, self.matcher.read_texts(captions))
        )
        kept.pop("text_embedding", None)
        return kept


def second_look(matcher: Matcher, settings: SearchSettings, reporter: Reporter) -> SecondLook | None:
    """What looks again at what a search finds; None where nothing does, or nothing is to.

    Raises:
        UsageError: when it was asked for and cannot be had.
    """
    if settings.rerank_top == 0 or (settings.rerank_top is None and not settings.finds_pairs):
        return None
    rerank = None
    if matcher.opened is not None:
        task = next((task for task in matcher.opened.method.tasks if isinstance(task, Retrieval)), None)
        rerank = None if task is None else active(task.rerank, matcher.opened.model)
    if rerank is None:
        if settings.rerank_top is None:
            return None
        raise UsageError(
            f"'{matcher.name}' has no second stage that has a say. Leave out --rerank-top "
            f"{settings.rerank_top}."
        )
    top = DEFAULT_TOP if settings.rerank_top is None else settings.rerank_top
    weight = float(rerank.weight(present(matcher.opened).model))
    return SecondLook(matcher, rerank, weight, top, settings, reporter)


def _some(places: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(places), AT_ONCE):
        yield list(places[start : start + AT_ONCE])


def _together(found: Iterable[tuple[list[int], Kept]]) -> Iterator[list[tuple[list[int], Kept]]]:
    """What comes one by one, in parts of at least so many as are looked at together; the last may be less."""
    part, size = [], 0
    for places, kept in found:
        part.append((places, kept))
        size += len(places)
        if size >= AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part
