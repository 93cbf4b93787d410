"""Posts with a tag for each word: `IMGID:<id>`, then `token TAB tag` lines, a blank line between posts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmx.core.corpus import Reading
from mmx.core.errors import DataError, UsageError
from mmx.core.record import Record
from mmx.core.seeded_split import seeded_order
from mmx.corpora._raw_folder import find_file, find_pictures, read_lines

IMAGE_ID = re.compile(r"^IMGID:\s*(?P<id>\S*)\s*$")
TAG = re.compile(r"^(?:O|[BI]-(?P<type>\S+))$")
FILES = {
    "train": ("train.txt", "train.conll"),
    "val": ("valid.txt", "dev.txt", "val.txt", "valid.conll", "dev.conll"),
    "test": ("test.txt", "test.conll"),
}
PICTURES = ("images", "twitter2015_images", "twitter2017_images", "ner_img", "img")
OTHER = "OTHER"
"""What some call the type that others call MISC."""
OPTIONS = {"holdout": "0", "seed": "0"}
LAYOUT = (
    "train.txt, valid.txt, test.txt (as many as there are): a line IMGID:<id>, then token TAB tag lines, a "
    "blank line between posts; and the pictures <id>.jpg in a folder such as images."
)


@dataclass
class Sentence:
    """One post as it stands in a file, and the first thing that is wrong with it."""

    line: int
    image_id: str = ""
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    wrong: str = ""


@dataclass
class Found:
    """What the files of a folder hold."""

    records: list[Record] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_folder(raw: Path, options: Mapping[str, str], types: Sequence[str] | None) -> Reading:
    """All splits of a folder.

    Args:
        raw: the folder.
        options: `holdout`, how many posts of train become val while the val file becomes test; `seed`.
        types: the entity types there are; None takes what there is.

    Raises:
        DataError: when there is no file of posts.
        UsageError: for a hold-out that cannot be.
    """
    files = {split: path for split, names in FILES.items() if (path := find_file(raw, names))}
    if not files:
        raise DataError(f"no posts are in '{raw}'. Expected there: {LAYOUT}")
    found = Found()
    for split, path in files.items():
        _read_file(path, split, types, found)
    drawn = _hold_out(found, options)
    root = find_pictures(raw, PICTURES)
    return Reading(
        found.records,
        root if root.is_dir() else raw,
        remarks=tuple(found.remarks),
        rejects=found.rejects,
        drawn=drawn,
        pictures_optional=True,
    )


def looks_like_posts(folder: Path) -> bool:
    """Whether a folder holds a train file whose first line that is not empty names a picture."""
    path = find_file(folder, FILES["train"])
    if path is None:
        return False
    with path.open("rb") as file:
        start = file.read(4096).lstrip(b"\xef\xbb\xbf \r\n\t")
    return start.startswith(b"IMGID:")


def _read_file(path: Path, split: str, types: Sequence[str] | None, found: Found) -> None:
    lines, remarks = read_lines(path)
    found.remarks += remarks
    orphans = lost = 0
    for sentence in _sentences(lines, types):
        source = f"{path.name}:{sentence.line}"
        if sentence.wrong or not sentence.words:
            value = " ".join(sentence.words)[:100] or sentence.image_id
            reason = sentence.wrong or "a post without a word"
            found.rejects.append({"source": source, "value": value, "reason": reason})
            continue
        orphans += count_orphans(sentence.tags)
        lost += not sentence.image_id
        found.records.append(_record(sentence, path, split))
    if orphans:
        found.remarks.append(
            f"'{path.name}': {orphans} times I- follows no entity of its type; strict ignores them, conll "
            "lets them open an entity"
        )
    if lost:
        found.remarks.append(f"'{path.name}': {lost} posts have no IMGID; they are kept without a picture")


def _record(sentence: Sentence, path: Path, split: str) -> Record:
    return Record(
        id=sentence.image_id or f"{path.stem}-line-{sentence.line}",
        split=split,
        image=f"{sentence.image_id}.jpg" if sentence.image_id else None,
        captions=(" ".join(sentence.words),),
        words=tuple(sentence.words),
        tags=tuple(sentence.tags),
    )


def _sentences(lines: Sequence[str], types: Sequence[str] | None) -> Iterator[Sentence]:
    current: Sentence | None = None
    for number, line in enumerate(lines, start=1):
        named = IMAGE_ID.match(line)
        if current is not None and (named or not line.strip()):
            yield current
            current = None
        if named:
            current = Sentence(number, named["id"])
        elif line.strip():
            current = current or Sentence(number)
            _add_word(current, number, line, types)
    if current is not None:
        yield current


def _add_word(sentence: Sentence, number: int, line: str, types: Sequence[str] | None) -> None:
    cells = line.split("\t")
    if len(cells) != 2 or not cells[0]:
        sentence.wrong = sentence.wrong or f"line {number}: '{line[:80]}' is not of the form token TAB tag"
        return
    tag = cells[1].strip().replace(f"-{OTHER}", "-MISC")
    match = TAG.match(tag)
    if match is None or (types is not None and match["type"] not in (None, *types)):
        known = "O, or B- or I- before a type" if types is None else f"O, B- and I- of {', '.join(types)}"
        sentence.wrong = sentence.wrong or f"line {number}: unknown tag '{cells[1]}' (there are {known})"
    # a word may be a wide space alone, as one of the published ones is
    sentence.words.append(cells[0].strip() or cells[0])
    sentence.tags.append(tag)


def count_orphans(tags: Sequence[str]) -> int:
    """Tags I-X that follow neither B-X nor I-X."""
    pairs = zip(("O", *tags), tags, strict=False)
    return sum(tag.startswith("I-") and before[2:] != tag[2:] for before, tag in pairs)


def _hold_out(found: Found, options: Mapping[str, str]) -> frozenset[str]:
    """Posts of train become val, and the file's val becomes test where there is none; ids of all of train."""
    size, seed = _whole("holdout", options), _whole("seed", options)
    if not size:
        return frozenset()
    train = [record.id for record in found.records if record.split == "train"]
    if size >= len(train):
        raise UsageError(f"holdout={size} is too much: train has {len(train)} posts. Take fewer.")
    held = set(seeded_order(train, seed)[:size])
    has_test = any(record.split == "test" for record in found.records)
    moved = {"train": "train", "val": "test", "test": "test"}
    found.records = [
        replace(record, split="val" if record.split == "train" and record.id in held else moved[record.split])
        for record in found.records
        if not (has_test and record.split == "val")
    ]
    fate = "is left out, since there is a test file" if has_test else "is the test split"
    found.remarks.append(
        f"{size:,} posts of train are held out as val (seed {seed}); the published valid file {fate}"
    )
    return frozenset(train)


def _whole(name: str, options: Mapping[str, str]) -> int:
    if not options[name].isdigit():
        raise UsageError(f"{name}='{options[name]}' is not a whole number from 0 on.")
    return int(options[name])
