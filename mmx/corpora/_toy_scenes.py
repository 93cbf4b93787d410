"""Scenes of coloured shapes as plain descriptions: what is drawn, and no other scene of the corpus shows.

A scene has one to three groups of equal shapes and an arrangement of the groups. Half of the pairs have twins
that say the same words in another order (colours swapped, sides swapped), so that a matcher of bare words
cannot tell them apart.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "black")
MOST_SHAPES = 4
MOST_OF_THREE = 2
SHARE_OF_GROUPS = (0.06, 0.62, 0.32)
SHARE_OF_TWINS = 0.5
ARRANGEMENTS = {1: ("alone",), 2: ("row", "column"), 3: ("row", "column", "pair-above", "pair-below")}
PATIENCE = 10_000


@dataclass(frozen=True)
class Group:
    """Some equal shapes of one colour."""

    count: int
    colour: str
    shape: str


@dataclass(frozen=True)
class Scene:
    """Groups in an arrangement.

    `row`: from left to right. `column`: from top to bottom. `pair-above`: the first two side by side above
    the third. `pair-below`: the first above the second and third, which stand side by side.
    """

    arrangement: str
    groups: tuple[Group, ...]

    def facts(self) -> set[tuple[Group, str, Group]]:
        """Every true sentence about two of its groups."""
        pairs = list(itertools.combinations(self.groups, 2))
        if self.arrangement == "row":
            return {(a, "left of", b) for a, b in pairs}
        if self.arrangement == "column":
            return {(a, "above", b) for a, b in pairs}
        if self.arrangement == "pair-above":
            a, b, c = self.groups
            return {(a, "left of", b), (a, "above", c), (b, "above", c)}
        if self.arrangement == "pair-below":
            a, b, c = self.groups
            return {(a, "above", b), (a, "above", c), (b, "left of", c)}
        return set()


class SceneSource:
    """Draws scenes of which no two mean the same, and of which no pair is a part of a scene of three."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._seen: set[Scene] = set()
        self._pairs: set[tuple[Group, str, Group]] = set()
        self._parts: set[tuple[Group, str, Group]] = set()

    def families(self) -> Iterator[list[Scene]]:
        """Families until none is new: a scene with its twins, if any; the caller keeps them in one split."""
        misses = 0
        while misses < PATIENCE:
            family = [scene for scene in self._family() if self._is_new(scene)]
            misses = 0 if family else misses + 1
            if family:
                yield family

    def _family(self) -> list[Scene]:
        size = self._random.choices((1, 2, 3), SHARE_OF_GROUPS)[0]
        scene = Scene(self._random.choice(ARRANGEMENTS[size]), self._groups(size))
        if size != 2 or self._random.random() >= SHARE_OF_TWINS:
            return [scene]
        first, second = scene.groups
        sides = replace(scene, groups=(second, first))
        colours = (replace(first, colour=second.colour), replace(second, colour=first.colour))
        return [scene, *(twin for twin in (sides, replace(scene, groups=colours)) if twin != scene)]

    def _groups(self, size: int) -> tuple[Group, ...]:
        most = MOST_OF_THREE if size == 3 else MOST_SHAPES
        kinds = self._random.sample(list(itertools.product(COLOURS, SHAPES)), size)
        return tuple(Group(self._random.randint(1, most), colour, shape) for colour, shape in kinds)

    def _is_new(self, scene: Scene) -> bool:
        facts = scene.facts()
        taken = self._parts if len(scene.groups) == 2 else self._pairs
        if scene in self._seen or facts & taken:
            return False
        self._seen.add(scene)
        (self._pairs if len(scene.groups) == 2 else self._parts).update(facts)
        return True
