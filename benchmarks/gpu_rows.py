"""The rows of the GPU page: what runs, at which size, and as which variants."""

from collections.abc import Callable
from functools import partial

from benchmarks.gpu_works import Case, make_images, make_search, make_texts, make_training

PLAIN, COMPILED = ("fp32", "tf32", "bf16"), "bf16, compiled"
ALL, IMAGES = (*PLAIN, COMPILED), {"convolves": True}
CLIP = {"image_encoder": "random:clip", "text_encoder": "random:clip"}
SMALL_CVSE = {"width": 32, "heads": 4, "batch_size": 4, "bucket": 1}
SMALL_ALIGN = {**CLIP, "attention_width": 16, "batch_size": 4, "region_batch_size": 4}
SMALL_MUSE = {"text_encoder": "random:bert", "image_encoder": "random:resnet", "image_blocks": None}
SMALL_MUSE |= {"width": 32, "heads": 4, "feedforward": 64, "caption_width": 16, "filters": 8, "blocks": 1}
SMALL_MUSE |= {"mixtures": 2, "batch_size": 4, "least_count": 1, "max_tokens": 24}
SMALL_CLIP = {"image_encoder": "random:resnet", "text_encoder": "random:distilbert", "batch_size": 4}
SMALL_CLIP |= {"attention_width": 32, "hidden_width": 64, "width": 32}


def training(name: str, small: dict[str, object], stage: str = "all", **changes: object) -> Callable:
    """How a row of training is made."""
    return partial(make_training, name, changes, small, stage)


CASES = {
    "mh-cvse": Case("mh-cvse, 36 x 2048 regions, batch 128", "pairs", training("mh-cvse", SMALL_CVSE), PLAIN),
    "align-joint": Case(
        "region-align, first stage: CLIP ViT-B/32, batch 256",
        "pairs",
        training("region-align", SMALL_ALIGN, "joint", batch_size=256),
        ALL,
    ),
    "align-regions": Case(
        "region-align, second stage: 36 regions over it, batch 64",
        "pairs",
        training("region-align", SMALL_ALIGN, "regions"),
        ALL,
    ),
    "muse": Case("muse, BERT and ResNet-152, batch 40", "posts", training("muse", SMALL_MUSE), ALL, **IMAGES),
    "attention-clip": Case(
        "attention-clip, ResNet-50 and DistilBERT, batch 64",
        "pairs",
        training("attention-clip", SMALL_CLIP),
        ALL,
        **IMAGES,
    ),
    "resnet50": Case(
        "extract ResNet-50", "pictures", partial(make_images, "resnet50", "random:resnet"), ALL, **IMAGES
    ),
    "vit-b32": Case(
        "extract CLIP ViT-B/32", "pictures", partial(make_images, "clip-vit-b32", "random:clip"), ALL
    ),
    "lite0": Case(
        "extract EfficientNet-Lite0",
        "pictures",
        partial(make_images, "efficientnet-lite0", "random:efficientnet"),
        ALL,
        **IMAGES,
    ),
    "minilm": Case("extract MiniLM", "captions", partial(make_texts, "minilm", "random:bert"), ALL),
    "search-1m-1": Case(
        "1,000,000 x 512, one query", "queries", partial(make_search, 10**6, 1, None), PLAIN[:1]
    ),
    "search-1m-256": Case(
        "1,000,000 x 512, 256 queries", "queries", partial(make_search, 10**6, 256, None), PLAIN[:1]
    ),
    "search-10m-1": Case(
        "10,000,000 x 512, one query", "queries", partial(make_search, 10**7, 1, None), PLAIN[:1]
    ),
    "search-10m-256": Case(
        "10,000,000 x 512, 256 queries", "queries", partial(make_search, 10**7, 256, None), PLAIN[:1]
    ),
    "search-10m-wide": Case(
        "the same in blocks of 262,144", "queries", partial(make_search, 10**7, 256, 1 << 18), PLAIN[:1]
    ),
}
