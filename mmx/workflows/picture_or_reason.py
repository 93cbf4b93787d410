"""A picture to be shown, or in words why there is none."""

from pathlib import Path

from PIL import Image

from mmx.store.images import ImageError, load_image


def picture_or_reason(path: Path, longest: tuple[int, int] | None = None) -> Image.Image | str:
    """A picture, decoded about as large as it is shown; where it cannot be read, the reason."""
    try:
        return load_image(path, longest)
    except ImageError as error:
        return str(error)
