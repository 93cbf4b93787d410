"""Commands as whole processes, from the line in the shell to what is printed: `--help`, and a search of 7,000
photos.

mmx searches with the run that comes with it, exported to ONNX. rclip runs as published, by the Python that
it is installed for (`$RCLIP_PYTHON`, by default this one), but for its weights, which are drawn: its text
tower is written anew by open_clip (ViT-B-32-256, 63 million numbers, a quarter of a gigabyte), so that a
query costs what it costs. Both search 7,000 drawn vectors, each of its own width, that are indexed
beforehand; hits are compared with those of mmx's other engine, and in the row without models, where both
are given the same vectors and the same query, with each other. Files are in memory, compiled modules at
hand as after an installation. By `--clock cpu` the processor's seconds count.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy
import torch
from torch.nn.functional import normalize

from benchmarks.side_by_side import Contestant, Different, Match, Peer, Row, main
from mmx.core.home import Home
from mmx.encoders.onnx_text import OnnxText
from mmx.store.entries import Entry
from mmx.store.gallery import Gallery
from mmx.store.onnx_towers import OnnxTowers
from mmx.store.shipped import shipped_run
from mmx.workflows.gallery_place import GALLERY, index_folder
from mmx.workflows.onnx_place import towers_place

ROOT = Path(__file__).parents[1]
PHOTOS, WIDTH, HITS, QUERY = 7000, 512, 10, "man riding cycle"
FINGERPRINT = "benchmark"
TEXT_TOWER, CONTEXT, END_OF_TEXT = "ViT-B-32-256", 77, 49407
RCLIP_MODEL = "ViT-B-32-256-datacomp_s34b_b86k"

MMX_GIVEN = """
import sys, numpy
from types import SimpleNamespace as plain
import mmx.workflows.quick_search as quick
from mmx.cli.app import main
vector = numpy.load(sys.argv.pop(1))
towers = plain(path=None, fingerprint="benchmark", facts={"text": None}, int8=None)
quick._towers = lambda settings: (plain(name="benchmark", path=None), "", towers)
quick.OnnxText = lambda *_, **__: plain(encode=lambda sentences: vector[None].repeat(len(sentences), 0))
main()
"""
RCLIP = "from rclip.main import main; main()"
RCLIP_GIVEN = """
import sys, numpy, rclip.main as main, rclip.model as model
vector = numpy.load(sys.argv.pop(1))
model.Model.ensure_downloaded = lambda self: None
model.Model.compute_features_for_queries = lambda self, queries: vector if queries else 0 * vector
main.main()
"""
RCLIP_FILL = """
import sys, pathlib, numpy, rclip.db as db
kept, folder = db.DB(pathlib.Path(sys.argv[2]) / "db.sqlite3"), pathlib.Path(sys.argv[3])
for row, vector in enumerate(numpy.load(sys.argv[1])):
    known = dict(modified_at=0.0, size=1, hash=None)
    image = dict(filepath=str(folder / f"{row}.jpg"), vector=vector.tobytes(), **known)
    kept.upsert_image(image, commit=False)
kept.close()
"""


class Workplace:
    """A folder that goes with the process: photos (by name alone), mmx's home, rclip's data, and modules."""

    def __init__(self) -> None:
        self._kept = contextlib.ExitStack()
        self.path = Path(self._kept.enter_context(tempfile.TemporaryDirectory()))
        self.photos, self.home, self.rclip = (self.path / name for name in ("photos", "home", "rclip"))
        for folder in (self.photos, self.home, self.rclip):
            folder.mkdir()
        self.env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.env |= {
            "PYTHONPATH": str(ROOT),
            "PYTHONPYCACHEPREFIX": str(self.path / "compiled"),
            "MMX_HOME": str(self.home),
            "RCLIP_DATADIR": str(self.rclip),
        }

    def run(self, command: Sequence[str | Path]) -> str:
        """What a process prints, started in the folder of photos."""
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env, cwd=self.photos, text=True
        ) as process:
            printed, faults = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{command} ended with {process.returncode}: {faults}")
        return printed

    def paths(self, command: Sequence[str | Path]) -> list[str]:
        """The names of the photos that a search prints, in order."""
        return [Path(line.split("\t")[-1].strip('"')).name for line in self.run(command).splitlines()]


def find_rclip() -> tuple[Path, str]:
    """The Python that rclip is installed for, and its name with the version."""
    python = Path(os.environ.get("RCLIP_PYTHON", sys.executable))
    asked = "import importlib.metadata as known; print(known.version('rclip'))"
    found = subprocess.run([python, "-c", asked], capture_output=True, text=True)
    if found.returncode:
        raise FileNotFoundError(f"rclip is not installed for '{python}'; $RCLIP_PYTHON names another")
    return python, f"rclip {found.stdout.strip()}"


def mmx(*words: str | Path) -> list[str | Path]:
    """A command of mmx."""
    return [sys.executable, "-m", "mmx", *words]


def make_help(quick: bool) -> Match:
    """What a user sees first."""
    place, (python, named) = Workplace(), find_rclip()

    def without_torch(mine: str, theirs: str) -> Mapping[str, float]:
        imported = subprocess.run(
            [sys.executable, "-X", "importtime", *mmx("--help")[1:]],
            env=place.env,
            capture_output=True,
            text=True,
        )
        names = {line.rpartition("|")[2].strip().partition(".")[0] for line in imported.stderr.splitlines()}
        if "torch" in names or "Usage" not in mine:
            raise Different("mmx --help loads torch, or says nothing")
        return {"modules": len(imported.stderr.splitlines())}

    return Contestant("mmx --help", partial(place.run, mmx("--help"))), [
        Peer(
            f"{named} --help",
            partial(place.run, [python, "-c", RCLIP, "--help"]),
            compare=without_torch,
            origin="as published",
            faster=1,
        )
    ]


def fill(place: Workplace, fingerprint: str, width: int, python: Path) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Index drawn vectors for mmx [N, width] and for rclip [N, 512]: the same where the widths are."""
    random = torch.Generator().manual_seed(0)
    vectors = normalize(torch.randn(PHOTOS, max(width, WIDTH), generator=random), dim=1)
    ours = normalize(vectors[:, :width], dim=1).contiguous()
    theirs = normalize(vectors[:, :WIDTH], dim=1).contiguous().numpy()
    entries = [Entry(f"{row}.jpg", str(place.photos / f"{row}.jpg")) for row in range(PHOTOS)]
    kept = index_folder(Home.find(place.home), place.photos, fingerprint)
    kept.mkdir(parents=True)
    Gallery(str(place.photos), fingerprint, entries, ours).save(kept / GALLERY)
    numpy.save(place.path / "vectors.npy", theirs)
    place.run([python, "-c", RCLIP_FILL, place.path / "vectors.npy", place.rclip, place.photos])
    return ours.numpy(), theirs


