"""A run that lies on a hub, by the name `hub:OWNER/NAME`, or `hub:OWNER/NAME@REVISION`.

It is fetched into the hub's own cache, compared with its manifest, and laid out as a run of its own under the
home, one folder a commit. Without a network the last one that was fetched serves.
"""

import os
import shutil
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.reporter import SilentReporter
from mmx.store.atomic import atomic_folder
from mmx.store.hub_calls import cache, can_ask, endpoint, hub_errors
from mmx.store.hub_manifest import MANIFEST, MOST_BYTES, check_file, read_manifest
from mmx.store.one_writer import one_writer

SOURCE = "hub:"
SHORT = 12
"""Digits of a commit that name a folder."""
WEIGHTS = "model.safetensors"


def is_on_hub(given: Path) -> bool:
    """Whether a run is named by its place on a hub."""
    return str(given).startswith(SOURCE)


def fetch_run(given: Path, home: Path) -> Path:
    """The folder of a run that is named `hub:OWNER/NAME`; fetched where it is not there yet.

    Raises:
        UsageError: when the name cannot be a repository's.
        ArtifactError: when it cannot be had, is no run of mmx, or is not what was pushed.
        ResourceError: when it cannot be written.
    """
    repository, _, revision = str(given).removeprefix(SOURCE).partition("@")
    if repository.count("/") != 1:
        raise UsageError(f"'{given}' names no run on a hub. Write hub:OWNER/NAME.")
    local = not can_ask()
    with hub_errors(str(given)):
        try:
            manifest = _fetch(repository, MANIFEST, revision or None, local)
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError as error:
            raise ArtifactError(
                f"'{given}' holds no run of mmx: there is no '{MANIFEST}' in it. A pretrained pair of towers "
                "is named with --model."
            ) from error
    commit = manifest.parent.name
    place = home / "hub" / repository.partition("/")[0] / f"{repository.partition('/')[2]}@{commit[:SHORT]}"
    if (place / MANIFEST).is_file():
        return place
    files = read_manifest(manifest, str(given))
    for name, about in files.items():
        if name != WEIGHTS and about["bytes"] > MOST_BYTES:
            raise ArtifactError(f"'{name}' of '{given}' is of {about['bytes']:,} bytes. It is not fetched.")
    with hub_errors(str(given)):
        fetched = {name: _fetch(repository, name, commit, local) for name in files}
    for name, path in fetched.items():
        check_file(path, files[name], str(given))
    with one_writer(place.parent, SilentReporter()):
        if not (place / MANIFEST).is_file():
            shutil.rmtree(place, ignore_errors=True)
            with atomic_folder(place) as folder:
                for name, path in {**fetched, MANIFEST: manifest}.items():
                    _lay(path.resolve(), folder / name)
    return place


def _fetch(repository: str, name: str, revision: str | None, local: bool) -> Path:
    found = hf_hub_download(
        repository,
        name,
        revision=revision,
        endpoint=endpoint(),
        cache_dir=cache(),
        local_files_only=local,
    )
    return Path(found)


def _lay(source: Path, target: Path) -> None:
    """A second name for the same bytes where the disk allows it, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
