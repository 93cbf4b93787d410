"""The second look of a search: what the first stage brought near is scored by both and sorted again."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.batch import Batch
from mmx.core.errors import TrainingError, UsageError
from mmx.core.reporter import Reporter
from mmx.core.task import Rerank, Retrieval
from mmx.engine.evaluation_mode import evaluating
from mmx.engine.kept import held, plain
from mmx.engine.second_stage import active
from mmx.store.images import ImageError
from mmx.store.index import Entry, Gallery
from mmx.store.manifest import Manifest
from mmx.store.second_look import SecondLooks
from mmx.workflows.embedded import read_by_run
from mmx.workflows.galleries import index_folder
from mmx.workflows.matcher import Matcher
from mmx.workflows.search_settings import SearchSettings, shown
from mmx.workflows.stage_rows import DEFAULT_TOP

AT_ONCE = 64
"""Pictures or captions that are looked at together."""

Kept = Mapping[str, Tensor]


@dataclass(frozen=True)
class Found:
    """A picture, or a caption with its picture, that a search found."""

    score: float
    entry: Entry
    caption: str
    source: str
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

    def again(self, found: Sequence[Found], galleries: Sequence[Gallery]) -> list[Found]:
        """The nearest by the scores of both stages; then, as they were, those that are farther or whose
        picture cannot be read any more.

        Raises:
            ArtifactError: when features of the pictures are missing or do not fit.
            TrainingError: when a score is not finite.
        """
        model, near = self.matcher.opened.model, found[: self.top]
        unit = "captions" if self.settings.captions else "pictures"
        fine: dict[int, float] = {}
        with evaluating(model), self.reporter.progress("second look", len(near), unit) as bar:
            query = self._keep_query()
            for places, kept in self._keep_found(near, galleries):
                pair = (query, kept) if self.settings.captions else (kept, query)
                scores = self.rerank.fine(model, *pair).flatten().tolist()
                fine |= dict(zip(places, scores, strict=True))
                bar.advance(len(places))
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
        if self.settings.image is None:
            return self._keep_texts([shown(self.settings.query or "")])
        return self._keep_images(self.matcher.read_image(self.settings.image.expanduser()))

    def _keep_found(
        self, near: Sequence[Found], galleries: Sequence[Gallery]
    ) -> Iterator[tuple[list[int], Kept]]:
        """Places among the nearest, with what is kept of them; a picture that cannot be read is left out."""
        if self.settings.captions:
            for places in _some(range(len(near))):
                yield places, self._keep_texts([near[place].caption for place in places])
        elif self.settings.folder is not None:
            yield from self._keep_photos(near, galleries[0])
        else:
            for source in dict.fromkeys(hit.source for hit in near):
                yield from self._keep_pictures(near, source)

    def _keep_photos(self, near: Sequence[Found], gallery: Gallery) -> Iterator[tuple[list[int], Kept]]:
        """Photos of a folder: what a search has looked at twice is kept beside the folder's index."""
        index = index_folder(
            self.settings.home, self.settings.folder.expanduser().absolute(), self.matcher.fingerprint
        )
        looks = SecondLooks(index / "second-look")
        looks.remove_others({entry.digest for entry in gallery.entries})
        for places in _some(range(len(near))):
            kept = {place: self._keep_photo(near[place].entry, looks) for place in places}
            readable = {place: one for place, one in kept.items() if one is not None}
            if readable:
                yield list(readable), _joined(list(readable.values()))

    def _keep_photo(self, entry: Entry, looks: SecondLooks) -> Kept | None:
        kept = looks.read(entry.digest)
        if kept is None:
            made = self._read(lambda: self.matcher.read_image(Path(entry.path)), entry)
            if made is None:
                return None
            kept = {name: held(value).cpu() for name, value in self._keep_images(made).items()}
            looks.write(entry.digest, kept)
        device = next(self.matcher.opened.model.parameters()).device
        return {name: plain(value.to(device)) for name, value in kept.items()}

    def _keep_pictures(self, near: Sequence[Found], source: str) -> Iterator[tuple[list[int], Kept]]:
        """Pictures of one split of a corpus, as the run reads them."""
        opened = self.matcher.opened
        device = next(opened.model.parameters()).device
        dataset, _, split = source.rpartition(" ")
        manifest = Manifest.open(self.settings.home.dataset(dataset))
        images = read_by_run(opened, manifest, split, device, self.reporter).images(split)
        rows = {record.id: row for row, record in enumerate(manifest.split(split))}

        def read(places: Sequence[int]) -> Batch:
            wanted = torch.tensor([rows[near[place].entry.id] for place in places])
            return Batch(**images.read(wanted, None)).to(device)

        for places in _some([place for place, hit in enumerate(near) if hit.source == source]):
            try:
                yield places, self._keep_images(read(places))
            except ImageError:
                for place in places:
                    batch = self._read(lambda place=place: read([place]), near[place].entry)
                    if batch is not None:
                        yield [place], self._keep_images(batch)

    def _read(self, read: Callable[[], Batch], entry: Entry) -> Batch | None:
        try:
            return read()
        except ImageError as error:
            self.reporter.warn(f"'{shown(entry.path)}' cannot be read and is not looked at again: {error}")
            return None

    def _keep_images(self, batch: Batch) -> Kept:
        kept = dict(self.rerank.keep_image(self.matcher.opened.model, batch))
        kept.pop("image_embedding", None)
        return kept

    def _keep_texts(self, captions: Sequence[str]) -> Kept:
        kept = dict(self.rerank.keep_text(self.matcher.opened.model, self.matcher.read_texts(captions)))
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
    weight = float(rerank.weight(matcher.opened.model))
    return SecondLook(matcher, rerank, weight, top, settings, reporter)


def _some(places: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(places), AT_ONCE):
        yield list(places[start : start + AT_ONCE])


def _joined(kept: Sequence[Kept]) -> Kept:
    return {name: torch.cat([one[name] for one in kept]) for name in kept[0]}
