"""Text towers of transformers' architectures: BERT, DistilBERT, RoBERTa, CLIP and SigLIP."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    BertModel,
    CLIPTextModelWithProjection,
    DistilBertModel,
    RobertaModel,
    SiglipTextModel,
)

from mmx.core.errors import UsageError
from mmx.encoders.said import odd, read_said, whole_number
from mmx.encoders.text_tower import Project, ReadTokens, TextTower, Tokenizer
from mmx.encoders.tokenizers import ModelTokenizer
from mmx.encoders.weights import read_weights


def read_first(network: nn.Module, token_ids: Tensor, token_mask: Tensor) -> dict[str, Tensor]:
    """BERT and its kin: the vector of the first token, and all vectors."""
    tokens = network(input_ids=token_ids, attention_mask=token_mask.long()).last_hidden_state
    return {"text_features": tokens[:, 0], "token_features": tokens}


def read_mean(network: nn.Module, token_ids: Tensor, token_mask: Tensor) -> dict[str, Tensor]:
    """Sentence encoders: the mean vector of the real tokens, and all vectors."""
    tokens = network(input_ids=token_ids, attention_mask=token_mask.long()).last_hidden_state
    real = token_mask[..., None].to(tokens.dtype)
    return {"text_features": (tokens * real).sum(dim=1) / real.sum(dim=1), "token_features": tokens}


def read_clip(network: nn.Module, token_ids: Tensor, token_mask: Tensor) -> dict[str, Tensor]:
    """CLIP: the end token, all tokens after the last norm, and the projected end token."""
    seen = network.text_model(input_ids=token_ids, attention_mask=token_mask.long())
    embedding = functional.normalize(network.text_projection(seen.pooler_output), dim=-1)
    tokens = seen.last_hidden_state
    return {"text_features": seen.pooler_output, "token_features": tokens, "text_embedding": embedding}


def read_siglip(network: nn.Module, token_ids: Tensor, token_mask: Tensor) -> dict[str, Tensor]:
    """SigLIP reads captions padded to its full length, without a mask, and pools the last place."""
    length = network.config.max_position_embeddings
    pad_id = network.config.pad_token_id
    padded = functional.pad(token_ids, (0, length - token_ids.shape[1]), value=pad_id)
    seen = network(input_ids=padded)
    embedding = functional.normalize(seen.pooler_output, dim=-1)
    tokens = seen.last_hidden_state[:, : token_ids.shape[1]]
    return {"text_features": seen.pooler_output, "token_features": tokens, "text_embedding": embedding}


def project_clip(network: nn.Module, tokens: Tensor) -> Tensor:
    """CLIP: what the end token is projected with."""
    return network.text_projection(tokens)


def project_siglip(network: nn.Module, tokens: Tensor) -> Tensor:
    """SigLIP: what the last place is projected with."""
    return network.head(tokens)


@dataclass(frozen=True)
class Family:
    """How one architecture is made and read."""

    model: type[nn.Module]
    read: ReadTokens
    embedding_width: Callable[[Any], int | None] = lambda _: None
    keywords: tuple[tuple[str, Any], ...] = ()
    lower: bool = False
    spare_positions: int = 0
    """Positions of the table that no token can take."""
    project: Project | None = None


NO_POOLER = (("add_pooling_layer", False),)
FAMILIES = {
    "bert": Family(BertModel, read_first, keywords=NO_POOLER),
    "distilbert": Family(DistilBertModel, read_first),
    "roberta": Family(RobertaModel, read_first, keywords=NO_POOLER, spare_positions=2),
    "clip": Family(CLIPTextModelWithProjection, read_clip, lambda c: c.projection_dim, project=project_clip),
    "siglip": Family(
        SiglipTextModel, read_siglip, lambda c: c.projection_size, lower=True, project=project_siglip
    ),
}


def load_text_folder(name: str, folder: Path, kind: str) -> TextTower:
    """The text tower of a transformers folder; `kind` is the model type its configuration names.

    Raises:
        UsageError: when the architecture has no text tower that mmx knows.
        ArtifactError: when weights or tokenizer are missing or do not fit, or a file says what cannot be.
    """
    if kind not in FAMILIES:
        raise UsageError(
            f"'{name}' is of kind '{kind}', which gives no text features. Known: {', '.join(FAMILIES)}."
        )
    family = FAMILIES[kind]
    network = read_weights(name, family.model, folder, dict(family.keywords))
    limit = network.config.max_position_embeddings - family.spare_positions
    sentences, pooling = folder / "sentence_bert_config.json", folder / "1_Pooling" / "config.json"
    longest = read_said(sentences).get("max_seq_length") or limit
    if not whole_number(longest):
        raise odd(sentences, longest)
    pools_mean = read_said(pooling).get("pooling_mode_mean_tokens", False)
    if not isinstance(pools_mean, bool):
        raise odd(pooling, pools_mean)
    tokenizer = ModelTokenizer(folder, min(limit, longest), family.lower)
    return wrap_text(name, kind, network, tokenizer, tokenizer.pad_id, read_mean if pools_mean else None)


def wrap_text(
    name: str,
    kind: str,
    network: nn.Module,
    tokenizer: Tokenizer,
    pad_id: int = 0,
    read: ReadTokens | None = None,
) -> TextTower:
    """A network of a known family behind the common face; `read` stands in for the family's own pooling."""
    family = FAMILIES[kind]
    width, embedding_width = network.config.hidden_size, family.embedding_width(network.config)
    return TextTower(
        name,
        network,
        read or family.read,
        tokenizer,
        width,
        embedding_width,
        pad_id,
        family.project,
    )
