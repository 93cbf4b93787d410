"""Make the run that comes with mmx out of one that was trained: half the bytes, measured anew, with its card.

    python examples/ship_run.py RUN [--name NAME] [--home DIR]

The weights are kept in half precision, and val, test and the cut-offs are measured with them as they are
kept; what tells of the machine that trained it (its paths, its command line) is left out.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store.run import RunFolder, find_run
from mmx.store.shipped import SHIPPED
from mmx.workflows.calibrated import least_cosine
from mmx.workflows.evaluate import evaluate
from mmx.workflows.evaluate_settings import EvaluateSettings
from mmx.workflows.matcher import open_matcher
from mmx.workflows.search_settings import SearchSettings

LEFT_OUT = ("argv", "commit", "device")
SHIPPED_FILES = ("settings.json", "model.safetensors", "metrics.json", "calibration.json", "README.md")
SHARE = "90%"

CARD = """# {name}

The run that searches photos (`mmx search --in DIR "a dog on the grass"`) where no other was chosen.
Sentences are in English; a picture and a sentence become unit vectors, {width} wide, and their score is
the cosine.

* Method: {method}, seed {seed}, {members} members, begun with heads trained over frozen towers.
* Towers, from registry packages (extra `offline`): pictures by `{image}` ({tuned}), sentences by `{text}`
  (as it is).
* Data: Flickr8k, train 5,000 photos with 5 captions each; val 1,000, held out of the official train list, on
  which the model was chosen; test 1,000, the official dev list.
* Weights: half precision, {megabytes:.1f} MB, safetensors; no code runs when they are read.

| split | i2t R@1 | R@5 | R@10 | t2i R@1 | R@5 | R@10 | rsum (95% interval) |
|---|---|---|---|---|---|---|---|
{rows}

`mmx search --min-score 90%` keeps cosines from {cut:.3f}, above which 90% of the right pictures of val lie.

Limits: it has seen everyday photos of people, dogs and sports, 224 pixels wide, and the captions that were
written for them. It reads no text in pictures, recognises nobody, and its scores are not to be used to judge
people. A picture of another kind (scans, drawings, screens) is ranked, but not to be trusted.

Made with: `python examples/ship_run.py RUN` from a run of
`mmx train {method} --dataset flickr8k --preset offline-tuned --seed {seed} --init HEADS`, where HEADS is
`mmx train {method} --dataset flickr8k --preset offline --seed {seed}`.
"""


def main() -> None:
    """Read the words, make the run, measure it and write its card."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("run", type=Path)
    words.add_argument("--name", default="offline-flickr8k")
    words.add_argument("--home", type=Path)
    given = words.parse_args()
    home = Home.find(given.home)
    target = SHIPPED / given.name
    made = halve(find_run(given.run, home.runs), target)
    measured = {split: measure(made, home, split) for split in ("val", "test")}
    cut = calibrate(made, home)
    (target / "metrics.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    (target / "README.md").write_text(card(made, measured, cut), encoding="utf-8")
    for path in target.iterdir():
        if path.name not in SHIPPED_FILES:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def halve(run: RunFolder, target: Path) -> RunFolder:
    """The run with weights of half precision, and without what it says of its machine."""
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    facts = {name: value for name, value in run.facts.items() if name not in LEFT_OUT}
    facts["init"] = facts.get("init") and {**facts["init"], "run": Path(facts["init"]["run"]).name}
    (target / "settings.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    made = RunFolder.open(target)
    whole = run.read_weights()
    halved = {
        name: tensor.half() if tensor.dtype == torch.float32 else tensor for name, tensor in whole.items()
    }
    made.write_weights(halved, {})
    return made


def measure(run: RunFolder, home: Home, split: str) -> dict[str, dict[str, object]]:
    """Metrics and intervals on a split."""
    found = evaluate(EvaluateSettings(home, run=run.path, split=split), SilentReporter())
    (row,) = (row for row in found.rows if row.name == found.headline)
    return {"metrics": row.metrics, "intervals": row.intervals}


def calibrate(run: RunFolder, home: Home) -> float:
    """Measure the cut-offs; the one that the card names."""
    matcher = open_matcher(run.path, None, home, "auto")
    asked = SearchSettings(query="a photo", run=run.path, min_score=SHARE, home=home)
    return least_cosine(matcher, asked, SilentReporter())


def card(run: RunFolder, measured: dict[str, dict[str, object]], cut: float) -> str:
    """The card of the run."""
    facts, settings = run.facts, run.facts["settings"]
    rows = []
    for split, found in measured.items():
        values, (low, high) = found["metrics"], found["intervals"]["rsum"]
        recalls = [f"{values[f'{way}_recall@{k}']:.1f}" for way in ("i2t", "t2i") for k in (1, 5, 10)]
        rows.append(f"| {split} | {' | '.join(recalls)} | {values['rsum']:.1f} ({low:.1f} to {high:.1f}) |")
    return CARD.format(
        name=run.name,
        width=settings["width"] * settings["members"],
        method=facts["method"],
        seed=facts["seed"],
        members=settings["members"],
        image=facts["towers"]["image"]["encoder"],
        tuned="tuned" if facts["towers"]["image"]["trainable"] else "as it is",
        text=facts["towers"]["text"]["encoder"],
        megabytes=run.weights.stat().st_size / 1e6,
        rows="\n".join(rows),
        cut=cut,
    )


if __name__ == "__main__":
    main()
