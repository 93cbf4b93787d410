"""Evaluate: the numbers, what a run keeps of them, and what is refused."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.store.manifest import write_manifest
from mmx.store.run import RunFolder, find_run
from mmx.store.sealed import read_sealed, write_sealed
from mmx.workflows.evaluate import EvaluateSettings, evaluate
from mmx.workflows.extract import ExtractSettings, extract
from mmx.workflows.import_sources import ImportSource
from mmx.workflows.rank_files import load_ranks, rank_file
from tests.workflows.evaluated_home import fresh_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Its own copy of the trained home."""
    return fresh_home(tmp_path / "home")


def settings(home: Home, run: str | None = "first", **changes) -> EvaluateSettings:
    return EvaluateSettings(home=home, run=None if run is None else Path(run), device="cpu", **changes)


def test_val_gives_the_numbers_that_training_selected_by(home: Home, reporter: SilentReporter) -> None:
    selected = RunFolder.open(home.runs / "first").metrics()["val"]

    found = evaluate(settings(home), reporter)

    assert found.metrics == pytest.approx({name: selected[name] for name in found.metrics})


def test_a_picture_without_captions_is_left_out_and_counted(home: Home, reporter: SilentReporter) -> None:
    found = evaluate(settings(home), reporter)

    assert (found.facts["images"], found.facts["captions"]) == (10, 1 + 2 + 3 + 1 + 2 + 3 + 1 + 2 + 3)
    assert found.facts["dropped"] == {"i2t": 1, "t2i": 0}


def test_every_evaluation_is_kept_beside_what_training_wrote(home: Home, reporter: SilentReporter) -> None:
    before = RunFolder.open(home.runs / "first").metrics()

    evaluate(settings(home, argv=("mmx", "evaluate", "first")), reporter)
    evaluate(settings(home, split="test", dataset="other"), reporter)

    after = RunFolder.open(home.runs / "first").metrics()
    kept = after.pop("evaluations")
    assert after == before
    assert [(one["dataset"], one["split"]) for one in kept] == [("small", "val"), ("other", "test")]
    assert kept[0]["command"] == "mmx evaluate first"
    needed = {
        "date",
        "manifest_fingerprint",
        "definitions",
        "intervals",
        "metrics",
        "seconds",
        "peak_memory_mib",
        "images",
    }
    assert needed <= kept[0].keys()


def test_the_newest_run_is_taken_when_none_is_named(home: Home, reporter: SilentReporter) -> None:
    assert evaluate(settings(home, None), reporter).name == str(home.runs / "stranger")


def test_a_run_is_found_by_its_folder_and_by_its_name(home: Home) -> None:
    assert (
        find_run(Path("second"), home.runs).path
        == find_run(home.runs / "second", home.runs).path
        == home.runs / "second"
    )


def test_batches_do_not_change_the_numbers(home: Home, reporter: SilentReporter) -> None:
    one, many = (evaluate(settings(home, batch_size=size), reporter) for size in (1, 256))

    assert one.metrics == many.metrics and one.intervals == many.intervals


