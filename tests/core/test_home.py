"""Home: --home, then $MMX_HOME, then the user's own share."""

from pathlib import Path

import pytest

from mmx.core.home import Home


def test_the_flag_wins_over_the_environment_and_that_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMX_HOME", str(tmp_path / "environment"))
    assert Home.find(tmp_path / "flag").root == tmp_path / "flag"
    assert Home.find().root == tmp_path / "environment"

    monkeypatch.delenv("MMX_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.find().root == tmp_path / ".local" / "share" / "mmx"
