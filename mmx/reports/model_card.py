"""The card of a run that is published: what its own record says, and what nobody said as `unknown`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

UNKNOWN = "unknown"
MOST_LETTERS = 400
"""Of a command that is shown."""


@dataclass(frozen=True)
class TowerLine:
    """One pretrained network of a run."""

    key: str
    encoder: str
    trainable: bool
    licence: str


@dataclass(frozen=True)
class CardFacts:
    """All that a card is made of."""

    name: str
    """OWNER/NAME."""
    summary: str
    """Of the method."""
    facts: Mapping[str, Any]
    """What settings.json holds."""
    metrics: Mapping[str, Any]
    """What metrics.json holds."""
    towers: Sequence[TowerLine]
    megabytes: float
    """Of the weights."""
    files: Sequence[str]


def write_card(card: CardFacts) -> str:
    """The README of a repository, in Markdown with the header that hubs read."""
    facts = card.facts
    sections = [
        _header(card),
        f"# {card.name.rpartition('/')[2]}\n\nA run of mmx. {card.summary}",
        _use(card),
        "## What it learned from\n\n" + "\n".join(_training(facts)),
        "## Pretrained networks\n\n"
        "| part | network | in training | licence |\n|---|---|---|---|\n"
        + "\n".join(map(_tower, card.towers)),
        "## What it reaches\n\n" + _measured(card.metrics),
        "## Limits\n\n" + "\n".join(_limits(card)),
        "## Files\n\n" + "\n".join(f"* `{name}`" for name in card.files) + "\n\n"
        "All of them are JSON, text or safetensors: no code runs when they are read. `mmx.json` has the "
        "length and digest of each, and mmx compares them when it fetches the run.",
    ]
    return "\n\n".join(sections) + "\n"


def _tower(tower: TowerLine) -> str:
    trained = "tuned" if tower.trainable else "as it is"
    return f"| {tower.key} | `{tower.encoder}` | {trained} | {tower.licence} |"


def _header(card: CardFacts) -> str:
    tags = ["mmx", card.facts["method"], *card.facts["tasks"]]
    lines = ["---", "library_name: mmx", f"license: {UNKNOWN}", "tags:", *(f"- {tag}" for tag in tags), "---"]
    return "\n".join(lines)


def _use(card: CardFacts) -> str:
    search = f'mmx search "a dog on the grass" --in photos/ --run hub:{card.name}\n'
    verb = search if "retrieval" in card.facts["tasks"] else f"mmx predict hub:{card.name} INPUT\n"
    return f"```\n{verb}```"


def _training(facts: Mapping[str, Any]) -> list[str]:
    lines = [
        f"* Method: `{facts['method']}`, seed {facts['seed']}.",
        f"* Numbers while training: {facts.get('precision') or UNKNOWN}.",
        f"* Data: `{facts['dataset']}`, as prepared by mmx with the fingerprint "
        f"`{facts['manifest_fingerprint']}`. Its licence: {UNKNOWN}.",
        f"* Made: {facts['created'][:10]}, with "
        + ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items())
        + ".",
    ]
    if facts.get("init"):
        lines.append(f"* Begun with the weights of `{PurePath(facts['init']['run']).name}`.")
    command = command_of(facts.get("argv"))
    lines.append(f"* Command: {f'`{command}`' if command else UNKNOWN}.")
    changed = {
        name: facts["settings"][name] for name, who in facts.get("set_by", {}).items() if who != "default"
    }
    if changed:
        said = ", ".join(f"{name}={value}" for name, value in changed.items())
        lines.append(f"* Settings that are not the method's own: {said}. All of them: `settings.json`.")
    return lines


def command_of(argv: Sequence[str] | None) -> str:
    """A command without the folders of the machine it was typed on."""
    if not argv:
        return ""
    words = ["mmx", *(PurePath(word).name if word.startswith(("/", "~")) else word for word in argv[1:])]
    return " ".join(words)[:MOST_LETTERS]


def _measured(metrics: Mapping[str, Any]) -> str:
    tables = [_table(split, found) for split, found in _by_split(metrics).items()]
    return "\n\n".join(tables) or f"{UNKNOWN.capitalize()}: nothing is on record."


def _by_split(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What the weights were chosen by, and the last evaluation of each dataset and split."""
    found: dict[str, Mapping[str, Any]] = {}
    for split in ("val", "test"):
        said = metrics.get(split)
        if said:
            found[split] = said if "metrics" in said else {"metrics": said, "intervals": {}}
    for evaluation in metrics.get("evaluations", []):
        found[f"{evaluation.get('split')} of {evaluation.get('dataset')}"] = evaluation
    return found


def _table(title: str, found: Mapping[str, Any]) -> str:
    lines = [f"On {title}:", "", "| metric | value | 95% interval |", "|---|---|---|"]
    for name, value in found["metrics"].items():
        interval = found.get("intervals", {}).get(name)
        between = f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else "not measured"
        lines.append(f"| {name} | {value:.2f} | {between} |")
    definitions = found.get("definitions", [])
    return "\n".join([*lines, *([""] if definitions else []), *(f"* {said}" for said in definitions)])


def _limits(card: CardFacts) -> list[str]:
    data = card.facts["dataset"]
    return [
        f"* It has seen `{data}` and what its pretrained networks saw, and nothing else; on data of another "
        "kind its figures do not hold.",
        "* The figures above are of this seed; another seed gives others.",
        "* It is not to be used to judge or to recognise people.",
        f"* Licences that are given as {UNKNOWN} were not on record: find them out before you pass it on.",
        f"* Weights: {card.megabytes:.1f} MB. Pretrained networks that were left as they are do not lie "
        "here; mmx finds them by their names and compares their fingerprints.",
    ]
