"""A home with one of each artefact, made by the commands themselves, and a way to type further commands.

Everything is tiny: 20 drawn scenes of 32 pixels, encoders with random weights, one epoch.
"""

import contextlib
import io
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy
from PIL import Image

from mmx.cli.app import main
from mmx.core.home import Home
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from tests.post_corpus import write_posts
from tests.shot_files import write_photos

CPU = ("--device", "cpu")
TINY = ("--preset", "tiny", *CPU)
MODEL = ("--model", "random:clip")
SECONDS = 240
COLOURS = {"red.png": "red", "green.png": "green", "blue.png": "blue"}


@dataclass(frozen=True)
class Answer:
    """What a command left behind: its exit code, and what it said."""

    code: int
    out: str
    err: str

    @property
    def is_typed_error(self) -> bool:
        """Whether it failed as a user can mend it: a code of its own, and a sentence without a traceback."""
        return 2 <= self.code <= 7 and "mmx: " in self.err and "Traceback" not in self.err


class Hang(BaseException):
    """A command that did not come back."""


@contextlib.contextmanager
def alarm(seconds: int) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def mmx(home: Path, *words: object) -> Answer:
    """Type a command; what it raises beside MmxError goes through, as it would at a keyboard."""
    out, err = io.StringIO(), io.StringIO()
    environment = {"MMX_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    with (
        patch.dict(os.environ, environment),
        patch.object(sys, "argv", ["mmx", *map(str, words)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        alarm(SECONDS),
    ):
        try:
            main()
        except SystemExit as left:
            return Answer(int(left.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main came back without an exit code")


def done(home: Path, *words: object) -> str:
    """Type a command that must succeed; gives its standard output."""
    answer = mmx(home, *words)
    assert answer.code == 0, f"{words}: {answer.code}\n{answer.out}\n{answer.err}"
    return answer.out


@contextlib.contextmanager
def interrupted_after(lines: int) -> Iterator[None]:
    """Ctrl-C when so many lines of a training's log are written."""
    append, written = RunFolder.append_log, []

    def counted(self: RunFolder, line: dict) -> None:
        append(self, line)
        written.append(line)
        if len(written) == lines:
            os.kill(os.getpid(), signal.SIGINT)

    # A suite that a shell runs in the background has Ctrl-C switched off from the start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with patch.object(RunFolder, "append_log", counted):
            yield
    finally:
        signal.signal(signal.SIGINT, before)


def make_world(root: Path) -> Path:
    """Make everything there is below a folder; gives the home."""
    home, photos = root / "home", root / "photos"
    runs = Home(home).runs
    photos.mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (32, 24), colour).save(photos / name)
    done(home, "prepare", "toy", "--set", "scenes=20", "--set", "size=32")
    done(home, "extract", "toy", "--encoder", "random:clip", *CPU)
    train = ("train", "attention-clip", "--dataset", "toy", *TINY)
    done(home, *train, "--epochs", 1, "--out", runs / "first")
    done(home, *train, "--epochs", 1, "--seed", 1, "--out", runs / "second")
    with interrupted_after(1):
        answer = mmx(home, *train, "--epochs", 3, "--out", runs / "stopped")
    assert answer.code == 130, answer
    done(home, "train", "mh-cvse", "--dataset", "toy", *TINY, "--epochs", 1, "--out", runs / "counted")
    done(home, "evaluate", "first", *CPU)
    done(home, "search", "red", "--run", "first", "--min-score", "50%", "--no-sheet", *CPU)
    done(home, "index", "add", photos, *MODEL)
    write_photos(root / "classes", {"train": 3, "val": 2, "test": 2})
    done(home, "prepare", "colours", "--raw", root / "classes")
    few = ("fewshot", "colours", "--method", "linear-probe", "--shots", 2, "--seeds", 1, *CPU)
    done(home, *few, "--encoder", "random:clip", "--out", runs / "head")
    numpy.save(root / "val.npy", numpy.ones((2, 64), numpy.float32))
    ids = [record.id for record in Manifest.open(Home(home).dataset("toy")).split("val")]
    (root / "val.txt").write_text("\n".join(ids))
    write_posts(root / "posts")
    done(home, "prepare", "posts", "--raw", root / "posts")
    return home


def copied(world: Path, place: Path) -> Path:
    """A copy of a world's folder that may be spoiled; gives its home. Links and times stay as they are."""
    shutil.copytree(world, place, symlinks=True)
    return place / "home"
