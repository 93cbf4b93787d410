"""Captions with the pictures ranked first for them as one HTML file, right ones and wrong ones framed.

Right and wrong are told by a sign as well as by colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from mmx.reports.html_page import as_source, as_text, write_html

SIZE, QUALITY = (176, 264), 85
"""Twice what is shown, for fine screens."""
STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f7f7f5; color: #1c1c1e; font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 1320px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 28px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 17px; font-weight: 600; margin: 0 0 2px; overflow-wrap: anywhere; }
p { margin: 0; } .faint { color: #6a6a70; font-size: 13px; overflow-wrap: anywhere; }
section { border-top: 1px solid #dcdcd8; margin-top: 24px; padding-top: 20px; }
.row { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 12px; align-items: flex-start; }
figure { margin: 0; width: 96px; } figcaption { font-size: 12px; padding-top: 3px; }
figure img, figure .none { width: 88px; height: 132px; object-fit: contain; background: #e9e9e6;
  display: block; border: 4px solid #c9c9c4; border-radius: 6px; }
figure.right img, figure.right .none { border-color: #1f8a4c; }
figure.wrong img, figure.wrong .none { border-color: #c23b30; }
.right figcaption b { color: #1f8a4c; } .wrong figcaption b { color: #c23b30; }
.none { color: #a3423a; font-size: 11px; overflow: hidden; }
.asked { margin-right: 14px; }
@media print { section { break-inside: avoid; } }
"""
Picture = Image.Image | str
"""A picture, or in words why there is none."""


@dataclass(frozen=True)
class Ranked:
    """A picture in a query's list."""

    place: int
    score: float
    right: bool
    picture: Picture
    name: str


@dataclass(frozen=True)
class Query:
    """A caption, the picture it was written for, and what was ranked first for it."""

    caption: str
    picture: Picture
    rank: int
    """Place of the first right answer, from 1."""
    right: int
    """Right answers in the gallery."""
    precision: float | None
    """Average precision in percent; None where only the first right answer counts."""
    ranked: Sequence[Ranked]


def gallery_page(title: str, subtitle: str, queries: Sequence[Query]) -> str:
    """The page of some queries."""
    sections = "\n".join(map(_section, queries))
    nothing = "" if queries else '<p class="faint">No caption has a right answer.</p>\n'
    return write_html(title, STYLE, f'<p class="faint">{as_text(subtitle)}</p>\n{nothing}{sections}')


def _section(query: Query) -> str:
    precision = "" if query.precision is None else f", average precision {query.precision:.1f}"
    many = "1 right picture" if query.right == 1 else f"{query.right:,} right pictures"
    own = _image(query.picture, "asked for")
    asked = f'<figure class="asked">{own}<figcaption>asked for</figcaption></figure>'
    return (
        f"<section><h2>{as_text(query.caption)}</h2>"
        f'<p class="faint">{many}, the first at place {query.rank:,}{precision}</p>'
        f'<div class="row">{asked}{"".join(map(_ranked, query.ranked))}</div></section>'
    )


def _ranked(hit: Ranked) -> str:
    kind, sign = ("right", "&#10003;") if hit.right else ("wrong", "&#10007;")
    return (
        f'<figure class="{kind}">{_image(hit.picture, hit.name)}<figcaption><b>{sign} {hit.place}</b> '
        f'<span class="faint">{hit.score:.3f}</span></figcaption></figure>'
    )


def _image(picture: Picture, name: str) -> str:
    if isinstance(picture, str):
        return f'<div class="none">{as_text(picture)}</div>'
    small = picture.convert("RGB")
    small.thumbnail(SIZE)
    return f'<img alt="{as_text(name)}" title="{as_text(name)}" src="{as_source(small, QUALITY)}">'
