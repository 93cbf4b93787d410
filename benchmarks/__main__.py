"""All rows, one after another, then the table: `python -m benchmarks [--only ROW ..] [--quick]`.

Every script is a process of its own and every row another one, so that a row that fails stops none: it is
told, stands in the table as failed, and the exit code is 1. A row that failed because the machine was busy is
measured once more at the end. With --quick nothing is kept or written.
"""

import argparse
import ast
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import results, table

FOLDER = Path(__file__).parent


def rows_of(script: Path) -> list[str]:
    """The names of a script's rows, read from its source: what stands first in each `Row(...)`."""
    found = []
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Row":
            found += [first.value for first in node.args[:1] if isinstance(first, ast.Constant)]
    return found


def run(script: Path, rows: Sequence[str], more: Sequence[str]) -> bool:
    """Measure some rows of a script; whether all went well."""
    words = [sys.executable, "-m", f"benchmarks.{script.stem}", "--only", *rows, *more]
    return subprocess.run(words, cwd=FOLDER.parent).returncode == 0


def busy(rows: Sequence[str], folder: Path = results.FOLDER) -> list[str]:
    """Those rows whose last run failed because the machine was never free."""
    return [row for row in rows if "TooBusy" in _failure(row, folder)]


def _failure(row: str, folder: Path = results.FOLDER) -> str:
    """Why the last run of a row failed; empty where it did not."""
    return next((run.get("failed", "") for run in results.runs_of(row, folder)), "")


def main() -> None:
    """Measure what is asked for, then write the table."""
    known = {script: rows_of(script) for script in sorted(FOLDER.glob("*.py")) if rows_of(script)}
    names = [name for rows in known.values() for name in rows]
    parser = argparse.ArgumentParser(description="Rows: " + ", ".join(names))
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=names, default=names)
    parser.add_argument("--quick", action="store_true", help="Small shapes; nothing is kept.")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clock", default="wall")
    asked = parser.parse_args()
    more = ["--threads", str(asked.threads), "--clock", asked.clock, *(["--quick"] if asked.quick else [])]
    chosen = {script: [name for name in rows if name in asked.only] for script, rows in known.items()}
    bad = [script for script, rows in chosen.items() if rows and not run(script, rows, more)]
    if not asked.quick:
        again = {script: busy(chosen[script]) for script in bad}
        whole = [script for script, rows in again.items() if rows and run(script, rows, more)]
        bad = [script for script in bad if script not in whole or any(map(_failure, chosen[script]))]
        table.write()
    if bad:
        sys.stderr.write(f"rows failed in: {', '.join(script.stem for script in bad)}\n")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
