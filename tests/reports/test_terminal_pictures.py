"""Pictures for terminals: what is drawn is read back and is the picture."""

import base64
import io
import re

import numpy
import pytest
from PIL import Image

from mmx.reports.terminal_pictures import half_blocks, kitty, sixel


def four_colours() -> Image.Image:
    """Red and green over blue and white."""
    pixels = numpy.zeros((14, 20, 3), numpy.uint8)
    pixels[:7, :10], pixels[:7, 10:] = (255, 0, 0), (0, 255, 0)
    pixels[7:, :10], pixels[7:, 10:] = (0, 0, 255), (255, 255, 255)
    return Image.fromarray(pixels)


def read_sixel(text: str) -> numpy.ndarray:
    """A decoder of what a terminal would draw: [height, width, 3] in percent."""
    width, height, body = re.fullmatch(r'\x1bPq"1;1;(\d+);(\d+)(.*)\x1b\\', text).groups()
    drawn = numpy.full((int(height) + 6, int(width), 3), -1.0)
    palette: dict[int, tuple[float, ...]] = {}
    top = left = colour = 0
    for token in re.findall(r"#\d+;2;\d+;\d+;\d+|#\d+|!\d+[?-~]|[?-~]|\$|-", body):
        if ";" in token:
            place, _, *rgb = map(int, token[1:].split(";"))
            palette[place] = tuple(rgb)
        elif token[0] == "#":
            colour = int(token[1:])
        elif token in "$-":
            left, top = 0, top + 6 * (token == "-")
        else:
            count = int(token[1:-1]) if token[0] == "!" else 1
            for bit in range(6):
                if (ord(token[-1]) - 63) >> bit & 1:
                    drawn[top + bit, left : left + count] = palette[colour]
            left += count
    return drawn[: int(height)]


def test_sixels_are_the_picture() -> None:
    drawn = read_sixel(sixel(four_colours()))
    assert numpy.abs(drawn - numpy.asarray(four_colours()) / 2.55).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (300, 200)])
def test_kitty_is_given_a_png_in_pieces(size: tuple[int, int]) -> None:
    picture = Image.effect_noise(size, 90).convert("RGB")
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", kitty(picture))
    assert pieces[0][0].startswith("a=T,f=100,") and pieces[-1][0].endswith("m=0")
    assert all(head.endswith("m=1") and len(data) == 4096 for head, data in pieces[:-1])
    with Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in pieces)))) as back:
        assert numpy.array_equal(numpy.asarray(back), numpy.asarray(picture))


def test_half_blocks_keep_the_shape_and_the_places() -> None:
    cells = half_blocks(four_colours(), 20, 50)
    assert (len(cells), len(cells[0])) == (7, 20)
    assert cells[0][0] == ((255, 0, 0), (255, 0, 0)) and cells[-1][-1][1] == (255, 255, 255)


@pytest.mark.parametrize(("size", "lines"), [((1, 20_000), 8), ((20_000, 1), 1), ((400, 300), 8)])
def test_half_blocks_stay_within_their_frame(size: tuple[int, int], lines: int) -> None:
    cells = half_blocks(Image.new("RGB", size), 24, 8)
    assert len(cells) == lines and 1 <= len(cells[0]) <= 24
