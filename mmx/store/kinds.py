"""What a file of ours says it is: the format of its kind of artefact, and the version of that format."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mmx.core.errors import ArtifactError


def check_kind(
    where: object,
    said: Mapping[str, Any],
    kind: str,
    version: int | str,
    again: str,
    needed: Iterable[str] = (),
) -> None:
    """Compare what a file says with what is read of such a file. `again` says how to get it anew.

    Raises:
        ArtifactError: when it is of another format or version, or does not say all that is needed.
    """
    found = said.get("format"), said.get("version")
    if found != (kind, version):
        raise ArtifactError(
            f"'{where}' is of format '{found[0]}', version '{found[1]}'; this mmx reads '{kind}', version "
            f"{version}. {again}"
        )
    missing = [name for name in needed if name not in said]
    if missing:
        raise ArtifactError(f"'{where}' lacks {', '.join(missing)}. {again}")


def read_facts(header: str) -> dict[str, Any]:
    """What a header of one text says; nothing where it is no JSON object."""
    try:
        said = json.loads(header)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
