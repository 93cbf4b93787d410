"""One file of a feature store: a fixed number of records of a split, with a header that says what made it.

Image shards hold, for n records: image_features [n, F], patch_features [n, P, F], image_embedding [n, D], or
a detector's region_features [n, R, F], region_boxes [n, R, 4] as fractions x1 y1 x2 y2 of the picture and
region_scores [n, R] falling, 0 where there is no region; each perhaps also as `<field>_mirrored`. Text
shards hold, for c captions of n records with L tokens in all: caption_offsets [n + 1], text_features [c, F],
text_embedding [c, D], and token_features [L, F] with token_offsets [c + 1]. Numbers are float16, offsets
int64. Beside each field stands `<field>.sums`, int64: the checksum of each row, of tokens of each caption, so
that a row which changed on the disk is found when it is read.
"""

import dataclasses
import itertools
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from torch import Tensor

from mmx.core.errors import ArtifactError, DataError
from mmx.store.kinds import check_kind, read_facts
from mmx.store.tensors import TensorFile, save_tensors

FORMAT, VERSION = "mmx-features", 1
OFFSETS = ("caption_offsets", "token_offsets")
MIRRORED = "_mirrored"
REGION_FIELDS = ("region_features", "region_boxes", "region_scores")
CORNERS = 4
SUMS = ".sums"
# The header is one text: a safetensors file writes several in no fixed order, and equal shards shall be equal
# bytes.
HEADER_KEY = "mmx"
SHARD_NAME = re.compile(r"-(\d{5})-of-(\d{5})\.safetensors$")


