"""Rows of a `datasets` data set: a folder written by `save_to_disk`, or one on a hub by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.constants

from mmx.core.errors import ArtifactError, DataError, first_line
from mmx.core.network import offline, reachable

MARKS = ("dataset_dict.json", "dataset_info.json", "state.json")


@dataclass(frozen=True)
class NamedSplit:
    """One split of a `datasets` data set, under the name it has there."""

    name: str
    data: "datasets.Dataset"

    @property
    def class_names(self) -> dict[str, list[str]]:
        """Names of the classes of each column of class labels."""
        labels = datasets.ClassLabel
        return {name: kind.names for name, kind in self.data.features.items() if isinstance(kind, labels)}

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each row with the place it comes from; pictures as `{"bytes", "path"}`, not decoded."""
        data = self.data
        for name, kind in self.data.features.items():
            if isinstance(kind, datasets.Image):
                data = data.cast_column(name, datasets.Image(decode=False))
        for number, row in enumerate(data):
            yield f"{self.name}: row {number}", row


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return any((folder / mark).is_file() for mark in MARKS)


def open_saved(folder: Path) -> list[NamedSplit]:
    """The splits of a folder written by `save_to_disk`.

    Raises:
        DataError: when it is not whole.
    """
    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"'{folder}' is not a whole folder of `datasets` ({first_line(error)}). Save it again."
        ) from error
    return _splits(loaded)


def open_hub(name: str) -> list[NamedSplit]:
    """The splits of a data set on a hub: `owner/name`, or `owner/name:configuration`; cached when offline.

    Raises:
        ArtifactError: when neither hub nor cache has it.
        DataError: when it has it and it cannot be read.
    """
    path, _, configuration = name.partition(":")
    out_of_reach = offline() or not reachable(huggingface_hub.constants.ENDPOINT)
    if out_of_reach:
        # Without this the library tries for half a minute before it looks into its cache.
        datasets.config.HF_HUB_OFFLINE = huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        return _splits(datasets.load_dataset(path, configuration or None))
    except (ConnectionError, FileNotFoundError) as error:
        why = "no hub can be reached, and" if out_of_reach else f"{first_line(error)};"
        raise ArtifactError(
            f"the data set '{name}' cannot be had: {why} "
            f"it is not in the cache '{datasets.config.HF_DATASETS_CACHE}'. "
            "Check the name and the network, point HF_HOME at a cache that has it, or give a folder to --raw."
        ) from error
    except (ValueError, OSError, RuntimeError, KeyError, TypeError) as error:
        raise DataError(
            f"the data set '{name}' cannot be read: {first_line(error)}. Give a folder of it to --raw."
        ) from error


def _splits(loaded: Any) -> list[NamedSplit]:
    if isinstance(loaded, datasets.Dataset):
        return [NamedSplit(str(loaded.split or "all"), loaded)]
    return [NamedSplit(str(name), data) for name, data in loaded.items()]
