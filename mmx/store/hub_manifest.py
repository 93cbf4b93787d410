"""What of a run is published, and how it is known to be whole: `mmx.json` lists every file with its digest.

Nothing but plain JSON, text and safetensors is ever part of it.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmx.core.errors import ArtifactError
from mmx.store.kinds import check_kind
from mmx.store.sealed import read_sealed, write_sealed
from mmx.store.sums import file_sha256

FORMAT, VERSION = "mmx.hub-run", 1
MANIFEST, CARD = "mmx.json", "README.md"
NEEDED = ("settings.json", "model.safetensors")
OPTIONAL = ("metrics.json", "assets.json", "assets.safetensors", "calibration.json", "tokenizer.json", CARD)
PUBLISHED = (*NEEDED, *OPTIONAL)
"""All that a repository of a run may hold beside its manifest."""
MOST_BYTES = 1 << 26
"""Of any file but the weights."""
DIGEST = re.compile(r"[0-9a-f]{64}")


def write_manifest(folder: Path, fingerprint: str) -> None:
    """List what a folder holds, which is to be published."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }
    write_sealed(
        folder / MANIFEST, {"format": FORMAT, "version": VERSION, "fingerprint": fingerprint, "files": files}
    )


def read_manifest(path: Path, name: str) -> Mapping[str, Mapping[str, Any]]:
    """The files that a repository says it has, each with its length and digest.

    Args:
        path: of the fetched `mmx.json`.
        name: what to call the repository in an error.

    Raises:
        ArtifactError: when it is no manifest of a run, of another version, or lists what no run has.
    """
    again = "Push it again with mmx, or name another."
    said = read_sealed(path, again)
    check_kind(name, said, FORMAT, VERSION, again)
    files = said.get("files")
    if not isinstance(files, dict) or any(name not in files for name in NEEDED):
        raise ArtifactError(f"'{name}' lists no whole run. {again}")
    for file, about in files.items():
        if file not in PUBLISHED:
            raise ArtifactError(f"'{name}' lists '{file}', which is no part of a run. Nothing was fetched.")
        fits = isinstance(about, dict) and isinstance(about.get("bytes"), int)
        if not fits or not DIGEST.fullmatch(str(about.get("sha256"))):
            raise ArtifactError(f"'{name}' says nothing that can be checked of '{file}'. {again}")
    return files


def check_file(path: Path, about: Mapping[str, Any], name: str) -> None:
    """Compare a fetched file with what the manifest says of it.

    Raises:
        ArtifactError: when it is another one, or a JSON file that is no JSON.
    """
    if path.stat().st_size != about["bytes"] or file_sha256(path) != about["sha256"]:
        raise ArtifactError(
            f"'{path.name}' of '{name}' is not the file that was pushed: its length or digest differs. "
            "Fetch it again, or have it pushed again."
        )
    if path.suffix == ".json":
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ArtifactError(
                f"'{path.name}' of '{name}' is not JSON ({error}). Have it pushed again."
            ) from error
