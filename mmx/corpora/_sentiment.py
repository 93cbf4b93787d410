"""Posts with a sentiment: a text and a picture each, named by a number, beside a list of their classes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmx.core.corpus import Reading
from mmx.core.record import Record
from mmx.core.seeded_split import seeded_split
from mmx.corpora._options import whole_number

SENTIMENTS = ("negative", "neutral", "positive")
NUMBER = re.compile(r"^[A-Za-z0-9_-]{1,80}$")
OPTIONS = {"seed": "0"}


@dataclass
class Posts:
    """Posts with a class each, and what was left out."""

    folder: Path
    """Where `<id>.txt` and `<id>.jpg` lie."""
    encodings: Sequence[str]
    """Tried one after the other on each text."""
    records: list[Record] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    odd: dict[str, int] = field(default_factory=dict)
    """Encoding -> texts that were read by it, the first one left out."""

    def add(self, source: str, post: str, sentiment: str) -> None:
        """One post of a list; its text is read now."""
        reason = (
            ""
            if sentiment in SENTIMENTS
            else f"unknown tag '{sentiment}' (there are {', '.join(SENTIMENTS)})"
        )
        if not NUMBER.match(post):
            reason = "not the name of a post"
        text = "" if reason else self._text(post)
        if not reason and not text:
            reason = "no text, or an empty one"
        if reason:
            self.rejects.append({"source": source, "value": post, "reason": reason})
            return
        self.records.append(Record(post, "", f"{post}.jpg", (text,), sentiment=sentiment))

    def reading(self, options: Mapping[str, str]) -> Reading:
        """The posts, with splits of 80, 10 and 10 percent drawn by the `seed` of the options.

        Raises:
            UsageError: when it is no whole number.
        """
        seed = whole_number("seed", options)
        for encoding, count in self.odd.items():
            self.remarks.append(f"{count:,} texts are not {self.encodings[0]}; read as {encoding}")
        split = seeded_split([record.id for record in self.records], seed)
        records = [replace(record, split=split[record.id]) for record in self.records]
        self.remarks.append(f"no splits are published: split 80/10/10 by post with seed {seed}")
        return Reading(
            records,
            self.folder,
            remarks=tuple(self.remarks),
            rejects=self.rejects,
            drawn=frozenset(record.id for record in records),
            pictures_optional=True,
        )

    def _text(self, post: str) -> str:
        """The text of a post on one line; nothing where there is no file."""
        try:
            raw = (self.folder / f"{post}.txt").read_bytes()
        except OSError:
            return ""
        text, encoding = decode_text(raw, self.encodings)
        if encoding != self.encodings[0]:
            self.odd[encoding] = self.odd.get(encoding, 0) + 1
        return " ".join(text.split())


def decode_text(raw: bytes, encodings: Sequence[str]) -> tuple[str, str]:
    """The text by the first encoding that fits, else by the first with marks for what it lacks; its name."""
    for encoding in encodings:
        try:
            return raw.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return raw.decode(encodings[0], errors="replace"), f"{encodings[0]} with marks for what it lacks"
