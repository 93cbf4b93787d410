"""What mh-cvse reads and what it is made of, with the source of each default."""

from dataclasses import dataclass

from mmx.core.settings import setting

CVSE = "CVSE code, commit 94c2191"
SEED = "seed 000"
GPO = "arXiv 2011.04305"


@dataclass(frozen=True)
class NetworkSettings:
    """The encoders, the layers over them, and the consensus graph."""

    image_encoder: str = setting(
        "efficientnet-lite0",
        "Encoder of the images, frozen; a detector's regions or the cells of a grid are read.",
        source="ours: ships in a package; seed 000 has a Faster R-CNN",
    )
    text: str = setting(
        "words",
        "words: embeddings and a Bi-GRU learned from the captions; encoder: the tokens of text_encoder.",
        source=SEED,
        choices=("words", "encoder"),
    )
    text_encoder: str = setting(
        "minilm", "Encoder of the captions where text=encoder.", source="ours: ships in a package"
    )
    train_text: bool = setting(
        False, "Train the text encoder too; needs text=encoder.", source="ours: quick on a CPU"
    )
    text_blocks: int | None = setting(
        None, "Last blocks of the text encoder that are trained; none for all.", source="ours", low=1
    )
    max_tokens: int = setting(
        80, "Words or tokens of a caption that are read; the rest is cut off.", source="ours", low=3
    )
    augment: str = setting(
        "none",
        "How training pictures are varied: flip reads the features of mirrored ones.",
        source=CVSE,
        choices=("none", "flip"),
    )
    mirror: bool = setting(
        False, "Embed a picture as the mean of itself and its mirror, at twice the cost.", source="ours"
    )

    least_count: int = setting(
        4, "Times that a word stands in the training captions to be known.", source=CVSE, low=1
    )
    word_width: int = setting(300, "Width of word embeddings.", source=CVSE, low=1)
    word_vectors: str | None = setting(
        None,
        "Text file of vectors (GloVe, word2vec) that words and concepts begin with; none for random ones.",
        source="CVSE code has GloVe's; ours: no download",
    )
    members: int = setting(
        1,
        "Models that learn side by side from their own starts; the embedding keeps them all.",
        source="ours: seed 000 has one",
        low=1,
    )
    width: int = setting(1024, "Width of the shared space.", source=CVSE, low=1)
    token_width: int | None = setting(
        None, "Width of regions and words before pooling; none for the shared width.", source="ours", low=1
    )
    region_norm: str = setting(
        "none",
        "none, layer: a LayerNorm, or standard: mean 0 and variance 1 over the training regions.",
        source=CVSE,
        choices=("none", "layer", "standard"),
    )
    token_norm: str = setting(
        "none",
        "The same for the tokens of a text encoder.",
        source="ours",
        choices=("none", "layer", "standard"),
    )
    image_power: float = setting(
        1.0,
        "Power of the region features' sizes before they are standardised; 1 leaves them as they are.",
        source="arXiv 1406.6909",
        low=0.1,
        high=1,
    )
    image_dropout: float = setting(0.0, "Dropout of region features.", source=CVSE, low=0, high=0.95)
    text_dropout: float = setting(
        0.4, "Dropout of word embeddings or token features.", source=CVSE, low=0, high=0.95
    )
    region_drop: float = setting(
        0.0, "Share of regions hidden in training.", source="ours: CVSE hides none", low=0, high=0.95
    )
    token_drop: float = setting(
        0.0, "Share of words hidden in training.", source="ours: CVSE hides none", low=0, high=0.95
    )

    attention: bool = setting(
        True, "Multi-head self-attention over regions and over words, added before pooling.", source=SEED
    )
    heads: int = setting(
        8, "Attention heads; they share the width of a region.", source="ours: seed 000 is silent", low=1
    )
    attention_dropout: float = setting(
        0.1, "Dropout of what attention adds.", source="ours: seed 000 is silent", low=0, high=0.95
    )
    pooling: str = setting(
        "gated",
        "gated: weights from each region and their mean; gpo: by rank, feature by feature; or mean.",
        source=CVSE,
        choices=("gated", "gpo", "mean"),
    )
    gate_norm: str = setting(
        "batch",
        "batch: each region slot over the batch, as in CVSE; layer: any number and order of regions.",
        source=CVSE,
        choices=("batch", "layer"),
    )
    slots: int = setting(49, "Region slots of gate_norm=batch.", source="ours: a grid of 7 x 7", low=1)
    gate_dropout: float = setting(0.4, "Dropout inside the gates.", source=CVSE, low=0, high=0.95)
    gpo_width: int = setting(32, "Width of gpo's position codes and of its Bi-GRU.", source=GPO, low=2)
    gpo_temperature: float = setting(0.1, "Temperature of gpo's weights.", source=GPO, low=1e-3)
    pooled_path: str = setting(
        "none",
        "Where the embedding is a head over mean features, plus pooling that starts at zero.",
        source="ours: training starts from the model without attention",
        choices=("none", "image", "both"),
    )
    standardize: bool = setting(
        True, "Bring each feature of the pooled path to mean 0 and variance 1.", source="ours"
    )
    pooled_image_dropout: float = setting(
        0.3, "Dropout of the pooled path's image features.", source="ours", low=0, high=0.95
    )
    pooled_text_dropout: float = setting(
        0.2, "Dropout of the pooled path's text features.", source="ours", low=0, high=0.95
    )
    hidden_width: int = setting(1024, "Hidden width of the pooled path's head.", source="ours", low=1)
    dropout: float = setting(0.3, "Dropout inside that head.", source="ours", low=0, high=0.95)

    consensus: bool = setting(True, "Concepts shared by images and captions, and their graph.", source=SEED)
    concepts: int = setting(
        300, "Concepts counted from the training captions, at most.", source="arXiv 2007.08883", low=1
    )
    graph_width: int = setting(512, "Hidden width of the graph network.", source=CVSE, low=1)
    edge_base: float = setting(5.0, "Base s of f(P) = s^(P-u) - s^(-u).", source=CVSE, low=1.0001)
    edge_offset: float = setting(0.02, "Offset u of f(P).", source=CVSE, low=0, high=1)
    edge_threshold: float = setting(0.3, "An edge stands where f(P) reaches it.", source=CVSE)
    neighbour_share: float = setting(
        0.25, "Weight of all neighbours of a concept beside its own 1.", source=CVSE, low=0
    )
    graph_norm: str = setting(
        "row",
        "row: what a concept takes in sums to 1; faithful: CVSE's D^-1/2 W' D^-1/2.",
        source="ours: CVSE's sums to no fixed number",
        choices=("row", "faithful"),
    )
    sharpness: float = setting(10.0, "Factor of concept scores before their softmax.", source=CVSE, low=0)
    label_source: str = setting(
        "caption",
        "Concepts of a training caption: its own, or the union of those of its image.",
        source="ours: at test there is one caption",
        choices=("caption", "union"),
    )
    label_share: float = setting(
        0.35, "Share of a caption's concepts in what it looks at.", source=CVSE, low=0, high=1
    )
    fusion: str = setting(
        "weighted",
        "weighted: two learned weights; concat: a linear map of both; adaptive: a weight for each item.",
        source=SEED,
        choices=("weighted", "concat", "adaptive"),
    )
    instance_share: float = setting(
        0.85, "Share of the instance in weighted fusion, at the start.", source=CVSE, low=0.001, high=0.999
    )
    consensus_weight: float = setting(
        0.05, "Weight of the consensus score beside the fused one.", source=CVSE, low=0, high=1
    )
