"""coop_split: any labelled photos whose splits are published as `split_zhou_<Name>.json`."""

from collections.abc import Mapping
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.core.errors import DataError
from mmx.corpora._coop_split import PATTERN, find_split, read_split

PICTURES = ("images", "101_ObjectCategories", "jpg", "data", "photos")
LAYOUT = f"{PATTERN} and the photos it names, in a folder such as images."


def read(raw: Path, options: Mapping[str, str]) -> Reading:
    """The split file of a folder.

    Raises:
        DataError: when there is none, or it is broken.
    """
    path = find_split(raw)
    if path is None:
        raise DataError(f"there is no {PATTERN} in '{raw}'. Expected there: {LAYOUT}")
    return read_split(path, PICTURES)


def fits(folder: Path) -> bool:
    """Whether a folder lies in this layout."""
    return find_split(folder) is not None


CORPUS = Corpus(
    summary="Labelled photos of your own with a split file in CoOp's form.",
    layout=LAYOUT,
    read=read,
    fits=fits,
)
