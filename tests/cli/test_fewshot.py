"""Few shots at the keyboard: from features or photos to a table and a run that labels, and each mistake."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy
import pytest
import torch

from mmx.core.home import Home
from tests.shot_files import NAMES, write_class_texts, write_photos, write_published
from tests.typed import typed

QUICK = ("--method", "nearest-mean", "--device", "cpu")


@pytest.fixture
def mmx(home: Home, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    """Runs a command line: its exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "160")

    return partial(typed, monkeypatch, capsys)


@pytest.fixture
def published(mmx, tmp_path: Path) -> Path:
    """A folder of published features, prepared and taken in as `pets`."""
    folder = write_published(tmp_path / "published")
    assert mmx("prepare", "pets", "--raw", folder)[0] == 0
    assert mmx("extract", "pets", "--encoder", "mine", "--import", folder, "--as-embedding")[0] == 0
    return folder


def test_published_features_give_a_table_and_say_who_was_left_out_and_why(mmx, published, tmp_path) -> None:
    out = tmp_path / "run"

    code, said, _ = mmx(
        "fewshot", "pets", "--shots", "1,4", "--seeds", "1,2", "--out", out, "--device", "cpu"
    )

    assert code == 0
    assert "pets test, 1 shots" in said and "pets test, 4 shots" in said
    for name in ("nearest-mean", "gaussian", "linear-probe/random", "dynamic-gating/strong"):
        assert name in said
    assert "left out: tip-adapter, zero-shot" in said and "dynamic-gating/paper" in said
    assert "has vectors of pictures alone and no text tower" in said
    assert "80 pictures of 4 classes; seeds 1, 2; shots: train as published, val by seed" in said
    assert f"next: mmx predict {out} PHOTO" in said
    assert (out / "shots.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "fewshot.json").read_text())["schema"] == "mmx.fewshot/1"


def test_class_texts_made_elsewhere_let_every_classifier_run(mmx, published, tmp_path) -> None:
    texts, names = write_class_texts(tmp_path / "texts")
    words = ("fewshot", "pets", "--shots", "4", "--seeds", "1", "--class-texts", texts, "--text-names", names)

    code, out, _ = mmx(*words, "--device", "cpu", "--json")

    found = json.loads(out)
    rows = {row["name"]: row for row in found["rows"]}
    assert (
        code == 0
        and found["left_out"] == []
        and found["class_texts"] == "class texts: vectors of 'texts.npy'"
    )
    assert len(rows) == 13 and all(row["mean"] > 90 for name, row in rows.items() if "paper" not in name)
    assert set(rows["zero-shot"]) == {
        "name", "shots", "learns", "val", "mean", "deviation", "macro_f1", "seconds",
    }  # fmt: skip
    (trial, *_) = found["trials"]
    assert set(trial) >= {"name", "shots", "seed", "metrics", "chosen", "val_accuracy"}


def test_classes_without_a_text_can_be_left_aside(mmx, published, tmp_path) -> None:
    texts, names = write_class_texts(tmp_path / "texts", NAMES[1:])
    words = ("fewshot", "pets", "--shots", "4", "--class-texts", texts, "--text-names", names, *QUICK)

    code, _, err = mmx(*words)
    assert code == 2 and "1 of 4 classes have no text" in err and "'cat'" in err and "--only-named" in err
    code, out, _ = mmx(*words, "--only-named")
    assert code == 0 and "60 pictures of 3 classes" in out


def test_one_classifier_with_settings_of_its_own(mmx, published, tmp_path) -> None:
    words = ("fewshot", "pets", "--shots", "4", "--seeds", "1", "--device", "cpu", "--json")

    code, out, _ = mmx(*words, "--method", "dynamic_gating/strong", "--set", "steps=0")

    found = json.loads(out)
    assert code == 0 and [row["name"] for row in found["rows"]] == ["dynamic-gating/strong"]
    settings = json.loads((Path(found["run"]) / "settings.json").read_text())["settings"]
    assert (settings["steps"], settings["shots"]) == (0, 4)


def test_a_cache_of_tensors_is_taken_in_and_a_pickle_in_it_is_never_run(mmx, tmp_path: Path) -> None:
    plain, cache = write_published(tmp_path / "plain", shots=(4,)), tmp_path / "cache"
    cache.mkdir()
    labels = torch.from_numpy(numpy.load(plain / "train_4shot_labels.npy"))
    torch.save(
        torch.from_numpy(numpy.load(plain / "train_4shot_features.npy")).T.half(), cache / "keys_4shots.pt"
    )
    torch.save(torch.nn.functional.one_hot(labels).half(), cache / "values_4shots.pt")
    for split in ("val", "test"):
        for short, name in (("f", "features"), ("l", "labels")):
            array = torch.from_numpy(numpy.load(plain / f"{split}_{name}.npy"))
            torch.save(array, cache / f"{split}_{short}.pt")

    code, out, _ = mmx("prepare", "cached", "--raw", cache)
    assert code == 0 and "there is no 'class_names.json': classes are called by their numbers" in out
    assert mmx("extract", "cached", "--encoder", "mine", "--import", cache)[0] == 0
    code, out, _ = mmx("fewshot", "cached", "--shots", "4", *QUICK)
    assert code == 0 and "80 pictures of 4 classes" in out

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"features": Trap()}, cache / "test_f.pt")
    code, _, err = mmx("prepare", "again", "--raw", cache)
    assert code == 3 and "is not a plain tensor" in err and "Nothing of it was run" in err
    assert not (tmp_path / "sprung").exists()


