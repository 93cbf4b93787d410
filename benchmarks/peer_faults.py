"""The same faults against mmx and against open_clip's trainer, side by side.

    python benchmarks/peer_faults.py FOLDER [mmx|open_clip_train]

Both train tiny models with random weights on the same 24 drawn pictures, on CPU in float32, with no hub; each
trial is a process of its own, forked from this one. open_clip_torch (3.3.0 when this was written) is used as
its command line uses it: `open_clip_train.main.main(arguments)`. Prints a table; a cell says what happened.
"""

import contextlib
import io
import json
import os
import pickle
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import open_clip
import safetensors.torch
import torch
from open_clip_train import main as peer_main
from PIL import Image

from mmx.cli import app
from mmx.store import tensors as mmx_tensors
from mmx.store.run import RunFolder

EPOCHS = 3
SECONDS = 600
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@dataclass(frozen=True)
class Ended:
    """How a process ended, and the last it said."""

    code: int
    said: str

    @property
    def words(self) -> str:
        """In a few words."""
        if self.code < 0:
            return f"killed by signal {-self.code}"
        lines = [line for line in self.said.strip().splitlines() if line.strip()]
        last = lines[-1][:110].replace("|", "/") if lines and self.code else ""
        form = "traceback, " if "Traceback" in self.said else ""
        return f"exit {self.code}" + (f" ({form}{last})" if last else "")


def ended(work: Callable[[], object], log: Path) -> Ended:
    """Do some work in a forked process, as if it had been typed."""
    child = os.fork()
    if not child:
        handle = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(SECONDS)
        code = 0
        try:
            found = work()
            code = found if isinstance(found, int) else 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        except BaseException as error:
            traceback.print_exc()
            code = 130 if isinstance(error, KeyboardInterrupt) else 1
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code % 256)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Ended(code, log.read_text(errors="replace"))


def draw(place: Path) -> None:
    """24 pictures with a caption each: a CSV for mmx, and one with tabs and whole paths for the peer."""
    folder = place / "raw"
    folder.mkdir(parents=True)
    rows, tabs = ["image,caption,split"], ["filepath\ttitle"]
    for number in range(24):
        colour = tuple((number * step) % 256 for step in (37, 91, 151))
        Image.new("RGB", (40, 32 + number), colour).save(folder / f"{number}.jpg")
        split = "val" if number >= 20 else "train"
        rows.append(f"{number}.jpg,picture {number} of colour {colour[0]},{split}")
        tabs.append(f"{folder / f'{number}.jpg'}\tpicture {number} of colour {colour[0]}")
    (folder / "data.csv").write_text("\n".join(rows))
    (place / "peer.tsv").write_text("\n".join(tabs))


