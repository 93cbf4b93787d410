"""What comes from outside cannot run, unpack, reach out of its folder, or become markup."""

import ast
import io
import json
import pickle
import re
import shutil
import socket
import zipfile
from pathlib import Path

import numpy
import pytest
from PIL import Image

from tests.faults.world import CPU, MODEL, TINY, copied, done, mmx

PACKAGE = Path(__file__).parents[2] / "mmx"
RUNS_OR_UNPACKS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "runpy.run_path", "marshal.loads",
    "torch.jit.load", "torch.hub.load", "yaml.load", "shutil.unpack_archive", "tarfile.open",
    "zipfile.ZipFile", "gzip.open", "webbrowser.open", "urllib.request.urlopen", "urllib.request.urlretrieve",
    "requests.get", "httpx.get", "pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load",
}  # fmt: skip
NEVER_IMPORTED = {
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "tarfile",
    "zipfile",
    "gzip",
    "bz2",
    "lzma",
}
STARTS_PROGRAMS = {"store/provenance.py", "cli/hits.py"}
"""The commit of the source that runs, and the viewer that --open asks for."""
SCRIPT = "<script>alert(1)</script>"


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.mark,))


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_nothing_in_the_source_runs_unpacks_or_trusts_what_it_reads() -> None:
    for source in sorted(PACKAGE.rglob("*.py")):
        check_source(source, ast.parse(source.read_text()))


def check_source(source: Path, tree: ast.Module) -> None:
    for call in calls(tree):
        assert ast.unparse(call.func) not in RUNS_OR_UNPACKS, f"{source}:{call.lineno}"
        assert not ast.unparse(call.func).endswith((".extractall", ".extract_all")), f"{source}:{call.lineno}"
        for word in call.keywords:
            if word.arg in {"trust_remote_code", "allow_pickle", "shell"}:
                assert ast.unparse(word.value) == "False", f"{source}:{call.lineno}"
        if re.search(r"Auto\w+\.from_pretrained$", ast.unparse(call.func)):
            assert "trust_remote_code=False" in ast.unparse(call), f"{source}:{call.lineno}"
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        assert not {name.split(".")[0] for name in names} & NEVER_IMPORTED, f"{source}:{node.lineno}"
        if "subprocess" in names:
            assert str(source.relative_to(PACKAGE)) in STARTS_PROGRAMS, source


