"""Tensors in a safetensors file: written atomically, read memory-mapped, never unpickled.

Beside the tensors lie their checksums, so that bytes which changed on the disk are found. The header and the
names, types and shapes are compared when a file is opened; the numbers where they are read whole, or by
`check`, since to read gigabytes at each opening would cost more than what is done with them. Checksums find
what rots or is cut, not what somebody forges.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mmx.core.errors import ArtifactError, ResourceError
from mmx.store.arrays import open_safely
from mmx.store.atomic import atomic_file
from mmx.store.sums import SUMS, bytes_sum, form_sum

MAX_TENSORS = 100_000
FULL_DISK_WORDS = ("No space left", "File too large", "Disk quota", "os error 28", "os error 27")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and a header of plain text pairs.

    Raises:
        ResourceError: when the disk is full or closed; the old file stays as it was.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    sums = [_form_sum(metadata, whole), *(checksum(whole[name]) for name in sorted(whole))]
    whole[SUMS] = torch.tensor(sums)
    with atomic_file(path) as temporary:
        try:
            save_file(whole, temporary, metadata=dict(metadata))
        except SafetensorError as error:
            if any(words in str(error) for words in FULL_DISK_WORDS):
                raise ResourceError(
                    f"no space left to write '{path}'. What was there before is intact."
                ) from error
            raise


def checksum(tensor: Tensor) -> int:
    """CRC-32 of the numbers as they lie on the disk."""
    whole = tensor.detach().contiguous()
    # a single number may lie there with any stride, and is contiguous all the same
    return bytes_sum(whole.as_strided((whole.numel(),), (1,)).view(torch.uint8).numpy())


class TensorFile:
    """A safetensors file opened for reading; tensors are memory-mapped, so that only what is used is read."""

    def __init__(self, path: Path) -> None:
        """Open the file, and compare its header with its checksum; files of others have none.

        Raises:
            ArtifactError: when it is absent, is not a safetensors file, or its header was changed.
        """
        self.path = path
        self._file = open_safely(path, "pt")
        names = list(self._file.keys())
        if len(names) > MAX_TENSORS:
            raise ArtifactError(
                f"'{path}' claims {len(names)} tensors; at most {MAX_TENSORS} are read. Make it again."
            )
        self.names = [name for name in names if name != SUMS]
        self.metadata: dict[str, str] = self._file.metadata() or {}
        self.sums = self._read_sums() if SUMS in names else None
        """The checksum of each tensor; None in a file that has none."""

    def read(self, name: str) -> Tensor:
        """One tensor, memory-mapped.

        Raises:
            ArtifactError: when the file does not hold it.
        """
        if name not in self.names:
            raise ArtifactError(
                f"'{self.path}' holds no '{name}'. It holds: {', '.join(sorted(self.names))}."
            )
        return self._file.get_tensor(name)

    def check(self, name: str) -> None:
        """Read the numbers of a tensor and compare them with their checksum, where there is one.

        Raises:
            ArtifactError: when they are not those that were written.
        """
        if self.sums is not None and checksum(self.read(name)) != self.sums[name]:
            raise ArtifactError(
                f"the bytes of '{name}' in '{self.path}' are not those that were written. Make it again."
            )

    def read_all(self) -> dict[str, Tensor]:
        """Every tensor, checked and copied into memory.

        Raises:
            ArtifactError: when the numbers of one are not those that were written.
        """
        for name in self.names:
            self.check(name)
        return {name: torch.clone(self._file.get_tensor(name)) for name in self.names}

    def _read_sums(self) -> dict[str, int]:
        sums = self._file.get_tensor(SUMS)
        forms = {name: self._file.get_tensor(name) for name in self.names}
        fits = sums.dtype == torch.int64 and sums.shape == (1 + len(forms),)
        if not fits or int(sums[0]) != _form_sum(self.metadata, forms):
            raise ArtifactError(
                f"the header of '{self.path}' is not the one that was written. Make it again."
            )
        return dict(zip(sorted(forms), sums[1:].tolist(), strict=True))


def _form_sum(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 of all that a file says beside its numbers."""
    return form_sum(metadata, {name: (str(tensor.dtype), tensor.shape) for name, tensor in tensors.items()})