def test_photos_in_a_folder_a_class_become_a_run_that_labels_photos(mmx, tmp_path: Path) -> None:
    photos, out = write_photos(tmp_path / "photos", {"train": 4, "val": 3, "test": 4}), tmp_path / "run"
    assert mmx("prepare", "colours", "--raw", photos)[0] == 0

    words = ("fewshot", "colours", "--shots", "2", "--encoder", "random", "--method", "dynamic-gating/paper")
    code, said, err = mmx(*words, "--method", "dynamic-gating/strong", "--device", "cpu", "--out", out)
    assert code == 0 and "extracting them" in err and "'a photo of a {}.' by 'random:bert'" in said
    code, said, _ = mmx(
        "predict", out, photos / "test", "--device", "cpu", "--json", "--explain", "--top", "2"
    )
    found = json.loads(said)
    assert code == 0 and (found["schema"], found["task"]) == ("mmx.predict/1", "labelling")
    assert len(found["photos"]) == 12 and found["unreadable"] == []
    for photo in found["photos"]:
        assert photo["label"] in {"red", "green", "blue"} and len(photo["top"]) == 2
        assert 0 < photo["probability"] <= 1 and photo["probability"] == photo["top"][0]["probability"]
        assert photo["evidence"] and sum(part["weight"] for part in photo["evidence"]) <= 1.001
    code, said, _ = mmx("predict", out, photos / "test" / "red" / "0.png", "--device", "cpu", "--explain")
    assert code == 0 and "opened" in said and "probabilities are calibrated on its validation shots" in said
    code, said, _ = mmx("evaluate", out, "--split", "test", "--device", "cpu")
    assert code == 0 and "calibration error" in said and "12 pictures" in said
    assert (out / "confusion-colours-test.png").is_file()

    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_text("<html>")
    shutil.copy(photos / "test" / "red" / "0.png", tmp_path / "bad" / "b.png")
    code, said, err = mmx("predict", out, tmp_path / "bad", "--device", "cpu", "--json")
    assert code == 0 and [p["path"][-5:] for p in json.loads(said)["unreadable"]] == ["a.jpg"]
    assert "1 photos cannot be read" in err

    (tmp_path / "empty").mkdir()
    for words, wanted, part in (
        (("predict", out, tmp_path / "none.jpg"), 3, "there is nothing at"),
        (("predict", out, tmp_path / "empty"), 3, "holds no pictures"),
        (("predict", out, tmp_path / "bad" / "a.jpg"), 3, "none of 1 photos can be read"),
        (("predict", tmp_path / "norun", photos), 4, "norun"),
        (("evaluate", out, "--worst", "3"), 2, "labels photos and ranks nothing: leave out --worst"),
        (("evaluate", out, "--compare", out), 2, "would be compared with itself"),
        (("evaluate", out, "--gallery", "x.html"), 2, "ranks nothing: leave out --gallery"),
        (
            ("evaluate", out, "--transductive-label-completion"),
            2,
            "leave out --transductive-label-completion",
        ),
        (("evaluate", out, "--samples", "2"), 2, "--samples is for a run on posts"),
        (("evaluate", "--split", "val"), 4, "a run that labels is named: mmx evaluate RUN"),
        (("search", "a cat", "--run", out), 2, "labels photos, and does not match pictures and words"),
        (("index", "add", photos, "--run", out), 2, "mmx predict run PHOTO"),
        (("train", "--resume", out), 2, "mmx predict run PHOTO"),
    ):
        code, said, err = mmx(*words)
        assert (code, said) == (wanted, "") and part in err and "Traceback" not in err, (words, err)


