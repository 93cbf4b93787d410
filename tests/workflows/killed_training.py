"""Trainings of every method that end at a drawn moment: raised in this process, or killed by the system.

    python -m tests.workflows.killed_training FOLDER [KILLS]

trains each method to its end, then again with KILLS deaths by SIGKILL at drawn moments, and prints a line a
method as JSON: how many deaths there were, at which of how many moments, and what differs at the end.
"""

import contextlib
import copy
import functools
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.engine import stage_run
from mmx.engine.train_options import TrainOptions
from mmx.engine.trainer import train as train_model
from mmx.store.checkpoint import read_weights
from mmx.store.manifest import write_manifest
from mmx.store.run import RunFolder
from mmx.workflows.assemble import Assembly, assemble
from mmx.workflows.method_settings import ResolvedMethod, Wishes, resolve_method
from mmx.workflows.train import TrainSettings, train
from mmx.workflows.validation import validation_of

QUIET = SilentReporter()
SMALL = ("batch_size=4", "average=0.5")
CASES = {
    "attention-clip": (*SMALL, "attention=cross", "cross_epochs=1", "epochs=1", "width=8"),
    "attention-clip/pixels": (*SMALL, "train_image=true", "head_epochs=1", "epochs=1", "augment=crop-flip"),
    "region-align": (*SMALL, "region_batch_size=4"),
    "mh-cvse": (*SMALL, "width=8", "heads=2", "concepts=4", "epochs=2"),
    "muse": (*SMALL, "epochs=1", "thumbnail=4"),
    "muse/sentiment": (*SMALL, "epochs=1", "task=sentiment"),
}
"""Each method with its tiny preset, all its stages and an average."""
COLOURS = ("red", "green", "blue", "white")
TAGS = {"Anna": "B-PER", "York": "B-LOC"}
CLASSES = ("good", "bad")
COUNTS = {"train": 8, "val": 6}


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@dataclass(frozen=True)
class Prepared:
    """A method over a corpus, ready to be trained as often as one likes."""

    resolved: ResolvedMethod
    assembly: Assembly
    model: torch.nn.Module

    def train(self, path: Path, seed: int = 0) -> None:
        """Train into a folder, or go on there; a state is saved after every second step.

        With another `seed` than 0 the model begins with other weights, as that of another process may.
        """
        if (path / "settings.json").is_file():
            run = RunFolder.open(path)
        else:
            shutil.rmtree(path, ignore_errors=True)
            facts = {"method": self.resolved.name, "dataset": "drawn", "manifest_fingerprint": "0"}
            more = {"settings": {}, "towers": {}, "tasks": [], "seed": 0}
            run = RunFolder.create(path, {**facts, **more})
        model = copy.deepcopy(self.model)
        begun = (path / "state").is_dir() and any(
            inner.name.isdigit() for inner in (path / "state").iterdir()
        )
        if seed and begun:
            for parameter in model.parameters():
                parameter.data.add_(seed)
        options = TrainOptions(log_every=2, save_steps=2, workers=0)
        validate = validation_of(self.resolved, self.assembly, options)
        data = self.assembly.data("train")
        train_model(self.resolved.method, self.resolved.settings, model, data, run, options, validate, QUIET)


@functools.cache
def prepared(case: str, folder: Path) -> Prepared:
    """A case over the drawn corpus of a folder."""
    home = Home(folder)
    if not home.dataset("drawn").is_dir():
        write_drawn(home)
    wishes = Wishes(preset="tiny", assignments=CASES[case])
    resolved = resolve_method(case.partition("/")[0], wishes)
    assembly = assemble(resolved.method, resolved.settings, home, "drawn", "cpu", QUIET)
    resolved = ResolvedMethod(resolved.name, assembly.fitted.method, resolved.settings, resolved.set_by)
    torch.manual_seed(0)
    return Prepared(resolved, assembly, assembly.fitted.build(assembly.towers))


