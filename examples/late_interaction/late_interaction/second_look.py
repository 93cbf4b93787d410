"""The nearest once more by late interaction, and what each token took from each patch."""

from collections.abc import Mapping

from torch import Tensor

from late_interaction.model import LateInteraction, patches, tokens
from late_interaction.scores import late_parts, late_scores
from mmx.core.batch import Batch


def keep_image(model: LateInteraction, batch: Batch) -> dict[str, Tensor]:
    """The images of a batch -> patches [B, R, D] and patch_mask [B, R] bool."""
    return {"patches": patches(model, batch), "patch_mask": batch.region_mask}


def keep_text(model: LateInteraction, batch: Batch) -> dict[str, Tensor]:
    """The captions of a batch -> tokens [C, L, D] and token_mask [C, L] bool."""
    return {"tokens": tokens(model, batch), "token_mask": batch.token_mask}


def fine(model: LateInteraction, images: Mapping[str, Tensor], texts: Mapping[str, Tensor]) -> Tensor:
    """What is kept of G images and of Q captions -> fine_scores [Q, G] float32."""
    return late_scores(images["patches"], images["patch_mask"], texts["tokens"], texts["token_mask"])


def weight(model: LateInteraction) -> float:
    """What late interaction counts beside a cosine."""
    return model.settings.fine_weight


def explain(model: LateInteraction, batch: Batch) -> Tensor:
    """A batch with caption i beside image i -> [C, L, R]: the part of the score of each token and patch."""
    parts = late_parts(patches(model, batch), batch.region_mask, tokens(model, batch), batch.token_mask)
    return model.settings.fine_weight * parts
