"""twitter2015: posts with pictures and named entities (Zhang, Fu, Liu and Huang, AAAI 2018)."""

from collections.abc import Mapping
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.corpora._conll import LAYOUT, OPTIONS, read_folder

TYPES = ("PER", "LOC", "ORG", "MISC")


def read(raw: Path | None, options: Mapping[str, str]) -> Reading:
    """The posts of a folder; the type OTHER is read as MISC.

    Raises:
        DataError: when there is no file of posts.
    """
    return read_folder(raw, options, TYPES)


CORPUS = Corpus(
    summary="Posts with pictures and named entities: 4,000 train, 1,000 val, 3,257 test.",
    layout=LAYOUT,
    read=read,
    options=OPTIONS,
)
