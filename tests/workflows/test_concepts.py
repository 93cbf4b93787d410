"""Concepts of a corpus: counted by prepare from training captions alone, or when a method first asks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.store.concepts import open_concepts
from mmx.store.manifest import Manifest, write_manifest
from mmx.workflows.concepts import asked_concepts, ensure_concepts
from mmx.workflows.prepare import PrepareResult, PrepareSettings, prepare

TRAIN = ("a brown dog runs", "two dogs are running", "the man rides a horse")
NAMED = {"brown", "dog", "run", "two", "man", "ride", "horse"}


class Listener(SilentReporter):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def info(self, text: str) -> None:
        self.heard.append(text)


def records(train: tuple[str, ...] = TRAIN) -> dict[str, list[Record]]:
    return {
        "train": [Record(f"a{place}", "train", None, (caption,)) for place, caption in enumerate(train)],
        "val": [Record("b", "val", None, ("a purple elephant sleeps",))],
        "test": [Record("c", "test", None, ("green ducks swim",))],
    }


def manifest_of(home: Home, train: tuple[str, ...] = TRAIN) -> Manifest:
    folder = home.dataset("mine")
    return write_manifest(folder, "mine", folder, records(train))


def run(table: Path, **settings: object) -> PrepareResult:
    return prepare(PrepareSettings("mine", raw=str(table), no_images=True, **settings), SilentReporter())


@pytest.fixture
def table(tmp_path: Path, home: Home) -> Path:
    """A table with captions of each split; the pictures are not at hand."""
    rows = [
        {"image": f"{row.id}.png", "caption": row.captions[0], "split": split}
        for split, rows in records().items()
        for row in rows
    ]
    path = tmp_path / "captions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_prepare_stores_the_concepts_of_training_captions_alone_and_says_so(table: Path, home: Home) -> None:
    result = run(table)
    stored = open_concepts(Manifest.open(home.dataset("mine")))

    assert set(stored.words) == NAMED
    assert stored.counts[stored.forms["dogs"]] == 2
    assert result.remarks[-1] == (
        "7 concepts, all that there are, from 3 training captions: dog, run, horse, man, brown, two, ..."
    )


def test_prepare_stores_as_many_as_it_is_told(table: Path, home: Home) -> None:
    result = run(table, options={"concepts": "2"})

    assert open_concepts(Manifest.open(home.dataset("mine"))).words == ("dog", "horse")
    assert result.remarks[-1] == "2 concepts from 3 training captions: dog, horse"


def test_more_concepts_than_there_are_is_an_error_before_anything_is_written(table: Path, home: Home) -> None:
    before = run(table).fingerprint
    table.write_text(table.read_text().replace("horse", "camel"))

    with pytest.raises(
        UsageError, match=r"there are 7 concepts .* in the 3 training captions, and 8 are asked"
    ):
        run(table, options={"concepts": "8"})

    manifest = Manifest.open(home.dataset("mine"))
    assert manifest.fingerprint == before
    assert "horse" in open_concepts(manifest).words


def test_preparing_again_replaces_the_concepts(table: Path, home: Home) -> None:
    run(table)
    table.write_text(table.read_text().replace("horse", "camel"))
    run(table)

    assert "camel" in open_concepts(Manifest.open(home.dataset("mine"))).words


@pytest.mark.parametrize(
    ("edit", "remark"),
    [
        (("train", "val"), None),
        (("caption", "label"), None),
        (
            ("a brown dog runs", "+++"),
            "no concepts: no English nouns, adjectives or verbs in 1 training captions",
        ),
    ],
    ids=["no training split", "no captions", "no words"],
)
def test_without_training_captions_nothing_is_stored_and_what_was_is_taken_away(
    table: Path, home: Home, edit: tuple[str, str], remark: str | None
) -> None:
    run(table)
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    kept = [row for row in rows if row["image"] not in {"a1.png", "a2.png"}]
    table.write_text("".join(json.dumps(row).replace(*edit) + "\n" for row in kept))

    result = run(table)

    assert open_concepts(Manifest.open(home.dataset("mine"))) is None
    assert not list(home.dataset("mine").glob("concepts*"))
    assert [said for said in result.remarks if "concepts" in said] == ([remark] if remark else [])


def test_asking_for_concepts_where_there_are_no_training_captions_is_an_error(table: Path) -> None:
    table.write_text(table.read_text().replace('"train"', '"val"'))

    with pytest.raises(UsageError, match=r"there are 0 concepts .* in the 0 training captions, and 5 are"):
        run(table, options={"concepts": "5"})


def test_a_dry_run_counts_and_stores_nothing(table: Path, home: Home) -> None:
    result = run(table, dry_run=True)

    assert result.remarks[-1].startswith("7 concepts")
    assert not home.root.exists()


@pytest.mark.parametrize("value", ["0", "-1", "many", "5001", "1e2", "²", ""])
def test_a_number_of_concepts_that_cannot_be_is_refused(value: str) -> None:
    with pytest.raises(
        UsageError, match=f"concepts='{value}' is not possible. It is a whole number from 1 to 5000"
    ):
        asked_concepts({"concepts": value})


def test_the_drawn_scenes_have_concepts_and_keep_their_own_options(home: Home) -> None:
    settings = PrepareSettings("toy", options={"scenes": "20", "size": "32", "concepts": "8"})
    prepare(settings, SilentReporter())
    stored = open_concepts(Manifest.open(home.dataset("toy")))

    assert len(stored.words) == 8
    assert {"red", "square"} & set(stored.words)


def test_a_dataset_prepared_before_is_counted_when_it_is_first_asked_for_and_then_read(home: Home) -> None:
    listener = Listener()
    first = ensure_concepts(manifest_of(home), 7, listener)
    again = ensure_concepts(Manifest.open(home.dataset("mine")), 7, listener)

    assert set(first.words) == NAMED
    assert (again.words, again.forms) == (first.words, first.forms)
    assert listener.heard == ["counting 7 concepts in 3 training captions of 'mine'"]


def test_another_number_is_counted_anew(home: Home) -> None:
    manifest = manifest_of(home)
    ensure_concepts(manifest, 7, SilentReporter())

    assert len(ensure_concepts(manifest, 3, SilentReporter()).words) == 3
    assert len(open_concepts(manifest).words) == 3


def test_more_than_there_are_is_an_error_and_leaves_what_is_stored(home: Home) -> None:
    manifest = manifest_of(home)
    ensure_concepts(manifest, 7, SilentReporter())

    with pytest.raises(
        UsageError, match=r"there are 7 concepts .* 300 are asked for. Ask for fewer: --set con"
    ):
        ensure_concepts(manifest, 300, SilentReporter())
    assert len(open_concepts(manifest).words) == 7


def test_concepts_of_another_manifest_are_refused(home: Home) -> None:
    ensure_concepts(manifest_of(home), 7, SilentReporter())

    with pytest.raises(
        ArtifactError, match=r"were counted from manifest .* Count them again: mmx prepare mine"
    ):
        ensure_concepts(manifest_of(home, ("a cat sleeps",)), 3, SilentReporter())


def test_no_training_captions_to_count_in_is_said(home: Home) -> None:
    with pytest.raises(DataError, match="'mine' has no training captions to count concepts in"):
        ensure_concepts(manifest_of(home, ()), 7, SilentReporter())


def test_the_tagger_is_loaded_to_count_and_not_to_read(home: Home) -> None:
    ensure_concepts(manifest_of(home), 7, SilentReporter())
    code = (
        "import sys; from pathlib import Path\n"
        "from mmx.core.reporter import SilentReporter\n"
        "from mmx.store.manifest import Manifest\n"
        "from mmx.workflows.concepts import ensure_concepts\n"
        "ensure_concepts(Manifest.open(Path(sys.argv[1])), 7, SilentReporter())\n"
        "sys.exit(str({'textblob', 'nltk', 'lemminflect'} & set(sys.modules) or ''))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, str(home.dataset("mine"))], capture_output=True, text=True, check=False
    )

    assert finished.stderr.strip() == ""
