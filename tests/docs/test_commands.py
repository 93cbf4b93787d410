"""Every command of README and of the pages is typed, in the order of its page, on data that are drawn here;
those that cannot be are listed with the reason.
"""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmx.cli.app import main
from mmx.core.home import Home
from tests.docs.plugins import install
from tests.docs.world import write_world
from tests.pages import DOCS, ROOT, typed_lines

PAGES = [ROOT / "README.md", *DOCS]
SMALLER = {
    r"--preset (offline-tuned|offline|strong)\b": "--preset tiny",
    r"--preset tiny\b": "--preset tiny --set epochs=1",
    r"--dataset flickr8k\b": "--dataset toy",
    r"--dataset twitter2017\b": "--dataset mine-posts --preset tiny",
    r"--shots 2,4\b": "--shots 2",
    r"--encoder random:clip$": "--encoder random:clip --method zero-shot",
    r"^(mmx fewshot .*)$": r"\1 --seeds 1",
    r"--seeds 1,2,3$": "--seeds 1,2",
    r"temperature=0.03,0.05,0.1$": "temperature=0.05,0.1",
    r"\bscenes=200\b": "scenes=40 --set size=32",
    r"\bidentities=40\b": "identities=20 --set height=48",
    r"^mmx search --in ~/Pictures": "mmx search --in photos/",
    r"--in other/photos/": "--in photos/",
}
"""What is made smaller, or is there under another name: tiny presets, the drawn scenes, few of everything."""
NOT_HERE = {
    r"(--raw|--import) DIR\b": "data of others; tests/corpora reads each layout from files made for it",
    r"clip-vit-b32|cuhk_pedes|oxford_pets|hub:": "a hub, or data that others made",
    r"^mmx export offline-flickr8k --onnx": "150 MB; the next lines do it with a small run",
    r"--int8$": "a val that is large enough for recall to hold; tests/workflows/test_int8_recall.py",
    r"--tune-weight$": "a weight that an hour's training gave; tests/workflows/test_two_stages.py",
    r"^mmx push RUN me/my-run --private": "a hub; tests/workflows/test_push.py pushes to one of its own",
    r"http://": "a server of Milvus",
    r"^mmx serve\b": "it serves until it is stopped; tests/cli/test_serve.py does both",
    r"--engine ray": "Ray's processes; tests/engine/test_ray_shards.py",
    r"--shard 0/2": "the half that another machine would make; tests/cli/test_extract.py",
    r"--kind pq": "1,000 photos at least; tests/workflows/test_index.py",
    r"^mmx prepare vectors --raw metadata.csv": "vectors made elsewhere; tests/workflows/test_extract.py",
    r"^(make|pip install) ": "an environment of its own; the suite itself runs in what they make",
    r"^(torchrun|accelerate launch) ": "several processes; tests/engine/test_processes.py",
}
"""What is not typed here, and why or where it is."""


def reason(line: str) -> str | None:
    """Why a line is not typed here."""
    return next((said for pattern, said in NOT_HERE.items() if re.search(pattern, line)), None)


def smaller(line: str) -> str:
    """The line as it is typed here."""
    for pattern, words in SMALLER.items():
        line = re.sub(pattern, words, line)
    return line


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that all pages share, with a home in it and the plug-ins of the pages installed."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMX_HOME", str(folder / "home"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        install(folder / "site", patch)
        patch.chdir(folder)
        write_world(folder, Home.find())
        yield folder


DONE: set[str] = set()
"""What a page before has made already, of what takes a second or more."""
MAKES = re.compile(r"mmx (prepare|extract|train|export) ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_ends_well(
    page: Path, world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    shutil.rmtree(world / "home" / "indexes", ignore_errors=True)
    for line in typed_lines(page):
        told = smaller(line).partition(" | ")[0]
        if reason(line) or (told in DONE and MAKES.match(told)):
            continue
        DONE.add(told)
        words = shlex.split(told.replace("RUN", newest(world)))
        assert words[0] == "mmx", f"'{line}' is no command of mmx, and no reason says why it is not typed"
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        assert left.value.code in (0, None), f"{line}\n{shown.out}\n{shown.err}"
        if "--json" in words:
            json.loads(shown.out)


def newest(world: Path) -> str:
    """The run that was trained last."""
    runs = sorted((world / "home" / "runs").glob("*/settings.json"), key=lambda path: path.stat().st_mtime)
    return str(runs[-1].parent) if runs else "RUN"


def test_every_reason_is_of_some_line() -> None:
    lines = {line for page in PAGES for line in typed_lines(page)}

    assert not [pattern for pattern in NOT_HERE if not any(re.search(pattern, line) for line in lines)]
