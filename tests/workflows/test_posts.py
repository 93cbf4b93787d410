"""Posts from their files to a trained run, its numbers, and what it says of new posts."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from mmx.core.errors import DataError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.engine.label_split import TaggedPost
from mmx.engine.train_options import TrainResult
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.workflows.compare import CompareSettings, compare_runs
from mmx.workflows.evaluate import evaluate
from mmx.workflows.evaluate_settings import EvaluateSettings
from mmx.workflows.method_settings import Wishes
from mmx.workflows.predict_posts import predict_posts
from mmx.workflows.prepare import prepare
from mmx.workflows.raw_data import PrepareSettings
from mmx.workflows.train import TrainSettings, train
from tests.post_corpus import write_posts, write_sentiments


def prepared(home: Home, folder: Path, name: str) -> Manifest:
    prepare(PrepareSettings(name, str(folder), home.root, max_bad="20%"), SilentReporter())
    return Manifest.open(home.dataset(name))


def trained(home: Home, dataset: str, *assignments: str, out: str = "run") -> TrainResult:
    wishes = Wishes(preset="tiny", assignments=("epochs=1", "thumbnail=4", *assignments))
    settings = TrainSettings("muse", dataset, wishes, device="cpu", out=home.runs / out, home=home.root)
    return train(settings, SilentReporter())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with posts to tag, and a run that tags them."""
    folder = tmp_path_factory.mktemp("tagged")
    home = Home(folder / "home")
    prepared(home, write_posts(folder / "posts"), "posts")
    trained(home, "posts")
    return home


@pytest.fixture
def tagged(built: Home, home: Home) -> Home:
    """A copy of it that a test may change."""
    shutil.copytree(built.root, home.root)
    return home


def test_posts_without_pictures_are_kept_and_counted(tagged: Home) -> None:
    manifest = Manifest.open(tagged.dataset("posts"))
    report = json.loads((manifest.folder / "report.json").read_text())

    records = [record for split in manifest.splits for record in manifest.split(split)]
    assert len(records) == 20 and sum(record.image is None for record in records) == 7
    found = {finding["kind"]: finding["count"] for finding in report["findings"]}
    assert found["post kept without its picture: missing"] == 7


def test_a_tagger_is_trained_measured_and_resumed_like_any_other(tagged: Home) -> None:
    result = trained(tagged, "posts", out="anew")
    folder = RunFolder.open(result.run)

    assert folder.facts["tasks"] == ["tagging"]
    assert "f1_strict" in result.metrics and "f1_conll" in result.metrics
    settings = EvaluateSettings(tagged, result.run, device="cpu")
    found = evaluate(settings, SilentReporter())
    assert found.metrics == pytest.approx(result.metrics)
    assert found.facts["posts"] == 4 and found.document()["schema"] == "mmx.evaluate-posts/1"
    assert len(folder.metrics()["evaluations"]) == 1


def test_the_numbers_do_not_depend_on_the_size_of_a_batch_nor_on_the_last_partial_one(tagged: Home) -> None:
    run = tagged.runs / "run"

    found = [
        evaluate(
            EvaluateSettings(tagged, run, split="train", device="cpu", batch_size=size), SilentReporter()
        )
        for size in (5, 64)
    ]

    assert found[0].metrics == found[1].metrics and found[0].facts["posts"] == 12


def test_samples_are_drawn_into_the_run(tagged: Home) -> None:
    run = tagged.runs / "run"

    found = evaluate(EvaluateSettings(tagged, run, samples=2, device="cpu"), SilentReporter())

    assert found.samples == run / "samples.png"
    with Image.open(found.samples) as sheet:
        assert sheet.width > 900 and sheet.height > 400


def test_two_runs_are_compared_on_the_same_posts(tagged: Home) -> None:
    one, other = tagged.runs / "run", trained(tagged, "posts", "theta=0", out="other").run

    found = evaluate(EvaluateSettings(tagged, one, compare=other, device="cpu"), SilentReporter())

    beside = found.comparison
    assert set(beside.metrics) == set(beside.differences) == set(found.metrics)
    for name, test in beside.differences.items():
        assert test.difference == pytest.approx(found.metrics[name] - beside.metrics[name])
        assert test.low <= test.difference <= test.high and 0 < test.p <= 1
    table = compare_runs(CompareSettings(tagged, (other, one), device="cpu"), SilentReporter())
    assert [row.name for row in table.rows] == ["other", "run"]
    assert table.rows[1].differences["f1_strict"].difference == beside.differences["f1_strict"].difference
    assert table.rows[1].differs == {"theta": (0.3, 0.0)}


