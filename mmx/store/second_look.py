"""What a second stage keeps of single photos, beside the index of their folder; by content, not by name.

A file a photo, made when a search first looks at it twice; each is whole or not there.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.store.tensors import TensorFile, save_tensors

FORMAT, VERSION = "mmx-second-look", "1"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class SecondLooks:
    """The folder that they are kept in; it is that of one model, since the index is."""

    folder: Path

    def read(self, digest: str) -> dict[str, Tensor] | None:
        """What is kept of a photo; None where there is nothing whole, so that it is made again."""
        path = self.folder / f"{digest}{SUFFIX}"
        if not path.is_file():
            return None
        try:
            file = TensorFile(path)
            is_ours = (file.metadata.get("format"), file.metadata.get("version")) == (FORMAT, VERSION)
            return file.read_all() if is_ours and file.sums is not None else None
        except ArtifactError:
            return None

    def write(self, digest: str, kept: Mapping[str, Tensor]) -> None:
        """Keep what there is of a photo.

        Raises:
            ResourceError: when the disk is full or closed.
        """
        save_tensors(self.folder / f"{digest}{SUFFIX}", kept, {"format": FORMAT, "version": VERSION})

    def remove_others(self, digests: Collection[str]) -> None:
        """Delete what is kept of photos that are there no longer."""
        for path in self.folder.glob(f"*{SUFFIX}"):
            if path.stem not in digests:
                path.unlink(missing_ok=True)
