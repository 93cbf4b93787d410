"""Manifest: the records of a prepared corpus as parquet, one file a split, checked and fingerprinted.

Layout of a dataset's folder: `manifest/{train,val,test}.parquet`, `report.json`, `rejects.jsonl` and
`corpus.json` (written last: a manifest that has it is whole). The parquet files open with
`datasets.load_dataset("parquet", ...)` and no mmx.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from mmx.core.discover import find_corpus, names
from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.names import did_you_mean
from mmx.core.record import SPLITS, Record
from mmx.store.atomic import atomic_folder, write_json, write_text
from mmx.store.image_paths import path_inside, relative_path
from mmx.store.kinds import check_kind
from mmx.store.sealed import read_sealed, write_sealed
from mmx.store.sums import file_sha256

FORMAT = "mmx-manifest"
VERSION = 1
CORPUS_FILE = "corpus.json"
NEEDED = ("class_names", "counts", "fingerprint", "image_root", "name", "sha256")
FOLDER, NEXT_FOLDER, OLD_FOLDER = "manifest", "manifest.next", "manifest.old"
SCHEMA = pyarrow.schema(
    [
        ("id", pyarrow.string()),
        ("split", pyarrow.string()),
        ("image", pyarrow.string()),
        ("captions", pyarrow.list_(pyarrow.string())),
        ("label", pyarrow.int64()),
        ("identity", pyarrow.int64()),
        ("words", pyarrow.list_(pyarrow.string())),
        ("tags", pyarrow.list_(pyarrow.string())),
        ("sentiment", pyarrow.string()),
        ("extra", pyarrow.string()),
    ]
)


class Manifest:
    """A prepared corpus: what its splits hold, and where its pictures lie."""

    def __init__(self, folder: Path, corpus: Mapping[str, Any], parquet_folder: Path) -> None:
        self.folder = folder
        self.name: str = corpus["name"]
        self.image_root = (folder / corpus["image_root"]).absolute()
        self.class_names: tuple[str, ...] = tuple(corpus["class_names"])
        self.counts: dict[str, int] = dict(corpus["counts"])
        self.fingerprint: str = corpus["fingerprint"]
        self._parquet_folder = parquet_folder
        self._real_root: str | None = None
        self._records: dict[str, list[Record]] = {}

    @classmethod
    def open(cls, folder: Path) -> "Manifest":
        """The manifest of a dataset's folder, its files compared with their checksums.

        Raises:
            ArtifactError: when it is absent, incomplete, damaged or of another version.
        """
        again = f"Make it with: mmx prepare {folder.name}"
        try:
            corpus = _read_corpus_file(folder, again)
        except FileNotFoundError:
            raise ArtifactError(_absent(folder)) from None
        for name in (FOLDER, NEXT_FOLDER):
            # A writer killed between corpus.json and the last rename leaves the new files in NEXT_FOLDER.
            if _is_whole(folder / name, corpus["sha256"]):
                return cls(folder, corpus, folder / name)
        raise ArtifactError(
            f"the manifest in '{folder}' is damaged: its files do not fit its corpus.json. {again}"
        )

    @property
    def splits(self) -> list[str]:
        """The splits that hold at least one record: train, val, test."""
        return [split for split in SPLITS if self.counts.get(split)]

    def split(self, name: str) -> list[Record]:
        """The records of a split, in the order of the file; read once.

        Raises:
            UsageError: when the split is empty or unknown.
        """
        if name not in self.splits:
            raise UsageError(f"'{self.name}' has no split '{name}'. There are: {', '.join(self.splits)}.")
        if name not in self._records:
            table = pyarrow.parquet.read_table(self._parquet_folder / f"{name}.parquet", schema=SCHEMA)
            self._records[name] = [_from_row(row) for row in table.to_pylist()]
        return self._records[name]

    def image_path(self, record: Record) -> Path:
        """Where the picture of a record lies; always inside `image_root`, whatever links there are.

        Raises:
            DataError: when the record has no picture, or its path leaves the root.
            ArtifactError: when the folder of pictures is gone.
        """
        if record.image is None:
            raise DataError(f"record '{record.id}' of '{self.name}' has no picture. Prepare it with one.")
        if self._real_root is None:
            if not self.image_root.is_dir():
                raise ArtifactError(
                    f"the pictures of '{self.name}' are gone: there is no folder '{self.image_root}'. "
                    f"Put it back, or prepare again: mmx prepare {self.name} --raw FOLDER"
                )
            self._real_root = os.path.realpath(self.image_root)
        try:
            return path_inside(self._real_root, relative_path(record.image))
        except ValueError as error:
            raise DataError(
                f"record '{record.id}' of '{self.name}': '{record.image}' cannot be opened: {error}. "
                f"Prepare it again: mmx prepare {self.name}"
            ) from error


def prepared_in(folder: Path) -> list[str]:
    """Names of the datasets that are prepared in a home's folder of them, whole or damaged."""
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    return [place.name for place in places if (place / CORPUS_FILE).is_file()]


