"""Damage each artefact again and again at random, and count what is loaded then.

    python -m tests.faults.mutations FOLDER [COUNT] [NAME...]

A typed error, an equal result, or an artefact that mmx makes again by itself are right. Everything else is a
fault of mmx: another exception, no end, or values that differ without a word.
"""

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmx.core.errors import MmxError
from tests.faults.artefacts import MADE_AGAIN, Artefact, artefacts
from tests.faults.mutate import mutations_for
from tests.faults.world import Hang, alarm, make_world

REFUSED, EQUAL, WRONG = "refused", "equal", "WRONG VALUES"
RIGHT = {REFUSED, EQUAL, MADE_AGAIN}
SWAPPED = 0.05
SECONDS = 20


def spoil_often(artefact: Artefact, others: Sequence[Path], count: int, seed: int) -> list[tuple[str, str]]:
    """(what was done, what came of it) of each damage; the files are as they were afterwards."""
    chance, found = random.Random(seed), []
    whole = artefact.load()
    for _ in range(count):
        path = chance.choice(list(artefact.files))
        before = path.read_bytes()
        if chance.random() < SWAPPED:
            strangers = [file for file in others if file.suffix == path.suffix and file.name != path.name]
            other = chance.choice(strangers)
            done, after = f"swapped for {other.name}", other.read_bytes()
        else:
            mutation = chance.choice(mutations_for(path.name))
            done, after = mutation.__name__, mutation(before, chance)
        path.write_bytes(after)
        try:
            found.append((f"{path.name} {done}", _outcome(artefact, whole)))
        finally:
            path.write_bytes(before)
    return found


def _outcome(artefact: Artefact, whole: Any) -> str:
    try:
        with alarm(SECONDS):
            loaded = artefact.load()
    except MmxError:
        return REFUSED
    except Hang:
        return "NO END"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:80]}"
    if isinstance(loaded, str) and loaded == MADE_AGAIN:
        return MADE_AGAIN
    return EQUAL if loaded == whole else WRONG


def main(place: Path, count: int, wanted: Sequence[str]) -> int:
    """Print a line of JSON for each artefact; the exit code says whether any fault was found."""
    if not place.exists():
        make_world(place)
    found: Mapping[str, Artefact] = artefacts(place)
    others = [file for artefact in found.values() for file in artefact.files]
    faults = 0
    for name, artefact in found.items():
        if wanted and name not in wanted:
            continue
        outcomes = spoil_often(artefact, others, count, seed=len(name))
        counts = Counter(outcome for _, outcome in outcomes)
        wrong = Counter(pair for pair in outcomes if pair[1] not in RIGHT)
        faults += sum(wrong.values())
        line = {
            "artefact": name,
            **counts,
            "faults": [f"{times}x {done}: {what}" for (done, what), times in wrong.most_common(12)],
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    return int(faults > 0)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000, sys.argv[3:]))
