"""Who sets what: default, preset, file, variable, --set and flag, and the words that are refused."""

from pathlib import Path

import pytest

from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.workflows.method_settings import Wishes, read_config, resolve_method, settings_table

METHOD = "attention-clip"


def test_each_layer_of_settings_wins_over_the_ones_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Default, preset, file, variable, --set, flag: each sets what comes after it too."""
    (tmp_path / "c.toml").write_text("width = 11\nheads = 1\nlr = 0.5\nbatch_size = 11\nepochs = 11\n")
    for name in ("HEADS", "LR", "BATCH_SIZE", "EPOCHS"):
        monkeypatch.setenv(f"MMX_{name}", "2")
    assignments = ("lr=3", "batch_size=3", "epochs=3")
    wishes = Wishes("tiny", tmp_path / "c.toml", assignments, {"batch_size": 4, "epochs": None})

    resolved = resolve_method("attention_clip", wishes)

    values, by = vars(resolved.settings), resolved.set_by
    assert (values["image_encoder"], by["image_encoder"]) == ("random:resnet", "preset tiny")
    assert (values["width"], by["width"]) == (11, str(tmp_path / "c.toml"))
    assert (values["heads"], by["heads"]) == (2, "MMX_HEADS")
    assert (values["lr"], by["lr"]) == (3.0, "--set")
    assert (values["epochs"], by["epochs"]) == (3, "--set")
    assert (values["batch_size"], by["batch_size"]) == (4, "--batch-size")
    assert by["text_lr"] == "default"


def test_a_file_may_hold_a_table_for_each_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmx.workflows.method_settings.method_names", lambda package: [METHOD, "other"])
    path = tmp_path / "c.toml"
    path.write_text("epochs = 1\nlr = 0.1\n[attention_clip]\nlr = 0.2\n[other]\nmargin = 3\n")

    assert read_config(path, METHOD) == {"epochs": 1, "lr": 0.2}


def test_a_table_that_names_no_method_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[atention-clip]\nlr = 0.2\n")

    with pytest.raises(UsageError, match="Did you mean 'attention-clip'") as caught:
        read_config(path, METHOD)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("text", "words"), [("lr = ", "is not a TOML file"), (None, "cannot be read")])
def test_a_broken_or_absent_file_is_named(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "c.toml").write_text(text)

    with pytest.raises(UsageError, match=words):
        read_config(tmp_path / "c.toml", METHOD)


def test_the_settings_can_be_read_without_a_corpus(home: Home) -> None:
    rows = {row.name: row for row in settings_table(METHOD, Wishes(flags={"lr": 0.5}))}

    assert (rows["lr"].value, rows["lr"].set_by) == (0.5, "--lr")
    assert all(row.help and row.source for row in rows.values())
    with pytest.raises(UsageError, match="name a method"):
        settings_table(None, Wishes())
