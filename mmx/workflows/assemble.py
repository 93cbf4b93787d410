"""Bringing together what a method asks for over a corpus: its towers, and what they read of each split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from mmx.core.assets import Assets
from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.method import Method
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.core.tower import Tower, TowerUse
from mmx.encoders.batch_norm import fold
from mmx.encoders.load import adapt, load_encoder
from mmx.engine.split_data import (
    FeatureImages,
    FeatureTexts,
    JoinedTexts,
    NumberTexts,
    PixelImages,
    SplitData,
    TextSource,
)
from mmx.store.features import FeatureStore
from mmx.store.manifest import Manifest
from mmx.workflows.asset_source import asset_source
from mmx.workflows.fitted import FittedMethod
from mmx.workflows.frozen_features import ensure_features, frozen_tower, modality_of, open_features
from mmx.workflows.post_data import post_images, post_texts


@dataclass(frozen=True)
class Assembly:
    """The towers of a method over one corpus, ready to build a model on and to read splits with."""

    home: Home
    manifest: Manifest
    uses: Mapping[str, TowerUse]
    towers: Mapping[str, Tower]
    facts: Mapping[str, dict[str, Any]]
    """What a run remembers of each tower: encoder, fingerprint, width, trainable, features."""
    fitted: FittedMethod

    def data(self, split: str) -> SplitData:
        """One split of the corpus, read as the towers need it.

        Raises:
            UsageError: when the corpus has no such split.
            ArtifactError: when features are missing or were made from something else.
        """
        records = self.manifest.split(split)
        if not self.fitted.reads_posts:
            return SplitData(records=records, images=self.images(split), texts=self._texts(split))
        pictured = "image" in self.uses and any(record.image is not None for record in records)
        pictures = self.images(split) if pictured else None
        paths = [None if record.image is None else self.manifest.image_path(record) for record in records]
        images = post_images(paths, pictures, self.uses.get("image"))
        tower = self.towers["text"].module if "text" in self.towers else None
        return SplitData(records, images, post_texts(self.fitted, tower, records), posts=True)

    def images(self, split: str) -> PixelImages | FeatureImages:
        """What the image tower reads, and beside it the regions of another encoder, where there is one.

        Raises:
            UsageError: when the corpus has no such split.
            ArtifactError: when features are missing or were made from something else.
        """
        use, tower = self.uses["image"], self.towers["image"]
        beside = None
        if "regions" in self.uses:
            beside = FeatureImages(self._store("regions", split), self.uses["regions"].features)
        if tower.module is None:
            return FeatureImages(self._store("image", split), use.features, use.augment, beside)
        records = self.manifest.split(split)
        paths = [None if record.image is None else self.manifest.image_path(record) for record in records]
        return PixelImages(paths, tower.module.view, use.augment, beside)

    def _texts(self, split: str) -> TextSource:
        """What the text tower reads, where there is one, and what the method reads of the captions itself."""
        records = self.manifest.split(split)
        numbers = dict(self.fitted.caption_ids(records))
        sources: list[TextSource] = []
        if "text" in self.uses and self.towers["text"].module is None:
            sources.append(FeatureTexts(self._store("text", split), self.uses["text"].features))
        elif "text" in self.uses:
            captions = [caption for record in records for caption in record.captions]
            numbers["token_ids"] = present(self.towers["text"].module).tokenize(captions)
        if numbers:
            sources.append(NumberTexts(numbers))
        return sources[0] if len(sources) == 1 else JoinedTexts(sources)

    def _store(self, key: str, split: str) -> FeatureStore:
        """The features of a split, which must come from the very weights that the model reads."""
        use, wanted = self.uses[key], self.facts[key]["fingerprint"]
        store = open_features(self.home, self.manifest, use, split)
        if store.fingerprint != wanted:
            raise ArtifactError(
                f"the model reads features of '{use.encoder}' with fingerprint '{wanted}', but those of "
                f"'{self.manifest.name}' have '{store.fingerprint}' in split '{split}'. Bring back those "
                f"weights and extract again: mmx extract {self.manifest.name} --encoder {use.encoder} "
                f"--split {split} --overwrite"
            )
        return store


def assemble(
    method: Method,
    settings: Any,
    home: Home,
    dataset: str,
    device: str,
    reporter: Reporter,
    assets: Assets | None = None,
) -> Assembly:
    """The towers that a method asks for, over a prepared corpus; missing features are extracted first.

    Without `assets` the method counts its own, from the training records.

    Raises:
        ArtifactError: when the corpus is not prepared, or weights cannot be had.
    """
    manifest = Manifest.open(home.dataset(dataset))
    uses = method.towers(settings)
    ensure_features(home, manifest, uses, device, reporter)
    towers: dict[str, Tower] = {}
    facts: dict[str, dict[str, Any]] = {}
    for key, use in uses.items():
        if use.trainable:
            encoder = load_trainable(use)
            towers[key] = Tower(width=encoder.width, module=encoder)
            fingerprint = encoder.fingerprint
        else:
            width, fingerprint = frozen_tower(home, manifest, use)
            towers[key] = Tower(width=width)
        facts[key] = _facts(use, towers[key].width, fingerprint)
    if assets is None:
        assets = method.assets(settings, asset_source(manifest, reporter))
    fitted = FittedMethod(method.with_task(settings, assets), settings, assets)
    return Assembly(home, manifest, uses, towers, facts, fitted)


def load_trainable(use: TowerUse) -> nn.Module:
    """An encoder to be trained; its BatchNorm is folded away: averages of small batches would spoil it."""
    encoder = fold(load_encoder(use.encoder, modality_of(use), trainable=True))
    if use.size is not None:
        encoder.resize(*use.size)
    return encoder if use.lora is None else adapt(encoder, use.lora)


def _facts(use: TowerUse, width: int, fingerprint: str) -> dict[str, Any]:
    return {
        "encoder": use.encoder,
        "fingerprint": fingerprint,
        "width": width,
        "trainable": use.trainable,
        "features": list(use.features),
    }
