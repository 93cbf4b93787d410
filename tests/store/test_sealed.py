"""JSON with a seal: a value that was changed is found, and a file without a seal is taken as it is."""

import json
from pathlib import Path

import pytest

from mmx.core.errors import ArtifactError
from mmx.store.sealed import read_sealed, write_sealed

VALUE = {"name": "größe", "rate": 1e-4, "shape": (2, 3), "of": {1: None}}


def test_what_was_written_comes_back_without_its_seal(tmp_path: Path) -> None:
    write_sealed(tmp_path / "x.json", VALUE)

    assert read_sealed(tmp_path / "x.json", "") == {**VALUE, "shape": [2, 3], "of": {"1": None}}
    assert list(json.loads((tmp_path / "x.json").read_text())) == ["seal", *VALUE, "sealed"]


@pytest.mark.parametrize(("before", "after"), [("0.0001", "0.0002"), ("[", "[1, "), ('"1": null', '"1": 0')])
def test_a_changed_value_is_found_and_both_ways_on_are_said(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "x.json"
    write_sealed(path, VALUE)
    path.write_text(path.read_text().replace(before, after, 1))

    with pytest.raises(
        ArtifactError, match=r"x.json' was changed.*Train again.*take 'seal' and 'sealed' out"
    ):
        read_sealed(path, "Train again.")


def test_white_space_and_the_order_of_keys_are_no_change(tmp_path: Path) -> None:
    write_sealed(tmp_path / "x.json", VALUE)
    value = json.loads((tmp_path / "x.json").read_text())
    (tmp_path / "x.json").write_text(json.dumps(dict(reversed(value.items()))))

    assert read_sealed(tmp_path / "x.json", "")["rate"] == 1e-4


def test_without_a_seal_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"rate": 7}')

    assert read_sealed(tmp_path / "x.json", "") == {"rate": 7}


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '"x"', "[" * 100_000, '{"a": "\ud800'.encode(errors="surrogatepass")]
)
def test_what_is_no_object_is_refused_by_name(tmp_path: Path, text: str | bytes) -> None:
    (tmp_path / "x.json").write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(ArtifactError, match=r"x.json' (cannot be read|is not a JSON object).*Train again"):
        read_sealed(tmp_path / "x.json", "Train again.")