@pytest.fixture(scope="module")
def place(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the world whose files are put back after each trial."""
    root = tmp_path_factory.mktemp("security") / "world"
    copied(world, root)
    return root


OPENS = {
    "datasets/toy": ("evaluate", "first", *CPU),
    "features/toy": ("evaluate", "first", *CPU),
    "runs/first": ("evaluate", "first", "--compare", "second", *CPU),
    "runs/counted": ("evaluate", "counted", *CPU),
    "runs/stopped/state": ("train", "--resume", "stopped", *CPU),
    "runs/head": ("evaluate", "head", *CPU),
    "indexes": ("search", "red", "--in", "PHOTOS", *MODEL, "--no-refresh", "--no-sheet", *CPU),
}


@pytest.mark.parametrize("where", OPENS)
def test_a_pickle_in_the_place_of_any_artefact_is_refused_and_never_run(
    where: str, place: Path, world: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "it ran"
    payload = pickle.dumps(Payload(mark))
    words = [world / "photos" if word == "PHOTOS" else word for word in OPENS[where]]
    files = [path for path in sorted((place / "home" / where).rglob("*")) if path.suffix in
             {".json", ".safetensors", ".parquet"}]  # fmt: skip
    assert files
    for path in files[:12]:
        before = path.read_bytes()
        path.write_bytes(payload)
        answer = mmx(place / "home", *words)
        path.write_bytes(before)
        assert answer.code == 0 or answer.is_typed_error, (path, answer.err)
        assert not mark.exists(), path


def test_a_pickle_is_not_run_from_what_users_hand_in(world: Path, tmp_path: Path) -> None:
    home, mark, raw = world / "home", tmp_path / "it ran", tmp_path / "raw"
    payload = pickle.dumps(Payload(mark))
    raw.mkdir()
    objects = io.BytesIO()
    numpy.save(objects, numpy.array([Payload(mark)], dtype=object), allow_pickle=True)
    for name in (
        "x.pt",
        "x.pkl",
        "x.npy",
        "x.npz",
        "x.safetensors",
        "x.parquet",
        "x.csv",
        "x.jsonl",
        "x.toml",
        "x.jpg",
    ):
        (raw / name).write_bytes(payload)
    (raw / "objects.npy").write_bytes(objects.getvalue())
    for name in ("train_1shot_features", "train_1shot_labels"):
        (tmp_path / f"{name}.pt").write_bytes(payload)
    extract = (
        "extract",
        "toy",
        "--encoder",
        "mine",
        "--split",
        "val",
        *CPU,
        "--import",
        raw,
        "--ids",
        world / "val.txt",
    )
    trials = [
        *[
            (*extract, "--images", name)
            for name in ("x.npy", "objects.npy", "x.safetensors", "x.npz", "x.pt")
        ],
        *[("prepare", "mine", "--raw", raw / name) for name in ("x.parquet", "x.csv", "x.jsonl", "x.pkl")],
        ("prepare", "mine", "--raw", tmp_path),
        ("extract", "toy", "--encoder", f"file:{raw}", *CPU),
        (
            "train",
            "attention-clip",
            "--dataset",
            "toy",
            *TINY,
            "--config",
            raw / "x.toml",
            "--out",
            tmp_path / "run",
        ),
        ("train", "attention-clip", "--dataset", "toy", *TINY, "--init", raw, "--out", tmp_path / "run"),
        ("predict", "head", raw / "x.jpg", *CPU),
        (
            "search",
            "red",
            "--run",
            "first",
            "--where",
            "size > 0",
            "--in",
            world / "photos",
            "--table",
            raw / "x.csv",
        ),
        ("search", "--image", raw / "x.jpg", "--run", "first", *CPU),
    ]
    for words in trials:
        answer = mmx(home, *words)
        assert answer.is_typed_error, (words, answer)
        assert not mark.exists(), words


def test_code_that_a_model_brings_with_it_is_not_run(world: Path, tmp_path: Path) -> None:
    """A folder such as a hub gives, whose configuration asks for classes of its own."""
    mark, folder = tmp_path / "it ran", tmp_path / "model"
    folder.mkdir()
    (folder / "evil.py").write_text(
        f"import pathlib\npathlib.Path({str(mark)!r}).touch()\nclass Evil: pass\n"
    )
    own = dict.fromkeys(("AutoConfig", "AutoModel", "AutoTokenizer", "AutoImageProcessor"), "evil.Evil")
    kinds = {"bert": "text", "resnet": "image", "evil": "image"}
    for kind in kinds:
        config = {"model_type": kind, "auto_map": own, "architectures": ["Evil"]}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"auto_map": {"AutoTokenizer": ["evil.Evil", None]}})
        )
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(mark)))
        answer = mmx(world / "home", "extract", "toy", "--encoder", f"file:{folder}", "--split", "val", *CPU)
        assert answer.is_typed_error, answer
        assert not mark.exists()


@pytest.mark.parametrize("kind", ["zip", "npz", "tar.gz"])
def test_an_archive_is_never_unpacked(kind: str, world: Path, tmp_path: Path) -> None:
    """Some bytes that would become 64 megabytes, with a member that would leave its folder."""
    raw = tmp_path / "raw"
    raw.mkdir()
    bomb = raw / f"data.{kind}"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("../escaped.txt", "out")
        with archive.open("vectors.npy", "w", force_zip64=True) as member:
            for _ in range(64):
                member.write(bytes(1 << 20))
    shutil.copy(bomb, raw / "photo.jpg")
    for words in (
        ("prepare", "mine", "--raw", bomb),
        ("prepare", "mine", "--raw", raw),
        (
            "extract",
            "toy",
            "--encoder",
            "mine",
            "--import",
            raw,
            "--images",
            bomb.name,
            "--ids",
            world / "val.txt",
            *CPU,
        ),
        ("search", "red", "--in", raw, *MODEL, "--no-sheet", *CPU),
        ("predict", "head", raw / "photo.jpg", *CPU),
    ):
        answer = mmx(world / "home", *words)
        assert answer.is_typed_error, (words, answer)
    assert not list(tmp_path.rglob("escaped.txt")) and not list(tmp_path.rglob("vectors.npy"))
    assert not list((world / "home").rglob("vectors.npy"))


OUT = "../../../../../../etc/passwd"
LAYOUTS = {
    "flickr30k": ("dataset_flickr30k.json", {"images": [{"filename": OUT, "split": "train", "imgid": 0,
                  "sentids": [0], "sentences": [{"raw": "a dog", "sentid": 0, "tokens": ["a", "dog"]}]}]}),
    "cuhk_pedes": ("reid_raw.json", [{"file_path": OUT, "id": 7, "captions": ["man"], "split": "train"}]),
    "icfg_pedes": ("ICFG-PEDES.json", [{"file_path": OUT, "id": 7, "captions": ["man"], "split": "train"}]),
    "rstp_reid": ("data_captions.json", [{"img_path": OUT, "id": 7, "captions": ["man"], "split": "train"}]),
    "coop": ("split_zhou_Pets.json", {"train": [[OUT, 0, "cat"]], "val": [], "test": [[OUT, 0, "cat"]]}),
    "twitter2017": ("train.txt", f"IMGID:{OUT}\nParis\tB-LOC\n"),
    "mine": ("posts.jsonl", json.dumps({"text": "Anna left", "tags": ["B-PER", "O"], "image": OUT})),
    "table": ("data.csv", f"image,caption\n{OUT},a dog\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_path_that_leaves_its_root_is_refused_in_every_layout(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, said = LAYOUTS[name]
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / file).write_text(said if isinstance(said, str) else json.dumps(said))
    opened, before = [], Image.open
    monkeypatch.setattr(
        Image, "open", lambda path, *a, **k: opened.append(str(path)) or before(path, *a, **k)
    )

    answer = mmx(tmp_path, "prepare", name, "--raw", raw, "--max-bad", "100%")

    assert "Traceback" not in answer.err and "root:" not in answer.out + answer.err
    assert not [path for path in opened if "passwd" in path]
    kept = [path.read_text() for path in tmp_path.glob("datasets/*/corpus.json")]
    assert answer.is_typed_error or (answer.code == 0 and kept), answer.err
    for parquet in tmp_path.glob("datasets/*/manifest/*.parquet"):
        assert b"passwd" not in parquet.read_bytes()


def test_no_web_address_is_fetched_unless_it_is_asked_for(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search, an evaluation and a table of addresses open no connection at all."""

    def connect(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "create_connection", connect)
    (tmp_path / "data.csv").write_text("image,caption\nhttp://127.0.0.1:9/a.png,a dog\n")

    assert mmx(tmp_path, "prepare", "mine", "--raw", tmp_path / "data.csv").code == 3
    assert mmx(
        world / "home", "search", "http://127.0.0.1:9/a.png", "--run", "first", "--no-sheet", *CPU
    ).code in {0, 2}
    assert mmx(
        world / "home", "search", "--image", "http://127.0.0.1:9/a.png", "--run", "first", *CPU
    ).code in {2, 3}
    done(world / "home", "evaluate", "first", *CPU)


def test_no_caption_or_name_becomes_markup_in_a_page(spoiled: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, colour in enumerate(("red", "blue", "green", "white")):
        name = f"{number}<img src=x onerror=alert(1)>.png"
        Image.new("RGB", (32, 32 + number), colour).save(photos / name)
    rows = [
        {"image": path.name, "caption": f"{SCRIPT} \"'&", "split": split}
        for path, split in zip(sorted(photos.iterdir()), ("train", "train", "val", "val"), strict=True)
    ]
    (photos / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done(spoiled, "prepare", "marked", "--raw", photos)

    done(
        spoiled,
        "search",
        SCRIPT,
        "--in",
        photos,
        *MODEL,
        "--no-sheet",
        "--html",
        tmp_path / "hits.html",
        *CPU,
    )
    done(spoiled, "search", SCRIPT, "--dataset", "marked", "--run", "first", "--no-sheet", "--html",
         tmp_path / "split.html", *CPU)  # fmt: skip
    done(spoiled, "evaluate", "first", "--dataset", "marked", "--gallery", tmp_path / "gallery.html", *CPU)

    for page in ("hits.html", "split.html", "gallery.html"):
        text = (tmp_path / page).read_text()
        assert "<script>alert" not in text and "<img src=x" not in text, page
        assert "&lt;img src=x onerror" in text or "&lt;script&gt;" in text, page
        assert "default-src 'none'" in text


def test_the_served_page_gives_nothing_from_outside_and_text_as_data_alone(
    world: Path, spoiled: Path, tmp_path: Path
) -> None:
    web = pytest.importorskip("mmx.web.app", reason="the extra serve is not installed", exc_type=ImportError)
    from fastapi.testclient import TestClient

    from mmx.core.home import Home
    from mmx.core.reporter import SilentReporter
    from mmx.workflows.search_settings import SearchSettings
    from mmx.workflows.serve import Service

    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (32, 32), "red").save(photos / "0<img src=x onerror=alert(1)>.png")
    (photos / "out.png").symlink_to("/etc/passwd")
    settings = SearchSettings(model="random:clip", folder=photos, home=Home(spoiled))
    client = TestClient(web.make_app(Service(settings, SilentReporter()), None), base_url="http://localhost")

    for path in (
        "/static/../../../../../../etc/passwd", "/static/..%2f..%2f..%2f..%2fetc/passwd",
        "/static//etc/passwd", "/api/pictures/..%2f..%2fetc%2fpasswd", "/api/pictures/0-0%2f..%2f..",
        "/api/pictures/%00", "/etc/passwd", "/api/pictures/0-99", "/api/evidence/../../etc/passwd?query=x",
    ):  # fmt: skip
        answer = client.get(path)
        assert 400 <= answer.status_code < 500 and "root:" not in answer.text, path
    found = client.get("/api/search", params={"query": SCRIPT})
    assert found.headers["content-type"] == "application/json" and "nosniff" in str(found.headers)
    assert len(found.json()["hits"]) == 1
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(",
                         (PACKAGE / "web" / "static" / "page.js").read_text())  # fmt: skip
