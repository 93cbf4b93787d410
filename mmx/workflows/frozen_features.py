"""The features that frozen towers read: opened with all that is needed, and made first where they lack."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.core.tower import TowerUse
from mmx.encoders.load import load_encoder
from mmx.encoders.names import encoder_slug, is_detector
from mmx.engine.regions import stored_fields
from mmx.store.features import FeatureStore
from mmx.store.manifest import Manifest
from mmx.store.shard import MIRRORED, REGION_FIELDS, Shard, ShardHeader, shard_paths
from mmx.workflows.extract import ExtractSettings, extract

MADE_ELSEWHERE = "import:"


def modality_of(use: TowerUse) -> str:
    """What a frozen tower reads, by the names of its features."""
    return "image" if use.features[0].startswith(("image", "patch", "region")) else "text"


def needed_fields(use: TowerUse, split: str, held: Collection[str] = ()) -> set[str]:
    """The fields of a store that a tower's use reads of a split.

    Pictures are mirrored by chance in training alone; what is named `<field>_mirrored` is read of every
    split. Regions are a detector's where there are any, else the cells of the encoder's grid; of features
    made elsewhere nobody knows whether they are a grid.

    Args:
        use: of a frozen tower.
        split: its name.
        held: what there is already.
    """
    features = set(use.features)
    if use.augment == "flip" and split == "train":
        features |= {field + MIRRORED for field in features if not field.endswith(MIRRORED)}
    if modality_of(use) == "text":
        return features
    taken_in = "patch_features" in held or use.encoder.startswith(MADE_ELSEWHERE)
    detected = "region_features" in held or (is_detector(use.encoder) and not taken_in)
    return stored_fields(features, detected, grid=not use.encoder.startswith(MADE_ELSEWHERE))


def open_features(home: Home, manifest: Manifest, use: TowerUse, split: str) -> FeatureStore:
    """The features that a frozen tower's use reads, checked to be all there.

    Raises:
        ArtifactError: when they are missing, made from another manifest, or lack a field.
    """
    store = FeatureStore.open(_folder(home, manifest, use), split, manifest.fingerprint)
    if not needed_fields(use, split, store.fields) <= set(store.fields):
        raise _lacks(manifest, use, split, store.fields)
    return store


def readable_splits(manifest: Manifest, use: TowerUse) -> list[str]:
    """The splits in which a tower finds anything to read: posts may all be without pictures."""
    if modality_of(use) == "text":
        return manifest.splits
    return [name for name in manifest.splits if any(row.image is not None for row in manifest.split(name))]


def frozen_tower(home: Home, manifest: Manifest, use: TowerUse) -> tuple[int, str]:
    """Width and fingerprint of a frozen tower: those of its features, or where it finds nothing to read in
    any split those of its weights.

    Raises:
        ArtifactError: when features are missing or do not fit, or weights cannot be had.
    """
    splits = readable_splits(manifest, use)
    found = open_features(home, manifest, use, splits[0]) if splits else None
    if found is None:
        found = load_encoder(use.encoder, modality_of(use))
    return found.width, found.fingerprint


def ensure_features(
    home: Home,
    manifest: Manifest,
    uses: Mapping[str, TowerUse],
    device: str,
    reporter: Reporter,
    splits: Sequence[str] = (),
) -> None:
    """Extract what frozen towers need and nobody has extracted yet, finish what was broken off, and make anew
    what lacks a field.

    Args:
        home: where features are kept.
        manifest: of the corpus.
        uses: the tower of each modality.
        device: to extract on.
        reporter: hears what is extracted, and why.
        splits: those that are going to be read; none named means all.

    Raises:
        ArtifactError: when weights cannot be had, or are not those that made features which lack a field.
    """
    for use in (use for use in uses.values() if not use.trainable):
        readable = readable_splits(manifest, use)
        for split in (split for split in splits or manifest.splits if split in readable):
            settings = _to_do(home, manifest, use, split, device, reporter)
            if settings is not None:
                extract(settings, reporter)


def _to_do(
    home: Home, manifest: Manifest, use: TowerUse, split: str, device: str, reporter: Reporter
) -> ExtractSettings | None:
    """What to extract so that a split can be read; None when it can, or when nothing here can help."""
    paths = shard_paths(_folder(home, manifest, use), split)
    header = Shard(paths[0]).header if paths else None
    wanted = needed_fields(use, split, header.fields if header else ())
    what = f"features of '{use.encoder}' over '{manifest.name}' {split}"
    if header is None:
        reporter.info(f"no {what} yet: extracting them")
        return _settings(home, manifest, use, split, device, wanted)
    if header.manifest != manifest.fingerprint or header.encoder.startswith(MADE_ELSEWHERE):
        return None  # opening them says what is wrong, if anything
    held = set(header.fields)
    if not wanted <= held:
        _check_weights(manifest, use, split, header)
        reporter.info(f"the {what} lack {', '.join(sorted(wanted - held))}: extracting them again")
        return _settings(home, manifest, use, split, device, held | wanted, header, overwrite=True)
    if len(paths) < header.shards:
        reporter.info(f"{len(paths)} of {header.shards} shards of the {what} are there: extracting the rest")
        return _settings(home, manifest, use, split, device, held, header)
    return None


def _settings(
    home: Home,
    manifest: Manifest,
    use: TowerUse,
    split: str,
    device: str,
    fields: set[str],
    header: ShardHeader | None = None,
    overwrite: bool = False,
) -> ExtractSettings:
    plain = {field for field in fields if not field.endswith(MIRRORED)}
    if plain & set(REGION_FIELDS):  # a detector is slow, and boxes and scores take next to no room
        plain |= set(REGION_FIELDS)
    settings = ExtractSettings(
        dataset=manifest.name,
        encoders=(use.encoder,),
        splits=(split,),
        modalities=(modality_of(use),),
        fields=tuple(sorted(plain)),
        flip=any(field.endswith(MIRRORED) for field in fields),
        home=home,
        device=device,
        overwrite=overwrite,
    )
    return settings if header is None else replace(settings, shard_records=header.shard_records)


def _check_weights(manifest: Manifest, use: TowerUse, split: str, header: ShardHeader) -> None:
    """Features are made anew by the weights that made them alone: runs were trained on them."""
    if load_encoder(use.encoder, modality_of(use)).fingerprint != header.fingerprint:
        raise _lacks(manifest, use, split, header.fields)


def _lacks(manifest: Manifest, use: TowerUse, split: str, held: Sequence[str]) -> ArtifactError:
    wanted = needed_fields(use, split, held)
    flip = " --flip" if any(field.endswith(MIRRORED) for field in wanted) else ""
    again = f"mmx extract {manifest.name} --encoder {use.encoder} --split {split}"
    if use.encoder.startswith(MADE_ELSEWHERE):
        way = f"Take them in again with what lacks: {again} --import DIR --overwrite"
    else:
        way = f"Make them again: {again}{flip} --overwrite"
    return ArtifactError(
        f"the features of '{use.encoder}' over '{manifest.name}' {split} lack "
        f"{', '.join(sorted(wanted - set(held)))}. {way}"
    )


def _folder(home: Home, manifest: Manifest, use: TowerUse) -> Path:
    return home.features(manifest.name, encoder_slug(use.encoder, modality_of(use)))
