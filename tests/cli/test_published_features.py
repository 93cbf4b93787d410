"""Few-shot features of others at the keyboard: what is broken in their files, its words and its exit code."""

import json
from functools import partial
from pathlib import Path

import numpy
import pytest

from mmx.core.home import Home
from tests.shot_files import NAMES, write_published
from tests.typed import typed


@pytest.fixture
def mmx(home: Home, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    """Runs a command line: its exit code, standard output and standard error."""

    return partial(typed, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("length", "holds 16 vectors, but 'train_4shot_labels.npy' holds 15 labels"),
        ("nan", "row 3 of"),
        ("negative", "has a negative label"),
        ("nolabels", "has no labels: there is no 'val_labels.npy' beside it"),
        ("width", "are of widths [8, 16]"),
        ("names", "has 3 names, but labels go up to 3"),
        ("empty", "the name of class 1 is empty"),
        ("notalist", "is not a JSON list of names"),
        ("flat", "They are to be vectors [N, F] of float numbers"),
    ],
)
def test_broken_published_features_end_with_the_file(mmx, tmp_path: Path, change: str, said: str) -> None:
    folder = write_published(tmp_path / "published", names=NAMES)
    if change == "length":
        numpy.save(folder / "train_4shot_labels.npy", numpy.load(folder / "train_4shot_labels.npy")[:15])
    elif change == "nan":
        array = numpy.load(folder / "val_features.npy")
        array[3] = numpy.nan
        numpy.save(folder / "val_features.npy", array)
    elif change == "negative":
        numpy.save(folder / "val_labels.npy", numpy.load(folder / "val_labels.npy") - 1)
    elif change == "nolabels":
        (folder / "val_labels.npy").unlink()
    elif change == "width":
        numpy.save(folder / "val_features.npy", numpy.load(folder / "val_features.npy")[:, :8])
    elif change in ("names", "empty", "notalist"):
        written = {"names": NAMES[:3], "empty": ("cat", " ", "dog", "bird"), "notalist": {"0": "cat"}}[change]
        (folder / "class_names.json").write_text(json.dumps(written))
    else:
        numpy.save(folder / "test_features.npy", numpy.load(folder / "test_features.npy")[0])

    code, _, err = mmx("prepare", "pets", "--raw", folder)

    assert code == 3 and said in err and "Traceback" not in err, err


def test_objects_in_an_array_are_never_read(mmx, tmp_path: Path) -> None:
    folder = write_published(tmp_path / "published")
    numpy.save(folder / "test_features.npy", numpy.array([{}], dtype=object), allow_pickle=True)

    code, _, err = mmx("prepare", "pets", "--raw", folder)

    assert code == 4 and "test_features.npy' is not a plain array" in err
