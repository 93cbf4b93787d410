"""mmx methods, datasets, doctor and the rest with packages of others installed: marks, words, exit codes."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from PIL import Image

from mmx.cli.app import main
from mmx.core.home import Home
from mmx.workflows import listings
from mmx.workflows.extras import ExtraRow
from mmx.workflows.listings import RunRow
from tests.plugin_package import write_plugin, write_project
from tests.small_corpus import make_corpus

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "sixth_method"
CORPUS = (
    "from mmx.core.corpus import Corpus\nPART = Corpus('Drawn by hand.', 'none', lambda raw, options: None)\n"
)
ENCODER = """
from torch import nn
from mmx.core.encoder import EncoderMaker
from mmx.core.view import View

class Mean(nn.Module):
    modality, width, embedding_width, fingerprint = "image", 3, None, "mean-of-colours-1"
    fields = ("image_features", "patch_features")
    view = View(8, 8, "squash", "bilinear")

    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, pixels):
        means = pixels.float().mean(dim=(2, 3))
        return {"image_features": means, "patch_features": means[:, None]}

PART = EncoderMaker(("image",), lambda name, modality: Mean(name))
"""

KEEPER = """
from pathlib import Path
from types import SimpleNamespace
from mmx.core.index_keeper import IndexKeeper
from mmx.search.gallery_index import LocalIndex
from mmx.store.gallery_rows import RowsHeader
from mmx.store.gallery import Gallery

def place(address):
    return Path(address.removeprefix("shelf://"))

class Shelved:
    def __init__(self, gallery):
        self.header = RowsHeader.of(gallery, "exact")
        self._gallery, self._index = gallery, LocalIndex(gallery)
    def __getattr__(self, name):
        return getattr(self._index, name)
    def __len__(self):
        return len(self._index)
    def gallery(self):
        return self._gallery
    def close(self):
        pass

def keep(address, gallery, columns, kind, reporter):
    gallery.save(place(address))
    header = RowsHeader.of(gallery, "exact")
    return SimpleNamespace(header=header, sent=header.pictures, kept=0, removed=0)

def opened(address, fingerprint):
    return Shelved(Gallery.open(place(address), fingerprint))

def remove(address):
    header = opened(address, None).header
    place(address).unlink()
    return header

PART = IndexKeeper(opened, lambda address: opened(address, None).header, keep, remove)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages: the example, a data set, and one that breaks."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.syspath_prepend(str(folder))
    write_project(folder, EXAMPLE)
    write_plugin(folder, "mmx.corpora", "drawn", CORPUS, "drawings")
    write_plugin(folder, "mmx.methods", "torn", "import nothing_of_this_name", "torn-paper")
    return folder


def _run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mmx", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