def test_a_second_run_is_compared_from_the_ranks_it_has_kept(
    home: Home, reporter: SilentReporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate(settings(home, compare=Path("second")), reporter)
    embedded = []
    from mmx.workflows import rankings as workflow

    monkeypatch.setattr(
        workflow,
        "embed_run",
        lambda *given, original=workflow.embed_run: embedded.append(given[0].name) or original(*given),
    )
    again = evaluate(settings(home, compare=Path("second")), reporter)

    assert embedded == ["first"]
    assert again.comparison == first.comparison
    assert first.comparison.metrics == evaluate(settings(home, "second"), reporter).metrics
    for name, test in first.comparison.differences.items():
        assert test.difference == pytest.approx(first.metrics[name] - first.comparison.metrics[name])


def test_ranks_of_other_weights_are_not_taken_for_fresh(home: Home, reporter: SilentReporter) -> None:
    evaluate(settings(home, "second"), reporter)
    run = RunFolder.open(home.runs / "second")
    manifest = run.facts["manifest_fingerprint"]
    about = {
        "dataset": "small",
        "split": "val",
        "manifest_fingerprint": manifest,
        "fingerprint": run.fingerprint,
    }

    assert load_ranks(run.path, about) is not None
    assert load_ranks(run.path, {**about, "fingerprint": "other weights"}) is None
    assert load_ranks(run.path, {**about, "manifest_fingerprint": "other manifest"}) is None


def test_a_broken_file_of_ranks_is_named(home: Home, reporter: SilentReporter) -> None:
    evaluate(settings(home, "second"), reporter)
    file = rank_file(home.runs / "second", "small", "val")
    file.write_bytes(file.read_bytes()[:40])

    with pytest.raises(ArtifactError, match=r"small-val\.safetensors"):
        evaluate(settings(home, compare=Path("second")), reporter)


def test_runs_over_different_queries_are_refused_and_both_named(home: Home, reporter: SilentReporter) -> None:
    with pytest.raises(ArtifactError, match=r"first.*stranger.*'small'.*'other'.*--dataset") as raised:
        evaluate(settings(home, compare=Path("stranger")), reporter)

    assert raised.value.exit_code == 4


def test_runs_of_different_data_are_compared_on_a_dataset_named_for_both(
    home: Home, reporter: SilentReporter
) -> None:
    found = evaluate(settings(home, compare=Path("stranger"), dataset="other"), reporter)

    assert found.facts["dataset"] == "other" and found.comparison.differences["rsum"].p <= 1.0


def test_the_worst_queries_come_first_and_name_what_stood_before_the_right_answer(
    home: Home, reporter: SilentReporter
) -> None:
    worst = evaluate(settings(home, worst=3), reporter).worst

    for direction in ("i2t", "t2i"):
        cases = [case for case in worst if case.direction == direction]
        assert 1 <= len(cases) <= 3
        assert [case.rank for case in cases] == sorted((case.rank for case in cases), reverse=True)
        for case in cases:
            assert case.rank > 1 and case.first_score >= case.right_score - 1e-6 and case.first != case.right


def test_a_pretrained_pair_is_evaluated_without_a_run(home: Home, reporter: SilentReporter) -> None:
    found = evaluate(settings(home, None, model="random:clip", dataset="small"), reporter)

    assert found.name == "random:clip" and found.facts["method"] is None
    assert 0.0 <= found.metrics["rsum"] <= 600.0
    again = evaluate(
        settings(home, None, model="random:clip", dataset="small", compare=Path("first")), reporter
    )
    assert again.metrics == found.metrics and again.comparison.name == str(home.runs / "first")


def test_a_model_whose_towers_share_no_space_is_refused(home: Home, reporter: SilentReporter) -> None:
    with pytest.raises(ArtifactError, match="image_embedding"):
        evaluate(settings(home, None, model="random", dataset="small"), reporter)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split": "dev"}, "no split 'dev'. There are: train, val, test"),
        ({"batch_size": 0}, "batch_size=0 is out of bounds"),
        ({"worst": -1}, "worst=-1 is out of bounds"),
        ({"model": "random:clip"}, "both given"),
        ({"run": None, "model": "random:clip"}, "Add --dataset NAME"),
        ({"run": None, "model": "clip-vit-b33", "dataset": "small"}, "Did you mean 'clip-vit-b32'"),
        ({"compare": Path("first")}, "compared with itself"),
        ({"device": "tpu"}, "no device 'tpu'"),
    ],
)
def test_words_that_do_not_fit_are_refused(
    home: Home, reporter: SilentReporter, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        evaluate(replace(settings(home), **changes), reporter)


def test_missing_artefacts_say_what_to_type(tmp_path: Path, home: Home, reporter: SilentReporter) -> None:
    for asked, words in (
        (settings(Home(tmp_path / "empty"), None), "no trained run.*mmx train.*--model"),
        (settings(home, "nowhere"), "no run at 'nowhere'"),
        (settings(home, dataset="unheard"), "mmx prepare unheard"),
    ):
        with pytest.raises(ArtifactError, match=words):
            evaluate(asked, reporter)


def test_features_of_another_encoder_are_refused(home: Home, reporter: SilentReporter) -> None:
    path = home.runs / "first" / "settings.json"
    facts = read_sealed(path, "")
    facts["towers"]["image"]["fingerprint"] = "0123"
    write_sealed(path, facts)

    with pytest.raises(ArtifactError, match="'0123', but those of 'small' have"):
        evaluate(settings(home), reporter)


def test_a_run_that_is_being_trained_is_left_alone(home: Home, reporter: SilentReporter) -> None:
    with RunFolder.open(home.runs / "first").locked(), pytest.raises(ArtifactError, match="another process"):
        evaluate(settings(home), reporter)


@pytest.mark.real_data
def test_clip_vectors_taken_in_reach_what_an_independent_script_found(
    tmp_path: Path, real_data: Path, reporter: SilentReporter
) -> None:
    source, home = real_data / "clip_vitb32_flickr8k", Home(tmp_path)
    captions: dict[str, list[str]] = {}
    for row in csv.DictReader((source / "chia213_metadata.csv").open()):
        captions.setdefault(row["image_id"], []).append(row["caption"])
    records = [Record(name, "val", f"{name}.jpg", tuple(texts)) for name, texts in captions.items()]
    write_manifest(home.dataset("hundred"), "hundred", tmp_path, {"val": records}, (), {})
    (tmp_path / "ids.txt").write_text("\n".join(captions))
    for array, ids in (("image", tmp_path / "ids.txt"), ("text", source / "chia213_metadata.csv")):
        taken = ImportSource(
            source, ids=ids, as_embedding=True, **{f"{array}s": Path(f"chia213_{array}.npy")}
        )
        extract(
            ExtractSettings("hundred", ("clip-vit-b32",), ("val",), home=home, device="cpu", source=taken),
            reporter,
        )

    found = evaluate(settings(home, None, model="clip-vit-b32", dataset="hundred"), reporter)

    rounded = {name: round(value, 1) for name, value in found.metrics.items()}
    assert [rounded[f"t2i_recall@{k}"] for k in (1, 5, 10)] == [83.2, 99.0, 99.8]
    assert [rounded[f"i2t_recall@{k}"] for k in (1, 5, 10)] == [93.0, 100.0, 100.0]
