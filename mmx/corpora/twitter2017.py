"""twitter2017: posts with pictures and named entities (Lu, Neves, Carvalho, Zhang and Ji, ACL 2018)."""

from collections.abc import Mapping
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.corpora._conll import LAYOUT, OPTIONS, read_folder

TYPES = ("PER", "LOC", "ORG", "MISC")


def read(raw: Path | None, options: Mapping[str, str]) -> Reading:
    """The posts of a folder.

    Raises:
        DataError: when there is no file of posts.
    """
    return read_folder(raw, options, TYPES)


CORPUS = Corpus(
    summary="Posts with pictures and named entities: 3,373 train, 723 val, 723 test.",
    layout=LAYOUT,
    read=read,
    options=OPTIONS,
)
