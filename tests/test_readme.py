"""README, pages and examples: every command line printed there is one that mmx understands, and the Python
example runs. That the lines of README and of the pages end well is in tests/docs.
"""

import re
import runpy
import shlex
from pathlib import Path

import pytest
import typer

from mmx.cli.app import app
from tests.pages import DOCS, ROOT, typed_lines

COMMAND = re.compile(r"(?:\$MMX|\bmmx) ([a-z]+(?: [^`\n|]+)?)")


def command_lines(path: Path) -> list[str]:
    """What follows `mmx` in fenced lines and in inline code, comments and pipes left off."""
    if path.suffix == ".sh":
        fenced = re.findall(r"^\s*\$MMX .*$", path.read_text(encoding="utf-8"), re.MULTILINE)
        inline = []
    else:
        fenced = [line for line in typed_lines(path) if line.startswith("mmx ")]
        inline = re.findall(r"`(mmx [^`]+)`", path.read_text(encoding="utf-8"))
    matches = [COMMAND.search(line.split(" #")[0]) for line in [*fenced, *inline]]
    return [match.group(1).strip() for match in matches if match]


PAGES = [
    ROOT / "README.md",
    ROOT / "benchmarks" / "README.md",
    ROOT / "examples" / "quickstart.sh",
    ROOT / "examples" / "sixth_method" / "README.md",
    ROOT / "examples" / "late_interaction" / "README.md",
    *DOCS,
]
LINES = sorted({line for page in PAGES for line in command_lines(page)})


def test_there_are_lines_of_every_command() -> None:
    assert {"prepare", "extract", "train", "evaluate", "search"} <= {line.split()[0] for line in LINES}
    assert len(LINES) > 20


def test_every_line_is_understood() -> None:
    commands = typer.main.get_command(app).commands
    for line in LINES:
        # Placeholders such as [RUN] stand for something that may be left out.
        verb, *words = shlex.split(line.replace("[RUN]", "run"))
        # A bare name in running text names the command; a line with words must be complete.
        try:
            assert not words or commands[verb].make_context(verb, words).command.name == verb
        except Exception as error:
            raise AssertionError(f"'mmx {line}': {error}") from error


def test_the_python_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "python_api.py"))

    example["main"](tmp_path / "home")

    said = capsys.readouterr().out
    assert "prepared:" in said and "test rsum" in said and "3 " in said
