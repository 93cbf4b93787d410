"""Settings of attention-clip, with the source of each default."""

from dataclasses import dataclass

from mmx.core.errors import UsageError
from mmx.core.settings import setting

TABLE = "seed 001, Table I"


@dataclass(frozen=True)
class AttentionClipSettings:
    """Everything a person could want to change; see `mmx train attention-clip --settings`."""

    image_encoder: str = setting(
        "efficientnet-lite0", "Encoder of the images.", source="ours: ships in a package"
    )
    text_encoder: str = setting("minilm", "Encoder of the captions.", source="ours: ships in a package")
    train_image: bool = setting(
        False,
        "Train the image encoder; else its features are read from `mmx extract`.",
        source="ours: quick on a CPU",
    )
    train_text: bool = setting(
        False,
        "Train the text encoder; else its features are read from `mmx extract`.",
        source="ours: quick on a CPU",
    )
    image_blocks: int | None = setting(
        None,
        "Number of last blocks of the image encoder that are trained; none for all.",
        source="ours",
        low=1,
    )
    text_blocks: int | None = setting(
        None,
        "Number of last blocks of the text encoder that are trained; none for all.",
        source="ours",
        low=1,
    )
    max_tokens: int = setting(
        200,
        "Tokens of a caption that a trained text encoder reads; the rest is cut off.",
        source=TABLE,
        low=3,
    )
    augment: str = setting(
        "flip",
        "How training pictures are varied; crop-flip needs train_image=true.",
        source="ours",
        choices=("none", "flip", "crop-flip"),
    )
    mirror: bool = setting(
        False,
        "Embed a picture as the mean of itself and its mirror, at twice the cost; needs train_image=true.",
        source="ours",
    )

    members: int = setting(
        1,
        "Pairs of branches that learn side by side; an embedding holds one part of each.",
        source="ours: see README, Results",
        low=1,
    )
    attention: str = setting(
        "none",
        "none, or self: attention over image patches and caption tokens before the projection.",
        source="ours: self gains nothing on Flickr8k, see README",
        choices=("none", "self"),
    )
    attention_width: int = setting(
        256, "Width of the attention blocks.", source="ours: the projection's", low=1
    )
    heads: int = setting(4, "Attention heads; they share the attention width.", source="ours", low=1)
    layers: int = setting(1, "Attention blocks of each modality.", source="ours", low=1)
    pooled_path: bool = setting(
        True,
        "Add the attention's output, which starts at zero, to the projection of the pooled features.",
        source="ours: training starts from the model without attention",
    )
    width: int = setting(512, "Width of the shared space.", source="ours: tried on Flickr8k val", low=1)
    projection: str = setting(
        "perceptron",
        "residual: the seed's head, linear with one residual layer; perceptron: one hidden layer.",
        source="ours",
        choices=("residual", "perceptron"),
    )
    hidden_width: int = setting(1024, "Width of the perceptron's hidden layer.", source="ours", low=1)
    standardize: bool = setting(
        True,
        "Bring each pooled feature to mean 0 and variance 1 over the training data.",
        source="ours: with the power, some 10 of rsum on Flickr8k val",
    )
    image_power: float = setting(
        0.5,
        "Power of the pooled image features' sizes before that; 1 leaves them as they are.",
        source="ours: see standardize",
        low=0.1,
        high=1,
    )
    image_dropout: float = setting(
        0.3, "Dropout of the pooled image features.", source="ours", low=0, high=0.95
    )
    text_dropout: float = setting(
        0.2, "Dropout of the pooled text features.", source="ours", low=0, high=0.95
    )
    dropout: float = setting(
        0.3, "Dropout inside the projection.", source="ours: tried on Flickr8k val", low=0, high=0.95
    )
    attention_dropout: float = setting(
        0.2, "Dropout inside the attention and of what it reads.", source="ours", low=0, high=0.95
    )
    token_dropout: float = setting(
        0.2,
        "Share of patches and tokens hidden from the attention in training.",
        source="ours",
        low=0,
        high=0.95,
    )

    loss: str = setting(
        "corrected",
        "corrected: cosines, an image's captions share its target; faithful: the seed's soft targets.",
        source="ours: the seed's saturates",
        choices=("corrected", "faithful"),
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

    def __post_init__(self) -> None:
        if self.attention_width % self.heads:
            raise UsageError(
                f"attention_width={self.attention_width} cannot be shared by heads={self.heads}. "
                "Choose a multiple of the number of heads."
            )
        if self.loss == "faithful" and self.captions_per_image != 1:
            raise UsageError(
                f"loss=faithful compares pairs, and captions_per_image is '{self.captions_per_image}'. "
                "Set captions_per_image=1, or loss=corrected."
            )
        if self.image_power != 1 and not self.standardize:
            raise UsageError(
                f"image_power={self.image_power} is a part of standardize, which is off. "
                "Set image_power=1, or standardize=true."
            )
        if self.mirror and not self.train_image:
            raise UsageError(
                "mirror=true needs pixels, and a frozen image encoder reads features. Set train_image=true."
            )
        if self.augment == "crop-flip" and not self.train_image:
            raise UsageError(
                "augment=crop-flip needs pixels, and a frozen image encoder reads features. "
                "Set train_image=true, or augment=flip."
            )

    @property
    def reads_pooled(self) -> bool:
        """Whether the encoders' pooled features are a part of the model."""
        return self.attention == "none" or self.pooled_path
