"""The concepts of a corpus on disk: words in `concepts.json`, counts in `concepts.safetensors`.

Both lie in the dataset's folder and name the manifest whose training captions were counted.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmx.core.assets import ConceptTable
from mmx.core.errors import ArtifactError
from mmx.store.atomic import disk_errors
from mmx.store.kinds import check_kind
from mmx.store.manifest import Manifest
from mmx.store.sealed import read_sealed, write_sealed
from mmx.store.tensors import TensorFile, save_tensors

FORMAT, VERSION = "mmx-concepts", 1
WORDS_FILE, COUNTS_FILE = "concepts.json", "concepts.safetensors"
KINDS = ("object", "property", "motion")
KEYS = ("forms", "kinds", "manifest", "words")


def save_concepts(manifest: Manifest, table: ConceptTable) -> None:
    """Write both files, each atomically; the one with the words last.

    Raises:
        ResourceError: when the disk is full or closed.
    """
    tensors = {"counts": table.counts, "pairs": table.pairs}
    save_tensors(manifest.folder / COUNTS_FILE, tensors, {"manifest": manifest.fingerprint})
    write_sealed(
        manifest.folder / WORDS_FILE,
        {
            "format": FORMAT,
            "version": VERSION,
            "corpus": manifest.name,
            "manifest": manifest.fingerprint,
            "concepts": len(table.words),
            "words": list(table.words),
            "kinds": list(table.kinds),
            "forms": dict(table.forms),
        },
    )


def open_concepts(manifest: Manifest) -> ConceptTable | None:
    """The concepts stored beside a manifest; None where there are none.

    Raises:
        ArtifactError: when they are broken, of another version, or counted from another manifest.
    """
    path, again = manifest.folder / WORDS_FILE, f"Count them again: mmx prepare {manifest.name}"
    if not path.is_file():
        return None
    said = _read(path, again)
    tensors, counted_from = _read_counts(manifest.folder / COUNTS_FILE, again)
    for name, found in ((WORDS_FILE, said["manifest"]), (COUNTS_FILE, counted_from)):
        if found != manifest.fingerprint:
            raise ArtifactError(
                f"the concepts in '{manifest.folder / name}' were counted from manifest '{found}', but "
                f"'{manifest.name}' now has '{manifest.fingerprint}'. {again}"
            )
    if not _words_are_whole(said) or not _counts_are_whole(tensors, len(said["words"])):
        raise ArtifactError(f"'{path}' and '{COUNTS_FILE}' beside it do not fit each other. {again}")
    words, kinds = tuple(said["words"]), tuple(said["kinds"])
    return ConceptTable(words, kinds, said["forms"], tensors["counts"], tensors["pairs"])


def remove_concepts(folder: Path) -> None:
    """Delete what is stored, if anything.

    Raises:
        ResourceError: when the folder cannot be written.
    """
    with disk_errors(folder):
        for name in (WORDS_FILE, COUNTS_FILE):
            (folder / name).unlink(missing_ok=True)


def _read(path: Path, again: str) -> dict[str, Any]:
    try:
        said = read_sealed(path, again)
    except FileNotFoundError as error:
        raise ArtifactError(f"'{path}' is not there. {again}") from error
    check_kind(path, said, FORMAT, VERSION, again, KEYS)
    return said


def _read_counts(path: Path, again: str) -> tuple[dict[str, Tensor], str | None]:
    """Both tensors, and the manifest that they name."""
    try:
        file = TensorFile(path)
        for name in ("counts", "pairs"):
            file.check(name)
        return {name: file.read(name).clone() for name in ("counts", "pairs")}, file.metadata.get("manifest")
    except ArtifactError as error:
        raise ArtifactError(f"{error} {again}") from error


def _words_are_whole(said: dict[str, Any]) -> bool:
    """Whether there are as many kinds as different words, and every word is met by some form."""
    words, kinds, forms = said["words"], said["kinds"], said["forms"]
    if not isinstance(words, list) or not isinstance(kinds, list) or not isinstance(forms, dict):
        return False
    is_text = all(isinstance(word, str) for word in words)
    is_whole = all(type(place) is int for place in forms.values())
    return (
        is_text
        and is_whole
        and len(set(words)) == len(words) == len(kinds)
        and all(kind in KINDS for kind in kinds)
        and set(forms.values()) == set(range(len(words)))
    )


def _counts_are_whole(tensors: dict[str, Tensor], size: int) -> bool:
    """Whether the counts can be: of so many concepts, and no pair more often than either of its two."""
    counts, pairs = tensors["counts"], tensors["pairs"]
    return (
        counts.dtype == pairs.dtype == torch.int64
        and (counts.shape, pairs.shape) == ((size,), (size, size))
        and bool((pairs >= 0).all())
        and bool((pairs <= counts).all())
        and bool((pairs == pairs.T).all())
        and not bool(pairs.diagonal().any())
    )
