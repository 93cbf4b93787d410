"""The table of README.md, written from the records between two markers: `python -m benchmarks.table`.

A line for each peer of each row; a row whose last run failed says so. In brackets behind a ratio stands that
of opposite quartiles; "again" is the ratio of the run before.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import results

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEAD = "| work | mmx | beside | its median | ratio | again | floor | met |\n|---|---|---|---|---|---|---|---|"
FLOORS = {"faster": "{:g} times as fast", "within": "{:g} of its time", "smaller": "memory 1/{:g}"}

Record = Mapping[str, Any]


def table(runs: Mapping[str, Sequence[Record]]) -> str:
    """[row -> its records, newest first] -> what stands between the markers."""
    newest = sorted(
        (found[0] for found in runs.values()), key=lambda record: (record["script"], record["row"])
    )
    lines = [line for record in newest for line in _lines(record, _alike(record, runs[record["row"]][1:]))]
    measured = [record for record in newest if "failed" not in record]
    wanted = [goal["met"] for record in measured for goal in record["goals"] if goal["met"] is not None]
    failed = [record["row"] for record in newest if "failed" in record]
    count = f"{sum(wanted)} of {len(wanted)} floors are met; {len(failed)} rows failed."
    notes = [line for record in measured for line in _note(record)]
    return "\n".join([*_about(measured), count, "", HEAD, *lines, "", *notes])


def _lines(record: Record, before: Sequence[Record]) -> list[str]:
    if "failed" in record:
        return [f"| {record['title']} | failed: {_cell(record['failed'])} | | | | | | no |"]
    lines, title = [], record["title"]
    for goal in record["goals"]:
        memory = goal["kind"] == "smaller"
        mine, theirs = record["contestants"][record["ours"]], record["contestants"][goal["peer"]]
        shown = _mib if memory else _seconds
        cells = [title, shown(mine), f"{goal['peer']} ({record['origins'][goal['peer']]})"]
        old = _same_goal(goal, before)
        cells += [shown(theirs), _ratio(goal), _said(old, old["ratio"]) if old else "", _floor(goal)]
        lines.append(f"| {' | '.join([*cells, {True: 'yes', False: '**no**', None: ''}[goal['met']]])} |")
        title = ""
    return lines


def _alike(record: Record, before: Sequence[Record]) -> list[Record]:
    """Runs before on the same machine, with the same threads and clock."""
    made = {name: record.get(name) for name in ("machine", "threads", "clock")}
    return [old for old in before if made.items() <= old.items()]


def _same_goal(goal: Record, before: Sequence[Record]) -> Record | None:
    """The same goal of the run before."""
    there = itertools.chain.from_iterable(record.get("goals", []) for record in before)
    return next((old for old in there if (old["peer"], old["kind"]) == (goal["peer"], goal["kind"])), None)


def _ratio(goal: Record) -> str:
    spread = sorted((_said(goal, ratio) for ratio in goal.get("spread", [])), key=float)
    return f"**{_said(goal, goal['ratio'])}**" + (f" ({' to '.join(spread)})" if spread else "")


def _said(goal: Record, ratio: float) -> str:
    return f"{1 / max(ratio, 1e-9) if goal['kind'] == 'within' else ratio:.3g}"


def _floor(goal: Record) -> str:
    return "" if goal["floor"] is None else FLOORS[goal["kind"]].format(goal["floor"])


def _seconds(about: Record) -> str:
    """Of the whole work; with memory, and how many calls it is, where these are known or not one."""
    seconds = about["median_s"]
    unit, factor = next((pair for pair in (("s", 1.0), ("ms", 1e3)) if seconds * pair[1] >= 1), ("us", 1e6))
    memory = f", {_mib(about)}" if "memory_mib" in about else ""
    return f"{seconds * factor:.3g} {unit}{memory}" + (
        "" if about["share"] == 1 else f" (a call x {about['share']:g})"
    )


def _mib(about: Record) -> str:
    return f"{about['memory_mib']:.1f} MiB"


def _cell(words: str) -> str:
    return words.replace("|", "/")


def _about(measured: Sequence[Record]) -> list[str]:
    """The machine, versions and dates, of all rows together."""
    machines = sorted({f"{record['machine']}; {record['threads']} threads" for record in measured})
    clocks = sorted({record["clock"] for record in measured})
    dates = sorted({record["date"] for record in measured})
    versions = dict(sorted(pair for record in measured for pair in record["versions"].items()))
    probes = [record["probe_gflops"] for record in measured]
    return [
        f"Machine: {' and '.join(machines)}. Clock: {', '.join(clocks)}. "
        f"Best probe of a row: {min(probes, default=0):.0f} to {max(probes, default=0):.0f} GFLOP/s.",
        f"Measured {' to '.join(dict.fromkeys((dates or ['never'])[:: max(len(dates) - 1, 1)]))} with "
        f"{', '.join(f'{name} {number}' for name, number in versions.items())}.",
    ]


def _note(record: Record) -> list[str]:
    """Samples, what comparing found, and what the row says of itself."""
    kept = [about["samples"] for about in record["contestants"].values()]
    dropped = sum(about["dropped"] for about in record["contestants"].values())
    figures = "; ".join(
        f"{peer}: {', '.join(f'{name} {number:.6g}' for name, number in found.items())}"
        for peer, found in record["figures"].items()
        if found
    )
    samples = f"{min(kept)} to {max(kept)} samples" if min(kept) < max(kept) else f"{max(kept)} samples"
    parts = [f"{samples}, {dropped} dropped", *([figures] if figures else [])]
    return [f"- `{record['row']}`: {'; '.join(parts)}." + (f" {record['note']}" if record["note"] else "")]


def write(readme: Path = README, folder: Path = results.FOLDER) -> None:
    """Put the table of all records between the markers; the rest of the file stays as it is.

    Raises:
        ValueError: when the markers are not there, once each and in order.
    """
    text = readme.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise ValueError(f"{readme} does not have '{BEGIN}' and '{END}' once each, in this order")
    runs = {path.stem: results.runs_of(path.stem, folder) for path in folder.glob("*.json")}
    readme.write_text(f"{before}{begin}\n{table(runs)}\n{end}{after}")


if __name__ == "__main__":
    write()
    sys.stdout.write(f"{README} has the table of all records\n")
