"""Gallery: the encoded pictures (and captions) that can be searched, in one safetensors file.

One file and one rename: whoever is killed, and whoever reads meanwhile, finds a whole gallery. Its tensors
are `image_vectors` [N, D], `text_vectors` [C, D] if there are captions, `codes` and `steps` where there are
many pictures, and `entries` and `unreadable`, Arrow tables as bytes; its header says what it was made with.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.store.codes import Codes, round_off
from mmx.store.entries import Captions, Entries, Entry
from mmx.store.gallery_header import CHECKED_AT_ONCE, FIRST_VERSION, FORMAT, MANY, VERSION, read_header
from mmx.store.scope import EVERYTHING, Scope
from mmx.store.tensors import TensorFile, checksum, save_tensors


@dataclass(frozen=True)
class Gallery:
    """Row i of `image_vectors` is `entries[i]`; the rows of `text_vectors` are their captions, in order."""

    source: str
    """What was encoded: a folder, or a corpus with its split."""
    fingerprint: str
    """Of the matcher, and of the manifest where there is one."""
    entries: Sequence[Entry]
    image_vectors: Tensor
    """[N, D] float32 of unit length."""
    text_vectors: Tensor | None = None
    """[C, D] float32 of unit length."""
    unreadable: Sequence[Entry] = ()
    complete: bool = True
    """False while the first encoding is still under way."""
    made_by: Mapping[str, str] | None = None
    """`{"run": folder}` or `{"model": name}`; None where it was not kept."""
    scope: Scope = EVERYTHING
    """Of an indexed folder: what of it is in."""
    kind: str = "exact"
    """How it is searched: exact, or by a compressed index of this kind beside it."""
    codes: Codes | None = None
    """Of the image vectors, where there are many."""

    @property
    def captions(self) -> Captions:
        """Each row of `text_vectors`: the picture it describes, and its words."""
        return Captions(Entries.of(self.entries))

    @cached_property
    def content(self) -> str:
        """What the image vectors are known by: their number and their checksum."""
        return _content(self.image_vectors, checksum(self.image_vectors))

    def save(self, path: Path) -> None:
        """Write the gallery in one step.

        Raises:
            ResourceError: when the disk is full or closed; the gallery that was there stays.
        """
        tensors = {
            "image_vectors": self.image_vectors,
            "entries": torch.from_numpy(Entries.of(self.entries).to_words()),
            "unreadable": torch.from_numpy(Entries.of(self.unreadable).to_words()),
        }
        if self.text_vectors is not None:
            tensors["text_vectors"] = self.text_vectors
        if len(self.image_vectors) >= MANY:
            codes = round_off(self.image_vectors)
            tensors |= {"codes": codes.codes, "steps": codes.steps}
        header = {
            "source": self.source,
            "fingerprint": self.fingerprint,
            "complete": self.complete,
            "made_by": self.made_by,
            "scope": dict(self.scope.rules),
            "kind": self.kind,
        }
        # Plain ASCII: a path need not be valid UTF-8, and a header must be.
        about = {"format": FORMAT, "version": VERSION, "gallery": json.dumps(header)}
        save_tensors(path, tensors, about)

    @classmethod
    def open(cls, path: Path, fingerprint: str | None = None, most: int = CHECKED_AT_ONCE) -> "Gallery":
        """A gallery with its vectors memory-mapped; with None made by whatever it was.

        What it lists is compared with its checksum, and its vectors too in a file of at most so many bytes.

        Raises:
            ArtifactError: when it is absent, broken, of another version, or made with another fingerprint.
        """
        file = TensorFile(path)
        header = read_header(file)
        if fingerprint not in (None, header["fingerprint"]):
            raise ArtifactError(
                f"'{path}' was made with '{header['fingerprint']}', but what searches now is "
                f"'{fingerprint}'. Make it again."
            )
        entries, unreadable = _entries(file)
        gallery = cls(
            source=header["source"],
            fingerprint=header["fingerprint"],
            entries=entries,
            image_vectors=file.read("image_vectors"),
            text_vectors=file.read("text_vectors") if "text_vectors" in file.names else None,
            unreadable=unreadable,
            complete=header["complete"],
            made_by=header["made_by"],
            scope=Scope(header["scope"]),
            kind=header["kind"],
            codes=Codes(file.read("codes"), file.read("steps")) if "codes" in file.names else None,
        )
        gallery._check(path)
        if file.sums is not None:
            vars(gallery)["content"] = _content(gallery.image_vectors, file.sums["image_vectors"])
        if path.stat().st_size <= most:
            for name in file.names:
                file.check(name)
        return gallery

    def _check(self, path: Path) -> None:
        rows = len(self.entries)
        expected = {
            "image": (self.image_vectors, torch.float32, (rows, self.image_vectors.shape[-1])),
            "text": (self.text_vectors, torch.float32, (len(self.captions), self.image_vectors.shape[-1])),
            "code": (self.codes and self.codes.codes, torch.int8, tuple(self.image_vectors.shape)),
            "step": (self.codes and self.codes.steps, torch.float32, (rows,)),
        }
        for name, (vectors, kind, shape) in expected.items():
            if vectors is not None and (vectors.dtype != kind or tuple(vectors.shape) != shape):
                found = f"{vectors.dtype} {list(vectors.shape)}"
                raise ArtifactError(
                    f"the {name} vectors of '{path}' are {found}, where {shape[0]} rows are listed. "
                    "Make it again."
                )


def _content(vectors: Tensor, sum: int) -> str:
    return f"{len(vectors)}-{sum:08x}"


def _entries(file: TensorFile) -> tuple[Entries, Entries]:
    # Arrow believes what it reads: bytes that changed could lead it out of its memory.
    for name in ("entries", "unreadable"):
        if name in file.names:
            file.check(name)
    try:
        if file.metadata["version"] == FIRST_VERSION:
            return _first_entries(file)
        return (
            Entries.from_words(file.read("entries").numpy()),
            Entries.from_words(file.read("unreadable").numpy()),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"the entries of '{file.path}' cannot be read ({error}). Make it again."
        ) from error


def _first_entries(file: TensorFile) -> tuple[Entries, Entries]:
    """Those with a vector and those without; of the first version, which kept them as lines of JSON."""
    lines = [json.loads(line) for line in file.read("entries").numpy().tobytes().splitlines()]
    entries = [Entry(**{**line, "captions": tuple(line["captions"])}) for line in lines]
    good = Entries.of(entry for entry in entries if not entry.reason)
    return good, Entries.of(entry for entry in entries if entry.reason)
