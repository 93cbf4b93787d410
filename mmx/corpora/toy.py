"""toy: drawn scenes of coloured shapes with captions, made here; no download.

"a red circle to the left of two blue squares" and "a blue circle to the left of two red squares" both occur,
so that the order of the words matters. No two scenes mean the same.
"""

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.core.errors import UsageError
from mmx.core.record import SPLITS, Record
from mmx.core.seed import derive_seed
from mmx.corpora._options import whole_number
from mmx.corpora._toy_captions import describe
from mmx.corpora._toy_drawing import draw
from mmx.corpora._toy_scenes import Scene, SceneSource

CAPTIONS = 5
TENTH = 10
BOUNDS = {"scenes": (10, 50_000), "size": (32, 1024), "seed": (0, 2**63)}


def read(raw: Path, options: Mapping[str, str]) -> Reading:
    """Draw the scenes into the folder `raw`."""
    numbers = (whole_number(name, options, *bounds) for name, bounds in BOUNDS.items())
    return Reading(_draw_all(raw, *numbers), raw)


def split_sizes(scenes: int) -> dict[str, int]:
    """A tenth of the scenes for val, a tenth for test, the rest for train."""
    held_out = max(1, scenes // TENTH)
    return dict(zip(SPLITS, (scenes - 2 * held_out, held_out, held_out), strict=True))


def _draw_all(folder: Path, scenes: int, size: int, seed: int) -> Iterator[Record]:
    source = SceneSource(derive_seed("toy scenes", seed))
    families = source.families()
    number = itertools.count()
    for split, wanted in split_sizes(scenes).items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        yield from (
            _draw_one(folder, split, next(number), scene, size, seed) for scene in _take(families, wanted)
        )


def _take(families: Iterator[list[Scene]], wanted: int) -> Iterator[Scene]:
    """So many scenes; a family that does not fit whole is cut, never shared with the next split."""
    while wanted > 0:
        family = next(families, [])[:wanted]
        if not family:
            raise UsageError("there are not that many different scenes. Ask for fewer: --set scenes=2000")
        wanted -= len(family)
        yield from family


def _draw_one(folder: Path, split: str, number: int, scene: Scene, size: int, seed: int) -> Record:
    chance = random.Random(derive_seed("toy drawing", seed, number))
    image = f"{split}/{number:05d}.png"
    draw(scene, size, chance).save(folder / image, compress_level=3)
    return Record(
        id=f"toy-{number:05d}",
        split=split,
        image=image,
        captions=describe(scene, CAPTIONS, chance),
        extra={"arrangement": scene.arrangement, "groups": [asdict(group) for group in scene.groups]},
    )


CORPUS = Corpus(
    summary="Drawn scenes of coloured shapes with five captions each; made here, no download.",
    layout="Nothing: the scenes are drawn.",
    read=read,
    options={"scenes": "2000", "size": "128", "seed": "0"},
    needs_raw=False,
)
