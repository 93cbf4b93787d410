"""mmx extract: words that reach the workflow, what is shown, and exit codes."""

import json
import sys
from pathlib import Path

import numpy
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
        (("small", "--encoder", "random", "--engine", "rey"), 2, "Did you mean 'ray'"),
        (("small", "--encoder", "random", "--address", "auto"), 2, "Add --engine ray"),
        (("small", "--encoder", "random", "--import", ".", "--engine", "ray"), 2, "--engine cannot go with"),
        (("small", "--encoder", "torchvision:fasterrcnn"), 2, "fasterrcnn_resnet50_fpn_v2"),
        (
            ("small", "--encoder", "random:faster-rcnn", "--fields", "image_features"),
            2,
            "These encoders give: region_features",
        ),
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


def test_ray_that_is_not_installed_ends_with_code_7_and_the_command(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    make_corpus(home)
    for name in [name for name in sys.modules if name == "ray" or name.startswith("mmx.engine.ray_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)

    assert _run(monkeypatch, "small", "--encoder", "random", "--engine", "ray") == 7
    assert "--engine ray needs 'ray'. Install it: pip install \"mmx[ray]\"" in capsys.readouterr().err


def test_a_detector_without_a_network_ends_with_code_4_and_the_ways_on(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    make_corpus(home)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    assert _run(monkeypatch, "small", "--encoder", "faster-rcnn") == 4
    said = " ".join(capsys.readouterr().err.split())
    assert "'torchvision:fasterrcnn_resnet50_fpn_v2' are not in the cache" in said
    assert "--encoder offline" in said


def test_the_regions_of_a_toy_dataset_are_extracted_and_found_again(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["mmx", "prepare", "toy", "--set", "scenes=10", "--set", "size=32"])
    with pytest.raises(SystemExit, match="0"):
        main()
    capsys.readouterr()

    words = ("toy", "--encoder", "random:faster-rcnn", "--flip", "--json")
    codes, said = [], []
    for _ in range(2):
        codes.append(_run(monkeypatch, *words))
        said.append(json.loads(capsys.readouterr().out))
    made, kept = said

    assert codes == [0, 0]
    assert {row["split"] for row in made["features"]} == {"train", "val", "test"}
    assert all(row["shards_made"] == 1 and row["items"] > 0 for row in made["features"])
    assert all(row["shards_made"] == 0 and row["shards_kept"] == 1 for row in kept["features"])


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_boxes_without_the_sizes_of_their_pictures_end_with_code_4(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    make_corpus(home)
    numpy.save(tmp_path / "test_ims.npy", numpy.ones((10, 2, 3), dtype=numpy.float32))
    numpy.save(tmp_path / "test_boxes.npy", numpy.full((10, 2, 4), 7))
    (tmp_path / "test_ids.txt").write_text("".join(f"id{row}\n" for row in range(10)))
    words = ("small", "--encoder", "butd", "--import", str(tmp_path))

    assert _run(monkeypatch, *words) == 4
    said = " ".join(capsys.readouterr().err.split())
    assert "the sizes of the pictures are not beside it" in said

    (tmp_path / "test_img_sizes.csv").write_text("width,height\n" + "60,40\n" * 10)
    assert _run(monkeypatch, *words) == 0
    assert "they are regions with boxes" in " ".join(capsys.readouterr().err.split())


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
