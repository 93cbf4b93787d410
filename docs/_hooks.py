"""What the pages of the site take from the code when they are built, and how equations are set.

A page holds a mark where something is to stand; read as plain Markdown it shows nothing there:

    <!-- settings: NAME -->    the settings and presets of a method, as it declares them
    <!-- commands -->          every command with its options, as the command line declares them
    <!-- file: PATH -->        a Markdown file of the repository, without its first heading
    <!-- table: PATH -->       what stands in such a file between `table: begin` and `table: end`

A block fenced as `math` is LaTeX and becomes MathML, which browsers set without any script.
"""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from latex2mathml import converter

from mmx.cli.app import app
from mmx.core.discover import find_method

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"^<!-- (settings|commands|file|table)(?:: (\S+))? -->$", re.MULTILINE)
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)[^)]+\)")
EQUATION = re.compile(r"^```math\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs with the text of each page."""
    filled = MARK.sub(lambda mark: FILLERS[mark[1]](mark[2] or ""), markdown)
    return EQUATION.sub(lambda block: equations(block[1]), filled)


def equations(latex: str) -> str:
    """Lines of LaTeX -> MathML, an equation a line; a line that ends in two backslashes goes on."""
    lines = [line.strip() for line in latex.replace("\\\\\n", " ").splitlines() if line.strip()]
    return "\n".join(
        f'<div class="equation">{converter.convert(line, display="block")}</div>\n' for line in lines
    )


def settings_tables(name: str) -> str:
    """The settings of a method with default, meaning and source; and what its presets change."""
    method = find_method(name)
    fields = dataclasses.fields(method.settings)
    rows = [
        [f"`{field.name}`", value(field.default), field.metadata["help"], field.metadata["source"]]
        for field in fields
    ]
    presets = [preset for preset in method.presets if method.presets[preset]]
    changed = [field for field in fields if any(field.name in method.presets[preset] for preset in presets)]
    cells = [
        [f"`{field.name}`", value(field.default)]
        + [value(method.presets[p][field.name]) if field.name in method.presets[p] else "" for p in presets]
        for field in changed
    ]
    return "\n\n".join(
        (
            table(["setting", "default", "meaning", "source of the default"], rows),
            "What presets change; an empty place keeps the default.",
            table(["setting", "default", *(f"`{preset}`" for preset in presets)], cells),
        )
    )


def command_tables(_: str) -> str:
    """Every command: what it does, what it reads, and its options."""
    return "\n\n".join(_command(f"mmx {name}", found) for name, found in _commands().items())


def _commands() -> dict[str, Any]:
    group = typer.main.get_command(app).commands
    found = {}
    for name, command in sorted(group.items()):
        inner = getattr(command, "commands", None)
        found |= {f"{name} {below}": each for below, each in inner.items()} if inner else {name: command}
    return found


def _command(title: str, command: Any) -> str:
    rows = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        is_option = parameter.param_type_name == "option"
        words = [*parameter.opts, *parameter.secondary_opts] if is_option else [parameter.name.upper()]
        shown = ", ".join(f"`{word}`" for word in words)
        default = parameter.default
        kept = default if isinstance(default, int | float | str | Path) and default not in (False, "") else ""
        rows.append([shown, (parameter.help or "").strip(), value(kept) if kept != "" else ""])
    help_text = " ".join((command.help or "").replace("\b", "").split())
    return "\n\n".join((f"## {title}", help_text, table(["word", "what", "default"], rows)))


def included(path: str) -> str:
    """A Markdown file of the repository without its first heading; what it links to is no page here."""
    body = re.sub(r"\A# .*\n", "", (ROOT / path).read_text(encoding="utf-8"))
    return LINK.sub(r"`\1`", body)


def measured(path: str) -> str:
    """The part of a Markdown file that a program writes."""
    return included(path).partition("<!-- table: begin -->\n")[2].partition("<!-- table: end -->")[0]


def value(found: Any) -> str:
    """A setting's value as one types it."""
    return f"`{str(found).lower() if isinstance(found, bool) or found is None else found}`"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines)


FILLERS: dict[str, Callable[[str], str]] = {
    "settings": settings_tables,
    "commands": command_tables,
    "file": included,
    "table": measured,
}
