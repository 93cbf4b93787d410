"""The queries a model gets most wrong: what was asked, what is right, and what it put first instead."""

from contextlib import nullcontext
from dataclasses import dataclass

import torch

from mmx.core.present import present
from mmx.core.record import Record
from mmx.engine.second_stage import ScorePairs
from mmx.tasks.recall import DIRECTIONS
from mmx.workflows.embedded import Embedded
from mmx.workflows.ranked_list import RankedList
from mmx.workflows.stage_rows import RankedRow


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
    """By both stages, where there are two; a right answer that is too far to be ranked again has a bad rank
    whatever its score.
    """
    first: str
    """The best wrong answer."""
    first_score: float


def worst_cases(embedded: Embedded, row: RankedRow, number: int) -> list[WorstCase]:
    """The `number` worst queries of each direction by one row, the worst first."""
    second = embedded.embeddings.second
    with nullcontext() if row.top == 0 else present(second).scoring() as score:
        return [case for direction in DIRECTIONS for case in _worst(embedded, row, direction, number, score)]


def _worst(
    embedded: Embedded, row: RankedRow, direction: str, number: int, score: ScorePairs | None
) -> list[WorstCase]:
    found = embedded.embeddings
    places = row.ranks.i2t if direction == "i2t" else row.ranks.t2i
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
        cosine = gallery.double() @ query[asked].double()
        relevant = gallery_group == query_group[asked]
        answers = RankedList(asked, direction, row, cosine, relevant, score)
        near = answers.near
        scores = torch.full_like(cosine, -torch.inf).index_copy(0, near, answers.scores(near))
        first = int(scores.masked_fill(relevant, -torch.inf).argmax())
        # None of the right ones near: the nearest of them keeps its place behind.
        among = scores if relevant[near].any() else cosine
        right = int(among.masked_fill(~relevant, -torch.inf).argmax())
        cases.append(
            WorstCase(
                direction=direction,
                rank=int(places[asked]) + 1,
                query=query_names[asked],
                right=gallery_names[right],
                right_score=float(answers.scores(torch.tensor([right]))),
                first=gallery_names[first],
                first_score=float(scores[first]),
            )
        )
    return cases


def _picture(record: Record) -> str:
    return f"{record.id} ({record.image})" if record.id != record.image else record.id
