"""conll_posts: posts of one's own with a tag for each word, of any types, in CoNLL files with IMGID lines."""

from mmx.core.corpus import Corpus
from mmx.corpora._conll import LAYOUT, looks_like_posts, read_posts
from mmx.corpora._hold_out import OPTIONS

CORPUS = Corpus(
    summary="Posts of your own with a tag for each word, in CoNLL files with IMGID lines.",
    layout=LAYOUT,
    read=read_posts,
    options=OPTIONS,
    fits=looks_like_posts,
)
