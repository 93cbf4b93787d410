"""mmx extract: words that reach the workflow, what is shown, and exit codes."""

import json
import sys

import pytest

from mmx.cli.app import main
from mmx.cli.extract import size
from mmx.core.home import Home
from tests.small_corpus import make_corpus


def _run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mmx", "extract", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


def test_json_is_one_document(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    make_corpus(home)

    code = _run(
        monkeypatch,
        "small",
        "--encoder",
        "random:vit",
        "--encoder",
        "random:bert",
        "--fields",
        "image_features,text_features",
        "--json",
    )

    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert said["schema"] == "mmx.extract/1"
    assert [(row["encoder"], row["split"], row["shards_made"]) for row in said["features"]] == [
        ("random:vit", "test", 1),
        ("random:bert", "test", 1),
    ]


def test_a_second_run_says_that_shards_are_kept(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    make_corpus(home)
    _run(monkeypatch, "small", "--encoder", "random:bert", "--shard-size", "4")
    capsys.readouterr()

    assert _run(monkeypatch, "small", "--encoder", "random:bert", "--shard-size", "4") == 0

    said = capsys.readouterr()
    assert "3 of 3 shards are there and are kept" in said.err
    assert "random:bert" in said.out
    assert "0 new, 3 kept" in said.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("small",), 2, "no encoder is named"),
        (("small", "--encoder", "minlm"), 2, "Did you mean 'minilm'"),
        (("small", "--encoder", "random", "--split", "dev"), 2, "no split 'dev'"),
        (("small", "--encoder", "random", "--images", "x.npy"), 2, "go with --import"),
        (("absent", "--encoder", "random"), 4, "mmx prepare absent"),
        (("small", "--encoder", "hub:nobody/nothing"), 4, "--encoder offline"),
        (("small", "--encoder", "random", "--device", "gpu9"), 2, "no device 'gpu9'"),
    ],
)
def test_mistakes_end_with_their_code_and_no_traceback(
    words: tuple[str, ...],
    code: int,
    said: str,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    make_corpus(home)

    assert _run(monkeypatch, *words) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown


def test_an_unreadable_picture_ends_with_code_3(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    manifest = make_corpus(home)
    manifest.image_path(manifest.split("test")[3]).write_bytes(b"")

    assert _run(monkeypatch, "small", "--encoder", "random:resnet") == 3
    assert "p3.png" in capsys.readouterr().err


def test_sizes_are_written_as_people_read_them() -> None:
    assert [size(number) for number in (0, 1_500, 2_000_000, 3.2e9)] == [
        "0.0 bytes",
        "1.5 kB",
        "2.0 MB",
        "3.2 GB",
    ]
