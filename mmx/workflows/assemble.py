"""Bringing together what a method asks for, to train it or to use a run: its towers, its data, its model."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmx.core.discover import find_method
from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.method import Method
from mmx.core.reporter import Reporter
from mmx.core.settings import resolve
from mmx.core.tower import MODALITIES, Tower, TowerUse
from mmx.encoders.batch_norm import fold
from mmx.encoders.load import load_encoder
from mmx.engine.split_data import FeatureImages, FeatureTexts, PixelImages, SplitData, TokenTexts
from mmx.store.features import FeatureStore
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.workflows.frozen_features import ensure_features, open_features


@dataclass(frozen=True)
class Assembly:
    """The towers of a method over one corpus, ready to build a model on and to read splits with."""

    home: Home
    manifest: Manifest
    uses: Mapping[str, TowerUse]
    towers: Mapping[str, Tower]
    facts: Mapping[str, dict[str, Any]]
    """What a run remembers of each modality's tower: encoder, fingerprint, width, trainable, features."""

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
        """The features of a split, which must come from the very weights that the model reads."""
        use, wanted = self.uses[modality], self.facts[modality]["fingerprint"]
        store = open_features(self.home, self.manifest, use, split)
        if store.fingerprint != wanted:
            raise ArtifactError(
                f"the model reads features of '{use.encoder}' with fingerprint '{wanted}', but those of "
                f"'{self.manifest.name}' have '{store.fingerprint}' in split '{split}'. Bring back those "
                f"weights and extract again: mmx extract {self.manifest.name} --encoder {use.encoder} "
                f"--split {split} --overwrite"
            )
        return store


@dataclass(frozen=True)
class OpenedRun:
    """A trained run with everything needed to use it again."""

    folder: RunFolder
    method: Method
    settings: Any
    model: nn.Module
    fingerprint: str
    """Of the weights that the model has."""
    towers: Mapping[str, Tower]
    home: Home
    dataset: str

    @property
    def uses(self) -> Mapping[str, TowerUse]:
        """The encoder of each modality, as the method asks for it."""
        return self.method.towers(self.settings)

    @cached_property
    def assembly(self) -> Assembly:
        """The run over its dataset, which is opened when it is first asked for: photos are searched without.

        Raises:
            ArtifactError: when the dataset is not prepared.
        """
        manifest = Manifest.open(self.home.dataset(self.dataset))
        return Assembly(self.home, manifest, self.uses, self.towers, self.folder.facts["towers"])


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
        ArtifactError: when the run or its towers' weights are not there, or do not fit.
    """
    folder = RunFolder.open(path)
    method, settings, towers = rebuild(folder)
    model = method.build(settings, towers)
    fingerprint = _load_weights(folder, model)
    model = model.to(device).eval()
    dataset = dataset or folder.facts["dataset"]
    return OpenedRun(folder, method, settings, model, fingerprint, towers, home, dataset)


def method_of(folder: RunFolder) -> tuple[Method, Any]:
    """The method and settings that a run was made with.

    Raises:
        ArtifactError: when this mmx has them no longer.
    """
    name = folder.facts["method"]
    try:
        method = find_method(name)
        settings, _ = resolve(
            method.settings, [("run", folder.facts["settings"])], f"mmx train {name} --settings"
        )
    except UsageError as error:
        raise ArtifactError(
            f"'{folder.path}' was made with what this mmx does not have: {error} "
            "Train again, or use the mmx that made it."
        ) from error
    return method, settings


def rebuild(folder: RunFolder) -> tuple[Method, Any, dict[str, Tower]]:
    """The method, settings and empty towers that a run was made with.

    Raises:
        ArtifactError: when this mmx has them no longer, or a trained tower began with other weights.
    """
    method, settings = method_of(folder)
    towers = {}
    for modality, fact in folder.facts["towers"].items():
        module = _load_trainable(fact["encoder"], modality) if fact["trainable"] else None
        if module is not None and module.fingerprint != fact["fingerprint"]:
            raise ArtifactError(
                f"'{folder.path}' began with the {modality} encoder '{fact['encoder']}', fingerprint "
                f"'{fact['fingerprint']}'; here it has '{module.fingerprint}'. Bring those weights back, "
                "or train again."
            )
        towers[modality] = Tower(width=fact["width"], module=module)
    return method, settings, towers


def _load_weights(folder: RunFolder, model: nn.Module) -> str:
    """Fill a model; the fingerprint of just these weights, though a training may be writing better ones."""
    for _ in range(2):
        before = folder.fingerprint
        folder.load_weights(model)
        if folder.fingerprint == before:
            return before
    raise ArtifactError(f"the weights of '{folder.path}' change while they are read. Try again in a moment.")


def _load_trainable(encoder: str, modality: str) -> nn.Module:
    """An encoder to be trained; its BatchNorm is folded away: averages of small batches would spoil it."""
    return fold(load_encoder(encoder, modality))


def _facts(use: TowerUse, width: int, fingerprint: str) -> dict[str, Any]:
    return {
        "encoder": use.encoder,
        "fingerprint": fingerprint,
        "width": width,
        "trainable": use.trainable,
        "features": list(use.features),
    }
