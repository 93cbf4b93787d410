"""Assets on disk: `assets.json` and, where there are tensors, `assets.safetensors` in a run's folder."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from mmx.core.assets import Assets
from mmx.core.errors import ArtifactError
from mmx.store.atomic import write_json
from mmx.store.tensors import TensorFile, save_tensors

VALUES, TENSORS = "assets.json", "assets.safetensors"


def save_assets(folder: Path, assets: Assets) -> None:
    """Write what there is; nothing where nothing was counted.

    Raises:
        ResourceError: when the disk is full or closed.
    """
    if assets.tensors:
        save_tensors(folder / TENSORS, assets.tensors, {})
    if assets.values or assets.tensors:
        write_json(folder / VALUES, {"values": dict(assets.values), "tensors": sorted(assets.tensors)})


def load_assets(folder: Path, fingerprint: str) -> Assets:
    """What `save_assets` wrote.

    Raises:
        ArtifactError: when a file is absent or broken, or they are not those with this fingerprint.
    """
    assets = Assets()
    if (folder / VALUES).is_file():
        try:
            said = json.loads((folder / VALUES).read_text(encoding="utf-8"))
            values, names = said["values"], said["tensors"]
        except (ValueError, OSError, KeyError, TypeError) as error:
            raise ArtifactError(f"'{folder / VALUES}' is broken ({error}). Train again.") from error
        assets = Assets(values, _read_tensors(folder / TENSORS, names) if names else {})
    if assets_fingerprint(assets) != fingerprint:
        raise ArtifactError(f"the assets in '{folder}' are not those the run began with. Train again.")
    return assets


def _read_tensors(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    file = TensorFile(path)
    return {name: file.read(name) for name in names}


def assets_fingerprint(assets: Assets) -> str:
    """16 hexadecimal digits that change with what was counted; empty where nothing was."""
    if not assets.values and not assets.tensors:
        return ""
    digest = hashlib.sha256(json.dumps(dict(assets.values), sort_keys=True).encode())
    for name, tensor in sorted(assets.tensors.items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
