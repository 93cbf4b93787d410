"""Settings of how muse learns."""

from dataclasses import dataclass

from mmx.core.settings import setting
from mmx.methods.muse.network_settings import CODE, OURS


@dataclass(frozen=True)
class LearningSettings:
    """The loss and the optimiser."""

    task_weight: float = setting(1.0, "Weight of the task's loss (sigma).", source=CODE, low=0.0)
    caption_weight: float = setting(1e-3, "Weight of the captioner's loss (alpha).", source=CODE, low=0.0)
    generator_weight: float = setting(
        0.04,
        "Weight of the generator's loss (beta), a mean over posts: the code's 0.001 times its batch of 40.",
        source=CODE,
        low=0.0,
    )
    epochs: int = setting(6, "Passes over the training posts.", source=OURS, low=0)
    batch_size: int = setting(16, "Posts a batch.", source=OURS, low=2)
    bucket: int = setting(
        16, "Batches among which posts go by length, so that little is padding.", source="ours", low=1
    )
    lr: float = setting(1e-3, "Rate of the head and of what generates.", source=OURS, low=0.0)
    fusion_lr: float = setting(2e-4, "Rate of the cross transformer.", source=OURS, low=0.0)
    text_lr: float = setting(1e-4, "Rate of the text encoder.", source=OURS, low=0.0)
    image_lr: float = setting(5e-5, "Rate of a trained image encoder.", source=CODE, low=0.0)
    layer_decay: float = setting(
        1.0, "Factor of the encoders' rates from block to block, downwards.", source="ours", low=0.0, high=1.0
    )
    weight_decay: float = setting(0.01, "Of matrices, not of biases and norms.", source=CODE, low=0.0)
    schedule: str = setting(
        "linear", "How the rates fall.", source=CODE, choices=("constant", "linear", "cosine")
    )
    warmup: float = setting(0.1, "Share of the steps in which rates rise.", source=CODE, low=0.0, high=1.0)
    clip_norm: float | None = setting(1.0, "Longest gradient; none for any.", source=CODE, low=0.0)
    average: float = setting(
        0.0,
        "Decay of the running mean of weights that is kept; 0 keeps the last.",
        source="ours",
        low=0.0,
        high=1.0,
    )
