"""Figures of the code itself, for a table: files, lines, types, documentation, cycles and upward arrows.

    python benchmarks/code_figures.py [COMMIT ...]

Two rows a commit, then two for the tree as it is: the package, and all Python but tests. Counted with `ast`
and `tokenize`, as were the figures of other repositories that stand beside them in docs/code.md:

lines       at the median, at the ninth decile, and of the largest file
typed, doc  share of public functions and methods with a return annotation, and with a docstring
comments    lines with a comment, of 100 lines
cycles      groups of files that import each other, wherever the import stands
up          arrows between rooms (folders of the package, else top files) from a lower floor to a higher one;
            the floors are that order of the rooms for which there are fewest
"""

import ast
import functools
import io
import subprocess
import sys
import tarfile
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from statistics import median, quantiles

ROOT = Path(__file__).parents[1]
PARTS = ("mmx", "benchmarks", "examples")
"""Folders of Python that are no tests."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Figures:
    """What a table says of one tree."""

    files: int
    lines: int
    median: float
    decile: float
    largest: str
    typed: float
    documented: float
    comments: float
    cycles: int
    up: int

    def cells(self) -> list[str]:
        """The row, for reading."""
        return [
            f"{self.files:,}",
            f"{self.lines:,}",
            f"{self.median:.0f}",
            f"{self.decile:.0f}",
            self.largest,
            f"{100 * self.typed:.0f}%",
            f"{100 * self.documented:.0f}%",
            f"{100 * self.comments:.1f}",
            str(self.cycles),
            str(self.up),
        ]


def figures_of(sources: Mapping[str, str]) -> Figures:
    """Texts of Python files by their paths from the root -> their figures."""
    lengths = {path: text.count("\n") for path, text in sources.items()}
    trees = {path: ast.parse(text) for path, text in sources.items()}
    public = [function for tree in trees.values() for function in public_functions(tree.body)]
    arrows = {path: set(imported(path, tree, trees)) for path, tree in trees.items()}
    longest = max(lengths, key=lengths.__getitem__)
    lines = sum(lengths.values())
    return Figures(
        files=len(sources),
        lines=lines,
        median=median(lengths.values()),
        decile=quantiles(lengths.values(), n=10)[-1],
        largest=f"{lengths[longest]:,} {PurePosixPath(longest).name}",
        typed=sum(function.returns is not None for function in public) / max(len(public), 1),
        documented=sum(ast.get_docstring(function) is not None for function in public) / max(len(public), 1),
        comments=sum(map(comment_lines, sources.values())) / lines,
        cycles=len(rings(arrows)),
        up=upward({(room(one), room(other)) for one, others in arrows.items() for other in others}),
    )


def public_functions(body: Iterable[ast.stmt]) -> Iterator[Function]:
    """Functions of a module, and methods of its public classes, whose names begin with no underscore."""
    for node in body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body)


def comment_lines(text: str) -> int:
    """Lines that have a comment, or are one."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return len({token.start[0] for token in tokens if token.type == tokenize.COMMENT})


def imported(path: str, tree: ast.Module, known: Iterable[str]) -> Iterator[str]:
    """The files of the tree that a file imports."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = PurePosixPath(path).parts[: -node.level] if node.level else ()
            start = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{start}.{alias.name}" for alias in node.names]
        yield from (found for name in names if (found := _file_of(name, known)) not in (None, path))


def _file_of(name: str, known: Iterable[str]) -> str | None:
    """The file of a module, or of the module that has a name in it."""
    whole = name.replace(".", "/")
    holder = whole.rpartition("/")[0]
    places = (f"{whole}.py", f"{whole}/__init__.py", f"{holder}.py", f"{holder}/__init__.py")
    return next((place for place in places if place in known), None)


def rings(arrows: Mapping[str, set[str]]) -> list[set[str]]:
    """Groups of at least two files each of which leads to all others of its group (Kosaraju's algorithm)."""
    order: list[str] = []
    seen: set[str] = set()
    for start in arrows:
        waiting = [(start, iter(arrows[start]))] if start not in seen else []
        seen.add(start)
        while waiting:
            here, following = waiting[-1]
            further = next((found for found in following if found not in seen), None)
            if further is None:
                order.append(waiting.pop()[0])
            else:
                seen.add(further)
                waiting.append((further, iter(arrows[further])))
    back: dict[str, set[str]] = {path: set() for path in arrows}
    for path, others in arrows.items():
        for other in others:
            back[other].add(path)
    groups, left = [], set(arrows)
    for start in reversed(order):
        group, todo = set(), [start] if start in left else []
        while todo:
            here = todo.pop()
            if here in left:
                left.discard(here)
                group.add(here)
                todo += back[here]
        groups.append(group)
    return [group for group in groups if len(group) > 1]


def room(path: str) -> str:
    """`store` of mmx/store/run.py, `mmx.py` of what lies on top, `benchmarks` of what has no rooms."""
    parts = PurePosixPath(path).parts
    return "/".join(parts[:2]) if parts[0] == "mmx" else parts[0]


def upward(pairs: Iterable[tuple[str, str]]) -> int:
    """Of arrows between rooms, how many point up in the order of the rooms for which they are fewest."""
    arrows = {(one, other) for one, other in pairs if one != other}
    rooms = sorted({end for arrow in arrows for end in arrow})
    below = [sum(1 << rooms.index(other) for one, other in arrows if one == here) for here in rooms]

    @functools.cache
    def fewest(placed: int) -> int:
        """With these rooms on the floors below, the upward arrows of all others."""
        others = [here for here in range(len(rooms)) if not placed >> here & 1]
        up = ((below[here] & ~placed).bit_count() + fewest(placed | 1 << here) for here in others)
        return min(up, default=0)

    return fewest(0)


def sources_now() -> dict[str, str]:
    """The tree as it lies here."""
    paths = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def sources_at(commit: str) -> dict[str, str]:
    """The tree as it was."""
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {
            member.name: read.read().decode("utf-8")
            for member in archive
            if member.name.endswith(".py") and member.name.split("/")[0] in PARTS
            if (read := archive.extractfile(member)) is not None
        }


def main(commits: list[str]) -> None:
    """Print the rows."""
    rows: dict[str, dict[str, str]] = {}
    trees = {f"mmx at {commit}": sources_at(commit) for commit in commits} | {"mmx": sources_now()}
    for tree, every in trees.items():
        rows[tree] = {path: text for path, text in every.items() if path.startswith("mmx/")}
        rows[f"{tree}, with benchmarks and examples"] = every
    for name, sources in rows.items():
        sys.stdout.write(f"| {name} | {' | '.join(figures_of(sources).cells())} |\n")


if __name__ == "__main__":
    main(sys.argv[1:])
