"""load_image: every kind of picture becomes upright RGB, and every fault a reason."""

import os
import random
import warnings
import zlib
from pathlib import Path

import numpy
import pytest
from PIL import Image

from mmx.core.view import View
from mmx.store.images import MAX_BYTES, ImageError, load_image, read_pixels

# pytest shows what the package keeps quiet: notes of the decoders on files that are damaged on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def noisy(width: int = 64, height: int = 48) -> Image.Image:
    values = numpy.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=numpy.uint8)
    return Image.fromarray(values)


def reason(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("RGB", (10, 20, 30), "png", (10, 20, 30)),
        ("L", 77, "png", (77, 77, 77)),
        ("1", 1, "png", (255, 255, 255)),
        ("P", 0, "gif", (0, 0, 0)),
        ("LA", (0, 0), "png", (255, 255, 255)),
        ("RGBA", (255, 0, 0, 0), "png", (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), "webp", (10, 20, 30)),
        ("I;16", 65535, "png", (255, 255, 255)),
        ("I;16", 32896, "png", (128, 128, 128)),
        ("F", 1.0, "tiff", (255, 255, 255)),
        ("CMYK", (0, 0, 0, 0), "jpg", (255, 255, 255)),
    ],
)
def test_every_mode_becomes_rgb(
    tmp_path: Path, mode: str, colour: object, suffix: str, expected: tuple
) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.new(mode, (8, 6), colour).save(path, **({"lossless": True} if suffix == "webp" else {}))

    image = load_image(path)

    assert (image.mode, image.size) == ("RGB", (8, 6))
    assert numpy.abs(numpy.array(image.getpixel((3, 3))) - expected).max() <= 1


def test_half_transparent_pixels_are_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "a.png")

    assert load_image(tmp_path / "a.png").getpixel((0, 0)) == (127, 127, 127)


def test_a_palette_with_a_transparent_colour_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 9, 9, 9])
    image.save(tmp_path / "a.png", transparency=1)

    assert load_image(tmp_path / "a.png").getpixel((0, 0)) == (255, 255, 255)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])

    red, _, blue = load_image(tmp_path / "a.gif").getpixel((0, 0))

    assert red > 250 and blue < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright_by_its_exif_note(tmp_path: Path, orientation: int) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    upright = Image.new("RGB", (32, 16), "white")
    upright.paste("red", (0, 0, 16, 8))
    turned = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)

    image = load_image(tmp_path / "a.jpg", longest=(32, 16))

    assert image.size == (32, 16)
    assert image.getpixel((4, 4))[1] < 40
    assert min(image.getpixel((28, 12))) > 215


def test_damaged_exif_does_not_hide_whole_pixels(tmp_path: Path) -> None:
    noisy().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xffgarbage")

    assert load_image(tmp_path / "a.jpg").size == (64, 48)


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1)])
@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_extreme_shapes_fill_the_view(tmp_path: Path, size: tuple, fit: str) -> None:
    Image.new("RGB", size, "red").save(tmp_path / "a.png")

    pixels = read_pixels(tmp_path / "a.png", View(32, 24, fit=fit))

    assert pixels.shape == (3, 32, 24) and pixels.dtype == numpy.uint8
    assert pixels[0].min() == 255 and pixels[1].max() == 0


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tiff", "bmp"])
def test_half_a_file_is_damaged(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noisy().save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    assert "damaged" in reason(path) or reason(path) == "not a picture"


def test_a_wrong_png_checksum_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noisy().save(path)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"IDAT") + 40] ^= 0xFF
    path.write_bytes(raw)

    assert "damaged" in reason(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (b"just some words", "text, not a picture"),
        (b"<!DOCTYPE html><html>404</html>", "a web page, not a picture"),
        (b"\x80\x04\x95pickle", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "text, not a picture"),
    ],
)
def test_what_is_no_picture_says_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)

    assert reason(tmp_path / "a.jpg") == words


def test_what_is_no_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")

    assert reason(tmp_path / "fifo.jpg") == "not a regular file"
    assert reason(tmp_path / "folder.jpg") == "a folder"
    assert "loop of links" in reason(tmp_path / "loop.jpg")
    assert reason(tmp_path / "gone.jpg") == "missing"
    assert "unreadable name" in reason(Path("a\0b.jpg"))


def test_a_bomb_of_pixels_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    chunk = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    data = b"IDAT" + zlib.compress(bytes(100))
    data = (len(data) - 4).to_bytes(4, "big") + data + zlib.crc32(data).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + data)

    assert "pixels" in reason(tmp_path / "a.png")


def test_a_file_beyond_all_measure_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(MAX_BYTES + 1)

    assert "bytes" in reason(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tiff", "bmp"])
def test_random_damage_gives_a_picture_or_a_reason_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noisy(24, 16).save(path)
    whole, chance = path.read_bytes(), random.Random(0)

    for _ in range(60):
        broken = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        path.write_bytes(broken)
        try:
            assert load_image(path).mode == "RGB"
        except ImageError:
            continue


def test_a_jpeg_read_small_is_nearly_the_jpeg_read_whole(tmp_path: Path) -> None:
    noisy(16, 12).resize((640, 480), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg", quality=95)
    view = View(64, 64)

    small = read_pixels(tmp_path / "a.jpg", view).astype(int)
    whole = numpy.asarray(load_image(tmp_path / "a.jpg").resize((64, 64), Image.Resampling.BICUBIC))

    assert numpy.abs(small - whole.transpose(2, 0, 1)).mean() < 4


def test_reading_says_nothing_on_its_own(tmp_path: Path) -> None:
    Image.new("P", (4, 4), 3).save(tmp_path / "a.png", transparency=bytes([0, 1, 2, 3]))

    with warnings.catch_warnings(record=True) as said:
        load_image(tmp_path / "a.png")

    assert not said


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((60, 40), (60, 40)),
        ((160, 120), (107, 80)),
        ((120, 160), (80, 107)),
        ((400, 100), (133, 33)),
        ((1, 500), (1, 133)),
        ((133, 80), (133, 80)),
    ],
)
def test_within_shrinks_to_the_short_and_the_long_side_and_keeps_the_aspect(
    size: tuple[int, int], expected: tuple[int, int], tmp_path: Path
) -> None:
    """Short side at most 80, long side at most 133; nothing is enlarged."""
    noisy(*size).save(tmp_path / "a.png")

    pixels = read_pixels(tmp_path / "a.png", View(80, 133, "within", "bilinear"))

    assert pixels.shape == (3, expected[1], expected[0])


def test_a_large_jpeg_within_a_view_is_decoded_no_smaller_than_it_is_needed(tmp_path: Path) -> None:
    noisy(1000, 700).save(tmp_path / "a.jpg")

    assert read_pixels(tmp_path / "a.jpg", View(80, 133, "within", "bilinear")).shape == (3, 80, 114)
    assert load_image(tmp_path / "a.jpg", longest=(80, 80)).size == (125, 88)
