"""The pages that people read, and what is typed on them."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
FENCE = "```"


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    language: str
    """Empty for what is typed at a shell."""
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """Its lines as they stand."""
        return "\n".join(self.lines) + "\n"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    language, lines = None, []
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith(FENCE):
            lines.append(line)
        elif language is None:
            language, lines = line.removeprefix(FENCE).strip(), []
        else:
            found.append(Block(language, tuple(lines)))
            language = None
    return found


def typed_lines(page: Path) -> list[str]:
    """The lines of a page that are typed at a shell: of unnamed blocks, without remarks and empty ones."""
    lines = [line for block in blocks(page) if not block.language for line in block.lines]
    return [bare for line in lines if (bare := line.split(" #")[0].removeprefix("$ ").strip())]


def code_of(page: Path, language: str) -> list[str]:
    """The blocks of a page in one language."""
    return [block.text for block in blocks(page) if block.language == language]
