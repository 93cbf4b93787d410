"""twitter2015: posts with pictures and named entities (Zhang, Fu, Liu and Huang, AAAI 2018)."""

from functools import partial

from mmx.core.corpus import Corpus
from mmx.corpora._conll import LAYOUT, TWITTER_TYPES, read_posts
from mmx.corpora._hold_out import OPTIONS

CORPUS = Corpus(
    summary="Posts with pictures and named entities: 4,000 train, 1,000 val, 3,257 test.",
    layout=LAYOUT,
    read=partial(read_posts, types=TWITTER_TYPES),
    options=OPTIONS,
)
