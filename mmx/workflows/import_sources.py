"""Where features made elsewhere lie: the arrays that a command names, or those of a SCAN precomp folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmx.core.errors import UsageError
from mmx.store.foreign_boxes import boxes_beside, sizes_beside

PRECOMP_SPLITS = {"train": ("train",), "val": ("val", "dev"), "test": ("test",)}
"""A split's names in a SCAN precomp folder."""


@dataclass(frozen=True)
class ImportSource:
    """Where features made elsewhere lie; `images`, `texts` and `ids` are looked for in the folder first."""

    path: Path
    images: Path | None = None
    texts: Path | None = None
    ids: Path | None = None
    as_embedding: bool = False
    """The vectors are of one space shared by both modalities: they become image_embedding and
    text_embedding.
    """


def import_source(
    path: Path | None, images: Path | None, texts: Path | None, ids: Path | None, as_embedding: bool
) -> ImportSource | None:
    """What the words of the command name; None when nothing is to be taken in.

    Raises:
        UsageError: when files are named without `--import`.
    """
    if path is None and (images or texts or ids or as_embedding):
        raise UsageError(
            "--images, --texts, --ids and --as-embedding go with --import DIR. Name the folder of the files."
        )
    return None if path is None else ImportSource(path, images, texts, ids, as_embedding)


@dataclass(frozen=True)
class Vectors:
    """The vectors of one modality and split, and the file that says whose they are."""

    modality: str
    split: str
    file: Path
    ids: Path

    @property
    def boxes(self) -> Path | None:
        """The file of the boxes of regions, where there is one."""
        return boxes_beside(self.file) if self.modality == "image" else None

    @property
    def sizes(self) -> Path | None:
        """The file of the pictures' sizes, where it may be needed and there is one."""
        return sizes_beside(self.file) if self.boxes else None

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is read."""
        return tuple(path for path in (self.file, self.ids, self.boxes, self.sizes) if path is not None)


def find_vectors(source: ImportSource, splits: Sequence[str]) -> list[Vectors]:
    """The arrays named, each for every split; without names, the arrays of a SCAN precomp folder.

    Raises:
        UsageError: when nothing is named that could be taken in.
    """
    if source.images is None and source.texts is None and source.path.is_dir():
        return _precomp(source, splits)
    named = {"image": source.images, "text": source.texts}
    if source.images is None and source.texts is None:
        named["image"] = source.path
    if source.ids is None:
        raise UsageError("which vector belongs to whom is not said. Give --ids FILE (csv, txt or json).")
    arrays = {modality: _inside(source, file) for modality, file in named.items() if file is not None}
    return [
        Vectors(modality, split, file, _inside(source, source.ids))
        for modality, file in arrays.items()
        for split in splits
    ]


def _precomp(source: ImportSource, splits: Sequence[str]) -> list[Vectors]:
    found = []
    for split in splits:
        for stem in PRECOMP_SPLITS[split]:
            array, ids = source.path / f"{stem}_ims.npy", source.path / f"{stem}_ids.txt"
            if array.is_file() and ids.is_file():
                found.append(Vectors("image", split, array, ids))
                break
    if not found:
        raise UsageError(
            f"'{source.path}' holds no '{splits[0]}_ims.npy' with '{splits[0]}_ids.txt', and no array is "
            "named. "
            "Name what to take in: --images FILE or --texts FILE, with --ids FILE."
        )
    return found


def _inside(source: ImportSource, file: Path) -> Path:
    """A named file: inside the folder if it is there, else as it is written."""
    inside = source.path / file
    return inside if source.path.is_dir() and inside.is_file() else file
