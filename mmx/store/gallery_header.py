"""What the header of a gallery's file says; it needs no torch to be read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mmx.core.errors import ArtifactError
from mmx.store.kinds import check_kind
from mmx.store.scope import EVERYTHING, Scope

FORMAT, VERSION, FIRST_VERSION = "mmx-gallery", "2", "1"
NEEDED = ("source", "fingerprint", "complete", "made_by", "kind")
MANY = 50_000
"""Pictures from which a gallery is scanned through codes."""
CHECKED_AT_ONCE = 1 << 26
"""Bytes of a gallery up to which its vectors are checked at each opening; beyond, by `mmx index verify`."""


class HeadedFile(Protocol):
    """A file with plain text pairs before its tensors."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """The pairs."""


def read_header(file: HeadedFile) -> dict[str, Any]:
    """What the header of a gallery says.

    Raises:
        ArtifactError: when it is no gallery, or of another version.
    """
    if (file.metadata.get("format"), file.metadata.get("version")) == (FORMAT, FIRST_VERSION):
        return _first_header(file)
    check_kind(file.path, file.metadata, FORMAT, VERSION, "Make it again.")
    try:
        header = json.loads(file.metadata["gallery"])
        Scope(dict(header["scope"]))
        return {**header, **{name: header[name] for name in NEEDED}}
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"'{file.path}' has a header that cannot be read ({error}). Make it again."
        ) from error


def _first_header(file: HeadedFile) -> dict[str, Any]:
    """Of a gallery of the first version, which said less; it held the whole folder."""
    return {
        "source": json.loads(f'"{file.metadata.get("source", "")}"'),
        "fingerprint": file.metadata.get("fingerprint"),
        "complete": file.metadata.get("complete") == "true",
        "made_by": None,
        "scope": dict(EVERYTHING.rules),
        "kind": "exact",
    }
