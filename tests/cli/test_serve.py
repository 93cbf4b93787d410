"""mmx serve: words and codes before anything is served."""

import socket
import sys

import pytest

from mmx.core.home import Home
from tests.typed import typed


def test_without_the_extra_it_is_named(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, _, err = typed(monkeypatch, capsys, "serve")
    assert code == 7 and "pip install 'mmx[serve]'" in err


def test_what_cannot_be_served_says_why(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = typed(monkeypatch, capsys, "serve", "--port", str(taken.getsockname()[1]))
    assert code == 2 and "Take another: --port 0" in err
    assert typed(monkeypatch, capsys, "serve", "--port", "0")[0] == 4
    code, _, err = typed(
        monkeypatch, capsys, "serve", "--port", "0", "--in", "nowhere", "--model", "random:clip"
    )
    assert code == 3 and "nowhere' does not exist" in err
