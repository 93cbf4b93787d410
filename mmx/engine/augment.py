"""How training pictures are varied: each variation is a pure function of one number."""

import math
from pathlib import Path

import numpy
from PIL import Image

from mmx.core.names import unknown
from mmx.core.view import View
from mmx.store.images import FILTERS, load_image, to_pixels

AUGMENTS = ("none", "flip", "crop-flip", "person")

SMALLEST_AREA = 0.6
ASPECT_CHANGE = 4 / 3
COLOUR_CHANGE = 0.2
LUMINANCE = (0.299, 0.587, 0.114)
SHIFT = 10
"""Pixels."""
CHANCE_ERASED = 0.5
ERASED_AREA = (0.02, 0.4)
ERASED_ASPECT = (0.3, 3.3)
TRIES = 10


def augment_pixels(path: Path, view: View, augment: str, seed: int) -> numpy.ndarray:
    """A picture varied for training: uint8 [3, height, width], the same for the same seed.

    `none` is the encoder's own view; `flip` mirrors it for odd seeds; `crop-flip` cuts out 60 to 100 % of the
    area with the aspect changed by up to a third, mirrors it for odd seeds, and changes brightness, contrast
    and saturation by up to 20 %. `person` mirrors the view for odd seeds, moves it by up to 10 pixels over
    black, and in half of the pictures puts noise in the place of 2 to 40 % of it (arXiv 1708.04896).

    Raises:
        UsageError: for a name that is none of these.
        ImageError: when the picture cannot be read.
    """
    if augment not in AUGMENTS:
        raise unknown("augmentation", augment, AUGMENTS, "mmx train METHOD --settings")
    if augment == "crop-flip":
        return _crop_flip(path, view, seed)
    pixels = to_pixels(load_image(path, longest=(view.width, view.height)), view)
    if augment == "person":
        pixels = _erased(_shifted(pixels, random := numpy.random.default_rng(seed)), random)
    return _mirrored(pixels) if augment != "none" and seed % 2 else pixels


def crop_box(size: tuple[int, int], aspect: float, area: float) -> tuple[float, float]:
    """Width and height of a box with a share of a picture's area and the given aspect, kept inside it."""
    width, height = size
    wanted = math.sqrt(area * width * height * aspect)
    return min(wanted, float(width)), min(wanted / aspect, float(height))


def _crop_flip(path: Path, view: View, seed: int) -> numpy.ndarray:
    random = numpy.random.default_rng(seed)
    # A JPEG is decoded just large enough for the smallest box to fill the view.
    spare = math.sqrt(ASPECT_CHANGE / SMALLEST_AREA)
    image = load_image(path, longest=(math.ceil(view.width * spare), math.ceil(view.height * spare)))
    own = image.width / image.height if view.fit == "squash" else view.width / view.height
    aspect = own * math.exp(random.uniform(-1, 1) * math.log(ASPECT_CHANGE))
    width, height = crop_box(image.size, aspect, random.uniform(SMALLEST_AREA, 1.0))
    left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
    box = (left, top, min(left + width, image.width), min(top + height, image.height))
    cut = image.resize((view.width, view.height), FILTERS[view.interpolation], box=box)
    pixels = _recoloured(cut, *random.uniform(1 - COLOUR_CHANGE, 1 + COLOUR_CHANGE, size=3))
    return _mirrored(pixels) if seed % 2 else pixels


def _recoloured(image: Image.Image, brightness: float, contrast: float, saturation: float) -> numpy.ndarray:
    """Saturation about each pixel's grey, contrast about the mean grey, brightness: one 3 x 4 product."""
    mean_grey = float(numpy.asarray(image.convert("L")).mean())
    mix = saturation * numpy.eye(3) + (1 - saturation) * numpy.tile(LUMINANCE, (3, 1))
    shift = numpy.full((3, 1), brightness * (1 - contrast) * mean_grey)
    matrix = numpy.hstack([brightness * contrast * mix, shift])
    recoloured = image.convert("RGB", tuple(matrix.ravel().tolist()))
    return numpy.ascontiguousarray(numpy.asarray(recoloured).transpose(2, 0, 1))


def _shifted(pixels: numpy.ndarray, random: numpy.random.Generator) -> numpy.ndarray:
    """[3, height, width] moved by up to SHIFT pixels down and across."""
    down, across = random.integers(0, 2 * SHIFT + 1, size=2)
    height, width = pixels.shape[1:]
    padded = numpy.pad(pixels, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    return numpy.ascontiguousarray(padded[:, down : down + height, across : across + width])


def _erased(pixels: numpy.ndarray, random: numpy.random.Generator) -> numpy.ndarray:
    """[3, height, width] with noise in a box, by chance; as it is where no box of the drawn shapes fits."""
    if random.random() >= CHANCE_ERASED:
        return pixels
    height, width = pixels.shape[1:]
    for _ in range(TRIES):
        area = random.uniform(*ERASED_AREA) * height * width
        aspect = math.exp(random.uniform(math.log(ERASED_ASPECT[0]), math.log(ERASED_ASPECT[1])))
        tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < tall < height and 0 < wide < width:
            top, left = random.integers(0, height - tall), random.integers(0, width - wide)
            noised = pixels.copy()
            noised[:, top : top + tall, left : left + wide] = random.integers(0, 256, (3, tall, wide))
            return noised
    return pixels


def _mirrored(pixels: numpy.ndarray) -> numpy.ndarray:
    return numpy.ascontiguousarray(pixels[:, :, ::-1])
