"""Gallery: the encoded pictures (and captions) that can be searched, in one safetensors file.

One file and one rename: whoever is killed, and whoever reads meanwhile, finds a whole gallery. Its
tensors are `image_vectors` [N, D], `text_vectors` [C, D] if there are captions, and `entries`, which is JSON
lines as bytes; its header says what it was made with.
"""

import dataclasses
import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.core.reporter import Reporter
from mmx.store.atomic import disk_errors, remove_leftovers
from mmx.store.tensors import TensorFile, save_tensors

FORMAT, VERSION = "mmx-gallery", "1"
LOCK = "lock"


@dataclass(frozen=True)
class Entry:
    """One picture of a gallery. `reason` says why it has no vector; it is empty where there is one."""

    id: str
    path: str
    captions: tuple[str, ...] = ()
    size: int = 0
    mtime_ns: int = 0
    digest: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Gallery:
    """Row i of `image_vectors` is `entries[i]`; the rows of `text_vectors` are their captions, in order."""

    source: str
    """What was encoded: a folder, or a corpus with its split."""
    fingerprint: str
    """Of the matcher, and of the manifest where there is one."""
    entries: tuple[Entry, ...]
    image_vectors: Tensor
    """[N, D] float32 of unit length."""
    text_vectors: Tensor | None = None
    """[C, D] float32 of unit length."""
    unreadable: tuple[Entry, ...] = ()
    complete: bool = True
    """False while the first encoding is still under way."""

    @property
    def captions(self) -> list[tuple[Entry, str]]:
        """Each row of `text_vectors`: the picture it describes, and its words."""
        return [(entry, caption) for entry in self.entries for caption in entry.captions]

    def save(self, path: Path) -> None:
        """Write the gallery in one step.

        Raises:
            ResourceError: when the disk is full or closed; the gallery that was there stays.
        """
        tensors = {
            "image_vectors": self.image_vectors,
            "entries": _to_bytes([*self.entries, *self.unreadable]),
        }
        if self.text_vectors is not None:
            tensors["text_vectors"] = self.text_vectors
        header = {
            "format": FORMAT,
            "version": VERSION,
            "source": _escaped(self.source),
            "fingerprint": self.fingerprint,
        }
        save_tensors(path, tensors, {**header, "complete": str(self.complete).lower()})

    @classmethod
    def open(cls, path: Path, fingerprint: str) -> "Gallery":
        """A gallery with its vectors memory-mapped.

        Raises:
            ArtifactError: when it is absent, broken, of another version, or made with another fingerprint.
        """
        file = TensorFile(path)
        found = (file.metadata.get("format"), file.metadata.get("version"))
        if found != (FORMAT, VERSION):
            raise ArtifactError(
                f"'{path}' is '{found[0]}' of version '{found[1]}', not '{FORMAT}' of version '{VERSION}'."
            )
        made_with = file.metadata.get("fingerprint")
        if made_with != fingerprint:
            raise ArtifactError(
                f"'{path}' was made with '{made_with}', but what searches now is '{fingerprint}'."
            )
        entries = _from_bytes(file.read("entries"), path)
        gallery = cls(
            source=json.loads(f'"{file.metadata.get("source", "")}"'),
            fingerprint=fingerprint,
            entries=tuple(entry for entry in entries if not entry.reason),
            image_vectors=file.read("image_vectors"),
            text_vectors=file.read("text_vectors") if "text_vectors" in file.names else None,
            unreadable=tuple(entry for entry in entries if entry.reason),
            complete=file.metadata.get("complete") == "true",
        )
        gallery._check(path)
        return gallery

    def _check(self, path: Path) -> None:
        rows = len(self.entries)
        texts = len(self.captions) if self.text_vectors is not None else None
        for name, vectors, expected in (
            ("image", self.image_vectors, rows),
            ("text", self.text_vectors, texts),
        ):
            if vectors is not None and (
                vectors.dim() != 2 or len(vectors) != expected or vectors.dtype != torch.float32
            ):
                shape = f"{vectors.dtype} {list(vectors.shape)}"
                raise ArtifactError(
                    f"the {name} vectors of '{path}' are {shape}, where {expected} rows are listed."
                )


@contextmanager
def one_writer(folder: Path, reporter: Reporter) -> Iterator[None]:
    """Wait until no other process makes the gallery of this folder; what killed writers left is removed.

    Raises:
        ResourceError: when the folder cannot be written.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # The lock belongs to the open file, so that the system gives it back when its holder is killed.
        file = (folder / LOCK).open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reporter.info(f"another mmx is at work on '{folder}': waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        remove_leftovers(folder)
        yield


def _escaped(text: str) -> str:
    """A name as plain ASCII, since a path need not be valid UTF-8 and a header must be."""
    return json.dumps(text)[1:-1]


def _to_bytes(entries: Sequence[Entry]) -> Tensor:
    lines = "".join(json.dumps(dataclasses.asdict(entry)) + "\n" for entry in entries)
    return (
        torch.frombuffer(bytearray(lines.encode("ascii")), dtype=torch.uint8)
        if lines
        else torch.empty(0, dtype=torch.uint8)
    )


def _from_bytes(data: Tensor, path: Path) -> list[Entry]:
    try:
        lines = [json.loads(line) for line in data.numpy().tobytes().splitlines()]
        return [Entry(**{**line, "captions": tuple(line["captions"])}) for line in lines]
    except (ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"the entries of '{path}' cannot be read ({error}).") from error
