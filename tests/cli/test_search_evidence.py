"""mmx search --explain and --caption-qa: the words on the screen, the files, the exit codes."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mmx.core.home import Home
from mmx.core.record import Record
from mmx.store.manifest import write_manifest
from tests.typed import typed
from tests.workflows.explained_home import explained_home, write_corpus

Run = Callable[..., tuple[int, str, str]]
MODEL = ("--model", "random:clip")
QUESTION = "what is on the left?"


@pytest.fixture
def run(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """Type a command in an empty folder; exit code, standard output, standard error."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    return partial(typed, monkeypatch, capfd)


@pytest.fixture
def trained(home: Home) -> Home:
    return explained_home(home.root)


def test_the_best_hit_is_explained_beside_the_contact_sheet(run: Run, trained: Home) -> None:
    code, out, _ = run("search", "a red square", "--run", "words", "--explain", "--sheet", "deep/red.png")

    assert code == 0
    for words in ("contact sheet:", "evidence of hit 1:", "evidence as a page:", "evidence as numbers:"):
        assert words in out
    assert out.count("random (p = ") == 3
    assert "evidence of hit 2:" not in out
    assert {path.name for path in Path("deep").iterdir()} == {
        "red.png", "red-evidence-1.png", "red-evidence.html", "red-evidence.json"
    }  # fmt: skip


def test_hits_are_explained_without_a_sheet_and_in_one_document(run: Run, trained: Home) -> None:
    code, out, err = run(
        "search", "a red square", "--run", "words", "--explain-hits", "3", "--top", "2", "--json"
    )

    document = json.loads(out)
    assert code == 0
    assert "3 hits were to be explained, and there are 2" in err
    assert set(document["evidence"]) == {"sheets", "page", "data", "faithfulness"}
    assert [Path(path).name for path in document["evidence"]["sheets"]] == [
        "mmx-search-evidence-1.png", "mmx-search-evidence-2.png"
    ]  # fmt: skip
    assert document["evidence"]["faithfulness"]["pairs"] == 2
    assert not Path("mmx-search.png").exists()


def test_an_evaluation_tells_how_faithful_the_weights_are(run: Run, trained: Home) -> None:
    code, out, _ = run("evaluate", "words", "--faithfulness", "2", "--device", "cpu")

    assert code == 0
    assert "Faithfulness over 2 pairs with a mean score of" in out
    assert out.count("of regions with most weight it") == 3


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("search", "red", "--in", ".", *MODEL, "--explain"), 2, "Methods that do: mh-cvse, "),
        (("search", "--image", "a.png", "--explain"), 2, "words of a sentence on a picture"),
        (("search", "red", "--captions", "--explain"), 2, "words of a sentence on a picture"),
        (("search", "red", "--explain", "--top", "0"), 2, "--top 0"),
        (("search", "red", "--explain-hits", "0"), 2, "--explain-hits"),
        (("search", "", "--explain"), 2, "nothing to look for"),
        (("search", "red", "--explain", "--no-sheet", "--sheet", "/dev/null/s.png"), 6, "cannot be written"),
        (("evaluate", *MODEL, "--dataset", "drawn", "--faithfulness", "1"), 2, "Methods that do: mh-cvse, "),
        (("evaluate", "--faithfulness", "-1"), 2, "--faithfulness"),
        (("search", "--caption-qa", "a.png"), 2, "there is no question"),
        (("search", "--caption-qa", "a.png", " "), 2, "there is no question"),
        (("search", "--caption-qa", "a.png", "who?", *MODEL), 2, "no captions of its own"),
        (("search", "--caption-qa", "a.png", "who?", "--image", "b.png"), 2, "--image does not go with"),
        (("search", "--caption-qa", "a.png", "who?", "--in", "."), 2, "--in does not go with"),
        (("search", "--caption-qa", "a.png", "who?", "--captions"), 2, "--captions does not go with"),
        (("search", "--caption-qa", "a.png", "who?", "--explain"), 2, "--explain does not go with"),
        (("search", "--caption-qa", "a.png", "who?", "--paths"), 2, "--paths does not go with"),
        (("search", "--caption-qa", "a.png", "who?", "--sheet", "s.png"), 2, "--sheet does not go with"),
        (("search", "--caption-qa", "a.png", "who?"), 4, "mmx train attention-clip"),
        (
            ("search", "--caption-qa", "a.png", "who?", *MODEL, "--dataset", "none"),
            3,
            "'a.png' cannot be read",
        ),
    ],
)
def test_each_mistake_has_its_words_and_its_code(
    run: Run, home: Home, words: tuple[str, ...], code: int, message: str
) -> None:
    if "drawn" in words:
        write_corpus(home)

    left, out, err = run(*words)

    assert (left, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_a_question_gives_a_table_of_captions_that_were_retrieved(run: Run, trained: Home) -> None:
    photo = str(trained.dataset("drawn") / "images" / "val-0.png")

    code, out, _ = run("search", "--caption-qa", photo, QUESTION, "--run", "words", "--top", "3")

    assert code == 0
    for words in (
        QUESTION,
        "captions retrieved for",
        "20 of drawn",
        "train",
        "to question",
        "to photo",
        "written for",
    ):
        assert words in out
    assert "Retrieval: the captions of 'drawn train'" in out
    assert "VQA" not in out
    assert list(Path.cwd().iterdir()) == []


def test_a_pretrained_pair_answers_as_json_from_the_split_that_is_named(run: Run, home: Home) -> None:
    """Of eight captions of val, more are asked for than there are."""
    write_corpus(home)
    photo = str(home.dataset("drawn") / "images" / "train-1.png")

    place = ("--dataset", "drawn", "--split", "val")
    code, out, _ = run("search", "--caption-qa", photo, QUESTION, *MODEL, *place, "--top", "99", "--json")

    document = json.loads(out)
    assert code == 0
    assert (document["schema"], document["source"], document["size"]) == ("mmx.caption-qa/1", "drawn val", 8)
    assert [found["rank"] for found in document["candidates"]] == list(range(1, 9))
    scores = [found["question_score"] for found in document["candidates"]]
    assert scores == sorted(scores, reverse=True)


def test_a_dataset_without_captions_is_bad_data(run: Run, home: Home) -> None:
    write_corpus(home)
    photos = home.dataset("drawn") / "images"
    records = [Record(f"train-{number}", "train", f"train-{number}.png", ()) for number in range(3)]
    write_manifest(home.dataset("silent"), "silent", photos, {"train": records}, ("a",), {})

    code, out, err = run(
        "search", "--caption-qa", str(photos / "train-0.png"), "who?", *MODEL, "--dataset", "silent"
    )

    assert (code, out) == (3, "")
    assert "3 pictures and 0 captions" in err


def test_a_sentence_without_a_known_word_is_refused_and_one_is_enough(run: Run, trained: Home) -> None:
    code, _, err = run("search", "zyxq wvut", "--run", "words", "--split", "val", "--device", "cpu")
    assert code == 2
    assert "no word of 'zyxq wvut' stands in the captions 'words' learnt from" in " ".join(err.split())

    assert run("search", "zyxq red", "--run", "words", "--split", "val", "--device", "cpu")[0] == 0
    assert run("search", "zyxq wvut", "--run", "tokens", "--split", "val", "--device", "cpu")[0] == 0
