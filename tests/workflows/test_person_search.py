"""Person search from end to end: what is selected by, measured, kept, compared, shown and refused."""

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.reports.gallery import Query, Ranked, gallery_page
from mmx.store.run import RunFolder
from mmx.tasks.person_search import METRICS
from mmx.workflows.evaluate import EvaluateSettings, evaluate
from mmx.workflows.method_settings import Wishes
from mmx.workflows.prepare import prepare
from mmx.workflows.raw_data import PrepareSettings
from mmx.workflows.search import SearchSettings, search
from mmx.workflows.train import TrainSettings, train
from tests.workflows.evaluated_home import fresh_home
from tests.workflows.person_home import person_home


@pytest.fixture
def people(tmp_path: Path) -> Home:
    return person_home(tmp_path / "people")


def settings(home: Home, run: str, **changes) -> EvaluateSettings:
    return EvaluateSettings(home=home, run=Path(run), device="cpu", **changes)


def test_weights_are_selected_by_map_on_val(people: Home, reporter: SilentReporter) -> None:
    kept = RunFolder.open(people.runs / "once").metrics()

    found = evaluate(settings(people, "once"), reporter)

    assert kept["primary_metric"] == "map"
    assert found.metrics == pytest.approx({name: kept["val"][name] for name in METRICS})


def test_both_stages_and_k_reciprocal_have_a_row_each(people: Home, reporter: SilentReporter) -> None:
    found = evaluate(settings(people, "twice", split="test", k_reciprocal=True), reporter)

    names = [row.name for row in found.rows]
    assert names[0] == "first stage" and names[-1] == "k-reciprocal, top 100"
    assert found.headline == names[-2]
    assert all(tuple(row.metrics) == METRICS and tuple(row.intervals) == METRICS for row in found.rows)
    assert found.facts["primary_metric"] == "map" and found.facts["dropped"] == {"t2i": 0}
    assert any("k-reciprocal: score" in words for words in found.definitions)
    assert any("mean average precision" in words for words in found.definitions)
    assert not any("rsum" in words for words in found.definitions)


def test_two_runs_are_compared_on_the_numbers_of_person_search(
    people: Home, reporter: SilentReporter
) -> None:
    first = evaluate(settings(people, "once", compare=Path("twice")), reporter).comparison
    from_kept = evaluate(settings(people, "once", compare=Path("twice")), reporter).comparison

    assert tuple(first.differences) == METRICS
    assert from_kept.metrics == first.metrics


def test_the_gallery_frames_right_and_wrong_pictures(
    people: Home, reporter: SilentReporter, tmp_path: Path
) -> None:
    """Of each of 3 captions: its own crop, and the 8 crops of test, of which 2 are of its person."""
    place = tmp_path / "gallery.html"

    evaluate(settings(people, "once", split="test", gallery=place, gallery_queries=3), reporter)

    page = place.read_text(encoding="utf-8")
    assert page.count("<section>") == 3
    assert (page.count('class="right"'), page.count('class="wrong"')) == (6, 18)
    assert (
        "default-src 'none'" in page
        and "<script" not in page
        and "http" not in page.replace("http-equiv", "")
    )
    pictures = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", page)
    assert len(pictures) == 27
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]))) as crop:
        assert crop.height == 3 * crop.width


def test_the_gallery_is_that_of_the_headline(people: Home, reporter: SilentReporter, tmp_path: Path) -> None:
    place = tmp_path / "gallery.html"

    found = evaluate(settings(people, "twice", gallery=place), reporter)

    assert found.headline in place.read_text(encoding="utf-8")


def test_a_picture_that_is_gone_is_told_in_its_place() -> None:
    page = gallery_page(
        "t", "s", [Query("<b>", "is gone", 1, 1, None, [Ranked(1, 0.5, True, "no file", "x")])]
    )

    assert "is gone" in page and "no file" in page and "&lt;b&gt;" in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gallery": Path("gallery.png")}, "is an HTML file"),
        ({"gallery": Path("g.html"), "gallery_queries": 0}, "gallery_queries=0 is out of bounds"),
        ({"rerank_top": "5"}, "has no second stage"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    changes: dict, words: str, people: Home, reporter: SilentReporter
) -> None:
    with pytest.raises(UsageError, match=words):
        evaluate(settings(people, "once", **changes), reporter)


