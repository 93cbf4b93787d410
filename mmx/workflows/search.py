"""Search: the pictures or captions nearest to a sentence, a picture or a sum of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmx.core.reporter import Reporter
from mmx.reports.contact_sheet import MAX_CELLS, PHOTO, Cell, draw_sheet
from mmx.reports.hits_page import write_hits_page
from mmx.search.collapse import collapse
from mmx.store.atomic import atomic_file, write_text
from mmx.store.images import ImageError, load_image
from mmx.workflows.calibrated import least_cosine
from mmx.workflows.evidence_files import Explained, Pair
from mmx.workflows.explain import check_explains, explain_pairs
from mmx.workflows.matcher import Matcher
from mmx.workflows.search_settings import SearchSettings, check, shown
from mmx.workflows.searchable import Searchable, allowed_rows, encode_query, open_searchables
from mmx.workflows.searcher import open_searcher
from mmx.workflows.second_look import Found, SecondLook, second_look

SCHEMA, SCHEMA_OF_MANY = "mmx.search/1", "mmx.searches/1"
SPARE_HITS = 4
"""Times as many hits are looked at as are shown where like ones become one; more if that is too few."""


@dataclass(frozen=True)
class Hit:
    """One find: a picture with its first caption, or a caption with its picture."""

    rank: int
    score: float
    id: str
    path: str
    caption: str
    source: str
    at: tuple[int, int]
    """Which of the galleries searched it is in, and the row of its picture there."""
    cosine: float | None = None
    """The first stage's score, where a second one has looked too."""
    duplicates: tuple[str, ...] | None = None
    """Paths of the like pictures that are shown as this one; None where that was not asked."""

    def as_document(self) -> dict[str, Any]:
        """Its fields but `at`; `cosine` and `duplicates` only where there are any to tell of."""
        return {name: value for name, value in vars(self).items() if value is not None and name != "at"}


@dataclass(frozen=True)
class SearchResult:
    """The hits, best first, and where they were looked for."""

    query: str
    asked_with: str
    """`text`, `image` or `sum`."""
    finds: str
    """`images` or `captions`."""
    matcher: str
    searched: tuple[str, ...]
    """Each gallery's folder, or corpus and split."""
    size: int
    """Pictures or captions looked through."""
    hits: tuple[Hit, ...]
    unreadable: tuple[tuple[str, str], ...]
    """(path, reason) of pictures that could not be searched."""
    sheet: Path | None
    explained: Explained | None = None
    rerank: dict[str, float] | None = None
    """How many of the nearest a second stage looked at, and its weight; None where none did."""
    page: Path | None = None
    min_score: float | None = None
    """The cosine below which nothing is shown; None where all is."""

    def as_document(self) -> dict[str, Any]:
        """What --json shows; documented in README."""
        return {
            "schema": SCHEMA,
            "query": {self.asked_with: self.query},
            "finds": self.finds,
            "matcher": self.matcher,
            "searched": list(self.searched),
            "size": self.size,
            **({} if self.rerank is None else {"rerank": self.rerank}),
            **({} if self.min_score is None else {"min_score": self.min_score}),
            "hits": [hit.as_document() for hit in self.hits],
            "unreadable": [{"path": path, "reason": reason} for path, reason in self.unreadable],
            "sheet": None if self.sheet is None else str(self.sheet),
            **({} if self.page is None else {"page": str(self.page)}),
            **({} if self.explained is None else {"evidence": self.explained.as_document()}),
        }


def as_document(results: Sequence[SearchResult]) -> dict[str, Any]:
    """What --json shows: the answer of one query, or those of several in one document."""
    if len(results) == 1:
        return results[0].as_document()
    return {"schema": SCHEMA_OF_MANY, "answers": [result.as_document() for result in results]}


def search(settings: SearchSettings, reporter: Reporter) -> SearchResult:
    """Find what is nearest to the query.

    Raises:
        UsageError: when the words do not fit together.
        DataError: when a picture of the query or the folder cannot be read.
        ArtifactError: when there is nothing to search with.
        ResourceError: when the index or the sheet cannot be written.
    """
    return search_all([settings], reporter)[0]


def search_all(queries: Sequence[SearchSettings], reporter: Reporter) -> list[SearchResult]:
    """The same for several queries, which differ in what is asked and in where answers are written."""
    for settings in queries:
        check(settings)
    matcher = open_searcher(queries[0], reporter)
    vectors = [_encoded(matcher, settings) for settings in queries]
    searchables = open_searchables(matcher, queries[0], reporter)
    return [
        ask(matcher, searchables, settings, reporter, vector)
        for settings, vector in zip(queries, vectors, strict=True)
    ]


def search_with(matcher: Matcher, settings: SearchSettings, reporter: Reporter) -> SearchResult:
    """The same for one query, with a matcher that is open already."""
    check(settings)
    query = _encoded(matcher, settings)
    return ask(matcher, open_searchables(matcher, settings, reporter), settings, reporter, query)


def _encoded(matcher: Matcher, settings: SearchSettings) -> Tensor:
    """The query [1, D], before any picture is encoded for it; what is to be explained can be."""
    if settings.explain:
        check_explains(matcher)
    return encode_query(matcher, settings)


