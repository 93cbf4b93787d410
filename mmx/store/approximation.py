"""Approximation: a compressed index beside a gallery, with the recall that was measured when it was built."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.store.kinds import check_kind
from mmx.store.tensors import TensorFile, save_tensors

FORMAT, VERSION = "mmx-approximation", "1"


@dataclass(frozen=True)
class Approximation:
    """An index made of the image vectors of one gallery."""

    kind: str
    content: str
    """The gallery's, so that it is used with these very vectors and no others."""
    candidates: int
    """Rows that it names and that are scored again for ten hits."""
    recall: Mapping[str, float]
    """By kind of query: the share of the ten nearest, by exact search, that it finds."""
    data: Tensor
    """[bytes] uint8, as its library writes it."""

    def save(self, path: Path) -> None:
        """Write it in one step.

        Raises:
            ResourceError: when the disk is full or closed; what was there stays.
        """
        about = {name: getattr(self, name) for name in ("kind", "content", "candidates", "recall")}
        header = {"format": FORMAT, "version": VERSION, "approximation": json.dumps(about)}
        save_tensors(path, {"index": self.data}, header)

    @classmethod
    def open(cls, path: Path) -> "Approximation":
        """One that was kept.

        Raises:
            ArtifactError: when it is absent, broken or of another version.
        """
        file = TensorFile(path)
        check_kind(path, file.metadata, FORMAT, VERSION, "Make it again.")
        try:
            about = json.loads(file.metadata["approximation"])
            # Its library believes what it reads, so that changed bytes must not reach it.
            file.check("index")
            kept = cls(**about, data=file.read("index"))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"'{path}' has a header that cannot be read ({error}). Make it again."
            ) from error
        if kept.data.dtype != torch.uint8 or kept.data.dim() != 1:
            raise ArtifactError(
                f"'{path}' holds no index, but {kept.data.dtype} {list(kept.data.shape)}. Make it again."
            )
        return kept
