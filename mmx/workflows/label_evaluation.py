"""What an evaluation of labels finds, of photos or of posts: its numbers, and a second run's beside them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from mmx.workflows.answers import DIFFERENCE, Comparison, compare
from mmx.workflows.label_files import LabelTable
from mmx.workflows.labelled import Interval


@dataclass(frozen=True, kw_only=True)
class LabelEvaluation:
    """What was measured, of what and on what."""

    schema: ClassVar[str]

    name: str
    facts: Mapping[str, Any]
    metrics: Mapping[str, float]
    """Percent."""
    intervals: Mapping[str, Interval]
    rows: tuple[Mapping[str, Any], ...]
    """Each class, or each type of entity, with its precision, recall and F1."""
    remarks: tuple[str, ...]
    definitions: tuple[str, ...]
    comparison: Comparison | None = None
    """A second run on the same items."""

    def compared(self, ours: LabelTable, other: Path, theirs: LabelTable, seed: int) -> Self:
        """The same, with a second run beside it.

        Raises:
            ArtifactError: when the runs labelled different items.
        """
        found = compare(Path(self.name), ours, other, theirs.task, theirs, seed)
        definitions = (*self.definitions, DIFFERENCE, ours.found.paired)
        return dataclasses.replace(self, comparison=found, definitions=definitions)

    def document(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        plain = dataclasses.asdict(self)
        facts = plain.pop("facts")
        intervals = {name: list(pair) for name, pair in self.intervals.items()}
        return {"schema": self.schema, **facts, **plain, "intervals": intervals}
