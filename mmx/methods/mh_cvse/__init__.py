"""mh-cvse: regions and words that attend to each other, and concepts that both share. Source: seed 000."""

from mmx.core.method import Method
from mmx.core.task import Retrieval
from mmx.methods.mh_cvse.assembly import build
from mmx.methods.mh_cvse.assets import caption_ids, caption_words, count_assets
from mmx.methods.mh_cvse.explanation import explain
from mmx.methods.mh_cvse.loss import compare, represent
from mmx.methods.mh_cvse.model import encode_image, encode_text, find_gauges
from mmx.methods.mh_cvse.pooling import measures_a_batch
from mmx.methods.mh_cvse.presets import PRESETS
from mmx.methods.mh_cvse.settings import MhCvseSettings
from mmx.methods.mh_cvse.stages import stages, towers

METHOD = Method(
    summary="Regions and words with multi-head attention, and a graph of concepts that both share.",
    settings=MhCvseSettings,
    presets=PRESETS,
    towers=towers,
    build=build,
    stages=stages,
    represent=represent,
    compare=compare,
    uncut=measures_a_batch,
    tasks=(
        Retrieval(
            encode_image=encode_image,
            encode_text=encode_text,
            explain=explain,
            adds_up=True,
            labels="concept_ids",
        ),
    ),
    assets=count_assets,
    caption_ids=caption_ids,
    caption_words=caption_words,
    gauges=find_gauges,
)