def write_drawn(home: Home) -> None:
    """Squares on plain pictures, with captions, words, tags and a sentiment, for methods of all kinds."""
    root, records = home.dataset("drawn") / "images", {}
    root.mkdir(parents=True)
    for split, count in COUNTS.items():
        records[split] = []
        for number in range(count):
            colour, other = COLOURS[number % 4], COLOURS[(number // 2 + 1) % 4]
            picture = Image.new("RGB", (32, 32), colour)
            ImageDraw.Draw(picture).rectangle((4 + number, 8, 20 + number, 24), other)
            picture.save(root / f"{split}-{number}.png")
            words = ("Anna" if number % 2 else "York", "sees", other, "on", colour)
            captions = (" ".join(words), f"a {other} square on {colour} number {number}")
            tags = tuple(TAGS.get(word, "O") for word in words)
            record = Record(
                f"{split}-{number}", split, f"{split}-{number}.png", captions[:1], words=words, tags=tags,
                sentiment=CLASSES[number % 2], label=number % 2,
            )  # fmt: skip
            records[split].append(record)
    write_manifest(home.dataset("drawn"), "drawn", root, records, CLASSES, {})


@contextlib.contextmanager
def counted(at_moment: Callable[[int], None]) -> Iterator[list[int]]:
    """Call a function with the number of each moment at which a process may end: before and after every file
    takes its place, every line of the log, every old state that goes, and in the midst of every step.
    """
    moments = [0]

    def moment() -> None:
        moments[0] += 1
        at_moment(moments[0])

    def around(function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapped(*given: object, **named: object) -> object:
            moment()
            found = function(*given, **named)
            moment()
            return found

        return wrapped

    places = [
        (os, "replace"), (os, "rename"), (shutil, "rmtree"),
        (RunFolder, "append_log"), (stage_run.StageRun, "apply_gradients"),
    ]  # fmt: skip
    kept = [(place, name, getattr(place, name)) for place, name in places]
    for place, name, function in kept:
        setattr(place, name, around(function))
    try:
        yield moments
    finally:
        for place, name, function in kept:
            setattr(place, name, function)


@functools.cache
def fitted(folder: Path) -> tuple[Path, int]:
    """The run of a classifier that nothing interrupts, and how many moments it has."""
    prepared("muse", folder)
    fit(folder, folder / "first")  # which extracts the features
    with counted(lambda number: None) as moments:
        fit(folder, folder / "fitted")
    return folder / "fitted", moments[0]


def fit(folder: Path, out: Path) -> None:
    """The few-shot method over the drawn corpus, which learns in memory and has no state to go on from."""
    wishes = Wishes(preset="tiny")
    train(TrainSettings("dynamic-gating", "drawn", wishes, device="cpu", out=out, home=folder), QUIET)


@functools.cache
def unbroken(case: str, folder: Path) -> tuple[Path, int]:
    """The run of a case without any death, and how many moments it has."""
    path = folder / "unbroken" / case.replace("/", "-")
    with counted(lambda number: None) as moments:
        prepared(case, folder).train(path)
    return path, moments[0]


def what_differs(left: Path, right: Path) -> list[str]:
    """Weights, last state, log and metrics that are not equal bit for bit, times aside."""
    found = []
    ours, theirs = (_tensors(path) for path in (left, right))
    if ours.keys() != theirs.keys():
        return [f"tensors: {sorted(ours.keys() ^ theirs.keys())[:2]}"]
    found += [f"tensor {name}" for name in ours if not torch.equal(ours[name], theirs[name])]
    if _log(left) != _log(right):
        found.append("log")
    if RunFolder.open(left).metrics() != RunFolder.open(right).metrics():
        found.append("metrics")
    leftovers = [path.name for path in right.rglob(".mmx-tmp-*")]
    return found + [f"left behind: {name}" for name in leftovers]


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    state = max(inner for inner in (path / "state").iterdir() if inner.name.isdigit())
    files = [path / "model.safetensors", *state.glob("*.safetensors")]
    return {f"{file.name}:{name}": tensor for file in files for name, tensor in read_weights(file).items()}


def _log(path: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if "seconds" not in name} for line in lines]


def killed_by_the_system(case: str, folder: Path, kills: int, draw: random.Random) -> dict[str, object]:
    """A training that is killed so often, each time at a drawn moment of what is left, and then ends."""
    whole, moments = unbroken(case, folder)
    path, drawn, deaths = folder / "killed" / case.replace("/", "-"), [], 0
    shutil.rmtree(path, ignore_errors=True)
    for turn in range(kills):
        drawn.append(draw.randrange(1, max(2, moments // 2)))
        child = os.fork()
        if not child:
            with counted(lambda number: number == drawn[-1] and os.kill(os.getpid(), signal.SIGKILL)):
                prepared(case, folder).train(path, turn)
            os._exit(0)
        deaths += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    prepared(case, folder).train(path, kills)
    return {
        "case": case,
        "moments": moments,
        "drawn": drawn,
        "deaths": deaths,
        "differs": what_differs(whole, path),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    target, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    for name in CASES:
        answer = killed_by_the_system(name, target, count, random.Random(name))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
