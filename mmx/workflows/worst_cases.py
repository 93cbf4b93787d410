"""The queries a model gets most wrong: what was asked, what is right, and what it put first instead."""

from dataclasses import dataclass

import torch

from mmx.core.record import Record
from mmx.tasks.recall import Ranks
from mmx.workflows.embedded import Embedded


@dataclass(frozen=True)
class WorstCase:
    """One query with a bad rank. Pictures are named by record id and file, captions by their text."""

    direction: str
    rank: int
    """Place of the best right answer, from 1."""
    query: str
    right: str
    """The best right answer."""
    right_score: float
    first: str
    """The best wrong answer."""
    first_score: float


def worst_cases(embedded: Embedded, ranks: Ranks, number: int) -> list[WorstCase]:
    """The `number` worst queries of each direction, the worst first."""
    return [case for direction in ("i2t", "t2i") for case in _worst(embedded, ranks, direction, number)]


def _worst(embedded: Embedded, ranks: Ranks, direction: str, number: int) -> list[WorstCase]:
    found = embedded.embeddings
    places = ranks.i2t if direction == "i2t" else ranks.t2i
    pictures = [_picture(embedded.records[row]) for row in found.image_row.tolist()]
    captions = [caption for record in embedded.records for caption in record.captions]
    sides = (found.image, found.image_group, pictures), (found.text, found.text_group, captions)
    (query, query_group, query_names), (gallery, gallery_group, gallery_names) = (
        sides if direction == "i2t" else sides[::-1]
    )
    cases = []
    for asked in places.argsort(descending=True, stable=True)[:number].tolist():
        if places[asked] < 1:
            break
        scores = gallery @ query[asked]
        relevant = gallery_group == query_group[asked]
        right = int(scores.masked_fill(~relevant, -torch.inf).argmax())
        first = int(scores.masked_fill(relevant, -torch.inf).argmax())
        cases.append(
            WorstCase(
                direction=direction,
                rank=int(places[asked]) + 1,
                query=query_names[asked],
                right=gallery_names[right],
                right_score=float(scores[right]),
                first=gallery_names[first],
                first_score=float(scores[first]),
            )
        )
    return cases


def _picture(record: Record) -> str:
    return f"{record.id} ({record.image})" if record.id != record.image else record.id
