"""Export: what onnxruntime gives is what torch gives, and what cannot be exported is said in words."""

import json
from pathlib import Path

import numpy
import pytest
import torch

from mmx.core.errors import ArtifactError, MissingExtraError, UsageError
from mmx.core.reporter import SilentReporter
from mmx.encoders.fused import FusedConvolution
from mmx.encoders.onnx_session import OnnxSession
from mmx.encoders.onnx_text import OnnxText
from mmx.engine import onnx_export
from mmx.store.onnx_towers import OnnxTowers
from mmx.store.sums import file_sha256
from mmx.workflows import exported_sides
from mmx.workflows.export import Export, ExportSettings, export
from mmx.workflows.matcher import open_matcher
from mmx.workflows.opened_run import open_run, rebuild
from tests.workflows.exported_home import builder, exported_home, run_of

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
TEXTS = ("a", "a red square on the left", "blues, blue man " * 20, "", "white square")


def written(name: str, tmp_path: Path) -> tuple[Export, OnnxTowers]:
    home = builder()
    made = export(ExportSettings(run_of(home, name), out=tmp_path / "onnx", home=home), SilentReporter())
    return made, OnnxTowers.open(made.path)


@pytest.mark.parametrize("name", ["frozen-clip", "rank-pooled", "words", "aligned"])
def test_both_sides_of_each_method_give_what_torch_gives_at_any_size(name: str, tmp_path: Path) -> None:
    """At sizes that the export itself was not compared at."""
    made, towers = written(name, tmp_path)
    assert ("the second stage" in made.left_out) is towers.facts["second_stage"]
    assert all(side.deviation < 1e-4 and side.cosine > 0.9999 for side in made.sides.values())
    matcher = open_matcher(run_of(builder(), name), None, builder(), "cpu")
    texts = matcher.number_texts(TEXTS)
    session = OnnxSession(towers.path / "text.onnx")
    for places in ([0], [2], [3, 1], [4, 0, 1]):
        numbers = texts.read(torch.tensor(places))
        given = session({field: value.numpy() for field, value in numbers.items()})
        with torch.no_grad():
            numpy.testing.assert_allclose(given, matcher.embed_numbers(numbers), atol=1e-4)
        numpy.testing.assert_allclose(numpy.linalg.norm(given, axis=1), 1, atol=1e-4)
    view = matcher.view("image")
    pixels = torch.randint(0, 256, (3, 3, view.height, view.width), dtype=torch.uint8)
    with torch.no_grad():
        wanted = matcher.embed_pixels(pixels)
    given = OnnxSession(towers.path / "image.onnx")({"pixels": pixels.numpy()})
    numpy.testing.assert_allclose(given, wanted, atol=1e-4)


def test_the_folder_says_all_that_another_program_needs() -> None:
    home = builder()
    towers = OnnxTowers.open(home.runs / "clip" / "onnx")
    said = towers.facts
    assert (said["run"], said["method"], said["second_stage"]) == ("clip", "attention-clip", False)
    assert said["image"]["inputs"] == {"pixels": {"type": "uint8", "shape": ["batch", 3, 64, 64]}}
    about = said["image"]["preprocessing"]
    assert about["order"] == "RGB" and about["normalised"] == "inside the graph" and len(about["mean"]) == 3
    assert about["averaged_with_mirror"] is False
    assert said["text"]["inputs"]["token_mask"] == {"type": "bool", "shape": ["batch", "length"]}
    assert said["text"]["tokenizer"] == {
        "file": "tokenizer.json",
        "lowercase": False,
        "longest": 20_000,
        "tokens": 24,
    }
    assert said["text"]["checked"]["on"] == "captions of 'drawn' val"
    assert said["fingerprint"] == open_matcher(home.runs / "clip", None, home, "cpu").fingerprint
    assert all(
        file_sha256(towers.path / name) == about["sha256"] for name, about in towers.facts["files"].items()
    )
    for name in ("image", "text"):
        graph = onnx.load(towers.path / f"{name}.onnx", load_external_data=False)
        told = {pair.key: pair.value for pair in graph.metadata_props}
        assert (
            float(told["mmx.deviation_from_torch"]) < 1e-4 and told["mmx.fingerprint"] == towers.fingerprint
        )


