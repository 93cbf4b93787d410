"""Reading pictures of any kind and any state into uint8 RGB, within limits, never passing over a fault."""

import stat
import struct
import warnings
import zlib
from datetime import datetime
from pathlib import Path

import numpy
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from mmx.core.view import View

MAX_PIXELS = 178_000_000
MAX_BYTES = 1 << 30
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# Only plain raster formats: some of the others start programs (EPS) or read further files.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM")
ORIENTATION = 0x0112
UPRIGHT = 1
EXIF, TAKEN, CHANGED = 0x8769, 0x9003, 0x0132
# What the decoders raise on damaged files, found by damaging files of every format.
DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    struct.error,
    zlib.error,
)

# Faults are raised as errors here; a filter set and reset at each picture would not be safe among threads.
warnings.filterwarnings("ignore", module="PIL")


class ImageError(Exception):
    """A picture that cannot be read; the message is the reason, without the file's name."""


def load_image(path: Path, longest: tuple[int, int] | None = None) -> Image.Image:
    """The picture as RGB, upright, its first frame, on white where it is transparent.

    Args:
        path: a regular file.
        longest: (width, height) that will be needed; a JPEG is then decoded no larger than that calls for.

    Raises:
        ImageError: with the reason.
    """
    _check_file(path)
    try:
        with Image.open(path, formats=FORMATS) as opened:
            if opened.format == "PNG":
                _check_sums(path)
            return _read(opened, longest)
    except UnidentifiedImageError as error:
        raise ImageError(_what_else(path)) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"more than {MAX_PIXELS:,} pixels") from error
    except MemoryError as error:
        raise ImageError("more memory needed than there is") from error
    except PermissionError as error:
        raise ImageError("no permission to read it") from error
    except DAMAGE as error:
        raise ImageError(f"damaged ({error})") from error


def read_pixels(path: Path, view: View) -> numpy.ndarray:
    """The picture as an encoder wants it: uint8 [3, height, width].

    Raises:
        ImageError: with the reason.
    """
    needed = (view.height, view.height) if view.fit == "within" else (view.width, view.height)
    return to_pixels(load_image(path, longest=needed), view)


def to_pixels(image: Image.Image, view: View) -> numpy.ndarray:
    """A loaded RGB picture, sized and cut by the view: uint8 [3, height, width]."""
    resample = FILTERS[view.interpolation]
    size = _shrunk(image.size, view) if view.fit == "within" else (view.width, view.height)
    if image.size != size and view.fit == "crop":
        image = ImageOps.fit(image, size, resample)
    elif image.size != size:
        image = image.resize(size, resample)
    return numpy.ascontiguousarray(numpy.asarray(image).transpose(2, 0, 1))


def _shrunk(size: tuple[int, int], view: View) -> tuple[int, int]:
    """Width and height of a picture that keeps its aspect and fits the view either way up."""
    scale = min(1.0, view.height / min(size), view.width / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def check_pixels(path: Path, most: int) -> None:
    """Look at the size that a picture claims, before any of it is decoded.

    Raises:
        ImageError: with the reason, when it has more pixels than that, or is no picture.
    """
    _check_file(path)
    try:
        with Image.open(path, formats=FORMATS) as opened:
            width, height = opened.size
    except UnidentifiedImageError as error:
        raise ImageError(_what_else(path)) from error
    except (Image.DecompressionBombError, *DAMAGE) as error:
        raise ImageError(f"damaged ({error})") from error
    if width * height > most:
        raise ImageError(f"{width}x{height} pixels are more than {most:,}")


def date_taken(path: Path) -> str:
    """When a photo was taken by its own account, as `2026-11-21T12:00:00`; empty where it says nothing."""
    try:
        _check_file(path)
        with Image.open(path, formats=FORMATS) as opened:
            exif = opened.getexif()
            said = exif.get_ifd(EXIF).get(TAKEN) or exif.get(CHANGED)
        return datetime.strptime(str(said).strip("\0 "), "%Y:%m:%d %H:%M:%S").isoformat() if said else ""
    except (ImageError, UnidentifiedImageError, Image.DecompressionBombError, *DAMAGE):
        return ""


def _check_file(path: Path) -> None:
    """Refuse what is no regular file before it is opened: a FIFO would wait for ever."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise ImageError("missing") from error
    except (OSError, ValueError) as error:
        raise ImageError("unreadable name or loop of links") from error
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
    if status.st_size == 0:
        raise ImageError("empty file")
    if status.st_size > MAX_BYTES:
        raise ImageError(f"file of {status.st_size:,} bytes; at most {MAX_BYTES:,} are read")


def _check_sums(path: Path) -> None:
    """Compare the checksums of a PNG, which its decoder passes over."""
    with Image.open(path, formats=("PNG",)) as again:
        again.verify()


def _read(opened: ImageFile.ImageFile, longest: tuple[int, int] | None) -> Image.Image:
    if opened.width * opened.height > MAX_PIXELS:
        raise ImageError(f"{opened.width}x{opened.height} pixels are more than {MAX_PIXELS:,}")
    turned = _orientation(opened) != UPRIGHT
    if longest is not None:
        # A turned picture swaps its sides afterwards; the larger side serves both.
        opened.draft("RGB", (max(longest), max(longest)) if turned else longest)
    opened.load()
    image = ImageOps.exif_transpose(opened) if turned else opened
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        image = _deep_to_grey(image)
    if image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB") if image.mode != "RGB" or image is opened else image


def _orientation(opened: ImageFile.ImageFile) -> int:
    """The EXIF orientation; upright where EXIF data are damaged, since the pixels may still be whole."""
    try:
        return opened.getexif().get(ORIENTATION, UPRIGHT)
    except DAMAGE:
        return UPRIGHT


def _deep_to_grey(image: Image.Image) -> Image.Image:
    """16-bit and floating-point greys as 8 bits: 65,535 or the brightest value becomes white."""
    values = numpy.nan_to_num(numpy.asarray(image, dtype=numpy.float64), posinf=0.0, neginf=0.0)
    top = 65535.0 if image.mode.startswith("I") else max(float(values.max(initial=0.0)), 1.0)
    return Image.fromarray((values / top * 255).clip(0, 255).astype(numpy.uint8))


def _what_else(path: Path) -> str:
    """Says what a file that is no picture seems to be."""
    with path.open("rb") as file:
        head = file.read(64).lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        return "a web page, not a picture"
    is_text = bool(head) and all(byte >= ord(" ") or byte in b"\r\n\t" for byte in head) and head.isascii()
    return "text, not a picture" if is_text else "not a picture"