def test_lists_say_where_a_part_comes_from_and_what_is_left_out(
    site: Path, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert _run(monkeypatch, "methods") == 0
    said = capsys.readouterr()
    line = next(line for line in said.out.splitlines() if "linear-hinge" in line)
    assert "mmx-linear-hinge" in line
    assert "attention-clip" in said.out and "torn" not in said.out
    assert "'torn' (mmx.methods) of 'torn-paper 1.5' cannot be used: ModuleNotFoundError" in said.err

    assert _run(monkeypatch, "methods", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["methods"]
    assert {row["name"]: row["origin"] for row in rows if row["origin"]} == {
        "linear-hinge": "mmx-linear-hinge 0.1.0"
    }

    assert _run(monkeypatch, "datasets") == 0
    assert "drawings 1.5" in next(line for line in capsys.readouterr().out.splitlines() if "drawn" in line)


def test_the_doctor_names_what_is_wrong(
    site: Path, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert _run(monkeypatch, "doctor", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["plugins"]}

    assert set(rows) == {"drawn", "linear-hinge", "torn"}
    assert not rows["drawn"]["problem"] and not rows["linear-hinge"]["problem"]
    assert "No module named 'nothing_of_this_name'" in rows["torn"]["problem"]

    assert _run(monkeypatch, "doctor") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "mmx.corpora: drawn" in shown and "pip uninstall torn-paper" in shown


def test_the_doctor_says_of_each_extra_whether_it_is_there_or_how_to_get_it(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    rows = [ExtraRow("lora", ()), ExtraRow("ray", ("ray",))]
    monkeypatch.setattr(listings, "list_extras", lambda: rows)

    assert _run(monkeypatch, "doctor") == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "extra lora installed" in shown
    assert "extra ray not installed (ray): pip install 'mmx[ray]'" in shown


def test_the_date_of_a_run_is_shown_to_the_minute(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    row = RunRow("a", "b", "c", "2026-11-21T22:57:01.123456+00:00", {}, "")
    monkeypatch.setattr(listings, "list_trained", lambda _: [row])

    assert _run(monkeypatch, "runs") == 0
    shown = capsys.readouterr().out
    assert re.search(r"2026-11-2[12] \d\d:\d\d ", shown) and ":01" not in shown


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("train", "torn", "--dataset", "small"), 7, "nothing_of_this_name"),
        (("train", "linear-hing", "--dataset", "small"), 2, "Did you mean 'linear-hinge'"),
        (("extract", "small", "--encoder", "plugin:absent"), 2, "no encoder of a plug-in 'absent'"),
        (("prepare", "drawn", "--raw", "nowhere"), 3, "nowhere"),
    ],
)
def test_whoever_needs_what_is_broken_or_absent_is_told(
    words: tuple[str, ...],
    code: int,
    said: str,
    site: Path,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    make_corpus(home)

    assert _run(monkeypatch, *words) == code
    shown = capsys.readouterr().err
    assert said in shown and "Traceback" not in shown


def test_an_encoder_of_another_package_is_run_by_its_name(
    site: Path, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    make_corpus(home)
    write_plugin(site, "mmx.encoders", "mean-of-colours", ENCODER, "colours")

    assert _run(monkeypatch, "extract", "small", "--encoder", "mean_of_colours", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["features"]
    assert (row["encoder"], row["modality"], row["items"]) == ("plugin:mean-of-colours", "image", 10)
    assert Path(row["folder"]).name == "plugin-mean-of-colours-image"
    assert _run(monkeypatch, "extract", "small", "--encoder", "plugin:mean-of-colours") == 0
    assert "1 kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("resnet50", ENCODER, "mmx has one of that name itself"),
        ("blind", ENCODER.replace("view = ", "sight = "), "its encoder lacks view"),
        ("late", ENCODER.replace("Mean(name))", "1 / 0)"), "ZeroDivisionError: division by zero"),
    ],
)
def test_an_encoder_that_cannot_be_used_says_why(
    name: str,
    source: str,
    words: str,
    site: Path,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    make_corpus(home)
    write_plugin(site, "mmx.encoders", name, source, "colours")

    assert _run(monkeypatch, "extract", "small", "--encoder", f"plugin:{name}") == 7
    assert words in capsys.readouterr().err


def test_an_encoder_to_be_trained_that_can_only_be_run_says_what_it_lacks(
    site: Path, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    make_corpus(home)
    write_plugin(site, "mmx.encoders", "mean-of-colours", ENCODER, "colours")
    words = ("--preset", "tiny", "--set", "image_encoder=mean-of-colours", "--set", "train_image=true")

    assert _run(monkeypatch, "train", "attention-clip", "--dataset", "small", *words) == 7
    assert "its encoder, which is to be trained, lacks blocks, resize. Mend it" in capsys.readouterr().err


def test_an_index_is_kept_at_an_address_of_another_package(
    site: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    write_plugin(site, "mmx.indexes", "shelf", KEEPER, "shelves")
    photos, address = tmp_path / "photos", f"shelf://{tmp_path}/kept"
    photos.mkdir()
    for name in ("red", "green"):
        Image.new("RGB", (32, 24), name).save(photos / f"{name}.png")

    assert _run(monkeypatch, "index", "add", str(photos), "--model", "random:clip") == 0
    assert _run(monkeypatch, "index", "copy", str(photos), address) == 0
    capsys.readouterr()
    assert _run(monkeypatch, "search", "a red thing", "--index", address, "--json") == 0
    there = json.loads(capsys.readouterr().out)["hits"]
    words = ("--in", str(photos), "--model", "random:clip", "--json")
    assert _run(monkeypatch, "search", "a red thing", *words) == 0
    assert json.loads(capsys.readouterr().out)["hits"] == there and len(there) == 2
    assert _run(monkeypatch, "index", "verify", address) == 0
    assert _run(monkeypatch, "index", "remove", address) == 0
    assert _run(monkeypatch, "index", "info", address) == 4


def test_an_address_of_a_package_that_breaks_ends_with_code_7(
    site: Path, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    write_plugin(site, "mmx.indexes", "rack", "import no_rack_at_all", "racks")

    assert _run(monkeypatch, "index", "info", "rack://somewhere") == 7
    assert "No module named 'no_rack_at_all'" in capsys.readouterr().err


@pytest.mark.skipif("MMX_TEST_PIP" not in os.environ, reason="pip takes half a minute; set MMX_TEST_PIP=1")
def test_pip_installs_mmx_and_the_example_beside_it(tmp_path: Path) -> None:
    """Into an environment that sees the libraries of this one; nothing is fetched."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "fresh"], check=True)
    python = tmp_path / "fresh" / "bin" / "python"
    site = next((tmp_path / "fresh" / "lib").glob("python*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "tests", "build", "*.egg-info"))
    for project, more in ((copy, ["--no-deps"]), (copy / "examples" / "sixth_method", [])):
        command = [sys.executable, "-m", "pip", "--python", python, "install", "--no-index"]
        subprocess.run([*command, "--no-build-isolation", *more, project], check=True)

    said = subprocess.run(
        [python.parent / "mmx", "methods", "--json"], check=True, capture_output=True, text=True, cwd=tmp_path
    )

    rows = {row["name"]: row["origin"] for row in json.loads(said.stdout)["methods"]}
    assert rows["linear-hinge"] == "mmx-linear-hinge 0.1.0" and rows["attention-clip"] == ""
