"""Posts with a tag for each word: `IMGID:<id>`, then `token TAB tag` lines, a blank line between posts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmx.core.corpus import Reading
from mmx.core.errors import DataError
from mmx.core.record import Record
from mmx.corpora._hold_out import hold_out
from mmx.corpora._raw_folder import find_file, find_pictures, read_lines

IMAGE_ID = re.compile(r"^IMGID:\s*(?P<id>\S*)\s*$")
TAG = re.compile(r"^(?:O|[BI]-(?P<type>\S+))$")
FILES = {
    "train": ("train.txt", "train.conll"),
    "val": ("valid.txt", "dev.txt", "val.txt", "valid.conll", "dev.conll"),
    "test": ("test.txt", "test.conll"),
}
PICTURES = ("images", "twitter2015_images", "twitter2017_images", "ner_img", "img")
TWITTER_TYPES = ("PER", "LOC", "ORG", "MISC")
OTHER = "OTHER"
"""What some call the type that others call MISC."""
LAYOUT = (
    "train.txt, valid.txt, test.txt (as many as there are): a line IMGID:<id>, then token TAB tag lines, a "
    "blank line between posts; and the pictures <id>.jpg in a folder such as images."
)


@dataclass
class Post:
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


def read_posts(raw: Path, options: Mapping[str, str], types: Sequence[str] | None = None) -> Reading:
    """All splits of a folder; the type OTHER is read as MISC.

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
    root = find_pictures(raw, PICTURES)
    reading = Reading(
        found.records,
        root if root.is_dir() else raw,
        remarks=tuple(found.remarks),
        rejects=found.rejects,
        pictures_optional=True,
    )
    return hold_out(reading, options, "posts")


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
    for post in _posts(lines, types):
        source = f"{path.name}:{post.line}"
        if post.wrong or not post.words:
            value = " ".join(post.words)[:100] or post.image_id
            reason = post.wrong or "a post without a word"
            found.rejects.append({"source": source, "value": value, "reason": reason})
            continue
        orphans += count_orphans(post.tags)
        lost += not post.image_id
        found.records.append(_record(post, path, split))
    if orphans:
        found.remarks.append(
            f"'{path.name}': {orphans} times I- follows no entity of its type; strict ignores them, conll "
            "lets them open an entity"
        )
    if lost:
        found.remarks.append(f"'{path.name}': {lost} posts have no IMGID; they are kept without a picture")


def _record(post: Post, path: Path, split: str) -> Record:
    return Record(
        id=post.image_id or f"{path.stem}-line-{post.line}",
        split=split,
        image=f"{post.image_id}.jpg" if post.image_id else None,
        captions=(" ".join(post.words),),
        words=tuple(post.words),
        tags=tuple(post.tags),
    )


def _posts(lines: Sequence[str], types: Sequence[str] | None) -> Iterator[Post]:
    current: Post | None = None
    for number, line in enumerate(lines, start=1):
        named = IMAGE_ID.match(line)
        if current is not None and (named or not line.strip()):
            yield current
            current = None
        if named:
            current = Post(number, named["id"])
        elif line.strip():
            current = current or Post(number)
            _add_word(current, number, line, types)
    if current is not None:
        yield current


def _add_word(post: Post, number: int, line: str, types: Sequence[str] | None) -> None:
    cells = line.split("\t")
    if len(cells) != 2 or not cells[0]:
        post.wrong = post.wrong or f"line {number}: '{line[:80]}' is not of the form token TAB tag"
        return
    tag = cells[1].strip().replace(f"-{OTHER}", "-MISC")
    match = TAG.match(tag)
    if match is None or (types is not None and match["type"] not in (None, *types)):
        known = "O, or B- or I- before a type" if types is None else f"O, B- and I- of {', '.join(types)}"
        post.wrong = post.wrong or f"line {number}: unknown tag '{cells[1]}' (there are {known})"
    # a word may be a wide space alone, as one of the published ones is
    post.words.append(cells[0].strip() or cells[0])
    post.tags.append(tag)


def count_orphans(tags: Sequence[str]) -> int:
    """Tags I-X that follow neither B-X nor I-X."""
    pairs = zip(("O", *tags), tags, strict=False)
    return sum(tag.startswith("I-") and before[2:] != tag[2:] for before, tag in pairs)
