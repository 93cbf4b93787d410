"""Explain: files that say what the model says, places that are those of the picture, and words that fit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch
from PIL import Image

from mmx.core.batch import Batch
from mmx.core.caption_words import CaptionWords
from mmx.core.errors import ArtifactError, DataError, ResourceError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.core.task import Retrieval
from mmx.core.tower import TowerUse
from mmx.core.view import View
from mmx.workflows.evidence_files import Pair
from mmx.workflows.explain import check_explains, explain_pairs
from mmx.workflows.extract import ExtractSettings, extract
from mmx.workflows.import_sources import ImportSource
from mmx.workflows.method_settings import Wishes
from mmx.workflows.search import SearchResult, SearchSettings, check, search
from mmx.workflows.train import TrainSettings, train
from tests.workflows.explained_home import COUNTS, SMALL, explained_home


@pytest.fixture
def trained(tmp_path: Path) -> Home:
    return explained_home(tmp_path / "home")


def look(home: Home, run: str, tmp_path: Path, **words: object) -> tuple[SearchResult, dict]:
    """A search that explains its hits, and the JSON that it leaves."""
    asked = {"query": "a red square on the left", "explain": 1, "top": 3, "split": "val", **words}
    settings = SearchSettings(run=Path(run), home=home, evidence=tmp_path / "out" / "found-evidence", **asked)
    result = search(settings, SilentReporter())
    return result, json.loads((tmp_path / "out" / "found-evidence.json").read_text())


@pytest.mark.parametrize("run", ["words", "tokens", "detector"])
def test_the_parts_and_the_rest_are_the_score_and_every_region_has_its_place(
    run: str, trained: Home, tmp_path: Path
) -> None:
    result, document = look(trained, run, tmp_path, explain=2)

    assert document["schema"] == "mmx.evidence/1"
    assert [hit["rank"] for hit in document["hits"]] == [1, 2]
    for hit, found in zip(document["hits"], result.hits, strict=False):
        assert (hit["id"], hit["caption"]) == (found.id, "a red square on the left")
        weights = torch.tensor([word["weights"] for word in hit["words"]])
        boxes = torch.tensor(hit["boxes"])
        assert weights.shape[1] == len(boxes) > 1
        assert float(weights.sum()) == pytest.approx(hit["accounted_for"], abs=1e-6)
        assert hit["accounted_for"] + hit["rest"] == pytest.approx(hit["score"])
        assert ((boxes >= 0) & (boxes <= 1)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        if run != "tokens":
            assert hit["score"] == pytest.approx(found.score, abs=2e-3)


def test_a_run_that_knows_few_words_shows_those_that_were_typed(trained: Home, tmp_path: Path) -> None:
    _, document = look(trained, "words", tmp_path, query="a zebra on the Left!")

    said = [(word["text"], word["kind"], word["unknown"]) for word in document["hits"][0]["words"]]
    assert said == [
        ("<start>", "special", False), ("a", "stop", False), ("zebra", "word", True), ("on", "stop", False),
        ("the", "stop", False), ("left", "word", False), ("<end>", "special", False),
    ]  # fmt: skip


def test_without_concepts_and_pooled_path_nothing_is_left_over(trained: Home, tmp_path: Path) -> None:
    """Its gallery has the mirrored pictures too, so that what ranked is not quite what is explained."""
    _, document = look(trained, "tokens", tmp_path)

    hit = document["hits"][0]
    assert hit["rest"] == pytest.approx(0, abs=1e-6)
    assert hit["ranked_with"] != pytest.approx(hit["score"], abs=1e-7)


def test_the_files_are_beside_each_other_and_say_what_they_are(trained: Home, tmp_path: Path) -> None:
    result, document = look(trained, "words", tmp_path, explain=2)

    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "found-evidence-1.png", "found-evidence-2.png", "found-evidence.html", "found-evidence.json"
    }  # fmt: skip
    for path in document["sheets"]:
        with Image.open(path) as sheet:
            assert sheet.width > 1000
    assert result.document()["evidence"]["page"] == str(tmp_path / "out" / "found-evidence.html")
    assert "random weights" in (tmp_path / "out" / "found-evidence.html").read_text()
    told = "\n".join(result.explained.lines)
    for words in ("found-evidence-1.png", ".html", ".json", "Faithfulness over 2 pairs", "random"):
        assert words in told


def test_a_photo_of_a_folder_is_explained_as_the_same_photo_of_a_dataset_is(
    trained: Home, tmp_path: Path
) -> None:
    result, of_dataset = look(trained, "words", tmp_path, top=1)
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(result.hits[0].path, photos)
    _, of_folder = look(trained, "words", tmp_path, split=None, folder=photos)

    wanted, same = of_dataset["hits"][0], of_folder["hits"][0]
    assert same["id"] == f"{wanted['id']}.png"
    assert same["words"][1]["weights"] == pytest.approx(wanted["words"][1]["weights"], abs=1e-6)
    assert same["boxes"] == wanted["boxes"]


def test_captions_found_for_a_photo_are_explained_on_it(trained: Home, tmp_path: Path) -> None:
    photo = trained.dataset("drawn") / "images" / "val-1.png"
    result, document = look(trained, "words", tmp_path, query=None, image=photo, captions=True, explain=2)

    assert [hit["caption"] for hit in document["hits"]] == [hit.caption for hit in result.hits[:2]]
    assert {hit["path"] for hit in document["hits"]} == {str(photo)}


def test_more_hits_asked_for_than_there_are_explains_those_there_are(trained: Home, tmp_path: Path) -> None:
    result, document = look(trained, "words", tmp_path, explain=9, top=9)

    assert len(document["hits"]) == len(result.hits) == 4


def test_a_picture_removed_since_is_passed_over_with_a_warning(trained: Home, tmp_path: Path) -> None:
    first = look(trained, "words", tmp_path)[0].hits[0]
    Path(first.path).unlink()
    warnings: list[str] = []
    listener = SilentReporter()
    listener.warn = warnings.append
    settings = SearchSettings(
        query="a red square on the left",
        run=Path("words"),
        home=trained,
        split="val",
        explain=2,
        evidence=tmp_path / "e",
    )

    result = search(settings, listener)

    assert [seen.rank for seen in result.explained.evidence] == [2]
    assert first.path in warnings[0] and "missing" in warnings[0]
    with pytest.raises(DataError, match="nothing can be explained"):
        search(replace(settings, explain=1), listener)


def test_equal_searches_leave_equal_numbers(trained: Home, tmp_path: Path) -> None:
    assert look(trained, "words", tmp_path)[1] == look(trained, "words", tmp_path)[1]


def train_on_regions_made_elsewhere(home: Home, folder: Path, boxes: bool) -> None:
    """A run `made` over vectors [N, 3, 6]; the three regions are both halves and the whole of a picture."""
    folder.mkdir()
    halves = [[0, 0, 48, 64], [48, 0, 96, 64], [0, 0, 96, 64]]
    for split, count in COUNTS.items():
        numpy.save(
            folder / f"{split}_ims.npy", numpy.random.default_rng(0).random((count, 3, 6), numpy.float32)
        )
        (folder / f"{split}_ids.txt").write_text("".join(f"{split}-{row}.png\n" for row in range(count)))
        if boxes:
            numpy.save(folder / f"{split}_boxes.npy", numpy.array([halves] * count))
            numpy.save(folder / f"{split}_img_sizes.npy", numpy.array([(96, 64)] * count))
    extract(ExtractSettings("drawn", ("made",), home=home, source=ImportSource(folder)), SilentReporter())
    wishes = Wishes(preset="tiny", assignments=(*SMALL, "image_encoder=import:made"))
    train(
        TrainSettings("mh-cvse", "drawn", wishes, 0, "cpu", out=home.runs / "made", home=home.root),
        SilentReporter(),
    )


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_regions_made_elsewhere_are_shown_where_their_boxes_say(trained: Home, tmp_path: Path) -> None:
    train_on_regions_made_elsewhere(trained, tmp_path / "made", boxes=True)

    _, document = look(trained, "made", tmp_path)

    found = sorted(document["hits"][0]["boxes"])
    assert found == [[0, 0, 0.5, 1], [0, 0, 1, 1], [0.5, 0, 1, 1]]


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_regions_whose_places_nobody_knows_cannot_be_shown(trained: Home, tmp_path: Path) -> None:
    train_on_regions_made_elsewhere(trained, tmp_path / "made", boxes=False)

    with pytest.raises(ArtifactError, match=r"lack region_boxes.*--import DIR --overwrite"):
        look(trained, "made", tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"query": "red", "explain": -1}, "--explain of -1"),
        ({"query": "red", "explain": 1, "top": 0}, "--top 0"),
        ({"image": Path("a.png"), "explain": 1}, "words of a sentence on a picture"),
        ({"query": "red", "captions": True, "explain": 1}, "words of a sentence on a picture"),
    ],
)
def test_what_cannot_be_explained_is_refused(words: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check(SearchSettings(**words))


def test_a_place_that_cannot_be_written_is_found_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError):
        check(SearchSettings(query="red", explain=1, evidence=tmp_path / "file" / "evidence"))


def test_who_cannot_explain_is_told_who_can() -> None:
    method = SimpleNamespace(tasks=(Retrieval(encode_image=len, encode_text=len),))
    folder = SimpleNamespace(facts={"method": "plain-method"})
    run = SimpleNamespace(name="run", opened=SimpleNamespace(method=method, folder=folder))

    with pytest.raises(UsageError, match=r"'run' was trained with 'plain-method', .*: mh-cvse, "):
        check_explains(run)
    with pytest.raises(UsageError, match=r"'clip' is a pretrained pair of towers, .*mmx train mh-cvse"):
        check_explains(SimpleNamespace(name="clip", opened=None))


class StubMatcher:
    """Two words of three pieces between two signs, four cells of a grid over the middle of a wide picture."""

    name = "stub"

    def __init__(self, attention: torch.Tensor, adds_up: bool) -> None:
        use = TowerUse("stub", False, ("region_features",))
        task = Retrieval(
            encode_image=lambda model, batch: batch.region_mask.float().mean(1, keepdim=True),
            encode_text=lambda model, batch: torch.ones(1, 1),
            explain=lambda model, batch: attention[None],
            adds_up=adds_up,
        )
        self.opened = SimpleNamespace(
            uses={"image": use}, model=torch.nn.Linear(1, 1), method=SimpleNamespace(tasks=(task,))
        )
        self.opened.folder = SimpleNamespace(facts={"method": "stub"})

    def read_image(self, path: Path, beside: tuple[str, ...]) -> Batch:
        boxes = [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]]
        there = torch.tensor([[True, True, True, False]])
        return Batch(
            region_features=torch.ones(1, 4, 2), region_mask=there, region_boxes=torch.tensor([boxes])
        )

    def read_texts(self, captions: list[str]) -> Batch:
        return Batch(token_ids=torch.ones(1, 5, dtype=torch.int64))

    def words(self, captions: list[str]) -> list[CaptionWords]:
        return [CaptionWords(("[CLS]", "frisbee", "the", "[SEP]"), (0, 1, 1, 2, 3), frozenset({0, 3}))]

    def view(self, key: str) -> View:
        return View(32, 32, "crop")


@pytest.mark.parametrize(("adds_up", "frisbee"), [(True, [0.5, 0.75, 0.25]), (False, [0.25, 0.375, 0.125])])
def test_pieces_of_a_word_add_up_or_share_their_attention_and_absent_regions_are_left_out(
    adds_up: bool, frisbee: list[float], tmp_path: Path
) -> None:
    """A picture of 200 x 100 is seen in its middle half: fractions 0.25 to 0.75 of the width."""
    Image.new("RGB", (200, 100), "red").save(tmp_path / "p.png")
    rows = [[0, 0, 0, 0], [0.5, 0.25, 0, 0], [0, 0.5, 0.25, 0], [0.1, 0.1, 0.1, 0], [0, 0, 0, 0]]
    pair = Pair(1, 0.5, tmp_path / "p.png", "p.png", "p", "the frisbee", "folder")

    seen = explain_pairs(
        StubMatcher(torch.tensor(rows), adds_up), [pair], tmp_path / "e", "t", SilentReporter()
    ).evidence[0]

    assert [word.kind for word in seen.words] == ["special", "word", "stop", "special"]
    assert seen.words[1].weights == pytest.approx(frisbee)
    assert seen.boxes[0] == pytest.approx((0.25, 0, 0.5, 0.5))
    assert seen.boxes[1] == pytest.approx((0.5, 0, 0.75, 0.5))
    assert len(seen.boxes) == 3
    assert seen.score == pytest.approx(0.75)
    assert (seen.accounted_for is None) is not adds_up
