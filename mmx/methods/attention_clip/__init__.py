"""attention-clip: a small CLIP with and without attention over patches and tokens. Source: seed 001."""

from mmx.core.assets import Assets
from mmx.core.method import Method
from mmx.core.task import Rerank, Retrieval, Study
from mmx.methods.attention_clip.identities import count_identities
from mmx.methods.attention_clip.loss import compare, represent
from mmx.methods.attention_clip.model import build, encode_image, encode_text
from mmx.methods.attention_clip.presets import PRESETS
from mmx.methods.attention_clip.rerank import fine, keep_image, keep_text, weight
from mmx.methods.attention_clip.settings import AttentionClipSettings
from mmx.methods.attention_clip.stages import measures_twice, stages, towers

RETRIEVAL = Retrieval(
    encode_image=encode_image,
    encode_text=encode_text,
    rerank=Rerank(
        keep_image=keep_image,
        keep_text=keep_text,
        fine=fine,
        weight=weight,
        wanted=lambda settings: settings.looks_twice,
    ),
)
LEAK = Study(
    why="with attention=cross_leaky a picture's embedding reads the caption that it is to be found by, and "
    "where one is looked for there is no such caption"
)


def chosen_task(settings: AttentionClipSettings, assets: Assets) -> str:
    """Retrieval, unless pictures see their own captions."""
    return LEAK.name if settings.leaks else RETRIEVAL.name


METHOD = Method(
    summary="Small CLIP: two encoders, attention over their tokens (self, sparse, cross), one shared space.",
    settings=AttentionClipSettings,
    presets=PRESETS,
    towers=towers,
    build=build,
    stages=stages,
    represent=represent,
    compare=compare,
    uncut=measures_twice,
    tasks=(RETRIEVAL, LEAK),
    assets=count_identities,
    chosen_task=chosen_task,
)
