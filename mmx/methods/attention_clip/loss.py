"""What attention-clip learns from: pairs in the shared space, and whatever the settings add to them.

Source: arXiv 2103.00020, section 2.3; seed 001, section II, as built in public code
(moein-shariatnia/OpenAI-CLIP, commit 73fea1f, CLIP.py); arXiv 2303.12501 and 2107.07651 for what is added.
Shapes: B images, C captions, D shared width.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from mmx.core.batch import Batch
from mmx.core.present import present
from mmx.methods.attention_clip.branch import States
from mmx.methods.attention_clip.identities import sdm_loss
from mmx.methods.attention_clip.masked_words import hide_words, word_nll
from mmx.methods.attention_clip.matching import draw_pairs
from mmx.methods.attention_clip.model import AttentionClip, image_embedding, text_embedding
from mmx.nn.contrastive import contrastive_loss, positive_pairs
from mmx.nn.precision import at_least_float32


def represent(model: AttentionClip, batch: Batch) -> dict[str, Tensor]:
    """Images [B, M, D] and texts [C, M, D] in the shared spaces, and what the other losses compare."""
    seen, read = model.look(batch), model.read(batch)
    rows = {
        "image_group": batch.image_group,
        "text_group": batch.text_group,
        "image": at_least_float32(seen.projected).transpose(0, 1),
        "text": at_least_float32(read.projected).transpose(0, 1),
    }
    if model.words is not None:
        rows["words_nll"], rows["words_hidden"] = masked_words(model, batch, seen.states[0])
    if model.learns_to_match():
        with torch.no_grad():
            rows["image_embedding"] = image_embedding(model, batch, seen.projected)
            rows["text_embedding"] = text_embedding(read.projected)
        for side, states in (("image", seen.states[0]), ("text", read.states[0])):
            rows |= {f"{side}_tokens": states.tokens, f"{side}_mask": states.mask}
    return rows


def compare(model: AttentionClip, rows: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
    """The losses that the settings name, in nats, and that of the second look while it is being learned."""
    settings, groups = model.settings, (rows["image_group"], rows["text_group"])
    parts = {"pairs": _pair_loss(model, rows["image"].transpose(0, 1), rows["text"].transpose(0, 1), *groups)}
    if model.identities is not None:
        found = [model.identities(rows[side].flatten(1), rows[f"{side}_group"]) for side in ("image", "text")]
        parts["identities"] = settings.identity_loss * (found[0] + found[1])
    if model.words is not None:
        mean = rows["words_nll"].sum() / rows["words_hidden"].sum().clamp(min=1)
        parts["words"] = settings.masked_words * mean
    if model.learns_to_match():
        parts["matches"] = settings.matching * matching_loss(model, rows)
    total = torch.stack(list(parts.values())).sum()
    return {"total": total} if len(parts) == 1 else {"total": total, **parts}


def _pair_loss(
    model: AttentionClip, images: Tensor, texts: Tensor, image_group: Tensor, text_group: Tensor
) -> Tensor:
    """[M, B, D], [M, C, D], [B], [C] -> the mean of the members' losses."""
    scale = model.clamped_scale()
    # Scores are divided by a small temperature: half precision would round away what sets them apart.
    with torch.autocast(images.device.type, enabled=False):
        if model.settings.loss == "faithful":
            losses = [faithful_loss(*pair, 1 / scale) for pair in zip(images, texts, strict=True)]
        else:
            found = sdm_loss if model.settings.loss == "sdm" else corrected_loss
            positive = positive_pairs(image_group, text_group)
            losses = [found(*pair, scale, positive) for pair in zip(images, texts, strict=True)]
    return torch.stack(losses).mean()


def corrected_loss(image: Tensor, text: Tensor, scale: Tensor, positive: Tensor) -> Tensor:
    """[B, D], [C, D], 1 / temperature, [B, C] bool -> scalar in nats: symmetric InfoNCE of cosines."""
    logits = scale * functional.normalize(image, dim=-1) @ functional.normalize(text, dim=-1).T
    return contrastive_loss(logits, positive)


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
    return (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets.T)) / 2


def matching_loss(model: AttentionClip, rows: Mapping[str, Tensor]) -> Tensor:
    """Scalar in nats: binary cross entropy of right pairs and hard wrong ones, two wrong ones a right one."""
    with torch.no_grad():
        cosine = rows["image_embedding"] @ rows["text_embedding"].T
        positive = positive_pairs(rows["image_group"], rows["text_group"])
        pairs = draw_pairs(model.clamped_scale() * cosine, positive)
    images = _rows(States(rows["image_tokens"], rows["image_mask"]), pairs.image)
    texts = _rows(States(rows["text_tokens"], rows["text_mask"]), pairs.text)
    logits = present(model.pairs)(texts.tokens, texts.mask, images.tokens, images.mask)
    logits = at_least_float32(logits)
    match = pairs.match.to(logits.dtype)
    total = functional.binary_cross_entropy_with_logits(logits, match, reduction="sum")
    return total / max(len(logits), 1)


def masked_words(model: AttentionClip, batch: Batch, images: States) -> tuple[Tensor, Tensor]:
    """[1] nats of all hidden words, [1] how many: each caption is read before a picture of its own."""
    tower, limit = present(model.text_tower), model.settings.max_tokens
    token_ids, token_mask = batch.token_ids[:, :limit], batch.token_mask[:, :limit]
    signs = torch.tensor(sorted(tower.sign_ids), device=token_ids.device)
    shown, hidden = hide_words(token_ids, token_mask, signs, tower.mask_id, model.settings.mask_share)
    tokens = tower(shown, token_mask)["token_features"]
    texts = model.members[0].text_branch.attend.states(tokens, token_mask)
    own = positive_pairs(batch.image_group, batch.text_group).int().argmax(0)
    seen = _rows(images, own)
    found = present(model.pairs).read(texts.tokens, texts.mask, seen.tokens, seen.mask)
    # The first place is that of the learned query.
    nll = word_nll(at_least_float32(present(model.words)(found[:, 1:][hidden])), token_ids[hidden])
    return nll[None], hidden.sum()[None]


def _rows(states: States, rows: Tensor) -> States:
    return States(states.tokens[rows], states.mask[rows])
