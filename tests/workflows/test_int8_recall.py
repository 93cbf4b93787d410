"""An export in int8: what it costs is measured on val, kept beside it, and never used without a word."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.encoders.onnx_int8 import quantize
from mmx.encoders.onnx_session import OnnxSession
from mmx.encoders.onnx_text import OnnxText
from mmx.store.manifest import Manifest
from mmx.store.onnx_towers import OnnxTowers
from mmx.tasks.recall import ranks, recall_metrics
from mmx.tasks.resampling import Difference
from mmx.workflows.export import Export, ExportSettings, export
from mmx.workflows.int8_recall import Int8Recall, MeasuredTowers, open_val, recall_in_int8
from mmx.workflows.matcher import open_matcher
from mmx.workflows.quick_search import quick_search
from mmx.workflows.search import search
from mmx.workflows.search_settings import SearchSettings
from tests.workflows.exported_home import builder, exported_home

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
ALL = 100.0
"""Points: a tolerance that lets any towers pass."""


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.told: list[str] = []

    def info(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path, Export]:
    """A home whose run is exported in int8, its photos, and what the export says; not to be changed."""
    home, photos = exported_home(tmp_path_factory.mktemp("int8") / "home")
    return home, photos, in_int8(home)


def in_int8(home: Home, tolerance: float = ALL) -> Export:
    settings = ExportSettings(home.runs / "clip", int8=True, int8_tolerance=tolerance, home=home)
    return export(settings, SilentReporter())


def test_products_and_tables_are_of_integers_and_a_sentence_means_what_it_meant(
    made: tuple[Home, Path, Export],
) -> None:
    home, _, exported = made
    towers = OnnxTowers.open(exported.path)
    for name in ("text", "image"):
        graph = onnx.load(towers.path / f"{name}.onnx")
        weights = {weight.name for weight in graph.graph.initializer}
        floats = [
            node.name
            for node in graph.graph.node
            if node.op_type in ("MatMul", "Gemm") and weights & set(node.input)
        ]
        assert not floats and any(node.op_type == "MatMulInteger" for node in graph.graph.node)
        told = {pair.key: pair.value for pair in graph.metadata_props}
        assert told["mmx.weights"] == "int8"
        assert 0.5 < float(told["mmx.least_cosine_to_torch"]) < 0.999999
    assert exported.sides["text"].deviation > 1e-4
    words = OnnxText(towers.path, towers.facts["text"])
    many = words.encode(["a red square", "blues, blue man " * 9, "a"])
    numpy.testing.assert_array_equal(many[:1], words.encode(["a red square"]))
    assert home.runs / "clip" / "onnx" == towers.path


def test_recall_in_float_is_that_of_the_run_itself_and_all_stands_in_the_record(
    made: tuple[Home, Path, Export],
) -> None:
    home, _, exported = made
    found = exported.int8
    assert found is not None
    records = Manifest.open(home.dataset("drawn")).split("val")
    paths = [home.dataset("drawn") / "images" / f"{record.id}.png" for record in records]
    captions = [caption for record in records for caption in record.captions]
    matcher = open_matcher(home.runs / "clip", None, home, "cpu")
    vectors = matcher.encode_images(paths, SilentReporter())[0], matcher.encode_texts(captions)
    owners = torch.arange(len(records)), torch.arange(len(records)).repeat_interleave(2)
    first, words, both = found.rows
    assert first.metrics == recall_metrics(ranks(*vectors, *owners)) and not first.differences
    assert (found.pictures, found.captions) == (len(records), len(captions))
    assert [row.towers for row in found.rows] == ["float", "words in int8", "both in int8"]
    for row in (words, both):
        told = row.differences["rsum"].difference
        assert told == pytest.approx(row.metrics["rsum"] - first.metrics["rsum"])
    kept = OnnxTowers.open(exported.path).int8
    assert kept == json.loads(json.dumps(exported.document()))["int8"]
    assert (kept["split"], kept["tolerance"]) == ("val", ALL)


def test_a_side_that_is_not_exported_is_measured_in_float(made: tuple[Home, Path, Export]) -> None:
    home, _, exported = made
    matcher = open_matcher(home.runs / "clip", None, home, "cpu")
    sessions = {"text": OnnxSession(exported.path / "text.onnx")}
    found = recall_in_int8(matcher, open_val(matcher, SilentReporter()), sessions, ALL, SilentReporter())
    assert exported.int8 is not None and found.rows == exported.int8.rows[:2]


def test_each_recall_of_each_choice_of_towers_may_fall_as_far_as_is_allowed_and_no_further() -> None:
    def falling(words: float, both: float) -> Int8Recall:
        rows = [MeasuredTowers("float", {"a@1": 50.0}, {})]
        for name, fall in (("words in int8", words), ("both in int8", both)):
            differences = {
                "a@1": Difference(-fall, -fall - 1, 1 - fall, 0.5),
                "rsum": Difference(-9.0, -9, -9, 0),
            }
            rows.append(MeasuredTowers(name, {"a@1": 50.0 - fall}, differences))
        return Int8Recall("drawn", "f", 1_000, 5_000, 0.5, "rsum", tuple(rows))

    falling(0.5, 0.5).check("mine")
    falling(-3.0, -3.0).check("mine")
    words = (
        r"^'mine' loses 0\.75 points of a@1 with both in int8: 50\.00 become 49\.25 on 'drawn' val \(1,000 "
        r"pictures, 5,000 captions\), and 0\.5 is the most\..+--int8-tolerance POINTS\.$"
    )
    with pytest.raises(ArtifactError, match=words):
        falling(0.25, 0.75).check("mine")
    with pytest.raises(ArtifactError, match=r"with words in int8"):
        falling(0.75, 0.25).check("mine")


def test_a_tolerance_has_its_bounds_and_goes_with_int8(made: tuple[Home, Path, Export]) -> None:
    home, _, _ = made
    for wrong in (-1.0, float("nan"), 101.0):
        with pytest.raises(UsageError, match=r"is not possible\. It is from 0 to 100 points"):
            in_int8(home, wrong)
    with pytest.raises(UsageError, match=r"Add --int8, or leave it out"):
        export(ExportSettings(home.runs / "clip", int8_tolerance=1.0, home=home), SilentReporter())


def test_without_val_there_is_no_int8(tmp_path: Path) -> None:
    home, made = Home(tmp_path), builder()
    shutil.copytree(made.dataset("drawn"), home.dataset("drawn"))
    shutil.copytree(made.runs / "clip", home.runs / "clip", ignore=shutil.ignore_patterns("onnx"))
    matcher = open_matcher(home.runs / "clip", None, home, "cpu")
    val = open_val(matcher, SilentReporter())
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"^1 pictures of 'drawn' val cannot be read, the first '.+/broken"):
        recall_in_int8(matcher, replace(val, paths=[*val.paths, broken]), {}, ALL, SilentReporter())
    (home.dataset("drawn") / "corpus.json").unlink()
    with pytest.raises(ArtifactError, match=r"'drawn' val.+cannot be read\. Leave out --int8.+mmx prepare"):
        in_int8(home)
    assert not (home.runs / "clip" / "onnx").exists()


def test_a_search_takes_int8_where_onnx_is_named_and_says_so_and_else_says_why_not(
    made: tuple[Home, Path, Export],
) -> None:
    home, photos, _ = made
    listener = Listener()
    named = SearchSettings(
        query="a red square",
        run=home.runs / "clip",
        folder=photos,
        refresh=False,
        home=home,
        engine="onnx",
        device="cpu",
    )
    (found,) = quick_search([named], listener) or []
    assert found.int8 and found.document()["int8"] is True and found.made_by == "clip (words in int8)"
    assert "'clip' reads words in int8: rsum " in listener.told[-1] and "on 'drawn' val" in listener.told[-1]
    assert quick_search([replace(named, engine="auto")], listener) is None
    assert listener.told[-1].startswith("torch reads the words, since 'clip' is exported in int8")
    theirs = search(replace(named, engine="auto"), listener)
    assert "int8" not in theirs.document() and theirs.made_by == "clip"
    ours = {hit.id: hit.score for hit in found.hits}
    assert any(abs(ours[hit.id] - hit.score) > 1e-6 for hit in theirs.hits)


def test_a_weight_that_stands_in_two_products_is_rounded_as_it_is_in_both(tmp_path: Path) -> None:
    """As where a picture and its mirror are read by one network; not square, so that turning shows."""
    weight = numpy.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    nodes = [
        onnx.helper.make_node("Gemm", [name, "w"], [f"{name}y"], name=f"{name}g", transB=1) for name in "ab"
    ]
    nodes.append(onnx.helper.make_node("Add", ["ay", "by"], ["y"]))
    kind = onnx.TensorProto.FLOAT
    reads = [onnx.helper.make_tensor_value_info(name, kind, [1, 4]) for name in "ab"]
    gives = [onnx.helper.make_tensor_value_info("y", kind, [1, 6])]
    graph = onnx.helper.make_graph(nodes, "g", reads, gives, [onnx.numpy_helper.from_array(weight, "w")])
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "image.onnx")
    quantize(tmp_path / "image.onnx")
    values = {name: numpy.ones((1, 4), "float32") for name in "ab"}
    given = OnnxSession(tmp_path / "image.onnx")(values)
    numpy.testing.assert_allclose(given, 2 * values["a"] @ weight.T, atol=0.2)
