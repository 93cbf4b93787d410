"""Augmentation: the same picture for the same seed, within the limits that are promised."""

import time
from pathlib import Path

import numpy
import pytest
from PIL import Image

from mmx.core.errors import UsageError
from mmx.core.view import View
from mmx.engine.augment import augment_pixels, crop_box
from mmx.store.images import ImageError, read_pixels

VIEW = View(height=24, width=32)
GREY = 128


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Left half red rising to the right, with a bright corner."""
    values = numpy.zeros((60, 80, 3), dtype=numpy.uint8)
    values[:, :, 0] = numpy.arange(80)[None] * 3
    values[:20, :20, 1] = 250
    Image.fromarray(values).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.mark.parametrize("augment", ["none", "flip", "crop-flip", "person"])
@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_the_same_seed_gives_the_same_uint8_picture_of_the_views_size(
    augment: str, fit: str, picture: Path
) -> None:
    view = View(height=24, width=32, fit=fit)

    first, second = (augment_pixels(picture, view, augment, seed=7) for _ in range(2))

    assert first.shape == (3, 24, 32) and first.dtype == numpy.uint8 and first.flags.c_contiguous
    assert numpy.array_equal(first, second)


def test_none_is_the_encoders_own_view(picture: Path) -> None:
    assert numpy.array_equal(augment_pixels(picture, VIEW, "none", 3), read_pixels(picture, VIEW))


def test_flip_mirrors_odd_seeds_and_leaves_even_ones(picture: Path) -> None:
    plain = read_pixels(picture, VIEW)

    assert numpy.array_equal(augment_pixels(picture, VIEW, "flip", 4), plain)
    assert numpy.array_equal(augment_pixels(picture, VIEW, "flip", 5), plain[:, :, ::-1])


def test_crop_flip_differs_from_seed_to_seed(picture: Path) -> None:
    seen = {augment_pixels(picture, VIEW, "crop-flip", seed).tobytes() for seed in range(20)}

    assert len(seen) == 20


def test_crop_flip_changes_a_plain_grey_picture_by_at_most_a_fifth(tmp_path: Path) -> None:
    """Contrast and saturation leave grey as it is, so only brightness shows: 128 times 0.8 to 1.2."""
    Image.new("RGB", (40, 40), (GREY, GREY, GREY)).save(tmp_path / "grey.png")

    values = [augment_pixels(tmp_path / "grey.png", VIEW, "crop-flip", seed) for seed in range(40)]

    assert all(numpy.unique(value).size == 1 for value in values)
    assert min(value.min() for value in values) >= 0.8 * GREY - 1
    assert max(value.max() for value in values) <= 1.2 * GREY + 1


def test_a_crop_box_has_its_area_and_aspect_where_they_fit() -> None:
    width, height = crop_box((100, 100), aspect=1.0, area=0.64)

    assert (width, height) == pytest.approx((80, 80))


def test_a_crop_box_never_leaves_the_picture() -> None:
    """A box of the whole area and twice as wide as high would be 141 wide: cut to 100."""
    assert crop_box((100, 100), aspect=2.0, area=1.0) == pytest.approx((100, 100 / 2**0.5))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_extreme_pictures_can_be_cropped(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, "red").save(tmp_path / "odd.png")

    assert augment_pixels(tmp_path / "odd.png", VIEW, "crop-flip", 1).shape == (3, 24, 32)


def test_an_unknown_name_is_answered_with_the_near_one(picture: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'crop-flip'"):
        augment_pixels(picture, VIEW, "crop_flips", 0)


@pytest.mark.parametrize("augment", ["flip", "crop-flip"])
def test_a_damaged_picture_is_an_image_error(augment: str, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"<html>")

    with pytest.raises(ImageError):
        augment_pixels(tmp_path / "broken.jpg", VIEW, augment, 0)


def test_cropping_and_colouring_cost_little_beside_decoding(tmp_path: Path) -> None:
    random = numpy.random.default_rng(0)
    Image.fromarray(random.integers(0, 255, (375, 500, 3), dtype=numpy.uint8)).save(tmp_path / "a.jpg")
    view, times = View(224, 224), {}
    for augment in ("none", "crop-flip"):
        begun = time.perf_counter()
        for seed in range(8):
            augment_pixels(tmp_path / "a.jpg", view, augment, seed)
        times[augment] = time.perf_counter() - begun

    assert times["crop-flip"] < 5 * times["none"]


def test_a_person_is_moved_by_at_most_ten_pixels_and_half_of_them_have_a_part_erased(tmp_path: Path) -> None:
    """A picture of one colour: black is where it moved away from, anything else is noise."""
    Image.new("RGB", (64, 192), (200, 100, 50)).save(tmp_path / "person.png")
    view, erased = View(height=192, width=64), 0
    for seed in range(0, 200, 2):
        varied = augment_pixels(tmp_path / "person.png", view, "person", seed).astype(int)
        kept = (varied == numpy.array([200, 100, 50])[:, None, None]).all(0)
        black = (varied == 0).all(0)
        other = ~kept & ~black
        share = other.mean()
        erased += share > 0
        assert share < 0.41 and kept[10:-10, 10:-10].any()
        assert not black[10:-10, 10:-10].sum() > 3
        if share:
            rows, columns = numpy.flatnonzero(other.any(1)), numpy.flatnonzero(other.any(0))
            assert other.mean() > 0.95 * numpy.ptp(rows) * numpy.ptp(columns) / other.size

    assert 35 < erased < 65


def test_odd_seeds_mirror_a_person(picture: Path) -> None:
    view = View(height=64, width=32)
    varied = [augment_pixels(picture, view, "person", seed) for seed in range(40)]

    rises = [
        pixels[0, 12:-12, 20].astype(int).mean() > pixels[0, 12:-12, 12].astype(int).mean()
        for pixels in varied
    ]

    assert sum(rise == (seed % 2 == 0) for seed, rise in enumerate(rises)) > 30
