"""What a terminal can show is asked of it, and never of a pipe."""

import os
import pty
import sys
import threading

import pytest

from mmx.cli import terminal


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "plain", lambda: False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for name in ("TERM_PROGRAM", "KITTY_WINDOW_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_a_pipe_gets_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert terminal.pictures_in_terminal() == "none"


@pytest.mark.parametrize(
    ("name", "value"), [("TERM", "xterm-kitty"), ("KITTY_WINDOW_ID", "1"), ("TERM_PROGRAM", "ghostty")]
)
def test_kitty_is_known_by_its_name(
    colours: None, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert terminal.pictures_in_terminal() == "kitty"


@pytest.mark.parametrize(
    ("answer", "shown"),
    [(b"\x1b[?62;4;22c", "sixel"), (b"\x1b[?62;22;14c", "half-blocks"), (b"", "half-blocks")],
)
def test_a_terminal_is_asked_whether_it_draws_sixels(
    colours: None, monkeypatch: pytest.MonkeyPatch, answer: bytes, shown: str
) -> None:
    monkeypatch.setattr(terminal, "PATIENCE", 2.0 if answer else 0.05)
    person, program = pty.openpty()
    real_open = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest: os.dup(program) if path == "/dev/tty" else real_open(path, *rest)
    )

    def reply() -> None:
        assert os.read(person, 3) == b"\x1b[c"
        os.write(person, answer)

    thread = threading.Thread(target=reply)
    thread.start()
    found = terminal.pictures_in_terminal()
    thread.join()
    os.close(person)
    os.close(program)
    assert found == shown
