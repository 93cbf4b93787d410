"""Posts as a model reads them: words that are cut apart already, and pictures that some of them lack."""

from collections.abc import Sequence
from pathlib import Path

import torch

from mmx.core.encoder import TextEncoder
from mmx.core.record import Record
from mmx.core.task import Tagging
from mmx.core.tower import TowerUse
from mmx.core.view import View
from mmx.engine.post_images import PostImages
from mmx.engine.split_data import ImageSource, NumberTexts, PixelImages
from mmx.workflows.fitted import FittedMethod


def post_images(
    paths: Sequence[Path | None], pictures: ImageSource | None, use: TowerUse | None
) -> PostImages:
    """The pictures of posts.

    Args:
        paths: where the picture of each post lies; None for a post without one.
        pictures: what the image tower reads of them; None where it reads nothing.
        use: that of the image tower, which may ask for small pictures beside; None where there is none.
    """
    reads = pictures is not None
    present = torch.tensor([reads and path is not None for path in paths], dtype=torch.bool)
    side = use.thumbnail if use is not None else 0
    small = PixelImages(paths, View(side, side, "squash", "bilinear")) if side else None
    return PostImages(present, pictures, small)


def post_texts(fitted: FittedMethod, encoder: TextEncoder | None, records: Sequence[Record]) -> NumberTexts:
    """The tokens of posts, and what the method reads of them itself; for tagging, where each word begins.

    Args:
        fitted: the method that reads them.
        encoder: its text tower; None where it reads no words.
        records: the posts, each of one caption.

    Raises:
        UsageError: when the encoder cannot tell which word a token is a piece of.
    """
    numbers = dict(fitted.caption_ids(records))
    if encoder is not None and isinstance(fitted.task, Tagging):
        found = encoder.tokenize_words([record.words for record in records])
        numbers["token_ids"], numbers["word_starts"] = found
    elif encoder is not None:
        numbers["token_ids"] = encoder.tokenize([record.captions[0] for record in records])
    return NumberTexts(numbers)
