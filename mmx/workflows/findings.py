"""What a check found: counted by kind, with a few examples, and every row that was left out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmx.core.errors import DataError

EXAMPLES = 3
LONGEST_VALUE = 200
LEFT_OUT, KEPT, REFUSED = "left out", "kept", "refused"


@dataclass(frozen=True)
class Reject:
    """A row, caption or picture that was left out."""

    what: str
    """`row`, `caption` or `record`."""
    source: str
    """The record's id, or the file and line."""
    value: str
    reason: str


@dataclass
class Finding:
    """One kind of thing found."""

    kind: str
    done: str
    """`left out`, `kept` or `refused`."""
    count: int = 0
    examples: list[str] = field(default_factory=list)


class Findings:
    """Gathers what is found; with `fail` the first row left out is an error."""

    def __init__(self, fail: bool) -> None:
        self._fail = fail
        self._by_kind: dict[str, Finding] = {}
        self.rejects: list[Reject] = []

    def note(self, kind: str, example: str, done: str = KEPT, count: int = 1) -> None:
        """Count something that is told and kept."""
        finding = self._by_kind.setdefault(kind, Finding(kind, done))
        finding.count += count
        if len(finding.examples) < EXAMPLES:
            finding.examples.append(_short(example))

    def leave_out(self, what: str, source: str, value: str, reason: str, kind: str | None = None) -> None:
        """Put something among the rejects.

        Raises:
            DataError: when nothing may be left out.
        """
        if self._fail:
            raise DataError(
                f"{source}: '{_short(value)}': {reason}. Mend it, or leave such rows out: --on-error skip"
            )
        self.rejects.append(Reject(what, source, _short(value), reason))
        self.note(kind or reason, f"{source}: {value}" if value and value != source else source, LEFT_OUT)

    def add_rejects(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take over what a reader left out."""
        for row in rows:
            reason = str(row["reason"])
            self.leave_out("row", str(row["source"]), str(row["value"]), reason, reason.split(" (")[0])

    def rejected(self, *kinds: str) -> int:
        """How many of these kinds of things were left out."""
        return sum(reject.what in kinds for reject in self.rejects)

    def listed(self) -> list[Finding]:
        """Every finding: refused first, then left out, then kept; the frequent ones first."""
        order = (REFUSED, LEFT_OUT, KEPT)
        return sorted(self._by_kind.values(), key=lambda found: (order.index(found.done), -found.count))


def _short(value: str) -> str:
    # Values come from files of any kind: they are shown on one line and never hold half characters.
    line = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in value)
    return line if len(line) <= LONGEST_VALUE else line[: LONGEST_VALUE - 3] + "..."
