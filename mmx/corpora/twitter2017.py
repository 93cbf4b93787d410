"""twitter2017: posts with pictures and named entities (Lu, Neves, Carvalho, Zhang and Ji, ACL 2018)."""

from functools import partial

from mmx.core.corpus import Corpus
from mmx.corpora._conll import LAYOUT, TWITTER_TYPES, read_posts
from mmx.corpora._hold_out import OPTIONS

CORPUS = Corpus(
    summary="Posts with pictures and named entities: 3,373 train, 723 val, 723 test.",
    layout=LAYOUT,
    read=partial(read_posts, types=TWITTER_TYPES),
    options=OPTIONS,
)
