"""Tensors in a safetensors file: written atomically, read memory-mapped, never unpickled."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmx.core.errors import ArtifactError, ResourceError
from mmx.store.atomic import atomic_file

MAX_TENSORS = 100_000
FULL_DISK_WORDS = ("No space left", "File too large", "Disk quota", "os error 28", "os error 27")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and a header of plain text pairs.

    Raises:
        ResourceError: when the disk is full or closed; the old file stays as it was.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_file(path) as temporary:
        try:
            save_file(whole, temporary, metadata=dict(metadata))
        except SafetensorError as error:
            if any(words in str(error) for words in FULL_DISK_WORDS):
                raise ResourceError(
                    f"no space left to write '{path}'. What was there before is intact."
                ) from error
            raise


class TensorFile:
    """A safetensors file opened for reading; tensors are memory-mapped, so that only what is used is read."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            ArtifactError: when it is absent or is not a safetensors file.
        """
        self.path = path
        if not path.is_file():
            raise ArtifactError(f"there is no file '{path}'.")
        try:
            self._file = safe_open(path, framework="pt", device="cpu")
            self.names = list(self._file.keys())
        except (SafetensorError, OSError, ValueError) as error:
            raise ArtifactError(
                f"'{path}' is not a whole safetensors file ({error}). Make it again."
            ) from error
        if len(self.names) > MAX_TENSORS:
            raise ArtifactError(f"'{path}' claims {len(self.names)} tensors; at most {MAX_TENSORS} are read.")
        self.metadata: dict[str, str] = self._file.metadata() or {}

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

    def read_all(self) -> dict[str, Tensor]:
        """Every tensor, copied into memory."""
        return {name: torch.clone(self._file.get_tensor(name)) for name in self.names}
