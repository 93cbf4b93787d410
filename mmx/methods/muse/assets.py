"""What muse counts before it learns: its task, the names of tags or classes, letters, and words to write.

Source: code of MuSE, commit 812dc19; the tags of sub-words that it adds are left out, and letters are ours.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mmx.core.assets import Assets, AssetSource
from mmx.core.errors import DataError, UsageError
from mmx.core.record import Record
from mmx.methods.muse.settings import MuseSettings
from mmx.methods.muse.spelling import spell
from mmx.words.vocabulary import Vocabulary

TAGGING, SENTIMENT = "tagging", "sentiment"
OUTSIDE = "O"
NEITHER = "Prepare posts that have it."
LEAST_LETTERS = 3
"""Times a letter stands in the training posts to have a number of its own."""


def count_assets(settings: MuseSettings, source: AssetSource) -> Assets:
    """What the training posts hold.

    Raises:
        DataError: when no post has what the task needs, or none holds a word.
        UsageError: when tags are to be learned from pictures alone.
    """
    task = _task_of(settings, source.records)
    values: dict[str, Any] = {"task": task}
    if task == TAGGING:
        if settings.modalities == "image":
            raise UsageError("modalities=image leaves no words to tag. Set modalities=both, or text.")
        values["labels"] = _all_tags(source.records)
        letters = Counter(letter for record in source.records for word in record.words for letter in word)
        values["letters"] = "".join(sorted(letter for letter, n in letters.items() if n >= LEAST_LETTERS))
    else:
        values["labels"] = sorted({record.sentiment for record in source.records if record.sentiment})
    if settings.writes_captions:
        captions = (caption for record in source.records for caption in record.captions)
        values["vocabulary"] = Vocabulary.count(captions, settings.least_count).values()
    return Assets(values)


def chosen_task(settings: MuseSettings, assets: Assets) -> str:
    """The task that a model of these assets is for."""
    return assets.values["task"]


def labels(assets: Assets) -> list[str]:
    """The tags or classes by number."""
    return assets.values["labels"]


def post_ids(settings: MuseSettings, assets: Assets, records: Sequence[Record]) -> dict[str, list[list[int]]]:
    """What is learned of each post and read of it beside its tokens; -1 for an unknown tag or class."""
    numbers = {name: number for number, name in enumerate(labels(assets))}
    if assets.values["task"] == TAGGING:
        unknown = {record.id: [-1] * len(record.words) for record in records if not record.tags}
        ids = {
            "tag_ids": [
                unknown.get(record.id) or [numbers.get(tag, -1) for tag in record.tags] for record in records
            ]
        }
        if settings.spelling:
            letters = {letter: number for number, letter in enumerate(assets.values["letters"])}
            ids["spelling_ids"] = [
                [number for word in record.words for number in spell(word, letters)] for record in records
            ]
    else:
        ids = {"label_ids": [[numbers.get(record.sentiment or "", -1)] for record in records]}
    if settings.writes_captions:
        vocabulary = Vocabulary.from_values(assets.values["vocabulary"])
        ids["spoken_ids"] = [vocabulary.ids(record.captions[0], settings.max_tokens) for record in records]
    return ids


def _task_of(settings: MuseSettings, records: Sequence[Record]) -> str:
    """The task that was asked for, or the one that the records are for.

    Raises:
        DataError: when no record has what it needs.
    """
    there = {
        TAGGING: any(record.tags for record in records),
        SENTIMENT: any(record.sentiment for record in records),
    }
    task = settings.task if settings.task != "auto" else TAGGING if there[TAGGING] else SENTIMENT
    if not there[task]:
        need = {TAGGING: "a tag for each word", SENTIMENT: "a sentiment"}[task]
        found = next((f"They are for {other}: leave out --task." for other in there if there[other]), NEITHER)
        raise DataError(f"no training post has {need}, so that there is no {task} to learn. {found}")
    return task


def _all_tags(records: Sequence[Record]) -> list[str]:
    """O, then B- and I- of every type that stands in the records, whichever of them does."""
    types = sorted({tag[2:] for record in records for tag in record.tags if tag != OUTSIDE})
    return [OUTSIDE, *(f"{mark}-{name}" for name in types for mark in "BI")]
