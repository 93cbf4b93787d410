"""Checking records by what they say, before any picture is opened: ids, splits, paths, captions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mmx.core.plain_text import clean_caption
from mmx.core.record import SPLITS, Record
from mmx.core.reporter import Progress
from mmx.store.image_paths import relative_path
from mmx.workflows.findings import REFUSED, Findings

USUAL_SHARE = 0.9


def check_records(records: Iterable[Record], findings: Findings, bar: Progress) -> list[Record]:
    """The records that can be used, their captions clean; the others go to the findings."""
    seen: dict[str, str] = {}
    kept = []
    for record in records:
        bar.advance()
        checked = _check_record(record, seen, findings)
        if checked is not None:
            seen[checked.id] = checked.split
            kept.append(checked)
    _note_caption_counts(kept, findings)
    return kept


def _check_record(record: Record, seen: dict[str, str], findings: Findings) -> Record | None:
    reason = _what_is_wrong(record, seen)
    image = record.image
    if record.id in seen and seen[record.id] != record.split and record.split in SPLITS:
        findings.note(
            "the same id in two splits", f"{record.id} ({seen[record.id]} and {record.split})", REFUSED
        )
    if reason is None and image is not None:
        try:
            image = relative_path(image)
        except ValueError as error:
            reason = str(error)
    if reason is not None:
        findings.leave_out("record", record.id, record.image or "", reason)
        return None
    captions = _clean_captions(record, findings)
    if record.captions and not captions:
        findings.leave_out("record", record.id, record.image or "", "no caption that can be used")
        return None
    return replace(record, image=image, captions=captions)


def _what_is_wrong(record: Record, seen: dict[str, str]) -> str | None:
    if not record.id:
        return "no id"
    if record.id in seen:
        return "id twice"
    if record.split not in SPLITS:
        return f"unknown split '{record.split}' (there are {', '.join(SPLITS)})"
    if not record.captions and record.label is None and not record.words:
        return "neither caption nor label nor words"
    if record.tags and len(record.tags) != len(record.words):
        return f"{len(record.tags)} tags for {len(record.words)} words"
    return None


def _clean_captions(record: Record, findings: Findings) -> tuple[str, ...]:
    kept = []
    for caption in record.captions:
        try:
            clean = clean_caption(caption)
        except ValueError as error:
            kind = "over-long caption" if "characters" in str(error) else None
            findings.leave_out("caption", record.id, caption[:100], str(error), kind)
            continue
        if clean != caption.strip(" "):
            findings.note("white space or control characters made single spaces", f"{record.id}: {clean}")
        if clean in kept:
            findings.note("the same caption twice for one picture", f"{record.id}: {clean}")
        kept.append(clean)
    return tuple(kept)


def _note_caption_counts(records: Sequence[Record], findings: Findings) -> None:
    """Tell of images whose number of captions is not the usual one, where there is a usual one."""
    counts = Counter(len(record.captions) for record in records)
    if not counts:
        return
    usual, times = counts.most_common(1)[0]
    if usual <= 1 or times == len(records) or times < USUAL_SHARE * len(records):
        return
    for record in records:
        if len(record.captions) != usual:
            findings.note(f"number of captions is not {usual}", f"{record.id}: {len(record.captions)}")


def note_leaks(records: Sequence[Record], digests: dict[str, str], findings: Findings) -> None:
    """Note pictures (by content, else by path) and identities that stand in two splits."""
    for kind, keys in (
        ("the same picture in two splits", [digests.get(row.id) or row.image for row in records]),
        ("the same identity in two splits", [row.identity for row in records]),
    ):
        first: dict[object, Record] = {}
        for record, key in zip(records, keys, strict=True):
            other = first.setdefault(key, record)
            if key is not None and other.split != record.split:
                findings.note(kind, f"{other.id} ({other.split}) and {record.id} ({record.split})", REFUSED)
