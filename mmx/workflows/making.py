"""What every document of a measurement says of its making."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

from mmx import __version__


def making(argv: Sequence[str]) -> dict[str, str]:
    """When it was made, by which command and by which mmx."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(argv),
        "mmx": __version__,
    }
