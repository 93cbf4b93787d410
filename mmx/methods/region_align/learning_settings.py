"""What region-align learns from and how fast, with the source of each default."""

from dataclasses import dataclass

from mmx.core.settings import setting
from mmx.methods.region_align.network_settings import SEED, TRIED

CLIP = "arXiv 2103.00020, 2.5"
SIGLIP = "arXiv 2303.15343, 3.2"


@dataclass(frozen=True)
class LearningSettings:
    """The losses, and the optimiser of each stage."""

    loss: str = setting(
        "infonce",
        "infonce: right pairs against all others of the batch; sigmoid: each pair by itself.",
        source=SEED,
        choices=("infonce", "sigmoid"),
    )
    temperature: float | None = setting(
        None,
        "Scores are divided by it; where it is learned, its start; none for 0.07, with sigmoid 0.1.",
        source=f"{SEED}; {SIGLIP}",
        low=1e-4,
    )
    learn_temperature: bool = setting(
        False, "Learn the temperature, and the bias of sigmoid, before the alignment.", source=SEED
    )
    least_temperature: float = setting(
        0.01, "A learned temperature does not fall below this.", source=CLIP, low=1e-4
    )
    bias: float = setting(
        -10.0, "Added to the logits of sigmoid; where it is learned, its start.", source=SIGLIP
    )
    sum_loss: float = setting(
        1.0,
        "Weight of the loss on the sum of both scores, while the fine one is learned.",
        source=SEED,
        low=0,
    )
    fine_loss: float = setting(
        0.0, "Weight of the same loss on the fine score alone, of each member.", source="ours", low=0
    )

    head_epochs: int = setting(
        30, "Passes over the images with the heads alone; without heads there are none.", source=TRIED, low=0
    )
    head_lr: float = setting(1e-3, "Rate of the heads.", source=TRIED, low=0)
    epochs: int = setting(
        12, "Passes over the images with the encoders tuned, those that are.", source=SEED, low=0
    )
    lr: float = setting(1e-5, "Rate of tuned encoders.", source=SEED, low=0)
    text_lr: float | None = setting(None, "Rate of a tuned text encoder; none for lr.", source="ours", low=0)
    joint_head_lr: float | None = setting(
        None, "Rate of the heads while encoders are tuned; none for head_lr.", source="ours", low=0
    )
    region_epochs: int = setting(
        10, "Passes over the images with the alignment alone, all else frozen.", source="ours", low=0
    )
    region_lr: float = setting(1e-4, "Rate of the alignment.", source="ours", low=0)

    weight_decay: float = setting(0.05, "Decoupled weight decay of heads and encoders.", source=TRIED, low=0)
    region_weight_decay: float = setting(
        1e-4, "Decoupled weight decay of the alignment.", source="ours", low=0
    )
    batch_size: int = setting(256, "Images a step.", source=TRIED, low=2)
    region_batch_size: int | None = setting(
        64, "Images a step of the alignment; none for batch_size.", source=SEED, low=2
    )
    captions_per_image: int | None = setting(
        None, "Captions drawn for each image at each step; none takes all.", source="ours", low=1
    )
    region_captions: int | None = setting(
        1,
        "Captions drawn for each image at each step of the alignment; none takes all.",
        source="ours",
        low=1,
    )
    schedule: str = setting("cosine", "How the rates fall.", source="ours", choices=("constant", "cosine"))
    warmup: float = setting(0.05, "Share of a stage's steps with rising rates.", source="ours", low=0, high=1)
    clip_norm: float | None = setting(
        None,
        "Largest norm of the gradient of heads and encoders; none for no limit.",
        source="ours",
        low=1e-6,
    )
    region_clip_norm: float | None = setting(
        1.0, "Largest norm of the gradient of the alignment; none for no limit.", source="ours", low=1e-6
    )
    average: float = setting(
        0.0,
        "Decay a step of the running mean of weights that is kept; 0 keeps the weights.",
        source="ours",
        low=0,
        high=0.99999,
    )