@dataclass(frozen=True)
class ShardHeader:
    """What made a shard, and which records it holds."""

    encoder: str
    fingerprint: str
    modality: str
    corpus: str
    manifest: str
    """Fingerprint of the manifest."""
    split: str
    fields: tuple[str, ...]
    width: int
    first: int
    """Row of the split at which the shard begins."""
    count: int
    total: int
    """Records of the split."""
    shard_records: int
    source: str = ""
    """Digest of the files that features made elsewhere were taken from; empty for those of an encoder."""
    view: tuple[int, int] = (0, 0)
    """Height and width of what an image encoder sees; zeros where it is not known."""

    @property
    def number(self) -> int:
        """Place of the shard among the split's."""
        return self.first // self.shard_records

    @property
    def shards(self) -> int:
        """How many shards the split has."""
        return max(1, -(-self.total // self.shard_records))

    @property
    def remake(self) -> str:
        """The command that makes the features anew."""
        again = f"mmx extract {self.corpus} --encoder {self.encoder} --split {self.split}"
        return f"{again} {'--import ... ' if self.encoder.startswith('import:') else ''}--overwrite"

    def at(self, number: int) -> "ShardHeader":
        """The header of another shard of the same split."""
        first = number * self.shard_records
        return dataclasses.replace(self, first=first, count=min(self.shard_records, self.total - first))

    def path(self, folder: Path) -> Path:
        """Where the shard lies in its store's folder."""
        return folder / f"{self.split}-{self.number:05d}-of-{self.shards:05d}.safetensors"


def save_shard(folder: Path, header: ShardHeader, tensors: Mapping[str, Tensor], ids: Sequence[str]) -> Path:
    """Write a shard atomically; `ids` are those of its records.

    Raises:
        DataError: when a vector is not finite in 16 bits; names its record.
        ResourceError: when the disk is full or closed; the shards that are there stay as they are.
    """
    for field, tensor in tensors.items():
        if tensor.dim() < 2:
            continue
        broken = (~tensor.flatten(1).isfinite().all(dim=1)).nonzero().flatten()
        if len(broken):
            place = _record_of(field, int(broken[0]), tensors)
            raise DataError(
                f"'{field}' of record '{ids[place]}' is not a number that 16 bits hold. "
                f"Look at what '{header.encoder}' makes of that record, or leave it out of the dataset."
            )
    text = json.dumps({"format": FORMAT, "version": VERSION, **dataclasses.asdict(header)}, sort_keys=True)
    path = header.path(folder)
    sums = {
        field + SUMS: torch.tensor(_row_sums(tensor.numpy(), _bounds(field, tensors)), dtype=torch.int64)
        for field, tensor in tensors.items()
        if field not in OFFSETS
    }
    save_tensors(path, {**tensors, **sums}, {HEADER_KEY: text})
    return path


def _bounds(field: str, tensors: Mapping[str, Tensor]) -> list[tuple[int, int]]:
    """Where each piece that has a checksum begins and ends: a row, or the tokens of a caption."""
    if field == "token_features":
        return list(itertools.pairwise(tensors["token_offsets"].tolist()))
    return [(row, row + 1) for row in range(len(tensors[field]))]


def _row_sums(numbers: numpy.ndarray, bounds: Iterable[tuple[int, int]]) -> list[int]:
    """CRC-32 of each piece of the numbers as they lie on the disk."""
    return [zlib.crc32(numbers[first:last].data) for first, last in bounds]


def _record_of(field: str, row: int, tensors: Mapping[str, Tensor]) -> int:
    """The record, counted within the shard, that a row of a field belongs to."""
    if field == "token_features":
        row = int(torch.searchsorted(tensors["token_offsets"], row, right=True)) - 1
    if "caption_offsets" in tensors:
        row = int(torch.searchsorted(tensors["caption_offsets"], row, right=True)) - 1
    return row


class Shard:
    """A shard opened for reading, its tensors memory-mapped and checked against its header."""

    def __init__(self, path: Path) -> None:
        """Open and check.

        Raises:
            ArtifactError: when the file is broken, of another version, or its tensors are not what its header
            says.
        """
        self._file = TensorFile(path)
        self.path = path
        self.header = _read_header(path, self._file.metadata)
        self._tensors: dict[str, Tensor] = {}
        self._fields = {name for name in self._file.names if not name.endswith(SUMS)}
        # offsets first: the rows of everything else are counted by them
        for name in sorted(self._fields, key=lambda name: (name not in OFFSETS, name)):
            self._check(name)
            if name + SUMS in self._file.names:
                self._check_sums(name)
        self._check_fields()

    def read(self, name: str) -> Tensor:
        """One tensor, memory-mapped."""
        if name not in self._tensors:
            self._tensors[name] = self._file.read(name)
        return self._tensors[name]

    def changed(self, field: str, rows: Sequence[int]) -> int | None:
        """The first of some rows, of tokens of some captions, that is not what was written; None where all
        are, or where the shard has no checksums.
        """
        if field + SUMS not in self._file.names:
            return None
        bounds: Iterable[tuple[int, int]] = ((row, row + 1) for row in rows)
        if field == "token_features":
            offsets = self.read("token_offsets")
            bounds = ((int(offsets[row]), int(offsets[row + 1])) for row in rows)
        found, wanted = _row_sums(self.read(field).numpy(), bounds), self.read(field + SUMS)[list(rows)]
        return next(
            (row for row, sum, kept in zip(rows, found, wanted.tolist(), strict=True) if sum != kept), None
        )

    @property
    def rows(self) -> int:
        """Captions of a text shard, records of an image shard."""
        return self.header.count if self.header.modality == "image" else int(self.read("caption_offsets")[-1])

    def _check_fields(self) -> None:
        wanted = set(self.header.fields)
        if self.header.modality == "text":
            wanted |= {"caption_offsets"} | ({"token_offsets"} if "token_features" in wanted else set())
        if wanted != self._fields:
            raise self._broken(f"holds {sorted(self._fields)} where its header says {sorted(wanted)}")

    def _check(self, name: str) -> None:
        tensor = self.read(name)
        if name in OFFSETS:
            self._file.check(name)
            rises = tensor.dtype == torch.int64 and tensor.dim() == 1 and len(tensor) > 0
            if not rises or tensor[0] != 0 or bool((tensor.diff() < 0).any()):
                raise self._broken(f"has offsets '{name}' that do not rise from 0")
            known = self.header.count if name == "caption_offsets" else self.rows
            self._expect(name, len(tensor) - 1, known)
            return
        if tensor.dtype != torch.float16 or tensor.dim() < 2:
            raise self._broken(f"has '{name}' as {tensor.dtype} {list(tensor.shape)}, not as float16 rows")
        if name.startswith("region"):
            self._check_regions(name.removesuffix(MIRRORED), name, tensor)
        elif "embedding" not in name:
            self._check_width(name, tensor)
        is_token = name == "token_features"
        self._expect(name, len(tensor), int(self.read("token_offsets")[-1]) if is_token else self.rows)

    def _check_sums(self, field: str) -> None:
        """What is small is compared with its own checksum at once: it is by this that rows are checked."""
        sums = self.read(field + SUMS)
        pieces = len(self.read("token_offsets")) - 1 if field == "token_features" else len(self.read(field))
        if sums.dtype != torch.int64 or sums.shape != (pieces,):
            raise self._broken(f"has checksums of '{field}' that do not fit its rows")
        self._file.check(field + SUMS)

    def _check_regions(self, field: str, name: str, tensor: Tensor) -> None:
        """A detector's fields are of one count of regions."""
        others = [other for other in self._tensors if other.startswith("region")]
        regions = self._tensors[others[0]].shape[1]
        last = {"region_features": (self.header.width,), "region_boxes": (CORNERS,), "region_scores": ()}
        if field not in last or tensor.shape[1:] != (regions, *last[field]):
            raise self._broken(f"has '{name}' as {list(tensor.shape)}, which its other regions do not fit")

    def _check_width(self, name: str, tensor: Tensor) -> None:
        if tensor.shape[-1] != self.header.width:
            raise self._broken(
                f"has '{name}' of width {tensor.shape[-1]}; its header says {self.header.width}"
            )

    def _expect(self, name: str, found: int, wanted: int) -> None:
        if found != wanted:
            raise self._broken(f"has {found} rows of '{name}' where its header and offsets say {wanted}")

    def _broken(self, reason: str) -> ArtifactError:
        return ArtifactError(f"'{self.path}' {reason}. Make it again: {self.header.remake}")


def shard_paths(folder: Path, split: str) -> list[Path]:
    """The shard files of a split, in order."""
    return sorted(path for path in folder.glob(f"{split}-*.safetensors") if shard_number(path) >= 0)


def shard_number(path: Path) -> int:
    """The number in a shard's file name."""
    found = SHARD_NAME.search(path.name)
    return int(found.group(1)) if found else -1


def _read_header(path: Path, metadata: Mapping[str, str]) -> ShardHeader:
    said = read_facts(metadata.get(HEADER_KEY, ""))
    check_kind(path, said, FORMAT, VERSION, "Take it away, and run mmx extract again.")
    del said["format"], said["version"]
    try:
        pairs = {"fields": tuple(said["fields"]), "view": tuple(said.get("view", (0, 0)))}
        header = ShardHeader(**{**said, **pairs})
        numbers = (header.width, header.first, header.count, header.total, header.shard_records, *header.view)
        whole = (
            all(isinstance(number, int) and number >= 0 for number in numbers)
            and header.shard_records > 0
            and len(header.view) == 2
        )
    except (KeyError, TypeError) as error:
        raise ArtifactError(
            f"'{path}' has a header that lacks something ({error}). Extract it again."
        ) from error
    if not whole or header != header.at(header.number) or header.path(path.parent) != path:
        raise ArtifactError(f"'{path}' has a header of another shard. Make it again: {header.remake}")
    return header
