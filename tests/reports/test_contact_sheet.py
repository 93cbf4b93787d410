"""The contact sheet: one cell a hit, one size for one number of hits, and no text that breaks it."""

import time
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from mmx.reports.contact_sheet import (
    GUTTER,
    MARGIN,
    MAX_CELLS,
    PHOTO,
    Cell,
    draw_sheet,
)
from mmx.store.images import load_image


def cells(count: int, colour: str = "red", caption: str = "a red square") -> list[Cell]:
    return [Cell(rank, 0.5, Image.new("RGB", (300, 200), colour), caption) for rank in range(1, count + 1)]


@pytest.mark.parametrize(("count", "columns"), [(0, 2), (1, 2), (3, 3), (9, 3), (10, 4), (16, 4), (30, 6)])
def test_nine_hits_stand_three_by_three_and_more_in_a_square(count: int, columns: int) -> None:
    sheet = draw_sheet("query", "subtitle", cells(count))
    rows = -(-count // columns)
    assert sheet.width == 2 * MARGIN + columns * PHOTO[0] + (columns - 1) * GUTTER
    assert rows * PHOTO[1] < sheet.height < rows * (PHOTO[1] + 180) + 250


def test_a_photo_keeps_its_shape_on_a_quiet_ground() -> None:
    sheet = draw_sheet("query", "subtitle", [Cell(1, 0.5, Image.new("RGB", (100, 400), "red"), "")])
    reds = [x for x in range(sheet.width) if sheet.getpixel((x, 300)) == (255, 0, 0)]
    assert len(reds) == pytest.approx(PHOTO[1] / 4, abs=3)
    assert sum(reds) / len(reds) == pytest.approx(MARGIN + PHOTO[0] / 2, abs=3)


def test_other_hits_give_another_sheet_and_the_same_hits_the_same() -> None:
    sheet = draw_sheet("query", "subtitle", cells(9))
    assert ImageChops.difference(sheet, draw_sheet("query", "subtitle", cells(9))).getbbox() is None
    for other in (
        draw_sheet("query", "subtitle", cells(9, colour="blue")),
        draw_sheet("query", "subtitle", cells(9, caption="a blue square")),
        draw_sheet("another", "subtitle", cells(9)),
    ):
        assert ImageChops.difference(sheet, other).getbbox() is not None


def test_a_missing_picture_is_a_marked_empty_frame() -> None:
    sheet = draw_sheet("query", "subtitle", [Cell(1, 0.5, "missing", "a caption")])
    shown = draw_sheet("query", "subtitle", [Cell(1, 0.5, Image.new("RGB", PHOTO, "white"), "a caption")])
    assert sheet.size == shown.size
    assert ImageChops.difference(sheet, shown).getbbox() is not None


@pytest.mark.parametrize(
    "text",
    [
        "🚴🏽‍♀️ riding 😀",
        "رجل يركب دراجة",
        "x" * 100_000,
        "word " * 20_000,
        "\x1b[31mred\x00\ttab\nline",
        "\ud800 half",
        " ",
        "自転車",
    ],
)
def test_no_text_breaks_a_sheet_or_makes_it_larger(text: str) -> None:
    sheet = draw_sheet(text, text, cells(9, caption=text))
    assert sheet.width == draw_sheet("q", "s", cells(9)).width
    assert sheet.height <= draw_sheet("word " * 500, "s", cells(9, caption="word " * 500)).height


def test_at_most_a_hundred_hits_are_drawn() -> None:
    few = [Cell(rank, 0.5, "missing", "") for rank in range(1, 120)]
    assert draw_sheet("q", "s", few).size == draw_sheet("q", "s", few[:MAX_CELLS]).size


def test_nine_photos_take_less_than_a_second_and_a_half() -> None:
    photos = [
        Cell(rank, 0.5, Image.effect_noise((500, 375), 50).convert("RGB"), "a caption " * 9)
        for rank in range(9)
    ]
    began = time.process_time()
    draw_sheet("man riding cycle", "subtitle", photos)
    assert time.process_time() - began < 1.5


@pytest.mark.real_data
def test_nine_real_photos_are_all_drawn(real_data: Path) -> None:
    photos = sorted((real_data / "flickr8k_native").glob("*.jpg"))[:9]
    shown = [Cell(rank, 0.3, load_image(path, PHOTO), path.name) for rank, path in enumerate(photos, start=1)]
    sheet = draw_sheet("man riding cycle", "real photos", shown)
    middles = [(MARGIN + column * (PHOTO[0] + GUTTER) + PHOTO[0] // 2, 300) for column in range(3)]
    assert len({sheet.getpixel(middle) for middle in middles}) == 3
