"""Scope: which pictures of a folder belong to its index, by rules on names that the nearest one decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

WHOLE = "."


@dataclass(frozen=True)
class Scope:
    """What was added and what was removed: a file or folder below the indexed one -> whether it is in.

    Of the rules on a picture and on the folders above it, the one on the longest name counts; without any it
    is out.
    """

    rules: Mapping[str, bool] = field(default_factory=lambda: {WHOLE: True})

    def covers(self, id: str) -> bool:
        """Whether the picture of this name is in."""
        name = PurePosixPath(id)
        for place in (name, *name.parents):
            if str(place) in self.rules:
                return self.rules[str(place)]
        return False

    def with_rule(self, name: str, is_in: bool) -> "Scope":
        """The scope after a file or folder was added or removed, with all that is below it."""
        kept = {
            other: rule
            for other, rule in self.rules.items()
            if other != name and name != WHOLE and PurePosixPath(name) not in PurePosixPath(other).parents
        }
        return Scope({**kept, name: is_in})


NOTHING = Scope({})
EVERYTHING = Scope()
