"""Search: the pictures or captions nearest to a sentence, a picture or a sum of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmx.core.paths import expanded
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.search.collapse import collapse
from mmx.search.gallery_index import GalleryIndex, in_file
from mmx.workflows.calibrated import least_cosine
from mmx.workflows.evidence_files import Explained, Pair
from mmx.workflows.explain import check_explains, explain_pairs
from mmx.workflows.hit_pictures import draw_answers
from mmx.workflows.matcher import Matcher
from mmx.workflows.search_result import Hit, SearchResult
from mmx.workflows.search_settings import SearchSettings, check, shown
from mmx.workflows.searchable import encode_query, open_searchables
from mmx.workflows.searcher import open_searcher
from mmx.workflows.second_look import Found, SecondLook, second_look

SPARE_HITS = 4
"""Times as many hits are looked at as are shown where like ones become one; more if that is too few."""


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
    indexes = open_searchables(matcher, queries[0], reporter)
    return [
        ask(matcher, indexes, settings, reporter, vector)
        for settings, vector in zip(queries, vectors, strict=True)
    ]


def _encoded(matcher: Matcher, settings: SearchSettings) -> Tensor:
    """The query [1, D], before any picture is encoded for it; what is to be explained can be."""
    if settings.explain:
        check_explains(matcher)
    return encode_query(matcher, settings)


def ask(
    matcher: Matcher,
    indexes: Sequence[GalleryIndex],
    settings: SearchSettings,
    reporter: Reporter,
    query: Tensor,
) -> SearchResult:
    """The same for a query [1, D] that is encoded, in indexes that are open.

    Raises:
        UsageError: when a wish cannot be had of this matcher or these galleries.
        ResourceError: when an answer cannot be written.
    """
    look = second_look(matcher, settings, reporter)
    least = least_cosine(matcher, settings, reporter)
    allowed = [None if settings.where is None else index.where(settings.where) for index in indexes]
    groups = _Finder(indexes, allowed, settings, look, least).groups(query)
    size = sum(
        in_file(index).count_captions(those) if settings.captions else index.count(those)
        for index, those in zip(indexes, allowed, strict=True)
    )
    hits = tuple(_hit(rank, group, settings) for rank, group in enumerate(groups, start=1))
    unreadable = [bad for index in indexes for bad in index.unreadable]
    rerank = None if look is None else {"top": look.top, "weight": look.weight}
    sources = [index.source for index in indexes]
    result = SearchResult.to(settings, matcher.name, sources, size, hits, unreadable, least, rerank)
    draw_answers(result, [Path(group[0].entry.path) for group in groups])
    if not settings.explain:
        return result
    return replace(result, explained=_explained(matcher, result, groups, settings, reporter))


@dataclass(frozen=True)
class _Finder:
    """Looks for one query in all indexes at once."""

    indexes: Sequence[GalleryIndex]
    allowed: Sequence[Any]
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
                near = self.look.again(near, self.indexes)
            if least is None or not near:
                return [[found] for found in near[:top]]
            places = collapse(torch.stack([found.vector for found in near]), least)
            if len(places) >= top or exhausted:
                return [[near[place] for place in group] for group in places[:top]]
            wanted *= SPARE_HITS

    def _near(self, query: Tensor, top: int) -> tuple[list[Found], bool]:
        """The `top` best by the first stage, and whether there are no more; on a tie, the earlier index and
        picture first.
        """
        found: list[Found] = []
        for place, (index, allowed) in enumerate(zip(self.indexes, self.allowed, strict=True)):
            scores, keys, captions = self._nearest(index, query, top, allowed)
            near = len(scores) if self.least is None else sum(score >= self.least for score in scores)
            entries, vectors = index.entries_at(keys[:near]), index.vectors_at(keys[:near])
            for row, (entry, vector) in enumerate(zip(entries, vectors, strict=True)):
                words = next(iter(entry.captions), "") if captions is None else captions[row]
                found.append(Found(scores[row], entry, words, index.source, vector, (place, keys[row])))
        best = sorted(found, key=lambda hit: -hit.score)[:top]
        return best, len(best) < top

    def _nearest(
        self, index: GalleryIndex, query: Tensor, top: int, allowed: Any
    ) -> tuple[list[float], list[int], list[str] | None]:
        """Scores, falling, keys of pictures, and the captions if it is those that are looked for."""
        if not self.settings.captions:
            scores, keys = index.nearest(query, top, allowed)
            return scores[0].tolist(), keys[0].tolist(), None
        there = in_file(index)
        scores, rows = there.nearest_captions(query, top, allowed)
        captions = [there.gallery.captions[row][1] for row in rows[0].tolist()]
        return scores[0].tolist(), there.owners(rows[0]).tolist(), captions


def _hit(rank: int, group: Sequence[Found], settings: SearchSettings) -> Hit:
    best, *others = group
    named = shown(best.entry.id), shown(best.entry.path), best.caption, shown(best.source), best.at
    like = None if settings.collapse is None else tuple(shown(other.entry.path) for other in others)
    return Hit(rank, best.score, *named, best.cosine, like)


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
    folder = expanded(present(settings.evidence)).absolute()
    return explain_pairs(matcher, pairs, folder, result.query, reporter)
