"""Building the model from settings, towers, and what was counted.

Source: seed 000; CVSE code (BruceW91/CVSE, commit 94c2191).
"""

from torch import nn

from mmx.core.assets import Assets
from mmx.core.tower import Tower
from mmx.methods.mh_cvse.assets import vocabulary_of
from mmx.methods.mh_cvse.branch import Branch, PooledPath
from mmx.methods.mh_cvse.concept_graph import ConceptGraph, build_adjacency, draw_vectors
from mmx.methods.mh_cvse.member import Member
from mmx.methods.mh_cvse.model import MhCvse
from mmx.methods.mh_cvse.pooling import build_pooling
from mmx.methods.mh_cvse.settings import MhCvseSettings
from mmx.methods.mh_cvse.tokens import ProjectedTokens
from mmx.methods.mh_cvse.word_encoder import WordEncoder, embed_words


def build(settings: MhCvseSettings, towers: dict[str, Tower], assets: Assets) -> MhCvse:
    """The model, with the weights that it begins with."""
    members = [_member(settings, towers, assets) for _ in range(settings.members)]
    return MhCvse(settings, members, towers["text"].module if "text" in towers else None)


def _member(settings: MhCvseSettings, towers: dict[str, Tower], assets: Assets) -> Member:
    image_branch = _image_branch(settings, towers["image"].width)
    if settings.text == "words":
        text_branch = _word_branch(settings, assets)
    else:
        text_branch = _token_branch(settings, towers["text"].width)
    graph = _graph(settings, assets) if settings.consensus else None
    return Member(settings, image_branch, text_branch, graph)


def _image_branch(settings: MhCvseSettings, in_width: int) -> Branch:
    power = settings.image_power
    embed = ProjectedTokens(
        in_width, settings.inner_width, settings.region_norm, power, settings.image_dropout
    )
    path = None
    if settings.pooled_path != "none":
        path = PooledPath(in_width, power, settings.pooled_image_dropout, settings)
    return Branch(embed, build_pooling(settings, normed=True), settings.region_drop, path, settings)


def _token_branch(settings: MhCvseSettings, in_width: int) -> Branch:
    embed = ProjectedTokens(in_width, settings.inner_width, settings.token_norm, 1.0, settings.text_dropout)
    path = None
    if settings.pooled_path == "both":
        path = PooledPath(in_width, 1.0, settings.pooled_text_dropout, settings)
    return Branch(embed, build_pooling(settings, normed=False), settings.token_drop, path, settings)


def _word_branch(settings: MhCvseSettings, assets: Assets) -> Branch:
    vectors, found = assets.tensors.get("word_vectors"), assets.tensors.get("words_found")
    embedding = embed_words(len(vocabulary_of(assets)), settings.word_width, vectors, found)
    embed: nn.Module = WordEncoder(embedding, settings.inner_width, settings.text_dropout)
    return Branch(embed, build_pooling(settings, normed=False), settings.token_drop, None, settings)


def _graph(settings: MhCvseSettings, assets: Assets) -> ConceptGraph:
    tensors = assets.tensors
    adjacency = build_adjacency(tensors["concept_counts"], tensors["concept_pairs"], settings)
    vectors = draw_vectors(
        len(adjacency), settings.word_width, tensors.get("concept_vectors"), tensors.get("concepts_found")
    )
    return ConceptGraph(adjacency, vectors, settings)
