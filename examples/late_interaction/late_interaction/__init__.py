"""late-interaction: each token meets its best patch, each patch its best token; a pair is a yes or a no.

Sources: arXiv 2111.07783, 3.1 (token-wise maximum similarity); arXiv 2303.15343, 3.2 (sigmoid loss).
Shapes: B images, C captions, G and Q of them, R patches, L tokens, F encoder width, D shared width.
"""

from late_interaction.model import encode_image, encode_text, represent
from late_interaction.second_look import explain, fine, keep_image, keep_text, weight
from late_interaction.settings import PRESETS, LateInteractionSettings, stages, towers
from late_interaction.training import build, compare, gauges
from mmx.core.method import Method
from mmx.core.task import Rerank, Retrieval

METHOD = Method(
    summary="Each token's best patch and each patch's best token; every pair a yes or a no.",
    settings=LateInteractionSettings,
    presets=PRESETS,
    towers=towers,
    build=build,
    stages=stages,
    represent=represent,
    compare=compare,
    gauges=gauges,
    tasks=(
        Retrieval(
            encode_image=encode_image,
            encode_text=encode_text,
            rerank=Rerank(keep_image=keep_image, keep_text=keep_text, fine=fine, weight=weight),
            explain=explain,
            adds_up=True,
        ),
    ),
)
