"""Opening every picture of a corpus once: which are missing or damaged, which are twins, which are odd."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from mmx.core.record import Record
from mmx.core.reporter import Reporter
from mmx.store.image_paths import path_inside
from mmx.store.images import ImageError
from mmx.store.inspection import PictureFacts, groups_of, inspect_picture, near_duplicates
from mmx.workflows.findings import Findings

MISSING = "missing"
ODD_ASPECT = 5.0
GIANT_PIXELS = 50_000_000
TINY_SIDE = 16
PUBLISHED_TWIN = "the same picture as one in a published split"


@dataclass(frozen=True)
class CheckedPictures:
    """The records whose pictures can be used, and what the pictures hold."""

    records: list[Record]
    facts: dict[str, PictureFacts]
    """By record id; without the records whose picture is not at hand."""

    @property
    def digests(self) -> dict[str, str]:
        """Hash of each picture's bytes by record id."""
        return {record_id: fact.digest for record_id, fact in self.facts.items()}

    @property
    def digest(self) -> str:
        """One hash over all pictures, in the order of the records."""
        parts = (self.facts[record.id].digest for record in self.records if record.id in self.facts)
        return hashlib.blake2b("".join(parts).encode(), digest_size=16).hexdigest()


def check_pictures(
    records: Sequence[Record],
    root: Path,
    findings: Findings,
    reporter: Reporter,
    workers: int | None,
    missing_allowed: bool,
    optional: bool = False,
) -> CheckedPictures:
    """Open every picture; leave out the records whose picture cannot be read, or where pictures are optional
    keep them without.
    """
    kept: list[Record] = []
    facts: dict[str, PictureFacts] = {}
    total = sum(record.image is not None for record in records)
    with reporter.progress("checking pictures", total, "images") as bar:
        for record, found in _inspect_all(records, root, workers):
            if found is not None:
                bar.advance()
            if isinstance(found, PictureFacts):
                facts[record.id] = found
            elif found is not None and optional:
                findings.note(
                    f"post kept without its picture: {_plain(found)}", f"{record.id}: {record.image}"
                )
                record = replace(record, image=None)
            elif found == MISSING and missing_allowed:
                findings.note("picture not at hand", f"{record.id}: {record.image}")
            elif found is not None:
                findings.leave_out("record", record.id, record.image or "", found, _kind(found))
                continue
            kept.append(record)
    checked = CheckedPictures(kept, facts)
    _note_duplicates(checked, findings)
    _note_sizes(facts, findings)
    return checked


def unite_twins(checked: CheckedPictures, drawn: frozenset[str], findings: Findings) -> CheckedPictures:
    """Put equal pictures of drawn splits into the split of the first; one with a published twin is left out.

    Moved to its published twin, it would enlarge a split that others have published.
    """
    homes: dict[str, Record] = {}
    digests = checked.digests
    for record in sorted(checked.records, key=lambda record: record.id in drawn):
        if record.id in digests:
            homes.setdefault(digests[record.id], record)
    records = []
    for record in checked.records:
        home = homes.get(digests.get(record.id, ""), record)
        if record.id in drawn and home.split != record.split:
            if home.id not in drawn:
                findings.leave_out("record", record.id, f"{home.id} of {home.split}", PUBLISHED_TWIN)
                continue
            moved = f"{record.id}: {record.split} to {home.split}"
            findings.note("twins of the drawn split put together", moved)
            record = replace(record, split=home.split)
        records.append(record)
    return CheckedPictures(records, checked.facts)


def _inspect_all(
    records: Sequence[Record], root: Path, workers: int | None
) -> Iterator[tuple[Record, PictureFacts | str | None]]:
    """Each record with what its picture holds, or the reason why not; None without a picture."""
    real_root = os.path.realpath(root)
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1)
    try:
        # Decoding leaves the interpreter's lock, so threads use every core and share the memory.
        found = pool.map(lambda record: _inspect(record, real_root), records)
        yield from zip(records, found, strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _inspect(record: Record, real_root: str) -> PictureFacts | str | None:
    if record.image is None:
        return None
    try:
        return inspect_picture(path_inside(real_root, record.image))
    except (ImageError, ValueError) as error:
        return str(error)


def _kind(reason: str) -> str:
    """The kind under which a reason is counted: without the numbers and names of one file."""
    if reason == MISSING:
        return "picture missing"
    return f"unreadable picture: {_plain(reason)}" if "damaged" in reason else f"picture: {reason}"


def _plain(reason: str) -> str:
    """What is wrong, without what a library said of it."""
    return reason.partition(" (")[0]


def _note_duplicates(checked: CheckedPictures, findings: Findings) -> None:
    ids = list(checked.facts)
    splits = {record.id: record.split for record in checked.records}
    facts = [checked.facts[record_id] for record_id in ids]
    for group in groups_of([fact.digest for fact in facts]):
        names = [ids[place] for place in group]
        findings.note("exact duplicates", " = ".join(names[:2]), count=len(names) - 1)
    for left, right in near_duplicates(facts) if facts else []:
        across = splits[ids[left]] != splits[ids[right]]
        kind = "near duplicates in two splits" if across else "near duplicates"
        findings.note(kind, f"{ids[left]} ~ {ids[right]}")


def _note_sizes(facts: dict[str, PictureFacts], findings: Findings) -> None:
    for record_id, fact in facts.items():
        size = f"{record_id}: {fact.width}x{fact.height}"
        small, large = sorted((fact.width, fact.height))
        if large > ODD_ASPECT * small:
            findings.note(f"one side more than {ODD_ASPECT:g} times the other", size)
        if small * large > GIANT_PIXELS:
            findings.note(f"more than {GIANT_PIXELS // 1_000_000} million pixels", size)
        if small < TINY_SIDE:
            findings.note(f"a side under {TINY_SIDE} pixels", size)
