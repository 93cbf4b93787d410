"""Paths as people type them."""

import os
from pathlib import Path


def expanded(typed: str | Path) -> Path:
    """With `~` and `~user` as a shell has them: where there is no such user, as it was typed."""
    return Path(os.path.expanduser(typed))
