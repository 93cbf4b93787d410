"""The gallery of an evaluation: captions from all over the split, and the pictures ranked first for each."""

from contextlib import nullcontext
from pathlib import Path

import torch
from PIL import Image

from mmx.core.errors import UsageError
from mmx.core.paths import expanded
from mmx.core.present import present
from mmx.engine.second_stage import ScorePairs
from mmx.reports.gallery import Query, Ranked, gallery_page
from mmx.store.atomic import check_writable, write_text
from mmx.workflows.embedded import Embedded
from mmx.workflows.picture_or_reason import picture_or_reason
from mmx.workflows.ranked_list import RankedList
from mmx.workflows.stage_rows import RankedRow

SHOWN = 10
LARGE_ENOUGH = (240, 360)
SUFFIXES = (".html", ".htm")


def check_place(path: Path) -> None:
    """Refuse, before any work, what cannot be written.

    Raises:
        UsageError: for a name that no browser opens.
        ResourceError: for a folder that cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--gallery '{path}' is an HTML file. Give it a name like gallery.html.")
    check_writable(expanded(path).absolute().parent)


def write_gallery(embedded: Embedded, row: RankedRow, path: Path, number: int) -> None:
    """Show `number` captions, evenly spread over those that have a right answer, as one row ranks them.

    Raises:
        ResourceError: when the file cannot be written.
        TrainingError: when a score is not finite.
    """
    second = embedded.embeddings.second
    asked = (row.ranks.t2i >= 0).nonzero()[:, 0]
    chosen = asked[torch.linspace(0, len(asked) - 1, min(number, len(asked))).round().long()]
    with nullcontext() if row.top == 0 else present(second).scoring() as score:
        queries = [_query(embedded, row, caption, score) for caption in chosen.tolist()]
    subtitle = (
        f"{embedded.name}  ·  {embedded.manifest.name} {embedded.split}, {len(embedded.embeddings.image):,} "
        f"pictures  ·  {row.name}  ·  {len(queries):,} of {len(asked):,} captions, evenly spread"
    )
    write_text(
        expanded(path).absolute(), gallery_page("What was asked, and what was found", subtitle, queries)
    )


def _query(embedded: Embedded, row: RankedRow, caption: int, score: ScorePairs | None) -> Query:
    found, records = embedded.embeddings, embedded.records
    owners = [owner for owner, record in enumerate(records) for _ in record.captions]
    captions = [text for record in records for text in record.captions]
    relevant = found.image_group == found.text_group[caption]
    cosine = found.image.double() @ found.text[caption].double()
    answers = RankedList(caption, "t2i", row, cosine, relevant, score)
    rows, scores = answers.first(SHOWN)
    own = records[owners[caption]]
    lists = row.ranks.lists
    return Query(
        caption=captions[caption],
        picture="no picture" if own.image is None else _picture(embedded, owners[caption]),
        rank=int(row.ranks.t2i[caption]) + 1,
        right=int(relevant.sum()),
        precision=None if lists is None else 100 * float(lists.precision[caption]),
        ranked=tuple(
            Ranked(
                place,
                value,
                bool(relevant[image]),
                _picture(embedded, int(found.image_row[image])),
                records[int(found.image_row[image])].id,
            )
            for place, (image, value) in enumerate(zip(rows.tolist(), scores.tolist(), strict=True), start=1)
        ),
    )


def _picture(embedded: Embedded, row: int) -> Image.Image | str:
    """The picture of a record, small; in words why there is none."""
    return picture_or_reason(embedded.manifest.image_path(embedded.records[row]), LARGE_ENOUGH)
