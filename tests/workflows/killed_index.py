"""An index that is killed while it is made, again and again: run by a test, as a process that can be forked.

    python -m tests.workflows.killed_index FOLDER

Prints a line a kill: how many photos were in the index then, and what was wrong with it.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from PIL import Image

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.search import refresh as refreshing
from mmx.store.entries import Entries
from mmx.store.gallery import Gallery
from mmx.workflows import index, searcher
from mmx.workflows.galleries import GALLERY, folder_index
from mmx.workflows.gallery_place import index_folder
from mmx.workflows.index_settings import IndexSettings
from mmx.workflows.index_state import verify
from tests.workflows.stub_matcher import COLOURS, StubMatcher

KILLS, PHOTOS = int(os.environ.get("MMX_TEST_KILLS", "10")), 40
QUIET = SilentReporter()


def add(photos: Path, home: Home) -> None:
    """What `mmx index add DIR` does, saving as often as it can."""
    searcher.open_matcher = lambda *_: StubMatcher()
    refreshing.PIECE, refreshing.SAVE_SECONDS, refreshing.SAVE_SHARE = 2, 0.0, 0
    index.add(IndexSettings(photos, model="stub", home=home), QUIET)


def begun(photos: Path, home: Home) -> int:
    """A process that makes the index of a home."""
    child = os.fork()
    if not child:
        add(photos, home)
        os._exit(0)
    return child


def killed(photos: Path, home: Home, after: float) -> bool:
    """Whether it was still at work when it was killed."""
    child = begun(photos, home)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def look(photos: Path, home: Home) -> dict[str, object]:
    """What is there, before and after a refresh; in a process of its own, so that this one stays small."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with os.fdopen(writing, "w") as answer:
            json.dump(_found(photos, home), answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        found = json.load(answer)
    os.waitpid(child, 0)
    return found


def _found(photos: Path, home: Home) -> dict[str, object]:
    path = index_folder(home, photos, StubMatcher.fingerprint) / GALLERY
    before = len(Gallery.open(path).entries) if path.exists() else 0
    problems = [state.problems for state in verify(photos, home, QUIET)] if path.exists() else []
    matcher = StubMatcher()
    gallery = folder_index(matcher, photos, home, QUIET, add=["."]).gallery
    fresh = Gallery.open(index_folder(Home(photos.parent / "fresh"), photos, matcher.fingerprint) / GALLERY)
    return {
        "before": before,
        "problems": [problem for found in problems for problem in found],
        "encoded": len(matcher.encoded),
        "equal": gallery.entries == fresh.entries and torch.equal(gallery.image_vectors, fresh.image_vectors),
        "left": sorted(file.name for file in path.parent.iterdir()),
    }


def main(place: Path) -> None:
    """Kill at random moments, each time a new index of the same photos."""
    photos, moments = place / "photos", random.Random(0)
    photos.mkdir()
    for number in range(PHOTOS):
        Image.new("RGB", (2, 2 + number), COLOURS[number % len(COLOURS)]).save(photos / f"{number:03}.png")
    # Arrow imports pandas when it first makes a table: once here, and not in every child.
    Entries.of([])
    began = time.monotonic()
    os.waitpid(begun(photos, Home(place / "fresh")), 0)
    whole = time.monotonic() - began
    for number in range(KILLS):
        home, tries = Home(place / f"home-{number}"), 0
        while not killed(photos, home, moments.uniform(0, whole)):
            # The machine was slower when the time was taken: a kill that came too late is made again.
            home, tries, whole = Home(place / f"home-{number}-{tries}"), tries + 1, 0.8 * whole
        sys.stdout.write(json.dumps(look(photos, home)) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