def test_entities_of_new_posts_stand_where_their_letters_are(
    tagged: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tagged.runs / "run"
    tags = RunFolder.open(run).assets().values["labels"]
    said = [
        (("B-PER", "O", "B-PER", "O"), (0.9, 1, 0.8, 1)),
        (("B-LOC", "I-LOC", "O", "O"), (0.75, 0.5, 1, 1)),
    ]
    found = [TaggedPost(tuple(map(tags.index, names)), scores) for names, scores in said]
    monkeypatch.setattr("mmx.workflows.predict_posts.tag_split", lambda *parts: found)
    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    (tmp_path / "broken.jpg").write_text("no picture")
    rows = [
        {"text": "Anna met  Bob today", "image": "red.png"},
        {"words": ["New", "York", "is", "far"], "image": "broken.jpg", "id": "b"},
    ]
    file = tmp_path / "new.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))

    found = predict_posts(run, file, tagged, "cpu", SilentReporter())

    first, second = found.document()["posts"]
    assert first["image"] == "read" and second["image"].startswith("broken.jpg: ")
    assert second["id"] == "b" and "sentiment" not in second
    assert list(first["entities"]) == [
        {"type": "PER", "text": "Anna", "begin": 0, "end": 4, "score": 0.9},
        {"type": "PER", "text": "Bob", "begin": 10, "end": 13, "score": 0.8},
    ]
    assert list(second["entities"]) == [
        {"type": "LOC", "text": "New York", "begin": 0, "end": 8, "score": 0.5}
    ]


def test_a_post_of_400_words_is_read_as_far_as_the_limit_and_the_rest_is_counted(
    tagged: Home, tmp_path: Path
) -> None:
    run = tagged.runs / "run"
    file = tmp_path / "long.jsonl"
    file.write_text(json.dumps({"text": "word " * 400}))

    (post,) = predict_posts(run, file, tagged, "cpu", SilentReporter()).posts

    # the tiny encoder reads 32 tokens, two of which are signs
    assert post.unread_words == 400 - 30


def test_a_broken_row_is_named_and_nothing_is_labelled(tagged: Home, tmp_path: Path) -> None:
    run = tagged.runs / "run"
    rows = {
        '{"image": "x.jpg"}': "'new.jsonl:1' has no text: a row needs `text`",
        '{"text": "a", "image": "../x.jpg"}': "the picture '../x.jpg' is refused",
        '{"text": "a"': "not JSON",
        '{"text": "\\ud800 a"}': "lone surrogate",
        "": "holds no post",
    }
    for row, said in rows.items():
        (tmp_path / "new.jsonl").write_text(row)
        with pytest.raises(DataError) as error:
            predict_posts(run, tmp_path / "new.jsonl", tagged, "cpu", SilentReporter())
        assert said in str(error.value)


def test_sentiment_is_learned_measured_and_told(home: Home, tmp_path: Path) -> None:
    prepared(home, write_sentiments(tmp_path / "course"), "course")
    result = trained(home, "course")
    file = tmp_path / "new.jsonl"
    file.write_text(json.dumps({"text": "a good day"}))

    found = evaluate(EvaluateSettings(home, result.run, split="test", device="cpu"), SilentReporter())
    (post,) = predict_posts(result.run, file, home, "cpu", SilentReporter()).document()["posts"]

    assert set(found.metrics) == {"accuracy", "weighted_f1", "macro_f1"}
    assert [row["class"] for row in found.rows] == ["negative", "neutral", "positive"]
    assert post["sentiment"] == max(post["probabilities"], key=post["probabilities"].get)
    assert sum(post["probabilities"].values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("modalities", ["text", "image"])
def test_either_modality_alone_can_be_read(home: Home, tmp_path: Path, modalities: str) -> None:
    prepared(home, write_sentiments(tmp_path / "course"), "course")

    result = trained(home, "course", f"modalities={modalities}")

    assert set(RunFolder.open(result.run).facts["towers"]) == {modalities}


def test_a_task_that_the_posts_are_not_for_is_refused_with_the_one_they_are_for(tagged: Home) -> None:
    with pytest.raises(DataError, match=r"no training post has a sentiment.* They are for tagging"):
        trained(tagged, "posts", "task=sentiment", out="other")


def test_what_is_asked_of_matchers_is_refused_of_posts(tagged: Home) -> None:
    run = tagged.runs / "run"

    with pytest.raises(UsageError, match="leave out --worst"):
        evaluate(EvaluateSettings(tagged, run, worst=3, device="cpu"), SilentReporter())


def write_rows(folder: Path, rows: list[dict]) -> Path:
    folder.mkdir()
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_own_posts_are_read_from_json_lines_with_tags_or_a_sentiment(home: Home, tmp_path: Path) -> None:
    rows = [
        {"text": "Anna left", "tags": ["B-PER", "O"], "image": f"{number}.png", "id": f"p{number}"}
        for number in range(10)
    ]
    rows += [{"words": ["New", "York"], "tags": ["B-LOC", "I-LOC"], "split": "test", "id": "q"}]
    folder = write_rows(tmp_path / "mine", rows)
    Image.new("RGB", (20, 20), "red").save(folder / "3.png")

    manifest = prepared(home, folder, "mine")

    records = {record.id: record for split in manifest.splits for record in manifest.split(split)}
    assert records["p3"].image == "3.png" and records["p4"].image is None
    assert records["q"].words == ("New", "York") and records["q"].split == "test"
    assert len(records) == 11 and len(manifest.split("train")) == 8


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "Anna left", "tags": ["B-PER"]}, "1 tags for 2 words"),
        ({"text": "Anna", "tags": ["PER"]}, "unknown tag 'PER'"),
        ({"tags": ["O"]}, "no text"),
        ({"text": "Anna", "sentiment": ""}, "neither tags nor a sentiment"),
        ({"text": "Anna", "tags": [1]}, "'tags' is no list of words"),
    ],
)
def test_a_row_of_own_posts_that_cannot_be_used_is_left_out_with_the_reason(
    home: Home, tmp_path: Path, row: dict, reason: str
) -> None:
    good = [{"text": f"Anna {number}", "tags": ["B-PER", "O"], "id": str(number)} for number in range(9)]
    folder = write_rows(tmp_path / "mine", [*good, row])

    manifest = prepared(home, folder, "mine")

    (reject,) = [json.loads(line) for line in (manifest.folder / "rejects.jsonl").read_text().splitlines()]
    assert reason in reject["reason"] and reject["source"] == "data.jsonl:10"
