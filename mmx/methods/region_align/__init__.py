"""region-align: two towers tuned on pairs, then regions and tokens aligned over them. Source: seed 004."""

from mmx.core.method import Method
from mmx.core.task import Rerank, Retrieval
from mmx.methods.region_align.loss import compare, represent
from mmx.methods.region_align.model import build, encode_image, encode_text, gauges
from mmx.methods.region_align.presets import PRESETS
from mmx.methods.region_align.rerank import explain, fine, keep_image, keep_text, weight
from mmx.methods.region_align.settings import RegionAlignSettings
from mmx.methods.region_align.stages import stages, towers

METHOD = Method(
    summary="Two towers tuned on pairs, then cross-attention between regions and tokens to re-rank.",
    settings=RegionAlignSettings,
    presets=PRESETS,
    towers=towers,
    build=build,
    stages=stages,
    represent=represent,
    compare=compare,
    tasks=(
        Retrieval(
            encode_image=encode_image,
            encode_text=encode_text,
            rerank=Rerank(keep_image=keep_image, keep_text=keep_text, fine=fine, weight=weight),
            explain=explain,
            adds_up=True,
        ),
    ),
    gauges=gauges,
)
