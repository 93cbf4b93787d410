"""Regions of a split's pictures with their places, from the features that a run reads."""

import dataclasses
from collections.abc import Mapping

import torch

from mmx.core.batch import Batch
from mmx.core.tower import TowerUse
from mmx.engine.split_data import SplitData
from mmx.store.manifest import Manifest
from mmx.store.shard import MIRRORED
from mmx.workflows.opened_run import OpenedRun


def regions_key(uses: Mapping[str, TowerUse]) -> str:
    """The tower whose regions a method reads.

    Raises:
        ValueError: when a method explains its scores by regions that it does not read.
    """
    found = next((key for key, use in uses.items() if "region_features" in use.features), None)
    if found is None:
        raise ValueError(f"no tower of {list(uses)} names region_features among its features")
    return found


def split_as_it_stands(opened: OpenedRun, manifest: Manifest, split: str) -> SplitData:
    """A split as a run reads it, but without the mirrored pictures, whose regions lie elsewhere.

    Raises:
        UsageError: when the corpus has no such split.
        ArtifactError: when features are missing or were made by other weights.
    """
    return _data(opened, manifest, split, ())


def read_stored(opened: OpenedRun, source: str, record: str) -> Batch:
    """The picture of one record with the places of its regions, as the store has them.

    Args:
        opened: the run.
        source: the dataset and its split, as a gallery names them.
        record: its id.

    Raises:
        ArtifactError: when the store does not hold the places, or its features were made by other weights.
    """
    dataset, _, split = source.rpartition(" ")
    manifest = Manifest.open(opened.home.dataset(dataset))
    row = next(row for row, found in enumerate(manifest.split(split)) if found.id == record)
    data = _data(opened, manifest, split, ("region_boxes",))
    return Batch(**data.images.read(torch.tensor([row]), None))


def _data(opened: OpenedRun, manifest: Manifest, split: str, beside: tuple[str, ...]) -> SplitData:
    uses = {
        key: dataclasses.replace(use, features=_unmirrored(use.features), augment="none")
        for key, use in opened.uses.items()
    }
    key = regions_key(uses)
    uses[key] = dataclasses.replace(uses[key], features=(*uses[key].features, *beside))
    return opened.over(manifest, uses).data(split)


def _unmirrored(features: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(feature for feature in features if not feature.endswith(MIRRORED))
