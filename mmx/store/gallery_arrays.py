"""A gallery read without torch: what it lists, and its vectors as arrays.

Shapes: N pictures, C captions, D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from mmx.core.errors import ArtifactError
from mmx.store.arrays import ArrayFile
from mmx.store.entries import Captions, Entries
from mmx.store.gallery_header import CHECKED_AT_ONCE, VERSION, read_header
from mmx.store.scope import Scope


@dataclass(frozen=True)
class GalleryArrays:
    """See `Gallery`, which is the same with tensors and can be written."""

    header: Mapping[str, Any]
    entries: Entries
    unreadable: Entries
    image_vectors: numpy.ndarray
    """[N, D] float32 of unit length."""
    text_vectors: numpy.ndarray | None
    """[C, D]; None where there are no captions."""

    @classmethod
    def open(cls, path: Path, fingerprint: str) -> "GalleryArrays | None":
        """A gallery of the latest version, made with this fingerprint, with every check that `Gallery` makes;
        None where the file is another one.

        Raises:
            ArtifactError: when it is broken.
        """
        file = ArrayFile(path)
        header = read_header(file)
        if header["fingerprint"] != fingerprint or file.metadata["version"] != VERSION:
            return None
        checked = file.names if path.stat().st_size <= CHECKED_AT_ONCE else ("entries", "unreadable")
        for name in checked:
            file.check(name)
        try:
            entries = Entries.from_words(file.read("entries"))
            unreadable = Entries.from_words(file.read("unreadable"))
        except ValueError as error:
            raise ArtifactError(
                f"the entries of '{path}' cannot be read ({error}). Make it again."
            ) from error
        vectors = file.read("image_vectors")
        texts = file.read("text_vectors") if "text_vectors" in file.names else None
        gallery = cls(header, entries, unreadable, vectors, texts)
        gallery._check(path)
        return gallery

    @property
    def scope(self) -> Scope:
        """Of an indexed folder: what of it is in."""
        return Scope(self.header["scope"])

    @property
    def captions(self) -> Captions:
        """Each row of `text_vectors`: the picture it describes, and its words."""
        return Captions(self.entries)

    def _check(self, path: Path) -> None:
        expected = {
            "image": (self.image_vectors, len(self.entries)),
            "text": (self.text_vectors, len(self.captions)),
        }
        for name, (vectors, rows) in expected.items():
            shape = rows, self.image_vectors.shape[-1]
            if vectors is not None and (vectors.dtype != numpy.float32 or vectors.shape != shape):
                raise ArtifactError(
                    f"the {name} vectors of '{path}' are {vectors.dtype} {list(vectors.shape)}, where {rows} "
                    "rows are listed. Make it again."
                )
