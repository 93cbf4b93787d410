"""What a trained model says of the posts of a split: tags of words, or classes; each post once, in order.

Shapes: N posts, B posts of a batch, W words, K classes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.errors import TrainingError
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.core.task import Classification, Tagging
from mmx.engine.evaluation_mode import evaluating
from mmx.engine.evaluator import read_parts
from mmx.engine.precision import autocast
from mmx.engine.split_data import SplitData
from mmx.engine.unreadable import unreadable
from mmx.store.images import ImageError


@dataclass(frozen=True)
class TaggedPost:
    """Tags of the words of one post, as far as the model reads them."""

    tags: tuple[int, ...]
    """-1 for words that it does not read."""
    scores: tuple[float, ...]
    """How probable each tag is, from 0 to 1."""


def tag_split(
    model: nn.Module,
    task: Tagging,
    data: SplitData,
    device: torch.device,
    batch_size: int,
    precision: str,
    reporter: Reporter,
) -> list[TaggedPost]:
    """Tags of all posts, in their order, whatever their number.

    Raises:
        DataError: when a picture can no longer be read.
        TrainingError: when a score is not finite; names the post.
    """
    found: dict[int, TaggedPost] = {}
    for rows, (tags, scores) in _outputs(model, task.decode, data, device, batch_size, precision, reporter):
        _check_finite(scores, rows, data)
        for row, own_tags, own_scores in zip(rows.tolist(), tags.tolist(), scores.tolist(), strict=True):
            words = len(data.records[row].words)
            found[row] = TaggedPost(tuple(own_tags[:words]), tuple(own_scores[:words]))
    return [found[row] for row in range(len(data.records))]


def sort_split(
    model: nn.Module,
    task: Classification,
    data: SplitData,
    device: torch.device,
    batch_size: int,
    precision: str,
    reporter: Reporter,
) -> Tensor:
    """Probabilities of the classes of all posts [N, K] float32, in their order.

    Raises:
        DataError: when a picture can no longer be read.
        TrainingError: when a probability is not finite; names the post.
    """
    found = None
    for rows, probabilities in _outputs(model, task.sort, data, device, batch_size, precision, reporter):
        _check_finite(probabilities, rows, data)
        if found is None:
            found = torch.empty(len(data.records), probabilities.shape[1])
        found[rows] = probabilities.float().cpu()
    # a copy, since what is made in inference mode cannot be changed by whoever is given it
    return present(found).clone()


def _outputs(
    model: nn.Module,
    say: Callable[[nn.Module, Batch], Any],
    data: SplitData,
    device: torch.device,
    batch_size: int,
    precision: str,
    reporter: Reporter,
) -> Iterator[tuple[Tensor, Any]]:
    """Rows [B] and what the model says of them, short posts first, so that little of a batch is padding."""
    captions = data.caption_offsets[:-1]
    lengths = data.texts.lengths
    order = torch.arange(len(captions)) if lengths is None else lengths[captions].argsort(stable=True)

    def read(rows: Tensor) -> Batch:
        try:
            return data.batch(rows, captions[rows])
        except ImageError as error:
            raise unreadable(data, rows, error) from error

    parts = order.split(batch_size)
    with evaluating(model), reporter.progress("reading posts", len(order), "posts") as bar:
        for rows, batch in zip(parts, read_parts(read, parts), strict=True):
            with autocast(device, precision):
                said = say(model, batch.to(device))
            yield rows, said
            bar.advance(len(rows))


def _check_finite(scores: Tensor, rows: Tensor, data: SplitData) -> None:
    wrong = (~scores.flatten(1).isfinite().all(1)).nonzero().flatten().tolist()
    if wrong:
        raise TrainingError(
            f"what the model says of post '{data.records[int(rows[wrong[0]])].id}' is not a number. "
            "Evaluate with --device cpu, or train again with a smaller rate."
        )
