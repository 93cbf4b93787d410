"""attention-clip: a small CLIP with and without attention over patches and tokens. Source: seed 001."""

from mmx.core.method import Method
from mmx.core.task import Retrieval
from mmx.methods.attention_clip.loss import loss
from mmx.methods.attention_clip.model import build, encode_image, encode_text
from mmx.methods.attention_clip.presets import PRESETS
from mmx.methods.attention_clip.settings import AttentionClipSettings
from mmx.methods.attention_clip.stages import stages, towers

METHOD = Method(
    summary="Small CLIP: two encoders, self-attention over their tokens, one shared space.",
    settings=AttentionClipSettings,
    presets=PRESETS,
    towers=towers,
    build=build,
    stages=stages,
    loss=loss,
    tasks=(Retrieval(encode_image=encode_image, encode_text=encode_text),),
)