def ask(
    matcher: Matcher,
    searchables: Sequence[Searchable],
    settings: SearchSettings,
    reporter: Reporter,
    query: Tensor,
) -> SearchResult:
    """The same for a query [1, D] that is encoded, in galleries that are open.

    Raises:
        UsageError: when a wish cannot be had of this matcher or these galleries.
        ResourceError: when an answer cannot be written.
    """
    look = second_look(matcher, settings, reporter)
    least = least_cosine(matcher, settings, reporter)
    allowed = [allowed_rows(matcher, searchable, settings) for searchable in searchables]
    groups = _Finder(searchables, allowed, settings, look, least).groups(query)
    galleries = [searchable.gallery for searchable in searchables]
    result = SearchResult(
        query=settings.said,
        asked_with=settings.asked_with,
        finds="captions" if settings.captions else "images",
        matcher=matcher.name,
        searched=tuple(shown(gallery.source) for gallery in galleries),
        size=sum(
            len(searchable.vectors(settings.captions)) if mask is None else int(mask.sum())
            for searchable, mask in zip(searchables, allowed, strict=True)
        ),
        hits=tuple(_hit(rank, group, settings) for rank, group in enumerate(groups, start=1)),
        unreadable=tuple(
            (shown(bad.path), bad.reason) for gallery in galleries for bad in gallery.unreadable
        ),
        sheet=None if settings.sheet is None else settings.sheet.expanduser().absolute(),
        rerank=None if look is None else {"top": look.top, "weight": look.weight},
        page=None if settings.page is None else settings.page.expanduser().absolute(),
        min_score=least,
    )
    _write_answers(result, [Path(group[0].entry.path) for group in groups[:MAX_CELLS]])
    if not settings.explain:
        return result
    return replace(result, explained=_explained(matcher, result, groups, settings, reporter))


@dataclass(frozen=True)
class _Finder:
    """Looks for one query in all galleries at once."""

    searchables: Sequence[Searchable]
    allowed: Sequence[Tensor | None]
    settings: SearchSettings
    look: SecondLook | None
    least: float | None

    def groups(self, query: Tensor) -> list[list[Found]]:
        """What is shown, best first: each hit with the like ones that stand behind it."""
        top, least = self.settings.top, self.settings.collapse
        wanted = top if least is None else SPARE_HITS * top
        while True:
            near, exhausted = self._near(query, wanted if self.look is None else max(wanted, self.look.top))
            if self.look is not None and top:
                near = self.look.again(near, [searchable.gallery for searchable in self.searchables])
            if least is None or not near:
                return [[found] for found in near[:top]]
            places = collapse(torch.stack([found.vector for found in near]), least)
            if len(places) >= top or exhausted:
                return [[near[place] for place in group] for group in places[:top]]
            wanted *= SPARE_HITS

    def _near(self, query: Tensor, top: int) -> tuple[list[Found], bool]:
        """The `top` best by the first stage, and whether there are no more; on a tie, the earlier gallery and
        row first.
        """
        found: list[Found] = []
        captions = self.settings.captions
        for place, (searchable, mask) in enumerate(zip(self.searchables, self.allowed, strict=True)):
            gallery = searchable.gallery
            scores, rows = searchable.nearest(query, top, captions, mask)
            owners = searchable.owners(rows, captions)
            for score, row, owner in zip(scores.tolist(), rows.tolist(), owners.tolist(), strict=True):
                if self.least is not None and score < self.least:
                    break
                entry = gallery.entries[owner]
                words = gallery.captions[row][1] if captions else next(iter(entry.captions), "")
                vector = gallery.image_vectors[owner]
                found.append(Found(score, entry, words, gallery.source, vector, (place, owner)))
        best = sorted(found, key=lambda hit: -hit.score)[:top]
        return best, len(best) < top


def _hit(rank: int, group: Sequence[Found], settings: SearchSettings) -> Hit:
    best, *others = group
    named = shown(best.entry.id), shown(best.entry.path), best.caption, shown(best.source), best.at
    like = None if settings.collapse is None else tuple(shown(other.entry.path) for other in others)
    return Hit(rank, best.score, *named, best.cosine, like)


def _write_answers(result: SearchResult, pictures: Sequence[Path]) -> None:
    """The contact sheet and the page, where they were asked for."""
    if result.sheet is None and result.page is None:
        return
    # A photo in a folder has no caption: its name is then what tells it apart.
    cells = [
        Cell(hit.rank, hit.score, _picture(path), hit.caption or hit.id)
        for hit, path in zip(result.hits, pictures, strict=False)
    ]
    title = f"like {Path(result.query).name}" if result.asked_with == "image" else result.query
    subtitle = f"{result.matcher}  ·  {result.size:,} {result.finds} in {', '.join(result.searched)}"
    if result.sheet is not None:
        with atomic_file(result.sheet) as temporary:
            draw_sheet(title, subtitle, cells).save(temporary)
    if result.page is not None:
        write_text(result.page, write_hits_page(title, subtitle, cells, [hit.path for hit in result.hits]))


def _picture(path: Path):  # noqa: ANN202
    try:
        return load_image(path, PHOTO)
    except ImageError as error:
        return str(error)


def _explained(
    matcher: Matcher,
    result: SearchResult,
    groups: Sequence[Sequence[Found]],
    settings: SearchSettings,
    reporter: Reporter,
) -> Explained:
    """The best hits: the query with the pictures found, or the query's picture with the captions found."""
    picture, pairs = settings.terms[0].picture, []
    for hit, group in zip(result.hits[: settings.explain], groups, strict=False):
        if picture is None:
            place = Path(group[0].entry.path), hit.path
            found = hit.id, settings.terms[0].text, hit.source
        else:
            place = picture, shown(str(picture))
            found = shown(picture.name), hit.caption, shown(str(picture.parent))
        pairs.append(Pair(hit.rank, hit.score, *place, *found))
    if len(pairs) < settings.explain:
        reporter.info(f"{settings.explain:,} hits were to be explained, and there are {len(pairs):,}")
    place = settings.evidence.expanduser().absolute()
    return explain_pairs(matcher, pairs, place, result.query, reporter)