def test_training_the_method_goes_the_same_way(mmx, tmp_path: Path) -> None:
    photos, out = write_photos(tmp_path / "photos", {"train": 2, "val": 4, "test": 1}), tmp_path / "run"
    assert mmx("prepare", "colours", "--raw", photos)[0] == 0

    train = ("train", "dynamic-gating", "--dataset", "colours", "--preset", "tiny", "--device", "cpu")
    assert mmx(*train, "--out", out)[0] == 0

    assert mmx("evaluate", out, "--split", "test", "--device", "cpu")[0] == 0
    assert mmx("predict", out, photos / "test", "--device", "cpu")[0] == 0
    code, _, err = mmx(*train, "--workers", "2")
    assert code == 2 and "leave out --workers" in err


def test_where_validation_shots_take_all_of_val_training_reports_test(mmx, tmp_path: Path) -> None:
    photos, out = write_photos(tmp_path / "photos", {"train": 2, "val": 1, "test": 1}), tmp_path / "run"
    assert mmx("prepare", "colours", "--raw", photos)[0] == 0

    train = ("train", "dynamic-gating", "--dataset", "colours", "--preset", "tiny", "--device", "cpu")
    assert mmx(*train, "--out", out)[0] == 0
    assert json.loads((out / "fewshot.json").read_text())["split"] == "test"


def test_a_run_on_features_alone_labels_no_photo_and_says_why(mmx, published, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert mmx("fewshot", "pets", "--shots", "4", *QUICK, "--out", out)[0] == 0
    photos = write_photos(tmp_path / "photos", {"test": 1})

    code, _, err = mmx("predict", out, photos)
    assert code == 4 and "there is no network to see new photos with" in err
    code, said, _ = mmx("evaluate", out, "--split", "test", "--device", "cpu")
    assert code == 0 and "accuracy" in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("absent",), 4, "'absent' is not prepared"),
        (("oxford_pets",), 4, "mmx prepare oxford-pets --raw FOLDER. Then: mmx fewshot oxford-pets"),
        (("pets", "--shots", "0"), 2, "--shots 0 is not possible"),
        (("pets", "--shots", "4,4"), 2, "each once"),
        (("pets", "--shots", "four"), 2, "Write it like --shots 1,4,16"),
        (("pets", "--seeds", "1,,2"), 2, "--seeds '1,,2' is not a list of whole numbers"),
        (("pets", "--shots", "16"), 3, "has no features of 16 shots. It has those of 1, 4: --shots 4"),
        (("pets", "--split", "train"), 2, "train is learned from"),
        (("pets", "--method", "gausian"), 2, "gaussian"),
        (("pets", "--method", "gaussian", "--set", "ridge=1"), 2, "'gaussian' has no settings"),
        (("pets", "--method", "clap", "--method", "gaussian", "--set", "lr=1"), 2, "--set is for one"),
        (("pets", "--method", "clap", "--set", "shots=3"), 2, "Give it as --shots"),
        (("pets", "--method", "clap", "--set", "epochs=0"), 2, "epochs"),
        (("pets", "--method", "clap", "--shots", "4"), 2, "'clap' cannot be run: no class texts"),
        (("pets", "--encoder", "nonesuch"), 2, "nonesuch"),
        (("pets", "--encoder", "offline", "--shots", "4"), 3, "has records without pictures"),
        (("pets", "--prompt", "a photo"), 2, "has no place for the class"),
        (("pets", "--prompt", "{}", "--class-texts", "x.npy"), 2, "Name one of them"),
        (("pets", "--only-named"), 2, "go with --class-texts FILE"),
        (("pets", "--class-texts", "x.npy"), 2, "Give --text-names FILE"),
        (("pets", "--index", "absent.json", "--shots", "4"), 3, "there is no index"),
    ],
)
def test_each_mistake_ends_with_its_words_and_its_code(mmx, published, words, code, said) -> None:
    got, out, err = mmx("fewshot", *words)

    assert (got, out) == (code, "") and said in err and "Traceback" not in err, err


