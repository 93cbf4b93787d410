"""Settings of muse's network: what it reads, how words and pictures exchange, what it generates."""

from dataclasses import dataclass

from mmx.core.settings import setting

SEED = "seed 002"
CODE = "code of MuSE, commit 812dc19"
OURS = "ours: chosen on val, see README"


@dataclass(frozen=True)
class NetworkSettings:
    """What is read, and what the layers are."""

    task: str = setting(
        "auto",
        "tagging, sentiment, or auto: tagging where the training posts have tags, else sentiment.",
        source="ours",
        choices=("auto", "tagging", "sentiment"),
    )
    modalities: str = setting(
        "both", "Read both, the text or the image alone.", source="ours", choices=("both", "text", "image")
    )
    text_encoder: str = setting("minilm", "Encoder of the words.", source="ours: ships in a package")
    text_blocks: int | None = setting(
        None,
        "Number of last blocks of the text encoder that are trained; none for all.",
        source="ours",
        low=1,
    )
    max_tokens: int = setting(64, "Tokens of a post that are read; the rest is cut off.", source=CODE, low=3)
    image_encoder: str = setting(
        "efficientnet-lite0", "Encoder of the pictures.", source="ours: ships in a package"
    )
    train_image: bool = setting(
        False, "Train the image encoder; else its features are extracted once.", source="ours: quick on a CPU"
    )
    image_blocks: int | None = setting(
        None,
        "Number of last blocks of a trained image encoder that learn; none for all.",
        source="ours",
        low=1,
    )
    image_side: int = setting(
        0, "A picture is pooled to this many by this many tokens; 0 keeps the encoder's.", source=OURS, low=0
    )

    width: int = setting(384, "Width of the cross transformer.", source="ours: that of MiniLM", low=1)
    layers: int = setting(2, "Layers of the cross transformer.", source=OURS, low=0)
    heads: int = setting(6, "Attention heads; they share the width.", source="ours: 64 wide each", low=1)
    feedforward: int = setting(768, "Width within the feed-forward layers.", source=OURS, low=1)
    dropout: float = setting(0.2, "Dropout of the cross transformer.", source=CODE, low=0.0, high=0.9)
    theta: float = setting(
        0.1, "Share of tokens that are exchanged in a layer.", source=SEED, low=0.0, high=1.0
    )
    mu: int = setting(0, "First layer that exchanges, from 0.", source=OURS, low=0)
    eta: int = setting(2, "First layer that exchanges no more.", source=OURS, low=0)
    exchange: str = setting(
        "gated",
        "replace: a token becomes the other modality's mean, as the paper says; residual: that is added, as "
        "the paper's scripts do; gated: replaced with a gradient to the choice.",
        source=OURS,
        choices=("replace", "residual", "gated"),
    )
    count_rule: str = setting(
        "floor",
        "Of n tokens floor(theta n) are exchanged, or by quantile as in the code: ceil(theta (n - 1)).",
        source=SEED,
        choices=("floor", "quantile"),
    )
    mean_includes_cls: bool = setting(
        False, "Whether the mean of a modality takes in its class token, as in the code.", source="ours"
    )

    pairing: str = setting(
        "class",
        "place: each word is tagged beside the picture's token at the same place, as in the code; class: "
        "beside the picture's class token.",
        source="ours: places of words and pixels have nothing to do with each other",
        choices=("place", "class"),
    )
    image_gate: bool = setting(
        True, "Weigh the picture's half of the head by how well it fits the words.", source=OURS
    )
    tower_path: bool = setting(
        True, "The head reads the encoders' own vectors too, beside those of the layers.", source=OURS
    )
    spelling: bool = setting(True, "Read the letters and the case of each word for tagging.", source=OURS)
    spelling_width: int = setting(64, "Width of a word's letters.", source=OURS, low=1)
    head_dropout: float = setting(0.5, "Dropout before the last layer.", source=CODE, low=0.0, high=0.9)
    legal_tags: bool = setting(
        True, "In decoding I-X follows B-X or I-X alone; training sees what there is.", source="ours"
    )

    captioner: bool = setting(True, "Learn to write the words from the picture.", source=SEED)
    generator: str = setting(
        "features",
        "pixels: learn to draw the picture from the words; features: to tell its mean vector; none.",
        source=OURS,
        choices=("pixels", "features", "none"),
    )
    caption_width: int = setting(
        256, "Width of the captioner's attention, memory and words.", source="ours: half of the code's", low=1
    )
    caption_dropout: float = setting(0.5, "Dropout of the captioner.", source=CODE, low=0.0, high=0.9)
    least_count: int = setting(
        2, "Times a word stands in the training posts for the captioner to know it.", source=CODE, low=1
    )
    thumbnail: int = setting(
        32, "Side of the pictures that are drawn, in pixels.", source=CODE, low=4, high=64
    )
    filters: int = setting(24, "Filters of the pixel network.", source="ours: quick on a CPU", low=1)
    blocks: int = setting(1, "Gated blocks of each of its stages.", source="ours: quick on a CPU", low=1)
    mixtures: int = setting(5, "Logistics that a pixel's colour is a mixture of.", source="ours", low=1)
    pixel_dropout: float = setting(0.5, "Dropout of the pixel network.", source=CODE, low=0.0, high=0.9)