def write_manifest(
    folder: Path,
    name: str,
    image_root: Path,
    records: Mapping[str, Sequence[Record]],
    class_names: Iterable[str] = (),
    report: Mapping[str, Any] | None = None,
    *,
    rejects: Iterable[Mapping[str, Any]] = (),
    image_digest: str = "",
) -> Manifest:
    """Write a manifest so that a crash leaves the old one or the new one.

    Args:
        folder: the dataset's folder.
        name: the dataset's name.
        image_root: where the pictures lie; a folder inside `folder` is kept as a relative path.
        records: the records of each split.
        class_names: what the labels mean, label 0 first.
        report: what the check found.
        rejects: what was left out, a row each.
        image_digest: a hash over the bytes of all pictures; goes into the fingerprint.
    """
    classes = list(class_names)
    for split, rows in records.items():
        _check_rows(name, split, rows)
    _finish_move(folder)
    with atomic_folder(folder / NEXT_FOLDER) as staging:
        for split in SPLITS:
            table = pyarrow.Table.from_pylist([_to_row(row) for row in records.get(split, ())], schema=SCHEMA)
            pyarrow.parquet.write_table(table, staging / f"{split}.parquet", compression="zstd")
    checksums = {split: file_sha256(folder / NEXT_FOLDER / f"{split}.parquet") for split in SPLITS}
    write_json(folder / "report.json", dict(report or {}))
    write_text(
        folder / "rejects.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rejects)
    )
    corpus = {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "counts": {split: len(records.get(split, ())) for split in SPLITS},
        "captions": {split: sum(len(row.captions) for row in records.get(split, ())) for split in SPLITS},
        "class_names": classes,
        "image_root": _portable_root(folder, image_root),
        "sha256": checksums,
        "fingerprint": fingerprint(records, classes, image_digest),
    }
    write_sealed(folder / CORPUS_FILE, corpus)
    _take_place(folder)
    return Manifest.open(folder)


def fingerprint(
    records: Mapping[str, Sequence[Record]], class_names: Sequence[str], image_digest: str = ""
) -> str:
    """32 hex digits over what the records say, the class names and the pictures; not over where they lie."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([VERSION, list(class_names), image_digest]).encode())
    for split in SPLITS:
        for record in records.get(split, ()):
            digest.update(json.dumps(list(_to_row(record).values()), ensure_ascii=True).encode() + b"\n")
    return digest.hexdigest()


def _check_rows(name: str, split: str, rows: Sequence[Record]) -> None:
    if split not in SPLITS:
        raise DataError(f"'{name}' names a split '{split}'. There are: {', '.join(SPLITS)}.")
    wrong = next((row for row in rows if row.split != split), None)
    if wrong is not None:
        raise DataError(
            f"record '{wrong.id}' of '{name}' says split '{wrong.split}' and stands in '{split}'."
        )


def _portable_root(folder: Path, image_root: Path) -> str:
    inside = image_root.absolute().is_relative_to(folder.absolute())
    return str(image_root.absolute().relative_to(folder.absolute()) if inside else image_root.absolute())


def _take_place(folder: Path) -> None:
    """Move the new parquet files to their place; `corpus.json` names their checksums already."""
    shutil.rmtree(folder / OLD_FOLDER, ignore_errors=True)
    if (folder / FOLDER).exists():
        os.rename(folder / FOLDER, folder / OLD_FOLDER)
    os.rename(folder / NEXT_FOLDER, folder / FOLDER)
    shutil.rmtree(folder / OLD_FOLDER, ignore_errors=True)


def _finish_move(folder: Path) -> None:
    """What a killed writer left takes its place if it is what `corpus.json` names; else it goes."""
    try:
        checksums = _read_corpus_file(folder, "")["sha256"]
    except (ArtifactError, FileNotFoundError):
        checksums = None
    if checksums and not _is_whole(folder / FOLDER, checksums) and _is_whole(folder / NEXT_FOLDER, checksums):
        _take_place(folder)
    shutil.rmtree(folder / NEXT_FOLDER, ignore_errors=True)


def _read_corpus_file(folder: Path, again: str) -> dict[str, Any]:
    path = folder / CORPUS_FILE
    corpus = read_sealed(path, again)
    check_kind(path, corpus, FORMAT, VERSION, again, NEEDED)
    return corpus


def _absent(folder: Path) -> str:
    """What to say of a dataset that is not there: the nearest that is, all of them, and how it is made."""
    there = prepared_in(folder.parent)
    known = names("mmx.corpora")
    raw = "" if folder.name in known and not find_corpus(folder.name).needs_raw else " --raw FOLDER"
    near, listed = did_you_mean(folder.name, there), ", ".join(there) or "none"
    return (
        f"there is no prepared dataset '{folder.name}' in '{folder.parent}'.{near} Prepared are: {listed}. "
        f"Make it with: mmx prepare {folder.name}{raw}"
    )


def _is_whole(folder: Path, checksums: Mapping[str, str]) -> bool:
    paths = {split: folder / f"{split}.parquet" for split in checksums}
    return all(path.is_file() for path in paths.values()) and all(
        file_sha256(paths[split]) == checksum for split, checksum in checksums.items()
    )


def _to_row(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "split": record.split,
        "image": record.image,
        "captions": list(record.captions),
        "label": record.label,
        "identity": record.identity,
        "words": list(record.words),
        "tags": list(record.tags),
        "sentiment": record.sentiment,
        "extra": json.dumps(record.extra, ensure_ascii=False, sort_keys=True),
    }


def _from_row(row: Mapping[str, Any]) -> Record:
    lists = {name: tuple(row[name] or ()) for name in ("captions", "words", "tags")}
    return Record(**{**row, **lists, "extra": json.loads(row["extra"] or "{}")})
