"""What attention-clip learns from: pairs in the shared space, and whatever the settings add to them.

Source: arXiv 2103.00020, section 2.3; seed 001, section II, as built in public code
(moein-shariatnia/OpenAI-CLIP, commit 73fea1f, CLIP.py); arXiv 2303.12501 and 2107.07651 for what is added.
Shapes: B images, C captions, D shared width.
"""

import torch
from torch import Tensor
from torch.nn import functional

from mmx.core.batch import Batch
from mmx.methods.attention_clip.branch import States
from mmx.methods.attention_clip.identities import sdm_loss
from mmx.methods.attention_clip.masked_words import hide_words, word_loss
from mmx.methods.attention_clip.matching import draw_pairs
from mmx.methods.attention_clip.model import AttentionClip, Reading, image_embedding, text_embedding
from mmx.nn.contrastive import contrastive_loss, positive_pairs, soft_cross_entropy


def loss(model: AttentionClip, batch: Batch, progress: float) -> dict[str, Tensor]:
    """The losses that the settings name, in nats, and that of the second look while it is being learned."""
    seen, read = model.look(batch), model.read(batch)
    images, texts = seen.projected.float(), read.projected.float()
    parts = {"pairs": _pair_loss(model, images, texts, batch)}
    settings = model.settings
    if model.identities is not None:
        image, text = (members.transpose(0, 1).flatten(1) for members in (images, texts))
        found = model.identities(image, batch.image_group) + model.identities(text, batch.text_group)
        parts["identities"] = settings.identity_loss * found
    if model.words is not None:
        parts["words"] = settings.masked_words * masked_word_loss(model, batch, seen.states[0])
    if model.learns_to_match():
        parts["matches"] = model.settings.matching * matching_loss(model, batch, seen, read)
    total = torch.stack(list(parts.values())).sum()
    return {"total": total} if len(parts) == 1 else {"total": total, **parts}


def _pair_loss(model: AttentionClip, images: Tensor, texts: Tensor, batch: Batch) -> Tensor:
    """[M, B, D], [M, C, D] -> the mean of the members' losses."""
    scale = model.clamped_scale()
    # Scores are divided by a small temperature: half precision would round away what sets them apart.
    with torch.autocast(images.device.type, enabled=False):
        if model.settings.loss == "faithful":
            losses = [faithful_loss(*pair, 1 / scale) for pair in zip(images, texts, strict=True)]
        else:
            compare = sdm_loss if model.settings.loss == "sdm" else corrected_loss
            positive = positive_pairs(batch.image_group, batch.text_group)
            losses = [compare(*pair, scale, positive) for pair in zip(images, texts, strict=True)]
    return torch.stack(losses).mean()


def corrected_loss(image: Tensor, text: Tensor, scale: Tensor, positive: Tensor) -> Tensor:
    """[B, D], [C, D], 1 / temperature, [B, C] bool -> scalar in nats: symmetric InfoNCE of cosines."""
    cosine = functional.normalize(image, dim=-1) @ functional.normalize(text, dim=-1).T
    return contrastive_loss(scale * cosine, positive)


def faithful_loss(image: Tensor, text: Tensor, temperature: Tensor) -> Tensor:
    """[B, D], [B, D] not of unit length, pair by pair -> scalar in nats.

    logits  = T I' / temperature
    targets = softmax_row(temperature (I I' + T T') / 2)        part of the gradient, as in the source
    loss    = mean of cross entropy(logits, targets) and cross entropy(logits', targets')
    """
    if len(image) != len(text):
        raise ValueError(f"the loss compares pairs: {len(image)} images and {len(text)} captions")
    logits = text @ image.T / temperature
    targets = (temperature * (image @ image.T + text @ text.T) / 2).softmax(dim=-1)
    return ((soft_cross_entropy(logits, targets) + soft_cross_entropy(logits.T, targets.T)) / 2).mean()


def matching_loss(model: AttentionClip, batch: Batch, seen: Reading, read: Reading) -> Tensor:
    """Scalar in nats: binary cross entropy of right pairs and hard wrong ones, two wrong ones a right one."""
    with torch.no_grad():
        cosine = image_embedding(model, batch, seen.projected) @ text_embedding(read.projected).T
        positive = positive_pairs(batch.image_group, batch.text_group)
        pairs = draw_pairs(model.clamped_scale() * cosine, positive)
    images, texts = _rows(seen.states[0], pairs.image), _rows(read.states[0], pairs.text)
    logits = model.pairs(texts.tokens, texts.mask, images.tokens, images.mask).float()
    total = functional.binary_cross_entropy_with_logits(logits, pairs.match.float(), reduction="sum")
    return total / max(len(logits), 1)


def masked_word_loss(model: AttentionClip, batch: Batch, images: States) -> Tensor:
    """Scalar in nats: each caption, with words hidden, is read before a picture of its own."""
    tower, limit = model.text_tower, model.settings.max_tokens
    token_ids, token_mask = batch.token_ids[:, :limit], batch.token_mask[:, :limit]
    signs = torch.tensor(sorted(tower.sign_ids), device=token_ids.device)
    shown, hidden = hide_words(token_ids, token_mask, signs, tower.mask_id, model.settings.mask_share)
    tokens = tower(shown, token_mask)["token_features"]
    texts = model.members[0].text_branch.attend.states(tokens, token_mask)
    own = positive_pairs(batch.image_group, batch.text_group).int().argmax(0)
    seen = _rows(images, own)
    found = model.pairs.read(texts.tokens, texts.mask, seen.tokens, seen.mask)
    # The first place is that of the learned query.
    return word_loss(model.words(found[:, 1:][hidden]).float(), token_ids[hidden])


def _rows(states: States, rows: Tensor) -> States:
    return States(states.tokens[rows], states.mask[rows])
