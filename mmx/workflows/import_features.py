"""Taking in features made elsewhere: aligned to the manifest by id or file name, kept as any other
features.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.names import canonical
from mmx.core.record import Record
from mmx.core.reporter import Reporter
from mmx.encoders.load import ALIASES, encoder_slug, resolve_name
from mmx.engine.alignment import caption_column, image_rows, name_rows, text_rows
from mmx.engine.encode_shards import offsets_of
from mmx.engine.extractor import Extraction, ExtractOptions, drop_leftovers, plan
from mmx.store.foreign import digest_files, read_array, read_id_table
from mmx.store.manifest import Manifest
from mmx.store.shard import ShardHeader, save_shard, shard_paths
from mmx.store.writers import writing

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
class Imported:
    """What was taken in for one modality and split."""

    encoder: str
    modality: str
    split: str
    folder: Path
    extraction: Extraction


@dataclass(frozen=True)
class _Vectors:
    """The vectors of one modality and split, and the file that says whose they are."""

    modality: str
    split: str
    file: Path
    ids: Path


def import_features(
    source: ImportSource,
    name: str,
    manifest: Manifest,
    splits: Sequence[str],
    home: Home,
    options: ExtractOptions,
    reporter: Reporter,
) -> Iterator[Imported]:
    """Take in the vectors of a source, split by split.

    Raises:
        UsageError: when nothing is named that could be taken in.
        ArtifactError: when files are broken, or rows cannot be told apart or do not cover the manifest.
    """
    vectors = _find(source, splits)
    for modality in dict.fromkeys(found.modality for found in vectors):
        ours = [found for found in vectors if found.modality == modality]
        encoder = import_name(name, modality)
        folder = home.features(manifest.name, encoder_slug(encoder, modality))
        for found in ours:
            read_array(found.file, modality)
        digests = {files: digest_files(list(files)) for files in {(found.file, found.ids) for found in ours}}
        reporter.info(f"{modality} vectors are kept as features of '{encoder}'.")
        with writing(folder):
            for found in ours:
                digest = digests[found.file, found.ids]
                done = _take_in(
                    found, encoder, digest, source.as_embedding, manifest, folder, options, reporter
                )
                yield Imported(encoder, modality, found.split, folder, done)


def import_name(name: str, modality: str) -> str:
    """The encoder's own name where mmx knows it, so that methods find the features under it; else
    `import:NAME`.
    """
    known = ":" in name or modality in ALIASES.get(canonical(name), {})
    return resolve_name(name, modality) if known else f"import:{canonical(name)}"


def _find(source: ImportSource, splits: Sequence[str]) -> list[_Vectors]:
    """The arrays named, each for every split; without names, the arrays of a SCAN precomp folder."""
    if source.images is None and source.texts is None and source.path.is_dir():
        return _precomp(source, splits)
    named = {"image": source.images, "text": source.texts}
    if source.images is None and source.texts is None:
        named["image"] = source.path
    if source.ids is None:
        raise UsageError("which vector belongs to whom is not said. Give --ids FILE (csv, txt or json).")
    arrays = {modality: _inside(source, file) for modality, file in named.items() if file is not None}
    return [
        _Vectors(modality, split, file, _inside(source, source.ids))
        for modality, file in arrays.items()
        for split in splits
    ]


def _precomp(source: ImportSource, splits: Sequence[str]) -> list[_Vectors]:
    found = []
    for split in splits:
        for stem in PRECOMP_SPLITS[split]:
            array, ids = source.path / f"{stem}_ims.npy", source.path / f"{stem}_ids.txt"
            if array.is_file() and ids.is_file():
                found.append(_Vectors("image", split, array, ids))
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


def _take_in(
    found: _Vectors,
    encoder: str,
    digest: str,
    as_embedding: bool,
    manifest: Manifest,
    folder: Path,
    options: ExtractOptions,
    reporter: Reporter,
) -> Extraction:
    began = time.perf_counter()
    array, records = read_array(found.file, found.modality), manifest.split(found.split)
    field = _field(found, array, as_embedding)
    rows = _rows(found, array, manifest)
    header = _header(found, encoder, digest, field, array.shape[-1], manifest, options)
    pending, kept = plan(header, folder, options, reporter)
    items = 0
    for shard in pending:
        ours = slice(shard.first, shard.first + shard.count)
        tensors = _tensors(found, array, rows[ours], field, records[ours])
        save_shard(folder, shard, tensors, [record.id for record in records[ours]])
        items += len(tensors[field])
    drop_leftovers(header, folder)
    size = sum(path.stat().st_size for path in shard_paths(folder, found.split))
    return Extraction(items, time.perf_counter() - began, len(pending), kept, size)


def _field(found: _Vectors, array: Tensor, as_embedding: bool) -> str:
    if array.dim() == 2:
        return f"{found.modality}_{'embedding' if as_embedding else 'features'}"
    if found.modality == "text" or as_embedding:
        raise ArtifactError(
            f"'{found.file}' holds {list(array.shape)}: a grid for each row. Only images have grids, and "
            "no embedding is one."
        )
    return "patch_features"


def _rows(found: _Vectors, array: Tensor, manifest: Manifest) -> list[list[int]]:
    """For each record of the split, its rows of the array: one for an image, one a caption for texts."""
    records, table = manifest.split(found.split), read_id_table(found.ids)
    known = [record for split in manifest.splits for record in manifest.split(split)]
    if found.modality == "image":
        names = name_rows(str(found.ids), table, records, known)
        return [[row] for row in image_rows(names, array, records)]
    with_text = [record for record in records if record.captions] or records
    names = name_rows(str(found.ids), table, with_text, known)
    return text_rows(names, caption_column(table), array, records, known)


def _header(
    found: _Vectors,
    encoder: str,
    digest: str,
    field: str,
    width: int,
    manifest: Manifest,
    options: ExtractOptions,
) -> ShardHeader:
    # The vectors are known by name, so that splits taken in from different files go together.
    identity = hashlib.blake2b(f"{encoder} {width} {field}".encode(), digest_size=16).hexdigest()
    return ShardHeader(
        encoder=encoder,
        fingerprint=identity,
        modality=found.modality,
        corpus=manifest.name,
        manifest=manifest.fingerprint,
        split=found.split,
        fields=(field,),
        width=width,
        first=0,
        count=0,
        total=len(manifest.split(found.split)),
        shard_records=options.shard_records,
        source=digest,
    ).at(0)


def _tensors(
    found: _Vectors, array: Tensor, rows: Sequence[Sequence[int]], field: str, records: Sequence[Record]
) -> Mapping[str, Tensor]:
    flat = torch.tensor([row for of_record in rows for row in of_record], dtype=torch.int64)
    vectors = array.index_select(0, flat).float()
    broken = (~vectors.flatten(1).isfinite().all(dim=1)).nonzero().flatten()
    if len(broken):
        raise ArtifactError(
            f"row {int(flat[broken[0]])} of '{found.file}' is not a number. Make the file again."
        )
    tensors = {field: (normalize(vectors, dim=-1) if field.endswith("embedding") else vectors).half()}
    if found.modality == "text":
        tensors["caption_offsets"] = offsets_of([len(record.captions) for record in records])
    return tensors
