"""The sheet of evidence: regions with weight keep their colour, words have panels, nothing breaks it."""

import pytest
from PIL import Image, ImageChops

from mmx.reports.evidence import Evidence, Word
from mmx.reports.evidence_sheet import MOST_WORDS, WIDTH, draw_evidence, shade

HALVES = ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0))
RED = (255, 0, 0)


def make(words: tuple[Word, ...], picture: Image.Image | str, caption: str = "a dog") -> Evidence:
    return Evidence(1, "id", "path.png", caption, 0.5, picture, HALVES, words, True)


def redness(colour: tuple[int, int, int]) -> int:
    return colour[0] - colour[1]


def test_the_region_with_most_weight_is_as_it_was_and_outlined_and_the_other_is_pale() -> None:
    shaded = shade(Image.new("RGB", (200, 100), "red"), HALVES, (0.9, 0.1))

    assert shaded.getpixel((50, 50)) == RED
    assert redness(shaded.getpixel((150, 50))) < 60
    assert shaded.getpixel((0, 50)) == shaded.getpixel((99, 50)) != RED
    assert shaded.size == (200, 100)


def test_equal_weights_leave_all_pale_and_nothing_outlined() -> None:
    shaded = shade(Image.new("RGB", (200, 100), "red"), HALVES, (0.5, 0.5))

    assert len(shaded.getcolors()) == 1
    assert redness(shaded.getpixel((0, 0))) < 60


def test_where_regions_overlap_the_one_with_more_weight_is_seen() -> None:
    boxes = ((0.0, 0.0, 1.0, 1.0), (0.25, 0.25, 0.75, 0.75), (0.9, 0.9, 1.0, 1.0))
    for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0)):
        weights = [(0.6, 1.0, 0.0)[place] for place in order]
        shaded = shade(Image.new("RGB", (400, 400), "red"), [boxes[place] for place in order], weights)
        assert shaded.getpixel((200, 200)) == RED
        assert redness(shaded.getpixel((40, 200))) < 255


@pytest.mark.parametrize("box", [(0.5, 0.5, 0.5, 0.5), (1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 1.0, 0.0001)])
def test_a_box_without_area_is_still_a_place(box: tuple[float, float, float, float]) -> None:
    shaded = shade(Image.new("RGB", (50, 40), "red"), (box, (0.0, 0.0, 0.1, 0.1)), (1.0, 0.0))

    assert shaded.size == (50, 40)


def test_a_word_more_is_a_panel_more_and_small_words_are_rows_of_their_own() -> None:
    photo = Image.new("RGB", (320, 240), "red")
    word, small = Word("dog", (0.9, 0.1)), Word("the", (0.9, 0.1), "stop")
    heights = [
        draw_evidence(make(words, photo), "subtitle", ()).height
        for words in ((), (word,) * 4, (word,) * 5, (word,) * 5 + (small,), (word,) * 5 + (small,) * 8)
    ]

    assert heights[0] < heights[1] < heights[2] < heights[3] == heights[4]
    assert heights[3] - heights[2] < heights[2] - heights[1]


def test_words_beyond_the_panels_are_counted() -> None:
    photo, word = Image.new("RGB", (40, 30), "red"), Word("dog", (0.9, 0.1))
    full, over = (
        draw_evidence(make((word,) * count, photo), "s", ()) for count in (MOST_WORDS, MOST_WORDS + 40)
    )

    assert full.height < over.height < full.height + 100


@pytest.mark.parametrize(
    "text", ["", "word " * 4000, "m" * 30_000, "\ud800\x1b[31m\x00", "日本 العربية 👩‍👩‍👧"]
)
def test_no_text_breaks_a_sheet(text: str) -> None:
    evidence = make((Word(text, (0.9, 0.1)), Word(text, (0.1, 0.9), "special", True)), "missing", text)

    sheet = draw_evidence(evidence, text, (text, text))

    assert sheet.width == WIDTH
    assert sheet.height < 2000


def test_another_photo_or_other_weights_are_another_sheet_and_the_same_the_same() -> None:
    photo = Image.new("RGB", (320, 240), "red")
    first = draw_evidence(make((Word("dog", (0.9, 0.1)),), photo), "s", ("n",))

    again = draw_evidence(make((Word("dog", (0.9, 0.1)),), photo), "s", ("n",))
    assert ImageChops.difference(first, again).getbbox() is None
    for other in (
        draw_evidence(make((Word("dog", (0.1, 0.9)),), photo), "s", ("n",)),
        draw_evidence(make((Word("dog", (0.9, 0.1)),), Image.new("RGB", (320, 240), "blue")), "s", ("n",)),
        draw_evidence(make((Word("cat", (0.9, 0.1)),), photo), "s", ("n",)),
        draw_evidence(make((Word("dog", (0.9, 0.1)),), photo), "s", ("m",)),
    ):
        assert ImageChops.difference(first, other).getbbox() is not None


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (30, 2000)])
def test_pictures_of_any_shape_are_drawn(size: tuple[int, int]) -> None:
    sheet = draw_evidence(make((Word("dog", (0.9, 0.1)),), Image.new("RGB", size, "red")), "s", ())

    assert sheet.width == WIDTH
