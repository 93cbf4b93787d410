"""The one place where errors become exit codes."""

import pytest

from mmx.cli import app


class OutOfMemoryError(RuntimeError):
    """As torch calls its own."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."),
    ],
)
def test_memory_that_ran_out_is_exit_6(error: Exception, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def fails(standalone_mode: bool) -> None:
        raise error

    monkeypatch.setattr(app, "app", fails)
    with pytest.raises(SystemExit) as left:
        app.main()

    assert left.value.code == 6
    assert capsys.readouterr().err.startswith("mmx: memory ran out (")


def test_any_other_error_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(standalone_mode: bool) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(app, "app", fails)
    with pytest.raises(RuntimeError, match="a bug"):
        app.main()
