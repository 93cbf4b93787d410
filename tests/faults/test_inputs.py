"""What people feed to the commands: pictures of every state, hostile paths, odd text, and odd queries."""

import gc
import json
import os
import signal
import struct
import threading
from pathlib import Path

import numpy
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.faults.world import CPU, MODEL, TINY, Answer, done, interrupted_after, mmx

BAD = ("half.jpg", "empty.jpg", "text.jpg", "page.jpg", "sum.png", "bomb.png", "folder.jpg", "pipe.jpg")
GOOD = (
    "cmyk.jpg",
    "palette.png",
    "alpha.png",
    "grey-alpha.png",
    "deep.png",
    "one.png",
    "long.png",
    "turned.jpg",
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture in every state, each of other pixels, so that no two are the same picture."""
    folder = tmp_path_factory.mktemp("inputs") / "zoo"
    folder.mkdir()
    grey = Image.linear_gradient("L").resize((64, 48))
    red = Image.merge("RGB", (grey, grey.transpose(Image.Transpose.ROTATE_180), grey))
    red.convert("CMYK").save(folder / "cmyk.jpg")
    red.transpose(Image.Transpose.FLIP_LEFT_RIGHT).convert("P").save(folder / "palette.png")
    Image.merge("RGBA", (*Image.new("RGB", (64, 48), "blue").split(), grey)).save(folder / "alpha.png")
    Image.merge("LA", (grey, grey)).save(folder / "grey-alpha.png")
    Image.fromarray(numpy.arange(64 * 48, dtype=numpy.uint16).reshape(48, 64) * 21).save(folder / "deep.png")
    Image.new("RGB", (1, 1), "green").save(folder / "one.png")
    Image.linear_gradient("L").resize((1, 20_000)).save(folder / "long.png")
    Image.new("RGB", (64, 48), "yellow").save(folder / "moving.gif", save_all=True, append_images=[red])
    turned = Image.Exif()
    turned[0x0112] = 6
    red.save(folder / "turned.jpg", exif=turned)
    (folder / "half.jpg").write_bytes((folder / "turned.jpg").read_bytes()[:700])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no picture")
    (folder / "page.jpg").write_text("<!doctype html><html></html>")
    data = bytearray((folder / "palette.png").read_bytes())
    data[-20] ^= 255
    (folder / "sum.png").write_bytes(data)
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "bomb.png").write_bytes(_bomb())
    return folder


def _bomb() -> bytes:
    """A PNG that claims 60,000 by 60,000 pixels."""
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def spoken(answer: Answer) -> str:
    return " ".join((answer.out + answer.err).split())


def test_prepare_names_every_picture_that_cannot_be_read_and_keeps_the_others(
    zoo: Path, tmp_path: Path
) -> None:
    rows = [{"image": name, "caption": f"the {name}"} for name in (*BAD, *GOOD, "moving.gif")]
    (zoo / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))

    answer = mmx(tmp_path, "prepare", "zoo", "--raw", zoo)
    assert answer.code == 3 and "8 of 17 records (47.1%) are bad; --max-bad allows 1.0%" in answer.err
    assert not (tmp_path / "datasets" / "zoo").exists()
    assert mmx(tmp_path, "prepare", "zoo", "--raw", zoo, "--on-error", "fail").code == 3

    answer = mmx(tmp_path, "prepare", "zoo", "--raw", zoo, "--max-bad", "50%", "--seed", 1)
    assert answer.code == 0
    rejects = (tmp_path / "datasets" / "zoo" / "rejects.jsonl").read_text().splitlines()
    assert {json.loads(line)["value"] for line in rejects} == set(BAD)
    assert all(json.loads(line)["reason"] for line in rejects)


def test_predict_labels_what_it_can_and_names_the_rest(spoiled: Path, zoo: Path) -> None:
    """A folder or a pipe is no photo file; every other picture has labels or a reason."""
    document = json.loads(done(spoiled, "predict", "head", zoo, "--json", *CPU))

    labelled = {Path(photo["path"]).name for photo in document["photos"]}
    reasons = {Path(bad["path"]).name: bad["reason"] for bad in document["unreadable"]}
    assert labelled == {*GOOD, "moving.gif"}
    assert set(reasons) >= set(BAD) - {"folder.jpg", "pipe.jpg"} and all(reasons.values())

    for name, words in {
        "empty.jpg": "empty file",
        "pipe.jpg": "not a regular file",
        "gone.jpg": "nothing at",
    }.items():
        answer = mmx(spoiled, "predict", "head", zoo / name, *CPU)
        assert (answer.code, answer.out) == (3, "") and words in answer.err and name in answer.err


def test_an_index_of_them_is_whole_and_searched(spoiled: Path, zoo: Path) -> None:
    done(spoiled, "index", "add", zoo, *MODEL)
    hits = json.loads(done(spoiled, "search", "red", "--in", zoo, *MODEL, "--json", "--top", 99, *CPU))[
        "hits"
    ]
    assert {hit["id"] for hit in hits} == {*GOOD, "moving.gif"}
    assert mmx(spoiled, "index", "verify", zoo).code == 0


@pytest.mark.parametrize("name", [name for name in BAD if name != "folder.jpg"])
def test_a_picture_to_search_by_that_cannot_be_read_is_named(name: str, world: Path, zoo: Path) -> None:
    answer = mmx(world / "home", "search", "--image", zoo / name, "--run", "first", "--no-sheet", *CPU)

    assert (answer.code, answer.out) == (3, "") and name in answer.err and "Traceback" not in answer.err


def test_pictures_that_went_bad_after_prepare_end_extract_and_evaluate_with_their_name(spoiled: Path) -> None:
    picture = next((spoiled / "datasets" / "toy").glob("images*/val/*.png"))
    picture.write_bytes(picture.read_bytes()[:60])

    answer = mmx(spoiled, "extract", "toy", "--encoder", "random:clip", "--overwrite", *CPU)

    assert answer.code == 3 and picture.name in answer.err and "Traceback" not in answer.err


TABLES = {
    "latin.csv": ("image,caption\na.png,café\n".encode("latin-1"), "not UTF-8"),
    "wide.csv": ("image,caption\na.png,dog\n".encode("utf-16"), "is in utf-16"),
    "marked.csv": ("\ufeffimage,caption\na.png,dog\n".encode(), None),
    "cut.jsonl": (b'{"image": "a.png", "caption": "dog"}\n{"image": "a.p', "cut.jsonl:2"),
    "twice.jsonl": (b'{"image": "a.png", "caption": "x", "caption": "dog"}', "twice.jsonl:1: not JSON"),
    "nan.jsonl": (b'{"image": "a.png", "caption": "dog", "score": NaN}', "nan.jsonl:1: not JSON"),
    "number.jsonl": (b'{"image": "a.png", "caption": "dog", "id": 7}', None),
    "passwd.jsonl": (b'{"image": "../../etc/passwd", "caption": "dog"}', "'..'"),
    "root.jsonl": (b'{"image": "/etc/passwd", "caption": "dog"}', "absolute path"),
    "nul.jsonl": (b'{"image": "a\\u0000.png", "caption": "dog"}', "NUL byte"),
    "web.jsonl": (b'{"image": "https://x.org/a.png", "caption": "dog"}', "web address"),
    "half.jsonl": (b'{"image": "a.png", "caption": "\\ud800"}', "surrogate"),
    "long.jsonl": (json.dumps({"image": "a.png", "caption": "x" * 100_000}).encode(), "over-long caption"),
    "empty.jsonl": (b'{"image": "a.png", "caption": " "}', "empty caption"),
    "array.jsonl": (b"[1, 2]\n", "array.jsonl:1: "),
    "binary.parquet": (b"PAR1" + bytes(50), "parquet"),
    "pickle.parquet": (b"\x80\x04cos\nsystem\n.", "parquet"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_or_refused_with_the_row_that_is_wrong(name: str, tmp_path: Path) -> None:
    data, said = TABLES[name]
    raw = tmp_path / "raw"
    raw.mkdir()
    Image.new("RGB", (32, 32), "red").save(raw / "a.png")
    Image.new("RGB", (32, 32), "blue").save(raw / "b.png")
    (raw / name).write_bytes(data)

    answer = mmx(tmp_path, "prepare", "mine", "--raw", raw)

    assert "Traceback" not in spoken(answer)
    if said is None:
        assert answer.code == 0, answer.err
    else:
        assert (answer.code, said in spoken(answer)) in {(3, True), (0, True)}, spoken(answer)
        assert "root:" not in spoken(answer), "the content of a file outside was shown"


QUERIES = {
    "": 2, " ": 2, "2:": 2, "dog -": 2, "nan: dog": 2, "1e999: dog": 2, "dog - dog": 2, "\x00": 2,
    "😀 שלום": 0, "x" * 100_000: 2, "./gone.png + dog": 3, "man riding cycle": 0,
}  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: repr(query[:12]))
def test_a_query_has_an_answer_or_an_exit_code(query: str, world: Path) -> None:
    answer = mmx(world / "home", "search", query, "--run", "first", "--no-sheet", "--json", *CPU)

    assert answer.code in {QUERIES[query], 0, 2, 3}, (answer.code, answer.err)
    assert answer.code == 0 or answer.is_typed_error, answer.err


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@example("--", 3)
@example("\ud800", 3)
@example("a: b: c", 0)
@given(st.text(max_size=30), st.integers(0, 40))
def test_any_query_has_an_answer_or_an_exit_code(world: Path, query: str, top: int) -> None:
    answer = mmx(
        world / "home", "search", "--run", "first", "--no-sheet", "--json", "--top", top, *CPU, "--", query
    )

    assert answer.is_typed_error or answer.code == 0, (answer.code, answer.err)
    if answer.code == 0:
        assert len(json.loads(answer.out)["hits"]) == min(top, 20)


def test_a_loss_that_is_no_number_exits_5_and_names_its_records(spoiled: Path, tmp_path: Path) -> None:
    words = ("train", "attention-clip", "--dataset", "toy", *TINY, "--epochs", 3, "--out", tmp_path / "run")

    answer = mmx(spoiled, *words, "--lr", "1e30")

    assert answer.code == 5 and "became nan" in answer.err.lower() and "Traceback" not in answer.err
    assert json.loads((tmp_path / "run" / "diverged.json").read_text())["records"]


INTERRUPTED = {
    "extract": ("extract", "toy", "--encoder", "random:resnet", "--overwrite", *CPU),
    "evaluate": ("evaluate", "first", *CPU),
    "search": ("search", "red", "--run", "first", "--rebuild", "--no-sheet", *CPU),
    "fewshot": (
        "fewshot",
        "colours",
        "--method",
        "nearest-mean",
        "--shots",
        1,
        "--seeds",
        1,
        "--out",
        "OUT",
        *CPU,
    ),
    "prepare": ("prepare", "colours", "--raw", "RAW"),
}


@pytest.mark.parametrize("name", INTERRUPTED)
def test_ctrl_c_exits_130_and_the_same_command_then_succeeds(
    name: str, spoiled: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"OUT": tmp_path / "out", "RAW": world / "classes"}
    words = [places.get(word, word) if isinstance(word, str) else word for word in INTERRUPTED[name]]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
    # what is raised inside one, such as hypothesis has, goes no further
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    try:
        timer.start()
        try:
            answer = mmx(spoiled, *words)
        finally:
            timer.join()
    except KeyboardInterrupt:
        pytest.skip("the command had ended before the signal came")
    finally:
        gc.callbacks[:] = callbacks
        signal.signal(signal.SIGINT, before)

    assert answer.code == 130, answer.err
    assert not list((tmp_path / "world").rglob(".mmx-tmp-*"))
    done(spoiled, *words)


def test_two_trainings_of_one_run_the_second_fails_at_once(spoiled: Path) -> None:
    import fcntl

    with (spoiled / "runs" / "stopped" / "lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        answer = mmx(spoiled, "train", "--resume", "stopped", *CPU)

    assert answer.code == 4 and "in use by another process" in answer.err


def test_a_training_that_was_stopped_says_how_to_go_on(spoiled: Path, tmp_path: Path) -> None:
    words = ("train", "attention-clip", "--dataset", "toy", *TINY, "--epochs", 3, "--out", tmp_path / "run")
    with interrupted_after(1):
        answer = mmx(spoiled, *words)

    assert answer.code == 130 and f"mmx train --resume {tmp_path / 'run'}" in answer.err
    done(spoiled, "train", "--resume", tmp_path / "run", *CPU)
