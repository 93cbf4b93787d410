"""prepare: from an official layout, or one's own files, to a checked manifest."""

import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmx.core.assets import ConceptTable
from mmx.core.corpus import Reading
from mmx.core.errors import DataError, UsageError
from mmx.core.home import Home
from mmx.core.names import canonical
from mmx.core.record import SPLITS, Record
from mmx.core.reporter import Reporter
from mmx.store.atomic import TEMPORARY_PREFIX, disk_errors
from mmx.store.manifest import fingerprint, write_manifest
from mmx.workflows.after_prepare import next_step
from mmx.workflows.concepts import asked_concepts, find_concepts, store_concepts
from mmx.workflows.findings import KEPT, REFUSED, Finding, Findings, Reject
from mmx.workflows.picture_check import CheckedPictures, check_pictures, unite_twins
from mmx.workflows.raw_data import PrepareSettings, read_raw
from mmx.workflows.record_check import check_records, note_leaks
from mmx.workflows.workplace import open_workplace, reading_errors

ON_ERROR = ("skip", "fail")
MADE_FOLDER = "images-"
MOST_TOLD = 5


@dataclass(frozen=True)
class SplitCounts:
    """What a split holds."""

    images: int
    captions: int
    classes: int
    identities: int


@dataclass(frozen=True)
class PrepareResult:
    """What was prepared and what was found on the way."""

    name: str
    folder: Path
    image_root: Path
    fingerprint: str
    splits: dict[str, SplitCounts]
    class_names: tuple[str, ...]
    findings: list[Finding]
    rejects: list[Reject]
    remarks: tuple[str, ...]
    seconds: float
    dry_run: bool
    next: str
    """The command that goes on from here; empty where that cannot be told."""

    def counts(self) -> dict[str, dict[str, int]]:
        """What each split holds, by name of what is counted."""
        return {split: asdict(count) for split, count in self.splits.items()}

    def document(self) -> dict[str, Any]:
        """The result as plain values, for JSON."""
        plain = asdict(self)
        return {
            "schema": "mmx.prepare/1",
            **plain,
            "folder": str(self.folder),
            "image_root": str(self.image_root),
        }


def prepare(settings: PrepareSettings, reporter: Reporter) -> PrepareResult:
    """Read, check and write a corpus.

    Raises:
        UsageError: for an unknown name or option, or more concepts than there are.
        DataError: when the data are missing, too much of them is bad, or a picture stands in two splits.
        ResourceError: when the home cannot be written.
    """
    started = time.monotonic()
    most_bad = read_share(settings.max_bad)
    if settings.on_error not in ON_ERROR:
        raise UsageError(
            f"--on-error '{settings.on_error}' is not possible. It is one of: {', '.join(ON_ERROR)}."
        )
    asked = asked_concepts(settings.options)
    name = canonical(settings.name)
    folder = Home.find(settings.home).dataset(name)
    with open_workplace(folder, settings.dry_run) as workplace:
        findings = Findings(fail=settings.on_error == "fail")
        with reading_errors(folder):
            reading = read_raw(name, settings, workplace, reporter)
            pictures = _check(reading, settings, findings, reporter, most_bad)
        records = {split: [row for row in pictures.records if row.split == split] for split in SPLITS}
        concepts, said = find_concepts(name, records["train"], asked, reporter)
        remarks = (
            *reading.remarks,
            *_remarks_on_posts(reading, pictures),
            *_remarks_on_splits(records),
            *said,
        )
        result = PrepareResult(
            name=name,
            folder=folder,
            image_root=_final_root(folder, workplace, reading.image_root, pictures.digest),
            fingerprint=fingerprint(records, reading.class_names, pictures.digest),
            splits={split: _count(rows) for split, rows in records.items()},
            class_names=tuple(reading.class_names),
            findings=findings.listed(),
            rejects=findings.rejects,
            remarks=remarks,
            seconds=round(time.monotonic() - started, 3),
            dry_run=settings.dry_run,
            next="" if settings.dry_run else next_step(name, pictures.records, bool(pictures.facts)),
        )
        if not settings.dry_run:
            with disk_errors(folder):
                _write(result, records, reading.image_root, pictures.digest, concepts)
    return result


def read_share(text: str) -> float:
    """`1%` or `0.01` as 0.01.

    Raises:
        UsageError: when it is no share between 0 and 1.
    """
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"--max-bad '{text}' is not a share. Write it like 1% or 0.01, from 0% to 100%.")
    return share


def _check(
    reading: Reading, settings: PrepareSettings, findings: Findings, reporter: Reporter, most_bad: float
) -> CheckedPictures:
    """Every check, in the order in which they can tell the most.

    Raises:
        DataError: when there is nothing, too much is bad, or splits share pictures.
    """
    findings.add_rejects(reading.rejects)
    total = len(reading.records) if isinstance(reading.records, Sequence) else None
    with reporter.progress("reading", total, "records") as bar:
        records = check_records(reading.records, findings, bar)
    if not reading.image_root.is_dir() and not settings.no_images and not reading.pictures_optional:
        raise DataError(
            f"there is no folder of pictures '{reading.image_root}'. "
            "Put the pictures there, or keep the records without them: --no-images"
        )
    pictures = check_pictures(
        records,
        reading.image_root,
        findings,
        reporter,
        settings.workers,
        settings.no_images,
        reading.pictures_optional,
    )
    pictures = unite_twins(pictures, reading.drawn, findings)
    _refuse_leaks(pictures, settings, findings)
    _refuse_bad(pictures, findings, most_bad)
    return pictures


