"""The small JSON files beside a model's weights: what they say, or a complaint that names the file."""

import json
from pathlib import Path
from typing import Any, TypeGuard

from mmx.core.errors import ArtifactError


def read_said(file: Path) -> dict[str, Any]:
    """The keys and values of a file; nothing where there is no file.

    Raises:
        ArtifactError: when it is not a JSON object.
    """
    if not file.is_file():
        return {}
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ArtifactError(f"'{file}' is not JSON ({error}). Fetch the folder again.") from error
    if not isinstance(said, dict):
        raise odd(file, said)
    return said


def odd(file: Path, value: Any) -> ArtifactError:
    """The complaint about a value that cannot be meant."""
    return ArtifactError(f"'{file}' says '{value}', which cannot be meant. Fetch the folder again.")


def whole_number(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
