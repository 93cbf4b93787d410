"""conll_posts: posts of one's own with a tag for each word, of any types, in CoNLL files with IMGID lines."""

from collections.abc import Mapping
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.corpora._conll import LAYOUT, OPTIONS, looks_like_posts, read_folder


def read(raw: Path | None, options: Mapping[str, str]) -> Reading:
    """The posts of a folder; the type OTHER is read as MISC.

    Raises:
        DataError: when there is no file of posts.
    """
    return read_folder(raw, options, None)


CORPUS = Corpus(
    summary="Posts of your own with a tag for each word, in CoNLL files with IMGID lines.",
    layout=LAYOUT,
    read=read,
    options=OPTIONS,
    fits=looks_like_posts,
)
