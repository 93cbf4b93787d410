"""What a picture's embedding owes to the caption that it has read: runs of attention-clip on val.

    python benchmarks/leaked_captions.py RUN [RUN ..]

In batches as in training, each caption looks for its picture twice: where every picture was given its own
caption, as in training, and where it was given that of its neighbour in the batch: whoever searches knows no
picture's caption. Printed: the loss, and how many captions find their picture. Only a run with
attention=cross_leaky has two different lines.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.core.batch import Batch
from mmx.core.home import Home
from mmx.engine.training_order import TrainingOrder
from mmx.methods.attention_clip.loss import corrected_loss, faithful_loss
from mmx.methods.attention_clip.model import AttentionClip
from mmx.nn.contrastive import positive_pairs
from mmx.workflows.opened_run import open_run

CPU = torch.device("cpu")
OF_CAPTIONS = ("token_ids", "token_mask", "text_features", "token_features")


def with_captions_of_others(batch: Batch) -> Batch:
    """Each picture beside the caption of the one before it."""
    given = {name: getattr(batch, name) for name in OF_CAPTIONS}
    return dataclasses.replace(
        batch, **{name: values.roll(1, 0) for name, values in given.items() if values is not None}
    )


def loss_of(model: AttentionClip, image: Tensor, text: Tensor, batch: Batch) -> float:
    """Nats: the faithful loss of a run that was trained with it, else that of cosines."""
    scale = model.clamped_scale()
    if model.settings.loss == "faithful":
        return faithful_loss(image, text, 1 / scale).item()
    return corrected_loss(image, text, scale, positive_pairs(batch.image_group, batch.text_group)).item()


def measure(run: Path, home: Home) -> list[str]:
    """A line for own captions, and one for those of others."""
    opened = open_run(run, home, CPU)
    model, data = opened.model.eval(), opened.assembly.data("val")
    (stage, *_) = opened.method.stages(model.settings)
    totals = {"its own": [0.0, 0], "another's": [0.0, 0]}
    asked = 0
    for plan in TrainingOrder(data, stage, seed=0).epoch(1):
        batch = data.batch(plan.rows, plan.captions)
        text, asked = model.read(batch).projected[0], asked + len(plan.rows)
        for total, given in zip(totals.values(), (batch, with_captions_of_others(batch)), strict=True):
            image = model.look(given).projected[0]
            total[0] += len(plan.rows) * loss_of(model, image, text, batch)
            scores = normalize(text, dim=-1) @ normalize(image, dim=-1).T
            total[1] += int((scores.argmax(1) == torch.arange(len(scores))).sum())
    return [
        f"{run.name}: pictures given {whose} caption: loss {loss / asked:8.3f}, "
        f"{100 * found / asked:5.1f}% of {asked:,} captions find their picture among {stage.batch_size}"
        for whose, (loss, found) in totals.items()
    ]


@torch.inference_mode()
def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path)
    parser.add_argument("--home", type=Path)
    asked = parser.parse_args()
    for run in asked.runs:
        for line in measure(run, Home.find(asked.home)):
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