class Mmx:
    """mmx at its command line."""

    name = "mmx"

    def __init__(self, place: Path) -> None:
        self.place, self.home = place, place / "home"
        os.environ["MMX_HOME"] = str(self.home)

    def typed(self, *words: object) -> int:
        """Type a command."""
        sys.argv = ["mmx", *map(str, words)]
        app.main()
        return 0

    def prepare(self) -> None:
        """What comes before any training."""
        for words in (
            ("prepare", "drawn", "--raw", self.place / "raw"),
            ("extract", "drawn", "--encoder", "random:resnet", "--encoder", "random:bert", "--device", "cpu"),
        ):
            with contextlib.suppress(SystemExit):
                self.typed(*words)

    def train(self, name: str, epochs: int = EPOCHS, *more: object) -> Callable[[], object]:
        """A new training; states are saved after each step."""
        train = ("train", "attention-clip", "--dataset", "drawn", "--preset", "tiny", "--batch-size", 8)
        where = ("--out", self.home / "runs" / name, "--epochs", epochs, "--save-every", 1)
        return lambda: self.typed(*train, *where, "--device", "cpu", "--precision", "fp32", *more)

    def resume(self, name: str) -> Callable[[], object]:
        """Go on with a training."""
        return lambda: self.typed("train", "--resume", self.home / "runs" / name, "--device", "cpu")

    def checkpoint(self, name: str) -> Path:
        """Its newest state."""
        return sorted((self.home / "runs" / name / "state").iterdir())[-1] / "weights.safetensors"

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        """The last weights of a training."""
        return dict(safetensors.torch.load_file(self.checkpoint(name)).items())

    def killed_in_save(self, after: int) -> None:
        """From now on in this process: kill -9 in the midst of writing so many files of tensors."""
        save, count = mmx_tensors.save_file, [0]

        def half(values: dict, path: Path, **more: object) -> None:
            count[0] += 1
            save(values, path, **more)
            if count[0] == after:
                os.truncate(path, os.path.getsize(path) // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        mmx_tensors.save_file = half

    def signalled(self, steps: int, number: int) -> None:
        """From now on in this process: a signal when so many lines are in the log, or states are saved."""
        save, count = RunFolder.save_state, [0]

        def counted(run: RunFolder, *more: object) -> None:
            save(run, *more)
            count[0] += 1
            if count[0] == steps:
                os.kill(os.getpid(), number)

        RunFolder.save_state = counted


class Peer:
    """open_clip's trainer."""

    name = "open_clip_train"

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "models").mkdir()
        (place / "models" / "tiny.json").write_text(json.dumps(TINY))
        open_clip.add_model_config(place / "models")

    def prepare(self) -> None:
        """Nothing comes before."""

    def train(self, name: str, epochs: int = EPOCHS, *more: object) -> Callable[[], object]:
        """A new training; a checkpoint an epoch, which is the oftenest it can."""
        words = (
            "--model", "tiny", "--train-data", self.place / "peer.tsv", "--dataset-type", "csv",
            "--batch-size", 8, "--epochs", epochs, "--workers", 0, "--precision", "fp32", "--warmup", 1,
            "--logs", self.place / "logs", "--name", name, "--save-frequency", 1, *more,
        )  # fmt: skip
        return lambda: peer_main.main([str(word) for word in words])

    def resume(self, name: str) -> Callable[[], object]:
        """Go on with the newest checkpoint."""
        return self.train(name, EPOCHS, "--resume", "latest")

    def checkpoint(self, name: str) -> Path:
        """The newest one."""
        return sorted((self.place / "logs" / name / "checkpoints").glob("*.pt"))[-1]

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        """The last weights of a training."""
        return torch.load(self.checkpoint(name), map_location="cpu", weights_only=True)["state_dict"]

    def killed_in_save(self, after: int) -> None:
        """From now on in this process: kill -9 in the midst of writing this checkpoint."""
        save, count = torch.save, [0]

        def half(value: object, path: str, **more: object) -> None:
            count[0] += 1
            save(value, path, **more)
            if count[0] == after:
                os.truncate(path, os.path.getsize(path) // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        torch.save = half

    def signalled(self, steps: int, number: int) -> None:
        """From now on in this process: a signal within a step."""
        backward, count = torch.Tensor.backward, [0]

        def counted(tensor: torch.Tensor, *more: object, **named: object) -> None:
            backward(tensor, *more, **named)
            count[0] += 1
            if count[0] == steps:
                os.kill(os.getpid(), number)

        torch.Tensor.backward = counted


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> str:
    """Whether two trainings ended with the same weights."""
    if one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one):
        return "weights equal the unbroken run's bit for bit"
    return "weights differ from the unbroken run's"


def after(fault: Callable[[], None], work: Callable[[], object]) -> Callable[[], object]:
    """Work in a process in which a fault is prepared."""

    def both() -> object:
        fault()
        return work()

    return both


