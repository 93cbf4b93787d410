"""What mh-cvse learns from and how fast, with the source of each default."""

from dataclasses import dataclass

from mmx.core.settings import setting
from mmx.methods.mh_cvse.network_settings import CVSE, GPO, SEED

CLIP = "arXiv 2103.00020, 2.5"


@dataclass(frozen=True)
class LearningSettings:
    """The terms of the loss, how they are weighed, and the optimiser."""

    margin: float = setting(0.2, "By how much a right pair should win, in cosine.", source=CVSE, low=0)
    fused_loss: float = setting(3.0, "Weight of the hinge on fused embeddings.", source=CVSE, low=0)
    instance_loss: float = setting(5.0, "Weight of the hinge on instances.", source=CVSE, low=0)
    consensus_loss: float = setting(1.0, "Weight of the hinge on consensus embeddings.", source=CVSE, low=0)
    divergence_loss: float = setting(
        2.0, "Weight of KL(concepts of the caption || concepts of the image).", source=CVSE, low=0
    )
    contrastive_loss: float = setting(
        0.0, "Weight of InfoNCE on fused embeddings; 0 leaves it out.", source="ours: CVSE has none", low=0
    )
    temperature: float = setting(
        0.07, "Scores of InfoNCE are divided by it; where it is learned, its start.", source=CLIP, low=1e-4
    )
    learn_temperature: bool = setting(True, "Learn the temperature.", source=CLIP)
    least_temperature: float = setting(
        0.01, "A learned temperature does not fall below this.", source=CLIP, low=1e-4
    )
    balance: str = setting(
        "value",
        "How the weights move: static, value (by the losses), uncertainty (learned), dwa (by their fall).",
        source="seed 000: by the loss value, its formula unsaid",
        choices=("static", "value", "uncertainty", "dwa"),
    )
    balance_decay: float = setting(
        0.9, "Decay a step of the losses' running mean, for value.", source="ours", low=0, high=0.9999
    )
    balance_steps: int = setting(
        200, "First steps whose mean a loss is compared with, for value.", source="ours", low=1
    )
    balance_focus: float = setting(
        1.0, "Power of that ratio: above 0 the slow losses gain, 0 is static.", source="ours"
    )
    balance_temperature: float = setting(
        2.0, "Temperature of the softmax of dwa.", source="arXiv 1803.10704", low=1e-3
    )

    lr: float = setting(2e-4, "Rate of the new layers.", source=CVSE, low=0)
    text_lr_factor: float = setting(0.1, "Factor of that rate for a trained text encoder.", source=GPO, low=0)
    layer_decay: float = setting(
        1.0, "Factor of its rate from each block to the one before.", source="ours", low=0, high=1
    )
    weight_decay: float = setting(0.0, "Decoupled weight decay.", source=CVSE, low=0)
    batch_size: int = setting(128, "Images a step.", source=CVSE, low=2)
    captions_per_image: int | None = setting(
        1, "Captions drawn for each image at each step; none takes all.", source=CVSE, low=1
    )
    bucket: int = setting(
        8,
        "Batches among which images go by the length of their captions; 1 for chance.",
        source="ours",
        low=1,
    )
    epochs: int = setting(
        50, "Passes over the images, each with captions_per_image of its captions.", source=CVSE, low=0
    )
    warmup_epochs: int = setting(
        0, "First epochs with all negatives in the hinge, not the hardest alone.", source=GPO, low=0
    )
    schedule: str = setting("cosine", "How the rates fall.", source=SEED, choices=("constant", "cosine"))
    warmup: float = setting(0.0, "Share of the steps with rising rates.", source="ours", low=0, high=1)
    floor: float = setting(
        0.01, "Share of the rate that is left at the end of cosine.", source="ours", low=0, high=1
    )
    clip_norm: float | None = setting(
        2.0, "Largest norm of the gradient; none for no limit.", source=CVSE, low=1e-6
    )
    average: float = setting(
        0.0,
        "Decay a step of the running mean of weights that is kept; 0 keeps the weights.",
        source="ours",
        low=0,
        high=0.99999,
    )
