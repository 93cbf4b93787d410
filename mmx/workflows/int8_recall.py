"""What int8 costs a run: its recall on val with exported towers in int8 beside that of its own.

Shapes: N pictures, C captions, D width of the shared space.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.present import present
from mmx.core.record import have_identities
from mmx.core.reporter import Reporter
from mmx.encoders.onnx_session import OnnxSession
from mmx.engine.split_data import PixelImages, SplitData, TextSource
from mmx.store.manifest import Manifest
from mmx.tasks.rank_sums import RankSums
from mmx.tasks.rerank import FirstStage
from mmx.tasks.resampling import EQUAL, Difference, paired_test
from mmx.tasks.retrieval import primary_metric, retrieval_metrics
from mmx.workflows.decoded_photos import encode_photos
from mmx.workflows.evaluate_settings import warn_of_other_state
from mmx.workflows.matcher import Matcher
from mmx.workflows.stage_rows import VAL

TOLERANCE = 1.0
"""The most points of 100 that a recall may fall, unless another number is asked for."""
FLOAT, WORDS, BOTH = "float", "words in int8", "both in int8"


@dataclass(frozen=True)
class MeasuredTowers:
    """One choice of towers, and what is found with it."""

    towers: str
    """`float`; `words in int8`, which look in pictures encoded in float, as a search does; `both in int8`."""
    metrics: Mapping[str, float]
    """In percent, and median ranks."""
    differences: Mapping[str, Difference]
    """To float; none of float itself."""


@dataclass(frozen=True)
class Int8Recall:
    """What was measured, on what, and what was allowed."""

    dataset: str
    manifest_fingerprint: str
    pictures: int
    captions: int
    tolerance: float
    primary_metric: str
    rows: tuple[MeasuredTowers, ...]

    def document(self) -> dict[str, Any]:
        """Plain data, for JSON and the record of the export."""
        rows = [
            {**vars(row), "differences": {name: vars(found) for name, found in row.differences.items()}}
            for row in self.rows
        ]
        return {"split": VAL, **vars(self), "rows": rows}

    def check(self, run: str) -> None:
        """Make sure that no recall falls by more than is allowed; the sum of recalls is no recall.

        Raises:
            ArtifactError: when one does.
        """
        falls = [
            (-found.difference, name, row)
            for row in self.rows
            for name, found in row.differences.items()
            if name != "rsum"
        ]
        fall, name, row = max(falls, key=lambda found: found[0])
        if fall > self.tolerance + EQUAL:
            raise ArtifactError(
                f"'{run}' loses {fall:.2f} points of {name} with {row.towers}: "
                f"{self.rows[0].metrics[name]:.2f} become {row.metrics[name]:.2f} on '{self.dataset}' {VAL} "
                f"({self.pictures:,} pictures, {self.captions:,} captions), and {self.tolerance:g} is the "
                "most. Nothing was kept. Leave out --int8, or allow more: --int8-tolerance POINTS."
            )


@dataclass(frozen=True)
class Val:
    """The pictures and captions that recall is measured on."""

    manifest: Manifest
    data: SplitData
    paths: Sequence[Path]
    captions: Sequence[str]


def open_val(matcher: Matcher, reporter: Reporter) -> Val:
    """Find out before any work whether recall can be measured.

    Raises:
        ArtifactError: when the dataset of the run is not at hand, or has no val split.
    """
    opened = present(matcher.opened)
    try:
        manifest = opened.assembly.manifest
        records = [record for record in manifest.split(VAL) if record.image is not None]
        paths = [manifest.image_path(record) for record in records]
    except (ArtifactError, UsageError, DataError) as error:
        raise ArtifactError(
            f"--int8 is kept only where recall on {VAL} holds, and '{opened.dataset}' {VAL}, which "
            f"'{matcher.name}' was chosen by, cannot be read. Leave out --int8, or mend this: {error}"
        ) from error
    captions = [caption for record in records for caption in record.captions]
    if not captions:
        raise ArtifactError(
            f"--int8 is kept only where recall on {VAL} holds, and '{manifest.name}' {VAL} has no pictures "
            "with captions. Leave out --int8."
        )
    warn_of_other_state(opened.folder, manifest, reporter)
    data = SplitData(records, PixelImages(paths, matcher.view("image")), matcher.number_texts(captions))
    return Val(manifest, data, paths, captions)


def recall_in_int8(
    matcher: Matcher, val: Val, sessions: Mapping[str, OnnxSession], tolerance: float, reporter: Reporter
) -> Int8Recall:
    """Rank val with the run's own towers, with sentences in int8 and, where pictures were exported too, with
    both. In int8 each is encoded by itself: what it is beside in a batch would change how it is rounded.

    Raises:
        DataError: when a picture cannot be read any more, or no query has a right answer.
    """
    image, unreadable = matcher.encode_images(val.paths, reporter)
    if unreadable:
        place, reason = unreadable[0]
        raise DataError(
            f"{len(unreadable):,} pictures of '{val.manifest.name}' {VAL} cannot be read, the first "
            f"'{val.paths[place]}': {reason}. Prepare it again: mmx prepare {val.manifest.name} --raw PATH"
        )
    text = _sentences(sessions["text"], val.data.texts, len(val.captions), reporter)
    pairs = {FLOAT: (image, matcher.encode_texts(val.captions)), WORDS: (image, text)}
    if "image" in sessions:
        pairs[BOTH] = (_pictures(sessions["image"], val, matcher, reporter), text)
    lists = have_identities(val.data.records)
    groups = val.data.image_group, val.data.text_group
    ranks = {name: FirstStage.of(*pair, *groups, lists).ranks for name, pair in pairs.items()}
    sums = {name: RankSums(found, *groups) for name, found in ranks.items()}
    rows = tuple(
        MeasuredTowers(
            name,
            retrieval_metrics(found),
            {} if name == FLOAT else paired_test([sums[name]], [sums[FLOAT]]),
        )
        for name, found in ranks.items()
    )
    about = val.manifest.name, val.manifest.fingerprint, len(image), len(text)
    return Int8Recall(*about, tolerance, primary_metric(ranks[FLOAT]), rows)


def _sentences(session: OnnxSession, texts: TextSource, count: int, reporter: Reporter) -> Tensor:
    """[C, D], each by itself."""
    vectors = []
    with reporter.progress("encode sentences in int8", count, "sentences") as bar:
        for place in range(count):
            numbers = texts.read(torch.tensor([place]))
            vectors.append(session({name: value.numpy() for name, value in numbers.items()})[0])
            bar.advance(1)
    return torch.stack([torch.from_numpy(vector) for vector in vectors])


def _pictures(session: OnnxSession, val: Val, matcher: Matcher, reporter: Reporter) -> Tensor:
    """[N, D], each by itself."""
    # pictures of one size stand in one tensor; those of their own sizes are of a side that is not exported
    return encode_photos(
        val.paths,
        matcher.view("image"),
        1,
        lambda pixels: torch.from_numpy(session({"pixels": torch.as_tensor(pixels).numpy()})),
        reporter,
    )[0]
