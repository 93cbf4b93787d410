"""What a search gives back, whatever computed it; it needs no torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmx.core.paths import expanded
from mmx.workflows.search_settings import SearchSettings, shown

if TYPE_CHECKING:
    from mmx.store.entries import Entry
    from mmx.workflows.evidence_files import Explained

SCHEMA, SCHEMA_OF_MANY = "mmx.search/1", "mmx.searches/1"


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

    def document(self) -> dict[str, Any]:
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
    explained: "Explained | None" = None
    rerank: dict[str, float] | None = None
    """How many of the nearest a second stage looked at, and its weight; None where none did."""
    page: Path | None = None
    min_score: float | None = None
    """The cosine below which nothing is shown; None where all is."""
    int8: bool = False
    """Whether the words were read in int8, which finds a little less."""

    @classmethod
    def to(
        cls,
        settings: SearchSettings,
        matcher: str,
        sources: Iterable[str],
        size: int,
        hits: tuple[Hit, ...],
        unreadable: "Iterable[Entry]",
        min_score: float | None,
        rerank: dict[str, float] | None = None,
        int8: bool = False,
    ) -> "SearchResult":
        """The answer to what was asked; its sheet and page are still to be drawn."""
        return cls(
            query=settings.said,
            asked_with=settings.asked_with,
            finds="captions" if settings.captions else "images",
            matcher=matcher,
            searched=tuple(map(shown, sources)),
            size=size,
            hits=hits,
            unreadable=tuple((shown(bad.path), bad.reason) for bad in unreadable),
            sheet=None if settings.sheet is None else expanded(settings.sheet).absolute(),
            rerank=rerank,
            page=None if settings.page is None else expanded(settings.page).absolute(),
            min_score=min_score,
            int8=int8,
        )

    @property
    def made_by(self) -> str:
        """The matcher, as a title names it."""
        return f"{self.matcher} (words in int8)" if self.int8 else self.matcher

    def document(self) -> dict[str, Any]:
        """What --json shows; documented in docs/json.md."""
        return {
            "schema": SCHEMA,
            "query": {self.asked_with: self.query},
            "finds": self.finds,
            "matcher": self.matcher,
            **({"int8": True} if self.int8 else {}),
            "searched": list(self.searched),
            "size": self.size,
            **({} if self.rerank is None else {"rerank": self.rerank}),
            **({} if self.min_score is None else {"min_score": self.min_score}),
            "hits": [hit.document() for hit in self.hits],
            "unreadable": [{"path": path, "reason": reason} for path, reason in self.unreadable],
            "sheet": None if self.sheet is None else str(self.sheet),
            **({} if self.page is None else {"page": str(self.page)}),
            **({} if self.explained is None else {"evidence": self.explained.document()}),
        }


def document_of(results: Sequence[SearchResult]) -> dict[str, Any]:
    """What --json shows: the answer of one query, or those of several in one document."""
    if len(results) == 1:
        return results[0].document()
    return {"schema": SCHEMA_OF_MANY, "answers": [result.document() for result in results]}
