"""Checksums of files, and those that lie beside tensors in one; they need no torch."""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy

SUMS = "mmx.sums"
"""[1 + tensors] int64: CRC-32 of the header and the tensors' forms, then of each tensor by rising name."""
SUMMED_AT_ONCE = 1 << 24


def bytes_sum(data: numpy.ndarray) -> int:
    """CRC-32 of bytes [n] uint8."""
    found = 0
    for start in range(0, len(data), SUMMED_AT_ONCE):
        found = zlib.crc32(data[start : start + SUMMED_AT_ONCE].data, found)
    return found


def file_sha256(path: Path) -> str:
    """64 hexadecimal digits of all bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def form_sum(metadata: Mapping[str, str], forms: Mapping[str, tuple[str, Sequence[int]]]) -> int:
    """CRC-32 of what a file says beside its numbers: by tensor, torch's name of its type, and its shape."""
    plain = {name: (kind, list(shape)) for name, (kind, shape) in forms.items()}
    return zlib.crc32(json.dumps([dict(metadata), plain], sort_keys=True).encode())