def write_text_tower(folder: Path) -> None:
    """Files of rclip, the text tower with weights by chance."""
    import open_clip

    class Text(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = open_clip.create_model(TEXT_TOWER).eval()

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            """[1, 77] -> [1, 512]."""
            return self.whole.encode_text(input)

    model = folder / RCLIP_MODEL
    model.mkdir()
    (model / "visual.onnx").touch()  # must be there, and is not read for words
    words = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    (folder / "tokenizer").mkdir()
    shutil.copy(words, folder / "tokenizer")
    tokens = torch.zeros(1, CONTEXT, dtype=torch.int64)
    tokens[0, :3] = torch.tensor([END_OF_TEXT - 1, 1000, END_OF_TEXT])
    names = {"input_names": ["input"], "output_names": ["output"]}
    with torch.no_grad():
        torch.onnx.export(Text(), (tokens,), str(model / "textual.onnx"), dynamo=False, **names)


def searching(place: Workplace, *more: str) -> list[str | Path]:
    """Words to mmx."""
    words = ("search", QUERY, "--in", place.photos, "--no-refresh", "--paths", "--top", str(HITS))
    return mmx(*words, *more)


def rclip_searching(python: Path, code: str, *given: Path) -> list[str | Path]:
    """The same to rclip: file paths alone, no look at the folder."""
    return [python, "-c", code, *given, "--no-indexing", "-f", "-t", str(HITS), QUERY]


def make_search(quick: bool) -> Match:
    """Each with a text tower of its own."""
    place, (python, named), run = Workplace(), find_rclip(), shipped_run()
    home = Home.find(place.home)
    place.run(mmx("export", run, "--onnx"))
    towers = OnnxTowers.open(towers_place(run, home))
    query = OnnxText(towers.path, towers.facts["text"], once=True).encode([QUERY])
    fill(place, towers.fingerprint, query.shape[1], python)
    write_text_tower(place.rclip)

    def same_as_torch(mine: list[str], theirs: list[str]) -> Mapping[str, float]:
        if mine != place.paths(searching(place, "--run", str(run), "--engine", "torch")):
            raise Different("mmx's two engines find other photos")
        if len(set(theirs)) != HITS:
            raise Different(f"rclip printed {theirs}")
        return {"hits of both engines of mmx alike": len(mine)}

    ours = searching(place, "--run", str(run), "--engine", "onnx")
    return Contestant("mmx search", partial(place.paths, ours)), [
        Peer(
            named,
            partial(place.paths, rclip_searching(python, RCLIP)),
            compare=same_as_torch,
            origin="as published",
            faster=2,
        )
    ]


def make_search_given(quick: bool) -> Match:
    """The same vectors and the same query's vector to both, and no model to either."""
    place, (python, named) = Workplace(), find_rclip()
    vectors, _ = fill(place, FINGERPRINT, WIDTH, python)
    query = place.path / "query.npy"
    numpy.save(query, vectors[3] + vectors[5])

    def same(mine: list[str], theirs: list[str]) -> Mapping[str, float]:
        if mine != theirs:
            raise Different(f"{mine} and {theirs}")
        return {"hits alike": len(mine)}

    ours = [sys.executable, "-c", MMX_GIVEN, query, *searching(place, "--engine", "onnx")[3:]]
    return Contestant("mmx search", partial(place.paths, ours)), [
        Peer(
            named,
            partial(place.paths, rclip_searching(python, RCLIP_GIVEN, query)),
            compare=same,
            origin="as published",
        )
    ]


ROWS = [
    Row("help", "mmx --help", make_help, note="Neither torch nor pydantic is loaded."),
    Row(
        "search-cold",
        "mmx search, cold, 7,000 photos, a text model each",
        make_search,
        packages=("onnxruntime", "typer"),
        note="MiniLM of the run that comes with mmx beside rclip's larger text tower, ViT-B/32, its weights "
        "drawn. 1.8 to 2.1 times as fast, from run to run. 0.1 s of mmx's processor time is pydantic, "
        "which typer loads since 0.29.",
    ),
    Row(
        "search-process",
        "the same without models: both are given one query's vector",
        make_search_given,
        packages=("typer",),
        note="rclip loads no onnxruntime here; mmx does, and pyarrow and pydantic too.",
    ),
]

if __name__ == "__main__":
    main(__file__, ROWS)
