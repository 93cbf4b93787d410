"""The hits of a search as pictures: a contact sheet and a page, where they were asked for."""

from collections.abc import Sequence
from pathlib import Path

from mmx.reports.contact_sheet import MAX_CELLS, PHOTO, Cell, draw_sheet
from mmx.reports.hits_page import write_hits_page
from mmx.store.atomic import atomic_file, write_text
from mmx.workflows.picture_or_reason import picture_or_reason
from mmx.workflows.search_result import SearchResult


def draw_answers(result: SearchResult, pictures: Sequence[Path]) -> None:
    """Write the sheet and the page, where they were asked for.

    Args:
        result: with the places of both.
        pictures: those of its hits, in their order.

    Raises:
        ResourceError: when one cannot be written.
    """
    if result.sheet is None and result.page is None:
        return
    # A photo in a folder has no caption: its name is then what tells it apart.
    cells = [
        Cell(hit.rank, hit.score, picture_or_reason(path, PHOTO), hit.caption or hit.id)
        for hit, path in zip(result.hits[:MAX_CELLS], pictures, strict=False)
    ]
    title = f"like {Path(result.query).name}" if result.asked_with == "image" else result.query
    subtitle = f"{result.made_by}  ·  {result.size:,} {result.finds} in {', '.join(result.searched)}"
    if result.sheet is not None:
        with atomic_file(result.sheet) as temporary:
            draw_sheet(title, subtitle, cells).save(temporary)
    if result.page is not None:
        write_text(result.page, write_hits_page(title, subtitle, cells, [hit.path for hit in result.hits]))
