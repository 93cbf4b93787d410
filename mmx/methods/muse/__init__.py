"""muse: words and pictures of posts that exchange tokens, for entities and sentiment. Source: seed 002."""

from mmx.core.method import Method
from mmx.core.task import Classification, Tagging
from mmx.methods.muse.assets import chosen_task, count_assets, labels, post_ids
from mmx.methods.muse.generation import generate
from mmx.methods.muse.loss import compare, represent
from mmx.methods.muse.model import build, decode, sort
from mmx.methods.muse.presets import PRESETS
from mmx.methods.muse.settings import MuseSettings
from mmx.methods.muse.stages import stages, towers

METHOD = Method(
    summary="Posts: words and picture exchange tokens; names entities, or tells the sentiment.",
    settings=MuseSettings,
    presets=PRESETS,
    towers=towers,
    build=build,
    stages=stages,
    represent=represent,
    compare=compare,
    tasks=(Tagging(decode=decode, labels=labels), Classification(sort=sort, labels=labels)),
    chosen_task=chosen_task,
    assets=count_assets,
    caption_ids=post_ids,
    generate=generate,
)
