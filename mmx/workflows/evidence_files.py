"""The files that a search leaves of its evidence: a picture a hit, one page for all, and the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmx.reports.evidence import Evidence
from mmx.reports.evidence_page import write_page
from mmx.reports.evidence_sheet import draw_evidence
from mmx.store.atomic import atomic_file, write_json, write_text
from mmx.tasks.faithfulness import Drops, Faithfulness, compare, said

SCHEMA = "mmx.evidence/1"
NOTICED = 5e-4
"""Scores that differ by more look different with three digits."""


@dataclass(frozen=True)
class Pair:
    """A picture and a sentence that a search has brought together."""

    rank: int
    score: float
    path: Path
    shown_path: str
    """The same as it can be printed."""
    id: str
    caption: str
    source: str
    """The folder, or the dataset and its split."""


@dataclass(frozen=True)
class Looked:
    """A pair with what its score rests on, and what it loses without."""

    pair: Pair
    evidence: Evidence
    drops: Drops | None


@dataclass(frozen=True)
class Explained:
    """The evidence of some pairs, and where it was written."""

    evidence: tuple[Evidence, ...]
    faithfulness: Faithfulness | None
    """Over these pairs; None where their pictures have fewer than two regions."""
    sheets: tuple[Path, ...]
    """A picture for each pair."""
    page: Path
    data: Path

    @property
    def lines(self) -> list[str]:
        """Where to look, and how much to believe."""
        return [
            *(
                f"evidence of hit {seen.rank}: {path}"
                for seen, path in zip(self.evidence, self.sheets, strict=True)
            ),
            f"evidence as a page: {self.page}",
            f"evidence as numbers: {self.data}",
            *said(self.faithfulness),
        ]

    def document(self) -> dict[str, Any]:
        """What a search's --json shows of it; the weights are in the file that it names."""
        return {
            "sheets": [str(path) for path in self.sheets],
            "page": str(self.page),
            "data": str(self.data),
            "faithfulness": None if self.faithfulness is None else self.faithfulness.document(),
        }


def write_evidence(
    looked: Sequence[Looked], matcher: str, place: Path, title: str, remarks: Sequence[str] = ()
) -> Explained:
    """Write `place` with `-<rank>.png` for each pair, `.html` and `.json` added to its name.

    `remarks` stand under each.

    Raises:
        ResourceError: when a file cannot be written.
    """
    sheets, parts, documents = [], [], []
    for one in looked:
        pair, evidence, own = one.pair, one.evidence, compare([one.drops])
        subtitle = "  ·  ".join(
            (f"hit {pair.rank}", f"score {evidence.score:.3f}", pair.id, pair.source, matcher)
        )
        notes = (*evidence.notes, *_ranked_otherwise(one), *said(own), *remarks)
        sheets.append(place.with_name(f"{place.name}-{pair.rank}.png"))
        with atomic_file(sheets[-1]) as temporary:
            draw_evidence(evidence, subtitle, notes).save(temporary)
        parts.append((evidence, subtitle, notes))
        documents.append(
            {
                **evidence.document(),
                "ranked_with": pair.score,
                "source": pair.source,
                "faithfulness": None if own is None else own.document(),
            }
        )
    explained = Explained(
        tuple(one.evidence for one in looked),
        compare([one.drops for one in looked]),
        tuple(sheets),
        place.with_name(f"{place.name}.html"),
        place.with_name(f"{place.name}.json"),
    )
    write_text(explained.page, write_page(title, parts))
    about = {"schema": SCHEMA, "query": title, "matcher": matcher}
    write_json(explained.data, {**about, **explained.document(), "hits": documents})
    return explained


def _ranked_otherwise(one: Looked) -> tuple[str, ...]:
    """Said where the score that is explained is not the one that ranked."""
    if abs(one.pair.score - one.evidence.score) <= NOTICED:
        return ()
    return (
        f"It was ranked with {one.pair.score:.3f}; what is explained is all that the model says of the "
        "picture as it stands, without its mirror.",
    )