def test_a_folder_of_photos_is_told_how_to_get_a_name(mmx, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", {"train": 1})

    code, _, err = mmx("fewshot", photos)

    assert code == 4 and f"mmx prepare NAME --raw {photos}. Then: mmx fewshot NAME" in err


def test_fewer_photos_than_shots_give_what_they_have_and_say_so(mmx, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", {"train": 3, "val": 2, "test": 2})
    assert mmx("prepare", "colours", "--raw", photos)[0] == 0

    code, _, err = mmx("fewshot", "colours", "--shots", "8", "--encoder", "random", *QUICK)

    assert code == 0
    assert "3 classes have fewer than 8 training pictures and give all they have (the fewest: '" in err
    assert "3 classes have fewer than 4 validation pictures for 8 shots: choices hang on 6" in err


def test_classes_without_a_validation_photo_are_named_with_what_to_do(mmx, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", {"train": 2, "val": 2, "test": 2})
    shutil.rmtree(photos / "val" / "green")
    assert mmx("prepare", "colours", "--raw", photos)[0] == 0

    code, _, err = mmx("fewshot", "colours", "--shots", "2", "--encoder", "random", *QUICK)

    assert code == 0 and "1 class has no validation picture ('green')" in err
    assert "which classifier is kept means little" in err and "--set shares=60/20/20" in err


def test_a_misspelt_dataset_gets_the_nearest_prepared_one(mmx, published) -> None:
    code, _, err = mmx("fewshot", "pet")

    assert code == 4 and "'pet' is not prepared. Did you mean 'pets'? Prepared are: pets." in err


def test_a_class_without_a_photo_to_learn_from_ends_with_its_name(mmx, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", {"train": 2, "val": 1, "test": 1})
    shutil.rmtree(photos / "train" / "green")
    assert mmx("prepare", "colours", "--raw", photos)[0] == 0

    code, _, err = mmx("fewshot", "colours", "--shots", "2", "--encoder", "random", *QUICK)

    assert code == 3 and "class 'green' of 'colours' has no picture to learn from (1 of 3 classes" in err


def test_a_dataset_without_classes_cannot_be_learned_from(mmx, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", {"train": 2})
    rows = [f"train/{name}/{n}.png,a {name} thing" for name in ("red", "blue") for n in range(2)]
    (photos / "captions.csv").write_text("\n".join(["image,caption", *rows]))
    mmx("prepare", "said", "--raw", photos / "captions.csv", "--set", f"images={photos}")
    code, _, err = mmx("fewshot", "said", "--split", "val")

    assert code == 3 and "has no classes. Prepare it with labels" in err


def test_features_of_another_making_than_was_prepared_are_refused(mmx, published, tmp_path: Path) -> None:
    other = write_published(tmp_path / "other", shots=(1,))

    code, _, err = mmx("extract", "pets", "--encoder", "mine", "--import", other, "--overwrite")

    assert code == 4 and f"'{other}' is not what 'pets' train was prepared from: it holds 4" in err