class Trials:
    """Each fault once against one trainer; gives a row of words."""

    def __init__(self, side: Mmx | Peer, place: Path) -> None:
        self.side, self.log = side, place / f"{side.name}.log"
        side.prepare()
        self.unbroken = self.run(side.train("unbroken"))
        self.whole = side.weights("unbroken")

    def run(self, work: Callable[[], object]) -> Ended:
        """In a process of its own."""
        return ended(work, self.log)

    def resumed(self, name: str) -> str:
        """What came of going on."""
        found = self.run(self.side.resume(name))
        return f"resume: {found.words}" + (
            f"; {same(self.side.weights(name), self.whole)}" if not found.code else ""
        )

    def twice(self) -> str:
        """The same training again."""
        found = self.run(self.side.train("again"))
        return f"{found.words}; {same(self.side.weights('again'), self.whole)}"

    def killed_in_checkpoint(self) -> str:
        """A kill -9 while the second checkpoint is written."""
        count = 5 if isinstance(self.side, Mmx) else 2
        self.run(after(lambda: self.side.killed_in_save(count), self.side.train("killed")))
        return self.resumed("killed")

    def killed_in_replaced_checkpoint(self) -> str:
        """The same with what the peer offers for it: one checkpoint, written beside and renamed."""
        if isinstance(self.side, Mmx):
            return "the same: every file is written so"
        more = ("--save-most-recent", "--save-frequency", 0)
        self.run(after(lambda: self.side.killed_in_save(2), self.side.train("renamed", EPOCHS, *more)))
        found = self.run(self.side.train("renamed", EPOCHS, *more, "--resume", "latest"))
        return f"resume: {found.words}; {same(self.side.weights('renamed'), self.whole)}"

    def killed_in_epoch(self) -> str:
        """A kill -9 in the midst of the second epoch."""
        self.run(after(lambda: self.side.signalled(5, signal.SIGKILL), self.side.train("stopped")))
        return self.resumed("stopped")

    def interrupted(self) -> str:
        """Ctrl-C in the midst of the second epoch."""
        first = self.run(after(lambda: self.side.signalled(5, signal.SIGINT), self.side.train("interrupted")))
        return f"{first.words}; {self.resumed('interrupted')}"

    def full_disk(self) -> str:
        """No file can grow beyond 30 kB: the first checkpoint does not fit."""

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))

        first = self.run(after(limit, self.side.train("full")))
        return f"{first.words}; {self.resumed('full')}"

    def not_a_number(self) -> str:
        """A learning rate of 1e30."""
        found = self.run(self.side.train("nan", EPOCHS, "--lr", "1e30"))
        try:
            kept = all(tensor.isfinite().all() for tensor in self.side.weights("nan").values())
        except (OSError, IndexError):
            return f"{found.words}; no checkpoint was written"
        return f"{found.words}; the newest checkpoint {'is of numbers' if kept else 'holds NaN'}"

    def bad_picture(self) -> str:
        """A JPEG that is cut in half, after the data was prepared."""
        path = self.log.parent / "raw" / "3.jpg"
        before = path.read_bytes()
        path.write_bytes(before[: len(before) // 2])
        reads = ("--set", "train_image=true") if isinstance(self.side, Mmx) else ()
        found = self.run(self.side.train("bad", 1, *reads))
        path.write_bytes(before)
        return f"{found.words}; the file is {'named' if '3.jpg' in found.said else 'not named'}"

    def pickled(self) -> str:
        """A pickle that makes a file, in the place of the newest checkpoint."""
        mark = self.log.parent / f"{self.side.name}-ran"

        class Payload:
            def __reduce__(self) -> tuple:
                return (Path.touch, (mark,))

        return self.spoiled("pickle", lambda data: pickle.dumps(Payload())) + (
            "; IT RAN" if mark.exists() else "; it did not run"
        )

    def truncated(self) -> str:
        """The newest checkpoint without its end."""
        return self.spoiled("cut", lambda data: data[: len(data) * 2 // 3])

    def flipped(self) -> str:
        """One bit of a weight in the newest checkpoint."""

        def flip(data: bytes) -> bytes:
            place = len(data) // 2
            return data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :]

        return self.spoiled("flip", flip)

    def spoiled(self, name: str, change: Callable[[bytes], bytes]) -> str:
        """Go on from a checkpoint that was changed."""
        self.run(after(lambda: self.side.signalled(5, signal.SIGKILL), self.side.train(name)))
        path = self.side.checkpoint(name)
        path.write_bytes(change(path.read_bytes()))
        found = self.run(self.side.resume(name))
        return f"resume: {found.words}"

    def two_writers(self) -> str:
        """The same training resumed by two processes at once."""
        self.run(after(lambda: self.side.signalled(5, signal.SIGKILL), self.side.train("two")))
        slow = self.side.resume("two")
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                os.dup2(1, 2)
                self.side.signalled(1, signal.SIGSTOP)
                slow()
            os._exit(0)
        os.waitpid(child, os.WUNTRACED)
        second = self.run(self.side.resume("two"))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return f"the second: {second.words}"


FAULTS = {
    "none: the same training twice": Trials.twice,
    "kill -9 while a checkpoint is written": Trials.killed_in_checkpoint,
    "the same, with --save-most-recent": Trials.killed_in_replaced_checkpoint,
    "kill -9 in the midst of an epoch": Trials.killed_in_epoch,
    "Ctrl-C in the midst of an epoch": Trials.interrupted,
    "full disk at the first checkpoint": Trials.full_disk,
    "loss becomes NaN": Trials.not_a_number,
    "truncated JPEG among the pictures": Trials.bad_picture,
    "a pickle in the checkpoint's place": Trials.pickled,
    "truncated checkpoint": Trials.truncated,
    "one bit of the checkpoint flipped": Trials.flipped,
    "two processes resume one run": Trials.two_writers,
}


def main(place: Path, wanted: list[str]) -> None:
    """Print the table, of one side alone where it is named."""
    torch.set_num_threads(1)
    draw(place)
    rows: dict[str, list[str]] = {name: [] for name in FAULTS}
    sides = [kind for kind in (Mmx, Peer) if kind.name in wanted or not wanted]
    for kind in sides:
        side = kind(place)
        trials = Trials(side, place)
        for name, fault in FAULTS.items():
            began = time.monotonic()
            try:
                said = fault(trials)
            except (OSError, IndexError, RuntimeError, KeyError) as error:
                said = f"the trial could not be made: {error}"
            rows[name].append(said)
            sys.stderr.write(f"{side.name}: {name}: {said} ({time.monotonic() - began:.0f} s)\n")
            sys.stderr.flush()
    table = io.StringIO()
    table.write(f"| fault | {' | '.join(kind.name for kind in sides)} |\n|---|{'---|' * len(sides)}\n")
    for name, cells in rows.items():
        table.write(f"| {name} | {' | '.join(cells)} |\n")
    sys.stdout.write(table.getvalue())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
