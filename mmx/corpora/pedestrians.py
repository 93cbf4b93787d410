"""pedestrians: drawn people in several poses with captions, made here; no download. Split by identity.

Of every two people one wears above what the other wears below, so that "a red coat and blue trousers" and "a
blue coat and red trousers" both occur in the same split.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.core.errors import UsageError
from mmx.core.record import SPLITS, Record
from mmx.core.seed import derive_seed
from mmx.corpora._options import whole_number
from mmx.corpora._pedestrian_captions import describe
from mmx.corpora._pedestrian_drawing import draw
from mmx.corpora._pedestrian_people import Person, PersonSource

CAPTIONS = 2
BOUNDS = {"identities": (12, 10_000), "crops": (1, 50), "height": (48, 1_536), "seed": (0, 2**63)}


def read(raw: Path, options: Mapping[str, str]) -> Reading:
    """Draw the people into the folder `raw`."""
    identities, *others = (whole_number(name, options, *bounds) for name, bounds in BOUNDS.items())
    if identities % 2:
        raise UsageError(f"identities={identities} is odd, and people come in pairs. Take {identities + 1}.")
    return Reading(_draw_all(raw, identities, *others), raw)


def split_sizes(identities: int) -> dict[str, int]:
    """Identities of each split, in whole pairs: a tenth for val, a fifth for test, the rest for train."""
    val, test = (2 * max(1, identities // share) for share in (20, 10))
    return dict(zip(SPLITS, (identities - val - test, val, test), strict=True))


def _draw_all(folder: Path, identities: int, crops: int, height: int, seed: int) -> Iterator[Record]:
    people = (one for pair in PersonSource(derive_seed("people", seed)).pairs() for one in pair)
    identity = 0
    for split, wanted in split_sizes(identities).items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for person in islice(people, wanted):
            for crop in range(crops):
                yield _draw_one(folder, split, identity, crop, person, height, seed)
            identity += 1


def _draw_one(
    folder: Path, split: str, identity: int, crop: int, person: Person, height: int, seed: int
) -> Record:
    chance = random.Random(derive_seed("crop", seed, identity, crop))
    name = f"{identity:05d}-{crop}"
    image = f"{split}/{name}.png"
    draw(person, height, chance).save(folder / image, compress_level=3)
    return Record(
        id=f"person-{name}",
        split=split,
        image=image,
        captions=describe(person, CAPTIONS, chance),
        identity=identity,
        extra=asdict(person),
    )


CORPUS = Corpus(
    summary="Person search: drawn people in several poses, two captions a crop; made here, no download.",
    layout="Nothing: the people are drawn.",
    read=read,
    options={"identities": "400", "crops": "4", "height": "192", "seed": "0"},
    needs_raw=False,
)
