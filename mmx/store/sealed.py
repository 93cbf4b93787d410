"""JSON that tells when a value in it was changed: what a run or a dataset is known by carries a seal.

The seal stands at both ends of the file, and is a digest of the file's name and of all other keys. A file
with neither is taken as it is: whoever edits one by hand takes them out, and so says that it was meant.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmx.core.errors import ArtifactError
from mmx.store.atomic import write_json

SEAL, LAST = "seal", "sealed"
DIGITS = 16


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object atomically, with its seal.

    Raises:
        ResourceError: when the disk is full or closed; the old file stays as it was.
    """
    seal = _seal(path.name, value)
    write_json(path, {SEAL: seal, **value, LAST: seal})


def read_sealed(path: Path, again: str) -> dict[str, Any]:
    """A JSON object, its seal compared and left out. `again` says how to get the file anew.

    Raises:
        FileNotFoundError: when it is absent.
        ArtifactError: when it cannot be read, is no object, or was changed since it was written.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"'{path}' cannot be read ({error}). {again}") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"'{path}' is not a JSON object. {again}")
    seals = [value.pop(name, None) for name in (SEAL, LAST)]
    if any(seals) and seals != [_seal(path.name, value)] * 2:
        raise ArtifactError(
            f"'{path}' was changed after it was written: its seal is of other values. Put it back. {again} "
            f"If you changed it yourself, take '{SEAL}' and '{LAST}' out of it."
        )
    return value


def _seal(name: str, value: Mapping[str, Any]) -> str:
    """Of the values as JSON gives them back: there a tuple is a list and a number as a key is text."""
    plain = json.loads(json.dumps(value))
    return hashlib.sha256(json.dumps([name, plain], sort_keys=True).encode()).hexdigest()[:DIGITS]
