"""Bringing together what a method asks for: its towers, its data, its model; for training and for an existing run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmx.core.discover import find_method
from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.method import Method
from mmx.core.reporter import Reporter
from mmx.core.settings import resolve
from mmx.core.tower import MODALITIES, Tower, TowerUse
from mmx.encoders.batch_norm import fold
from mmx.encoders.load import encoder_slug, load_encoder
from mmx.engine.split_data import FeatureImages, FeatureTexts, PixelImages, SplitData, TokenTexts
from mmx.store.features import FeatureStore
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.workflows.extract import ExtractSettings, extract


@dataclass(frozen=True)
class Assembly:
    """The towers of a method over one corpus, ready to build a model on and to read splits with."""

    home: Home
    manifest: Manifest
    uses: Mapping[str, TowerUse]
    towers: Mapping[str, Tower]
    facts: Mapping[str, dict[str, Any]]
    """For each modality, what a run remembers of its tower: encoder, fingerprint, width, trainable, features."""

    def data(self, split: str) -> SplitData:
        """One split of the corpus, read as the towers need it.

        Raises:
            UsageError: when the corpus has no such split.
            ArtifactError: when features are missing or were made from something else.
        """
        records = self.manifest.split(split)
        return SplitData(records=records, images=self._images(split), texts=self._texts(split))

    def _images(self, split: str) -> PixelImages | FeatureImages:
        use, tower = self.uses["image"], self.towers["image"]
        if tower.module is None:
            return FeatureImages(self._store("image", split), use.features, use.augment)
        paths = [self.manifest.image_path(record) for record in self.manifest.split(split)]
        return PixelImages(paths, tower.module.view, use.augment)

    def _texts(self, split: str) -> TokenTexts | FeatureTexts:
        use, tower = self.uses["text"], self.towers["text"]
        if tower.module is None:
            return FeatureTexts(self._store("text", split), use.features)
        captions = [caption for record in self.manifest.split(split) for caption in record.captions]
        return TokenTexts(tower.module.tokenize(captions))

    def _store(self, modality: str, split: str) -> FeatureStore:
        return open_features(self.home, self.manifest, self.uses[modality], split)


@dataclass(frozen=True)
class OpenedRun:
    """A trained run with everything needed to use it again."""

    folder: RunFolder
    method: Method
    settings: Any
    model: nn.Module
    assembly: Assembly


def modality_of(use: TowerUse) -> str:
    """What a frozen tower reads, by the names of its features."""
    return "image" if use.features[0].startswith(("image", "patch", "region")) else "text"


def open_features(home: Home, manifest: Manifest, use: TowerUse, split: str) -> FeatureStore:
    """The features that a frozen tower's use reads, checked to be all there.

    Raises:
        ArtifactError: when they are missing, made from another manifest, or lack a field.
    """
    store = FeatureStore.open(
        home.features(manifest.name, encoder_slug(use.encoder, modality_of(use))), split, manifest.fingerprint
    )
    wanted = set(use.features)
    if use.augment == "flip":
        wanted |= {f"{field}_mirrored" for field in use.features}
    missing = sorted(wanted - set(store.fields))
    if missing:
        flip = " --flip" if use.augment == "flip" else ""
        raise ArtifactError(
            f"the features of '{use.encoder}' over '{manifest.name}' lack {', '.join(missing)}. "
            f"Make them again: mmx extract {manifest.name} --encoder {use.encoder}{flip} --overwrite"
        )
    return store


def ensure_features(
    home: Home, manifest: Manifest, uses: Mapping[str, TowerUse], device: str, reporter: Reporter
) -> None:
    """Extract what frozen towers need and nobody has extracted yet; what is there already is not touched."""
    for modality, use in uses.items():
        if use.trainable:
            continue
        folder = home.features(manifest.name, encoder_slug(use.encoder, modality_of(use)))
        absent = [split for split in manifest.splits if not any(folder.glob(f"{split}-*.safetensors"))]
        if absent:
            reporter.info(
                f"no features of '{use.encoder}' over '{manifest.name}' yet: extracting {', '.join(absent)}"
            )
            settings = ExtractSettings(
                dataset=manifest.name,
                encoders=(use.encoder,),
                splits=tuple(absent),
                modalities=(modality_of(use),),
                flip=use.augment == "flip",
                home=home,
                device=device,
            )
            extract(settings, reporter)


def assemble(
    method: Method, settings: Any, home: Home, dataset: str, device: str, reporter: Reporter
) -> Assembly:
    """The towers that a method asks for, over a prepared corpus; missing features are extracted first.

    Raises:
        ArtifactError: when the corpus is not prepared, or weights cannot be had.
    """
    manifest = Manifest.open(home.dataset(dataset))
    uses = method.towers(settings)
    ensure_features(home, manifest, uses, device, reporter)
    towers: dict[str, Tower] = {}
    facts: dict[str, dict[str, Any]] = {}
    for modality in MODALITIES:
        use = uses[modality]
        if use.trainable:
            encoder = _load_trainable(use.encoder, modality)
            towers[modality] = Tower(width=encoder.width, module=encoder)
            fingerprint = encoder.fingerprint
        else:
            store = open_features(home, manifest, use, manifest.splits[0])
            towers[modality] = Tower(width=store.width)
            fingerprint = store.fingerprint
        facts[modality] = _facts(use, towers[modality].width, fingerprint)
    return Assembly(home, manifest, uses, towers, facts)


def open_run(path: Path, home: Home, device: torch.device, dataset: str | None = None) -> OpenedRun:
    """A run with its weights, over its own corpus or over another one.

    Raises:
        ArtifactError: when the run, its corpus or its towers' weights are not there, or do not fit.
    """
    folder = RunFolder.open(path)
    method, settings, towers = rebuild(folder)
    model = method.build(settings, towers)
    folder.load_weights(model)
    manifest = Manifest.open(home.dataset(dataset or folder.facts["dataset"]))
    assembly = Assembly(home, manifest, method.towers(settings), towers, folder.facts["towers"])
    return OpenedRun(folder, method, settings, model.to(device).eval(), assembly)


def rebuild(folder: RunFolder) -> tuple[Method, Any, dict[str, Tower]]:
    """The method, settings and empty towers that a run was made with."""
    method = find_method(folder.facts["method"])
    settings, _ = resolve(
        method.settings, [("run", folder.facts["settings"])], f"mmx train {folder.facts['method']} --settings"
    )
    towers = {}
    for modality, fact in folder.facts["towers"].items():
        module = _load_trainable(fact["encoder"], modality) if fact["trainable"] else None
        towers[modality] = Tower(width=fact["width"], module=module)
    return method, settings, towers


def _load_trainable(encoder: str, modality: str) -> nn.Module:
    """An encoder to be trained; its BatchNorm is folded away, since averages of small batches would spoil it."""
    return fold(load_encoder(encoder, modality))


def _facts(use: TowerUse, width: int, fingerprint: str) -> dict[str, Any]:
    return {
        "encoder": use.encoder,
        "fingerprint": fingerprint,
        "width": width,
        "trainable": use.trainable,
        "features": list(use.features),
    }
