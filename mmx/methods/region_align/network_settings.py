"""What region-align is built of, with the source of each default."""

from dataclasses import dataclass

from mmx.core.settings import setting
from mmx.core.tower_settings import TowerSettings

SEED = "seed 004"
TRIED = "ours: tried on Flickr8k val"


@dataclass(frozen=True)
class NetworkSettings(TowerSettings):
    """How the towers are tuned, the space they share, and how tokens meet regions."""

    lora_rank: int | None = setting(
        None,
        "Rank of LoRA updates that trained encoders learn in place of their weights; none for the weights.",
        source="ours: arXiv 2106.09685; 8 to 16 are usual",
        low=1,
    )
    lora_alpha: float = setting(16.0, "LoRA updates are multiplied by this / rank.", source="ours", low=1e-6)
    lora_dropout: float = setting(0.0, "Dropout of what LoRA reads.", source="ours", low=0, high=0.95)
    wise_share: float = setting(
        1.0,
        "WiSE-FT: share of the way from an encoder's pretrained weights to the tuned ones; 1 for the tuned.",
        source="ours: arXiv 2109.01903",
        low=0,
        high=1,
    )

    projection: str = setting(
        "perceptron",
        "none: the encoders share a space, as CLIP's and SigLIP's do; perceptron: a learned head each.",
        source="ours",
        choices=("none", "perceptron"),
    )
    width: int = setting(512, "Width of the space that the heads share.", source=TRIED, low=1)
    hidden_width: int = setting(1024, "Width of the heads' hidden layer.", source=TRIED, low=1)
    image_power: float = setting(
        0.5,
        "Power of the sizes of image features before they are standardised for their head.",
        source=TRIED,
        low=0.1,
        high=1,
    )
    image_dropout: float = setting(0.3, "Dropout before the image head.", source=TRIED, low=0, high=0.95)
    text_dropout: float = setting(0.2, "Dropout before the text head.", source=TRIED, low=0, high=0.95)
    dropout: float = setting(0.3, "Dropout inside the heads.", source=TRIED, low=0, high=0.95)

    regions: str = setting(
        "grid",
        "grid: the patches of the image encoder itself; else an encoder of regions, such as faster-rcnn.",
        source="ours: needs no detector; the seed reads Faster R-CNN",
    )
    fine: str = setting(
        "attention",
        "attention: tokens look at regions by cross-attention, learned; maxsim: each takes the nearest; "
        "gather: regions are pooled as a caption asks, through perceptrons of their own.",
        source=f"{SEED}; arXiv 2111.07783; arXiv 1803.08024 and 2203.15086",
        choices=("attention", "maxsim", "gather"),
    )
    fine_weight: float = setting(
        1.0,
        "Weight of the fine score beside cosine / temperature (of maxsim and gather: beside cosine).",
        source=SEED,
    )
    attention_width: int = setting(
        256, "Width of queries, keys and values; of gather that of what is compared.", source="ours", low=1
    )
    gather_hidden: int = setting(
        512, "Width of the hidden layer of gather's perceptrons.", source=TRIED, low=1
    )
    members: int = setting(
        1, "Pairs of perceptrons of gather that learn side by side; scores are averaged.", source=TRIED, low=1
    )
    region_window: int = setting(
        1,
        "Side of the windows of patches whose means are gather's regions, at every second place; 1 for the "
        "patches themselves. The mean of all is one more region.",
        source="ours: quicker than patches",
        low=1,
    )
    sharpness: float = setting(
        4.0,
        "Of gather's attention: cosines times it are what its softmax is of; 0 for a mean of regions.",
        source="arXiv 1803.08024 has 9",
        low=0,
    )
    scale_logits: bool = setting(
        True, "Divide the attention's logits by the root of its width.", source="ours: the seed does not"
    )
    skip_first: bool = setting(
        True,
        "Leave a caption's first token, its start sign, out of the fine score; false where there is none, "
        "as in SigLIP.",
        source="ours",
    )
    skip_last: bool = setting(
        False, "Leave a caption's last token, its end sign, out of the fine score.", source="ours"
    )
