"""Explain: which words of a sentence met which regions of a picture, drawn, written, and put to the test."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.batch import Batch
from mmx.core.caption_words import CaptionWords
from mmx.core.errors import DataError
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.core.seed import derive_seed
from mmx.core.task import Retrieval
from mmx.engine.masked_scores import masked_scores
from mmx.engine.regions import boxes_in_picture
from mmx.reports.evidence import Evidence, Word
from mmx.reports.evidence_page import LONGEST
from mmx.store.images import ImageError, load_image
from mmx.words.grammar import is_grammar
from mmx.workflows.evidence_files import Explained, Looked, Pair, write_evidence
from mmx.workflows.faithfulness import explaining_task, weigh
from mmx.workflows.frozen_features import MADE_ELSEWHERE
from mmx.workflows.matcher import Matcher
from mmx.workflows.stored_regions import read_stored, regions_key

RANDOM = "An encoder has random weights: this is for trying things out, not a result."


def check_explains(matcher: Matcher) -> Retrieval:
    """The task of a run that explains its scores.

    Raises:
        UsageError: when it does not; names the methods that do.
    """
    if matcher.opened is None:
        return explaining_task(None, f"'{matcher.name}' is a pretrained pair of towers")
    method = matcher.opened.folder.facts["method"]
    return explaining_task(matcher.opened.method, f"'{matcher.name}' was trained with '{method}'")


def explain_pairs(
    matcher: Matcher, pairs: Sequence[Pair], place: Path, title: str, reporter: Reporter
) -> Explained:
    """Draw and write what the score of each pair rests on, beside `place`: `-1.png`, .., `.html`, `.json`.

    A pair whose picture is gone is left out with a warning.

    Raises:
        UsageError: when the run does not explain its scores.
        DataError: when no picture can be read.
        ArtifactError: when the places of the regions are not known.
        ResourceError: when the files cannot be written.
    """
    task = check_explains(matcher)
    looked: list[Looked] = []
    for pair in pairs:
        try:
            looked.append(_look(matcher, task, pair))
        except ImageError as error:
            reporter.warn(f"'{pair.shown_path}' cannot be read and is not explained: {error}")
    if not looked:
        raise DataError("nothing can be explained: there is no hit whose picture can be read.")
    drawn = any(use.encoder.startswith("random:") for use in present(matcher.opened).uses.values())
    return write_evidence(looked, matcher.name, place, title, (RANDOM,) * drawn)


def _look(matcher: Matcher, task: Retrieval, pair: Pair) -> Looked:
    """What one pair rests on, and what its score loses without.

    Raises:
        ImageError: when the picture cannot be read.
    """
    model = present(matcher.opened).model
    picture = load_image(pair.path, LONGEST)
    image, boxes = _regions(matcher, pair, picture.size)
    batch = replace(image, **_filled(matcher.read_texts([pair.caption])))
    weights, mask, drops = weigh(model, task, batch, derive_seed("evidence", pair.id, pair.caption))
    score = float(masked_scores(model, task, batch, mask[None])) if drops is None else drops.score
    words = matcher.words([pair.caption])[0]
    evidence = Evidence(
        rank=pair.rank,
        id=pair.id,
        path=pair.shown_path,
        caption=pair.caption,
        score=score,
        picture=picture,
        boxes=tuple(tuple(box) for box in boxes[mask].clamp(0, 1).tolist()),
        words=_words(words, weights[:, mask], task.adds_up),
        adds_up=task.adds_up,
    )
    return Looked(pair, evidence, drops)


def _regions(matcher: Matcher, pair: Pair, size: tuple[int, int]) -> tuple[Batch, Tensor]:
    """The picture as the model reads it, as it stands, and the places of its regions [R, 4] within it."""
    opened = present(matcher.opened)
    key = regions_key(opened.uses)
    if opened.uses[key].encoder.startswith(MADE_ELSEWHERE):
        image = read_stored(opened, pair.source, pair.id)
        return image.to(next(opened.model.parameters()).device), image.region_boxes[0]
    image = matcher.read_image(pair.path, beside=("region_boxes",))
    # The mirrored picture has its regions elsewhere, and cannot be shown on this one.
    image = replace(image, region_features_mirrored=None)
    return image, boxes_in_picture(image.region_boxes[0].cpu(), matcher.view(key), size)


def _filled(batch: Batch) -> dict[str, Tensor]:
    return {name: value for name, value in vars(batch).items() if value is not None}


def _words(words: CaptionWords, weights: Tensor, adds_up: bool) -> tuple[Word, ...]:
    """Weights of tokens [L, R] -> words: parts of the score add up over pieces, attention is their mean."""
    of_word = torch.zeros(len(words.words), weights.shape[1])
    of_word.index_add_(0, torch.tensor(words.of_token), weights)
    if not adds_up:
        of_word /= torch.tensor(words.of_token).bincount()[:, None]
    return tuple(
        Word(
            text=text,
            weights=tuple(of_word[place].tolist()),
            kind="special" if place in words.special else "stop" if is_grammar(text) else "word",
            unknown=place in words.unknown,
        )
        for place, text in enumerate(words.words)
    )