def test_data_without_identities_have_no_k_reciprocal_row(tmp_path: Path, reporter: SilentReporter) -> None:
    home = fresh_home(tmp_path / "home")

    with pytest.raises(UsageError, match=r"'small' val has no identities.*Leave out --k-reciprocal"):
        evaluate(settings(home, "first", k_reciprocal=True), reporter)


def test_a_run_that_leaks_is_measured_by_its_loss_and_finds_nothing(
    people: Home, reporter: SilentReporter, tmp_path: Path
) -> None:
    kept = RunFolder.open(people.runs / "leaky").metrics()
    assert kept["val"] == {"loss": -kept["val"]["minus_loss"], "minus_loss": kept["val"]["minus_loss"]}
    asked = SearchSettings(query="a red coat", run=people.runs / "leaky", home=people, device="cpu")

    with pytest.raises(
        UsageError, match=r"leaky' cannot be ranked, indexed or searched with: .*reads the caption"
    ):
        evaluate(settings(people, "leaky"), reporter)
    with pytest.raises(UsageError, match="cannot be ranked, indexed or searched with"):
        search(asked, reporter)
    assert not people.indexes.is_dir() or not any(people.indexes.iterdir())


def test_a_folder_of_crops_is_searched(people: Home, reporter: SilentReporter) -> None:
    crops = next(people.dataset("pedestrians").glob("images-*")) / "test"

    found = search(
        SearchSettings(
            query="a red coat", run=people.runs / "twice", folder=crops, home=people, device="cpu", top=3
        ),
        reporter,
    )

    assert (found.size, len(found.hits)) == (8, 3)


def test_the_recipe_of_strong_is_trained_and_measured_over_any_pair_of_towers(
    people: Home, reporter: SilentReporter
) -> None:
    small = ("image_size=48x16", "attention_width=16", "heads=2", "cross_layers=1", "batch_size=16")
    twins = ("image_encoder=random:clip", "text_encoder=random:clip", "epochs=1", "cross_epochs=1")
    wishes = Wishes(preset="strong", assignments=(*small, *twins))
    out = people.runs / "strong"

    train(
        TrainSettings("attention-clip", "pedestrians", wishes, 0, "cpu", 0, out=out, home=people.root),
        reporter,
    )
    found = evaluate(settings(people, "strong", split="test"), reporter)

    kept = RunFolder.open(out).metrics()
    assert found.rows[0].name == "first stage" and tuple(found.metrics) == METRICS
    assert (kept["primary_metric"], RunFolder.open(out).facts["settings"]["loss"]) == ("map", "sdm")


@pytest.mark.real_data
def test_real_crops_are_searched_and_those_with_captions_measured(
    people: Home, reporter: SilentReporter, real_data: Path
) -> None:
    """143 crops lie in the folder; 12 of the official val and test records have theirs among them."""
    raw = real_data / "cuhk_pedes_sample"
    options = {"annotations": "reid_raw.sample12.json"}
    prepare(PrepareSettings("cuhk_pedes", raw=str(raw), options=options, home=people.root), reporter)
    run, query = people.runs / "once", "The man wears a black coat and carries a bag."

    in_folder = search(
        SearchSettings(query=query, run=run, folder=raw / "imgs", home=people, device="cpu"), reporter
    )
    in_records = search(
        SearchSettings(query=query, run=run, dataset="cuhk_pedes", home=people, device="cpu"), reporter
    )
    found = evaluate(settings(people, "once", dataset="cuhk_pedes", split="test"), reporter)

    assert (in_folder.size, in_records.size) == (143, 12)
    assert tuple(found.metrics) == METRICS and found.facts["dropped"] == {"t2i": 0}
