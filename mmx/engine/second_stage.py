"""The second stage over one split: what it keeps of all items, and fine scores of any of their pairs.

Shapes: N images, C captions, G and Q of them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmx.core.device import free_memory
from mmx.core.errors import TrainingError
from mmx.core.task import Rerank
from mmx.engine.evaluation_mode import evaluating
from mmx.engine.kept import KeptItems

ScorePairs = Callable[[Tensor, Tensor], Tensor]
"""Rows of images [G] and of captions [Q], int64 -> their fine scores [Q, G] float32, on the CPU."""

CPU_PAIRS, DEVICE_PAIRS = 1_024, 16_384
"""Pairs scored at a time: what fits a processor's caches; what keeps an accelerator at work."""
SHARE = 0.25
"""Of an accelerator's free memory, that may hold what is kept; else it is brought there block by block."""


@dataclass(frozen=True)
class SecondStage:
    """A trained model's finer look at the images and captions of one split."""

    model: nn.Module
    rerank: Rerank
    images: KeptItems
    texts: KeptItems
    order: Tensor
    """[C] int64: captions by length, so that those scored together are of like length."""
    device: torch.device
    image_names: Sequence[str]
    text_names: Sequence[str]

    @property
    def weight(self) -> float:
        """That of the fine score, as it was trained."""
        return float(self.rerank.weight(self.model))

    @property
    def pairs(self) -> int:
        """How many are best scored at a time."""
        return CPU_PAIRS if self.device.type == "cpu" else DEVICE_PAIRS

    @contextmanager
    def scoring(self) -> Iterator[ScorePairs]:
        """What scores pairs, while the model is held in evaluation mode; in float32, whatever the model's
        precision, since blocks of different shapes must give the same.

        Raises:
            TrainingError: from the scoring, when a score is not finite; names the first pair.
        """
        free = SHARE * free_memory(self.device)
        images, texts = self.images, self.texts
        if images.nbytes + texts.nbytes <= free:
            images, texts = images.to(self.device), texts.to(self.device)

        def score(image_rows: Tensor, text_rows: Tensor) -> Tensor:
            kept = images.take(image_rows), texts.take(text_rows)
            there = ({name: value.to(self.device) for name, value in side.items()} for side in kept)
            found = self.rerank.fine(self.model, *there).float().cpu()
            self._check(found, image_rows, text_rows)
            return found

        with evaluating(self.model):
            yield score

    def _check(self, found: Tensor, image_rows: Tensor, text_rows: Tensor) -> None:
        if found.isfinite().all():
            return
        text, image = (~found.isfinite()).nonzero()[0].tolist()
        pair = f"{self.image_names[int(image_rows[image])]} and {self.text_names[int(text_rows[text])]}"
        raise TrainingError(
            f"the fine score of {pair} is not a finite number. Evaluate with --device cpu, or train again "
            "with a smaller rate."
        )


def active(rerank: Rerank | None, model: nn.Module) -> Rerank | None:
    """The second stage where it has a say: one of weight 0 is not worth what it takes."""
    return None if rerank is None or rerank.weight(model) == 0 else rerank
