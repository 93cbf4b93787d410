"""How attention-clip learns, with the source of each default."""

from dataclasses import dataclass

from mmx.core.settings import setting
from mmx.methods.attention_clip.network_settings import TABLE


@dataclass(frozen=True)
class LearningSettings:
    """Losses, rates and schedule."""

    loss: str = setting(
        "corrected",
        "corrected: cosines, all captions of an image or identity share its target; faithful: the seed's "
        "soft targets; sdm: similarity distribution matching.",
        source="ours: the seed's saturates; sdm: arXiv 2303.12501, 3.3",
        choices=("corrected", "faithful", "sdm"),
    )
    identity_loss: float = setting(
        0.0,
        "Weight of telling the identities of train apart, from images and from captions.",
        source="arXiv 2303.12501, 3.4",
        low=0,
    )
    masked_words: float = setting(
        0.0,
        "Weight of finding hidden words with the help of the picture; needs attention and train_text=true.",
        source="arXiv 2303.12501, 3.2",
        low=0,
    )
    mask_share: float = setting(
        0.15, "Share of the words that are hidden.", source="arXiv 2303.12501, 3.2", low=0.01, high=0.9
    )
    temperature: float = setting(
        0.07,
        "Scores are divided by it; where it is learned, its start.",
        source="arXiv 2103.00020, 2.5",
        low=1e-4,
    )
    learn_temperature: bool = setting(True, "Learn the temperature.", source="arXiv 2103.00020, 2.5")
    least_temperature: float = setting(
        0.01, "A learned temperature does not fall below this.", source="arXiv 2103.00020, 2.5", low=1e-4
    )

    lr: float = setting(1e-3, "Rate of the attention and projection layers.", source=TABLE, low=0)
    joint_lr: float | None = setting(
        None, "Rate of those layers once the encoders join; none for the same.", source="ours", low=0
    )
    image_lr: float = setting(1e-4, "Rate of a trained image encoder.", source=TABLE, low=0)
    text_lr: float = setting(1e-5, "Rate of a trained text encoder.", source=TABLE, low=0)
    layer_decay: float = setting(
        1.0, "Factor of an encoder's rate from each block to the one before.", source="ours", low=0, high=1
    )
    weight_decay: float = setting(
        0.05, "Decoupled weight decay.", source="ours: tried on Flickr8k val", low=0
    )
    batch_size: int = setting(256, "Images a step.", source="ours: tried on Flickr8k val", low=2)
    captions_per_image: int | None = setting(
        None, "Captions drawn for each image at each step; none takes all.", source="ours", low=1
    )
    head_epochs: int = setting(
        0, "Epochs with only the new layers trained, before the encoders join.", source="ours", low=0
    )
    epochs: int = setting(30, "Passes over the images.", source="ours: tried on Flickr8k val", low=0)
    cross_epochs: int = setting(
        5, "Last passes, in which attention=cross learns its second look too.", source="ours", low=1
    )
    cross_lr: float = setting(3e-4, "Rate of the second look there.", source="ours", low=0)
    matching: float = setting(
        1.0,
        "Weight of telling right pairs from hard wrong ones there.",
        source="arXiv 2107.07651, 3.2",
        low=0,
    )
    schedule: str = setting(
        "cosine",
        "How the rates fall.",
        source="ours",
        choices=("constant", "cosine", "plateau"),
    )
    warmup: float = setting(0.05, "Share of the steps with rising rates.", source="ours", low=0, high=1)
    patience: int = setting(
        1, "Epochs without a better val before plateau lowers the rates.", source=TABLE, low=0
    )
    factor: float = setting(0.8, "What plateau multiplies the rates by.", source=TABLE, low=0, high=1)
    clip_norm: float | None = setting(
        None, "Largest norm of the gradient; none for no limit.", source=TABLE, low=1e-6
    )
    average: float = setting(
        0.0,
        "Decay a step of the running mean of weights that is kept; 0 keeps the weights.",
        source="ours",
        low=0,
        high=0.99999,
    )
