"""The main job from Python: the workflows that the commands call, on drawn scenes with tiny encoders.

Run it in an empty folder: python python_api.py
"""

from pathlib import Path

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows.evaluate import EvaluateSettings, evaluate
from mmx.workflows.method_settings import Wishes
from mmx.workflows.prepare import PrepareSettings, prepare
from mmx.workflows.search import SearchSettings, search
from mmx.workflows.train import TrainSettings, train


def main(folder: Path) -> None:
    home, quiet = Home.find(folder), SilentReporter()

    prepared = prepare(PrepareSettings(name="toy", home=folder, options={"scenes": "100"}), quiet)
    print("prepared:", {split: counts.images for split, counts in prepared.splits.items()})

    wishes = Wishes(preset="tiny", flags={"epochs": 1})
    trained = train(TrainSettings("attention-clip", "toy", wishes, home=folder), quiet)
    print("trained:", trained.run.name, "val rsum", round(trained.metrics["rsum"], 1))

    measured = evaluate(EvaluateSettings(home=home, run=trained.run, split="test"), quiet)
    print("test rsum", round(measured.metrics["rsum"], 1), "95% in", measured.intervals["rsum"])

    found = search(SearchSettings(query="a red circle left of two blue squares", home=home, top=3), quiet)
    for hit in found.hits:
        print(hit.rank, round(hit.score, 3), hit.id, "-", hit.caption)


if __name__ == "__main__":
    main(Path("mmx-home"))
