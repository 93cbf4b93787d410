"""A command line typed in this process: what it leaves on the screen, and its exit code."""

import sys

import pytest

from mmx.cli.app import main


def typed(
    monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `mmx` with these words."""
    monkeypatch.setattr(sys, "argv", ["mmx", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main()
    shown = capture.readouterr()
    return int(left.value.code or 0), shown.out, shown.err