def _refuse_leaks(pictures: CheckedPictures, settings: PrepareSettings, findings: Findings) -> None:
    note_leaks(pictures.records, pictures.digests, findings)
    found = [finding for finding in findings.listed() if finding.done == REFUSED]
    if settings.allow_leaks:
        for finding in found:
            finding.done = KEPT
    elif found:
        raise DataError(f"{_summary(found)}. Mend the splits, or take them as they are with --allow-leaks.")


def _refuse_bad(pictures: CheckedPictures, findings: Findings, most_bad: float) -> None:
    kept = len(pictures.records)
    captions = sum(len(record.captions) for record in pictures.records)
    counts = (
        ("records", findings.rejected("record"), kept),
        ("rows and captions", findings.rejected("row", "caption"), captions or kept),
    )
    enough = math.ceil(100 * max(bad / max(1, bad + good) for _, bad, good in counts))
    for what, bad, good in counts:
        share = bad / max(1, bad + good)
        if share > most_bad or (bad and not kept):
            listed = _summary([finding for finding in findings.listed() if finding.done != KEPT])
            otherwise = f", or leave them out with --max-bad {enough}%" if kept else ""
            raise DataError(
                f"{bad} of {bad + good} {what} ({share:.1%}) are bad; --max-bad allows {most_bad:.1%}. "
                f"{listed}. Mend them{otherwise}. "
                "List them all with: --dry-run --max-bad 100% --json"
            )
    if not kept:
        raise DataError("not one record was found. Look at what --raw names.")


def _summary(found: Sequence[Finding]) -> str:
    """The most frequent findings in one line, an example each."""
    told = [
        f"{finding.kind}: {finding.count} (such as {finding.examples[0]})" for finding in found[:MOST_TOLD]
    ]
    more = [f"and {len(found) - MOST_TOLD} other kinds"] if len(found) > MOST_TOLD else []
    return "; ".join(told + more)


def _remarks_on_posts(reading: Reading, pictures: CheckedPictures) -> list[str]:
    """How many have a picture, where not all need one."""
    if not reading.pictures_optional:
        return []
    return [f"{len(pictures.facts):,} of {len(pictures.records):,} posts have a picture"]


def _remarks_on_splits(records: Mapping[str, Sequence[Record]]) -> list[str]:
    empty = [split for split, rows in records.items() if not rows]
    return [f"no record in split {split}" for split in empty]


def _count(records: Sequence[Record]) -> SplitCounts:
    return SplitCounts(
        images=len(records),
        captions=sum(len(record.captions) for record in records),
        classes=len({record.label for record in records} - {None}),
        identities=len({record.identity for record in records} - {None}),
    )


def _final_root(folder: Path, workplace: Path, root: Path, digest: str) -> Path:
    """Where the pictures will lie: made ones in the dataset's folder, others where they are."""
    made = root.absolute().is_relative_to(workplace.absolute())
    return folder / f"{MADE_FOLDER}{digest[:12]}" if made else root.absolute()


def _write(
    result: PrepareResult,
    records: Mapping[str, Sequence[Record]],
    found_root: Path,
    image_digest: str,
    concepts: ConceptTable | None,
) -> None:
    """Move made pictures to their place, write manifest and concepts, remove the pictures made before."""
    folder, root = result.folder, result.image_root
    if root != found_root.absolute():
        _place_pictures(found_root, root)
    report = {
        "findings": [asdict(finding) for finding in result.findings],
        "remarks": list(result.remarks),
        "seconds": result.seconds,
    }
    rejects = [asdict(reject) for reject in result.rejects]
    manifest = write_manifest(
        folder,
        result.name,
        root,
        records,
        result.class_names,
        report,
        rejects=rejects,
        image_digest=image_digest,
    )
    store_concepts(manifest, concepts)
    _remove_old_pictures(folder, root)


def _place_pictures(made: Path, root: Path) -> None:
    """Move made pictures to their place, instead of those that are there: one of them may be damaged."""
    made.chmod(0o755)
    aside = root.with_name(f"{TEMPORARY_PREFIX}{root.name}")
    if root.exists():
        os.rename(root, aside)
    # Not flushed one by one: that costs more than making them, and they can be made again.
    os.rename(made, root)
    shutil.rmtree(aside, ignore_errors=True)


def _remove_old_pictures(folder: Path, root: Path) -> None:
    """Delete the pictures that an earlier preparation made in the dataset's folder."""
    for old in folder.glob(f"{MADE_FOLDER}*"):
        if old != root:
            shutil.rmtree(old, ignore_errors=True)
