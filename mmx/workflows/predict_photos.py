"""Label new photos with a classifier that was kept as a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmx.core.device import find_device
from mmx.core.errors import ArtifactError, DataError
from mmx.core.home import Home
from mmx.core.paths import expanded
from mmx.core.reporter import Reporter
from mmx.encoders.batch_norm import freeze
from mmx.encoders.load import load_encoder
from mmx.engine.pictures import Pixels, to_device
from mmx.search.photos import find_photos
from mmx.store.image_paths import IMAGE_SUFFIXES
from mmx.store.run import RunFolder
from mmx.workflows.decoded_photos import encode_photos
from mmx.workflows.frozen_features import MADE_ELSEWHERE
from mmx.workflows.head_run import Head, open_head

SCHEMA = "mmx.predict/1"
BATCH = 32
MOST_EVIDENCE = 5
LEAST_WEIGHT = 0.005
"""Of a class text that is shown: less is not worth a line."""


@dataclass(frozen=True)
class PhotoPrediction:
    """What a run says of one photo."""

    path: str
    label: str
    probability: float
    """From 0 to 1, calibrated on the validation shots."""
    top: tuple[tuple[str, float], ...]
    """The most probable classes, best first."""
    evidence: tuple[tuple[str, float], ...] | None = None
    """The class texts, or classes, that the gate opened, and how far; None where that was not asked for."""

    def document(self) -> dict[str, Any]:
        """As plain data; evidence only where it was asked for."""
        top = [{"label": name, "probability": value} for name, value in self.top]
        plain = {"path": self.path, "label": self.label, "probability": self.probability, "top": top}
        if self.evidence is not None:
            plain["evidence"] = [{"text": text, "weight": weight} for text, weight in self.evidence]
        return plain


@dataclass(frozen=True)
class PhotoPredictions:
    """What a run says of some photos."""

    run: str
    classifier: str
    photos: tuple[PhotoPrediction, ...]
    unreadable: tuple[tuple[str, str], ...]
    """(path, reason)."""

    def document(self) -> dict[str, Any]:
        """The predictions as one JSON document."""
        return {
            "schema": SCHEMA,
            "run": self.run,
            "task": "labelling",
            "classifier": self.classifier,
            "photos": [photo.document() for photo in self.photos],
            "unreadable": [{"path": path, "reason": reason} for path, reason in self.unreadable],
        }


def predict_photos(
    folder: RunFolder,
    inputs: Sequence[Path],
    home: Home,
    device_name: str,
    top: int,
    explain: bool,
    reporter: Reporter,
) -> PhotoPredictions:
    """Label photos, and all photos of folders; what cannot be read is listed with the reason.

    Raises:
        UsageError: when the classifier has nothing to explain.
        ArtifactError: when the run is broken, or the weights that its features came from are not there.
        DataError: when there is no photo that can be read.
    """
    device, head = find_device(device_name), open_head(folder)
    paths = _photos(inputs)
    encoder = photo_encoder(folder, reporter).to(device)
    features, failures = _encode(encoder, paths, folder.facts["towers"]["image"]["features"][0], reporter)
    broken = dict(failures)
    read = [path for place, path in enumerate(paths) if place not in broken]
    if not read:
        raise DataError(
            f"none of {len(paths)} photos can be read, the first: '{paths[0]}': {failures[0][1]}."
        )
    unreadable = tuple((str(paths[place]), reason) for place, reason in failures)
    if unreadable:
        path, reason = unreadable[0]
        reporter.warn(f"{len(unreadable)} photos cannot be read, the first: '{path}' ({reason})")
    return PhotoPredictions(
        str(folder.path), head.method, tuple(_predicted(head, read, features, top, explain)), unreadable
    )


def photo_encoder(folder: RunFolder, reporter: Reporter) -> nn.Module:
    """The encoder whose features a run learned from.

    Raises:
        ArtifactError: when it has no network, or other weights than then.
    """
    fact = folder.facts["towers"]["image"]
    if fact["encoder"].startswith(MADE_ELSEWHERE):
        raise ArtifactError(
            f"'{folder.path}' learned from features made elsewhere, '{fact['encoder']}', and there is no "
            "network to see new photos with. Take them in under the name of an encoder that mmx knows, and "
            "fit again."
        )
    encoder = freeze(load_encoder(fact["encoder"], "image"))
    if fact["taken_in"]:
        reporter.warn(
            f"'{folder.path}' learned from features made elsewhere: that '{fact['encoder']}' made them is "
            "taken on trust"
        )
    elif encoder.fingerprint != fact["fingerprint"]:
        raise ArtifactError(
            f"'{folder.path}' learned from features of '{fact['encoder']}' with fingerprint "
            f"'{fact['fingerprint']}', but the weights here have '{encoder.fingerprint}'. Bring those "
            f"weights back, or fit again: mmx fewshot {folder.facts['dataset']}"
        )
    return encoder


def _photos(inputs: Sequence[Path]) -> list[Path]:
    """The files named, and the pictures in the folders named, each once.

    Raises:
        DataError: when there is nothing at a path, or no picture in a folder.
    """
    found: list[Path] = []
    for given in inputs:
        path = expanded(given)
        if path.is_dir():
            inside = [photo.path for photo in find_photos(path, IMAGE_SUFFIXES).photos]
            if not inside:
                raise DataError(
                    f"'{given}' holds no pictures. Pictures end in: {', '.join(sorted(IMAGE_SUFFIXES))}."
                )
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"there is nothing at '{given}'. Name photos, or folders of photos.")
    return list(dict.fromkeys(found))


@torch.inference_mode()
def _encode(
    encoder: nn.Module, paths: Sequence[Path], field: str, reporter: Reporter
) -> tuple[Tensor, list[tuple[int, str]]]:
    """Features [N, F] of unit length of the readable photos, and (place, reason) of all others."""
    device = next(encoder.parameters()).device

    def encode(pixels: Pixels) -> Tensor:
        # stored features have half precision, and so has what was learned from
        found = encoder(to_device(pixels, device))[field].half().float().cpu()
        return normalize(found, dim=1)

    return encode_photos(paths, encoder.view, BATCH, encode, reporter)


def _predicted(
    head: Head, paths: Sequence[Path], features: Tensor, top: int, explain: bool
) -> list[PhotoPrediction]:
    best, places = head.probabilities(features).topk(min(top, len(head.class_names)), dim=1)
    opened: list[tuple[tuple[str, float], ...]] | None = None
    if explain:
        evidence, words = head.evidence(features)
        opened = [_opened(row, words) for row in evidence.weights]
    found = []
    for number, path in enumerate(paths):
        named = [head.class_names[place] for place in places[number].tolist()]
        ranked = tuple(
            (name, round(value, 4)) for name, value in zip(named, best[number].tolist(), strict=True)
        )
        shown = None if opened is None else opened[number]
        found.append(PhotoPrediction(str(path), *ranked[0], ranked, shown))
    return found


def _opened(weights: Tensor, words: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """[M] -> the words with most weight."""
    best, places = weights.topk(min(MOST_EVIDENCE, len(words)))
    pairs = zip((words[place] for place in places.tolist()), best.tolist(), strict=True)
    return tuple((word, round(weight, 4)) for word, weight in pairs if weight >= LEAST_WEIGHT)
