"""README and examples: every command line printed there is one that mmx understands, and the Python example
runs.
"""

import re
import runpy
import shlex
from pathlib import Path

import pytest
import typer

from mmx.cli.app import app

ROOT = Path(__file__).parents[1]
COMMAND = re.compile(r"(?:\$MMX|\bmmx) ([a-z]+(?: [^`\n|]+)?)")


def command_lines(path: Path) -> list[str]:
    """What follows `mmx` in fenced lines and in inline code, comments and pipes left off."""
    text = path.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```\n(.*?)```", text, re.DOTALL))
    fenced = re.findall(r"^\s*(?:\$ |mmx ).*$", blocks, re.MULTILINE)
    inline = re.findall(r"`(mmx [^`]+)`", text) if path.suffix == ".md" else []
    if path.suffix == ".sh":
        fenced = re.findall(r"^\s*\$MMX .*$", text, re.MULTILINE)
    found = []
    for line in [*fenced, *inline]:
        match = COMMAND.search(line.split(" #")[0])
        if match:
            found.append(match.group(1).strip())
    return found


PAGES = [
    ROOT / "README.md",
    ROOT / "benchmarks" / "README.md",
    ROOT / "examples" / "quickstart.sh",
    ROOT / "examples" / "sixth_method" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
LINES = sorted({line for page in PAGES for line in command_lines(page)})


def test_there_are_lines_of_every_command() -> None:
    assert {"prepare", "extract", "train", "evaluate", "search"} <= {line.split()[0] for line in LINES}
    assert len(LINES) > 20


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_understood(line: str) -> None:
    # Placeholders such as [RUN] stand for something that may be left out.
    verb, *words = shlex.split(line.replace("[RUN]", "run"))
    command = typer.main.get_command(app).commands[verb]

    # A bare name in running text names the command; a line with words must be complete.
    assert not words or command.make_context(verb, words).command.name == verb


def test_the_python_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "python_api.py"))

    example["main"](tmp_path / "home")

    said = capsys.readouterr().out
    assert "prepared:" in said and "test rsum" in said and "3 " in said
