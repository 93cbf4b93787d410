"""FittedMethod: a method with its settings and what it counted, before there are any weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from mmx.core.assets import Assets
from mmx.core.caption_words import CaptionWords
from mmx.core.method import Method
from mmx.core.record import Record
from mmx.core.task import PostTask, Task
from mmx.core.tower import Tower


@dataclass(frozen=True)
class FittedMethod:
    """A method with its settings, and what it counted before learning."""

    method: Method
    settings: Any
    assets: Assets

    @property
    def task(self) -> Task:
        """What the model is selected by."""
        return self.method.tasks[0]

    @property
    def reads_posts(self) -> bool:
        """Whether records are read one by one, with a picture or without, and not matched."""
        return isinstance(self.task, PostTask)

    def caption_ids(self, records: Sequence[Record]) -> Mapping[str, Sequence[Sequence[int]]]:
        """What the method reads of captions beside its text tower."""
        if self.method.caption_ids is None:
            return {}
        return self.method.caption_ids(self.settings, self.assets, records)

    def caption_words(self, captions: Sequence[str]) -> Sequence[CaptionWords]:
        """The words that a method without a text tower reads of captions.

        Raises:
            ValueError: when it does not say which, as one that explains its scores must.
        """
        if self.method.caption_words is None:
            raise ValueError("a method without a text tower needs caption_words to explain its scores")
        return self.method.caption_words(self.settings, self.assets, captions)

    def build(self, towers: Mapping[str, Tower]) -> nn.Module:
        """The model, with the weights that it begins with."""
        return self.method.build(self.settings, dict(towers), self.assets)
