"""What few-shot classifiers are shown: features of a dataset's pictures, extracted first where they lack."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.core.errors import ArtifactError, DataError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.core.tower import TowerUse
from mmx.encoders.load import load_encoder
from mmx.encoders.names import encoder_slug
from mmx.store.features import FeatureStore
from mmx.store.manifest import Manifest
from mmx.store.shard import Shard, shard_paths
from mmx.workflows.embedded import stored_name
from mmx.workflows.frozen_features import ensure_features, open_features
from mmx.workflows.shots import Place

AUTO, USUAL = "auto", "offline"
EMBEDDING, POOLED = "image_embedding", "image_features"


@dataclass(frozen=True)
class ShotFeatures:
    """One encoder's features of a dataset, by split."""

    encoder: str
    """Its name in full."""
    field: str
    """`image_embedding` where the encoder shares a space with texts, else `image_features`."""
    text_encoder: str
    """The name under which its text tower is looked for."""
    stores: dict[str, FeatureStore]

    @property
    def width(self) -> int:
        """F."""
        return next(iter(self.stores.values())).read(self.field, torch.tensor([0])).shape[1]

    @property
    def fingerprint(self) -> str:
        """Of the encoder's weights."""
        return next(iter(self.stores.values())).fingerprint

    @property
    def taken_in(self) -> bool:
        """Whether they were made elsewhere, so that their fingerprint is not one of weights."""
        return next(iter(self.stores.values())).taken_in

    def read(self, places: Sequence[Place]) -> Tensor:
        """The features of pictures, [N, F] float32 of unit length.

        Raises:
            ArtifactError: when one is not a number, or is nothing but zeros.
        """
        found: list[Tensor] = []
        for split in self.stores:
            rows = [row for of, row in places if of == split]
            if rows:
                found.append(self.stores[split].read(self.field, torch.tensor(rows)))
        order = [place for split in self.stores for place, (of, _) in enumerate(places) if of == split]
        if not found:
            return torch.empty(0, self.width)
        read = torch.cat(found)
        if not bool(read.any(1).all()):
            place = places[order[int((~read.any(1)).nonzero()[0])]]
            raise ArtifactError(
                f"the features of row {place[1]} of {place[0]} by '{self.encoder}' are all 0. Extract again."
            )
        return normalize(read, dim=1)[torch.tensor(order).argsort()]


def open_shot_features(
    home: Home, manifest: Manifest, encoder: str, splits: Sequence[str], device: str, reporter: Reporter
) -> ShotFeatures:
    """The features of some splits.

    Args:
        home: where features are kept.
        manifest: of the dataset.
        encoder: its name; `auto` for what was taken in where the dataset has no pictures, else `offline`.
        splits: those that are going to be read.
        device: to extract on.
        reporter: hears what is extracted.

    Raises:
        UsageError: for an unknown encoder.
        ArtifactError: when weights cannot be had, or features do not fit.
        DataError: when there are neither pictures nor features.
    """
    usual = stored_name(USUAL, "image", manifest, home)
    full = stored_name(encoder, "image", manifest, home) if encoder != AUTO else None
    full = full or _taken_in(home, manifest) or usual
    towers = USUAL if (encoder, full) == (AUTO, usual) else full if encoder == AUTO else encoder
    field = _stored_field(home, manifest, full, splits)
    if field is None:
        _check_pictures(manifest, splits, full)
        shares = load_encoder(full, "image").embedding_width is not None
        field = EMBEDDING if shares else POOLED
    use = TowerUse(full, False, (field,))
    ensure_features(home, manifest, {"image": use}, device, reporter, splits)
    stores = {split: open_features(home, manifest, use, split) for split in splits}
    return ShotFeatures(full, field, towers, stores)


def _taken_in(home: Home, manifest: Manifest) -> str | None:
    """The encoder of features made elsewhere, for a dataset without pictures; None where there is none."""
    if any(record.image is not None for split in manifest.splits for record in manifest.split(split)):
        return None
    folder = home.features(manifest.name, "")
    shards = [
        shard_paths(place, manifest.splits[0])[0]
        for place in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if shard_paths(place, manifest.splits[0])
    ]
    found = [header.encoder for path in shards if (header := Shard(path).header).modality == "image"]
    if len(found) > 1:
        raise DataError(
            f"'{manifest.name}' has features of several encoders. Name one: --encoder {' or '.join(found)}"
        )
    return found[0] if found else None


def _stored_field(home: Home, manifest: Manifest, full: str, splits: Sequence[str]) -> str | None:
    """The field that is there already; None where nothing is."""
    paths = shard_paths(home.features(manifest.name, encoder_slug(full, "image")), splits[0])
    if not paths:
        return None
    fields = Shard(paths[0]).header.fields
    return next((field for field in (EMBEDDING, POOLED) if field in fields), POOLED)


def _check_pictures(manifest: Manifest, splits: Sequence[str], full: str) -> None:
    if any(record.image is None for split in splits for record in manifest.split(split)):
        raise DataError(
            f"'{manifest.name}' has records without pictures, and no features of '{full}' are there. Take "
            f"them in first: mmx extract {manifest.name} --encoder NAME --import DIR"
        )