def test_sentences_get_the_vectors_that_torch_gives_them() -> None:
    """Numbered by the tokenizer that was written, cut at the encoder's limit."""
    home = builder()
    towers = OnnxTowers.open(home.runs / "clip" / "onnx")
    matcher = open_matcher(home.runs / "clip", None, home, "cpu")
    given = OnnxText(towers.path, towers.facts["text"], once=True).encode(TEXTS)
    numpy.testing.assert_allclose(given, matcher.encode_texts(TEXTS), atol=1e-4)


def test_where_the_data_is_not_at_hand_drawn_pictures_and_sentences_are_compared(
    tmp_path: Path,
) -> None:
    home, _ = exported_home(tmp_path / "home")
    (home.dataset("drawn") / "corpus.json").unlink()
    made = export(ExportSettings(home.runs / "clip", home=home), SilentReporter())
    assert made.compared_on == {"image": "drawn pictures", "text": "drawn sentences"}
    assert made.path == home.runs / "clip" / "onnx" and OnnxTowers.open(made.path).bytes == made.bytes
    assert json.loads(json.dumps(made.document()))["schema"] == "mmx.export/1"


def test_a_side_that_reads_a_detector_s_regions_is_left_out_and_said_so(tmp_path: Path) -> None:
    made, towers = written("detector", tmp_path)
    assert list(made.sides) == ["text"] and towers.facts["image"] is None
    assert "read by a detector" in towers.facts["left_out"]["image"]
    assert towers.facts["text"]["numbered_by_mmx"] == ["token_ids", "concept_ids"]
    assert "the way to token_ids, concept_ids" in made.left_out
    assert (towers.path / "assets.json").is_file() and not (towers.path / "tokenizer.json").exists()


def test_a_graph_that_strays_from_torch_is_not_kept_and_the_one_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = exported_home(tmp_path / "home")
    before = (home.runs / "clip" / "onnx" / "settings.json").read_bytes()
    monkeypatch.setattr(exported_sides, "TOLERANCE", 0.0)
    with pytest.raises(ArtifactError, match=r"'image\.onnx' differs from torch by .+ and 0 is the most"):
        export(ExportSettings(home.runs / "clip", home=home), SilentReporter())
    assert (home.runs / "clip" / "onnx" / "settings.json").read_bytes() == before
    assert not list((home.runs / "clip").glob(".mmx-tmp-*"))


def test_what_cannot_be_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = builder()
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "letter.txt").write_text("dear")

    def of(run: Path, **words: object) -> None:
        export(ExportSettings(run, home=home, **words), SilentReporter())

    with pytest.raises(UsageError, match=r"Write: mmx export RUN --onnx"):
        of(home.runs / "clip", onnx=False)
    with pytest.raises(UsageError, match=r"else' holds something else than exported towers"):
        of(home.runs / "clip", out=tmp_path / "else")
    with pytest.raises(ArtifactError, match=r"there is no run at 'nowhere'"):
        of(Path("nowhere"))
    monkeypatch.setattr(onnx_export, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mmx\[onnx\]'"):
        of(home.runs / "clip")
    assert (tmp_path / "else" / "letter.txt").read_text() == "dear"


def test_a_graph_that_gives_no_numbers_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported_sides, "OnnxSession", lambda _: lambda _: numpy.full((1, 2), numpy.nan))
    examples = [{"token_ids": torch.zeros(1, 1)}]
    side = exported_sides.Side("text", lambda _: torch.zeros(1, 2), (), examples, {})
    with pytest.raises(ArtifactError, match="gives what is no number, unlike torch"):
        exported_sides._compare(side, tmp_path / "text.onnx")


def test_a_tuned_tower_of_a_run_that_is_opened_is_the_one_that_was_trained() -> None:
    opened = open_run(run_of(builder(), "aligned"), builder(), torch.device("cpu"))
    fitted, towers = rebuild(opened.folder)
    trained = fitted.build(towers).eval()
    opened.folder.load_weights(trained)
    pixels = torch.randint(256, (3, 3, 64, 64), dtype=torch.uint8)

    assert any(isinstance(module, FusedConvolution) for module in opened.model.modules())
    assert not any(isinstance(module, FusedConvolution) for module in trained.modules())
    with torch.inference_mode():
        torch.testing.assert_close(opened.model.image_tower(pixels), trained.image_tower(pixels))
