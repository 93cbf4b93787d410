"""What attention-clip is built of, with the source of each default."""

from dataclasses import dataclass

from mmx.core.settings import setting
from mmx.core.tower_settings import TowerSettings

TABLE = "seed 001, Table I"


@dataclass(frozen=True)
class NetworkSettings(TowerSettings):
    """What the towers read, the attention over them, and the space they share."""

    max_tokens: int = setting(
        200,
        "Tokens of a caption that a trained text encoder reads; the rest is cut off.",
        source=TABLE,
        low=3,
    )
    image_size: str | None = setting(
        None,
        "Height x width of the pixels that a trained image encoder reads, such as 384x128; none for its own.",
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
        "none; self: attention over image patches and caption tokens before the projection; sparse: the "
        "same within windows; cross: as self, with a second look at near pairs; cross_leaky: pictures see "
        "their own caption, for study only.",
        source="ours: self gains nothing on Flickr8k, see README",
        choices=("none", "self", "sparse", "cross", "cross_leaky"),
    )
    attention_width: int = setting(
        256, "Width of the attention blocks.", source="ours: the projection's", low=1
    )
    heads: int = setting(4, "Attention heads; they share the attention width.", source="ours", low=1)
    layers: int = setting(1, "Attention blocks of each modality.", source="ours", low=1)
    sparsity: str = setting(
        "window",
        "Of sparse attention: window, over tokens and over the grid of patches; or top-k, the best keys.",
        source="arXiv 2004.05150, 3.1; arXiv 1912.11637, 3",
        choices=("window", "top-k"),
    )
    window: int = setting(
        32, "Tokens that a token looks at, half of them on each side.", source="ours", low=2
    )
    grid_radius: int = setting(
        1, "Rows and columns of patches that a patch looks at on each side.", source="ours", low=0
    )
    top_keys: int = setting(16, "Keys that a query of top-k looks at.", source="ours", low=1)
    cross_layers: int = setting(
        1, "Attention blocks of the second look, behind its cross-attention.", source="ours", low=1
    )
    cross_weight: float = setting(
        1.0,
        "What the second look's logit counts beside cosine / temperature; `evaluate --tune-weight` tries "
        "others.",
        source="ours: hard negatives are drawn by cosine / temperature, so that the two add up",
        low=0,
    )
    pooled_path: bool = setting(
        True,
        "Add the attention's output, which starts at zero, to the projection of the pooled features.",
        source="ours: training starts from the model without attention",
    )
    width: int = setting(512, "Width of the shared space.", source="ours: tried on Flickr8k val", low=1)
    projection: str = setting(
        "perceptron",
        "residual: the seed's head, linear with one residual layer; perceptron: one hidden layer; none: the "
        "space that trained encoders share.",
        source="ours",
        choices=("residual", "perceptron", "none"),
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
