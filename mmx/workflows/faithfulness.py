"""Faithfulness: whether the regions with most weight matter to the scores of a split's own pairs."""

from pathlib import Path

import torch
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.discover import find_all
from mmx.core.errors import DataError, UsageError
from mmx.core.home import Home
from mmx.core.method import Method
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.core.seed import derive_seed
from mmx.core.task import Retrieval
from mmx.engine.masked_scores import masked_scores
from mmx.engine.unreadable import unreadable
from mmx.store.images import ImageError
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.tasks.faithfulness import Drops, Faithfulness, compare, measure_drops
from mmx.workflows.opened_run import method_of, open_run
from mmx.workflows.stored_regions import split_as_it_stands


def explaining_task(method: Method | None, what: str) -> Retrieval:
    """The task of a method that tells which word met which region.

    Args:
        method: None for a pretrained pair, which has none.
        what: was to be explained, as a sentence begins.

    Raises:
        UsageError: when there is none; names the methods that have one.
    """
    task = None if method is None else _explaining(method)
    if task is not None:
        return task
    able = [name for name, found in find_all("mmx.methods").items() if _explaining(found) is not None]
    raise UsageError(
        f"{what}, which does not tell which word met which region. Methods that do: {', '.join(able)}. "
        f"Train one: mmx train {next(iter(able), 'METHOD')} --dataset NAME"
    )


def check_run_explains(folder: RunFolder | None, model: str | None) -> None:
    """Find out before any work whether a run, or a pretrained pair by its name, can be measured.

    Raises:
        UsageError: when it does not tell which word met which region.
    """
    if folder is None:
        explaining_task(None, f"'{model}' is a pretrained pair of towers")
    else:
        explaining_task(method_of(folder)[0], f"'{folder.path}' was trained with '{folder.facts['method']}'")


def weigh(model: nn.Module, task: Retrieval, pair: Batch, seed: int) -> tuple[Tensor, Tensor, Drops | None]:
    """A batch of one image and one caption -> weights [L, R], region_mask [R], drops without regions."""
    with torch.inference_mode():
        weights = present(task.explain)(model, pair)[0].float().cpu()
    # An encoder that is a part of the model gives its regions only within it: they are all there.
    everywhere = torch.ones(weights.shape[1], dtype=torch.bool)
    mask = everywhere if pair.region_mask is None else pair.region_mask[0].cpu()

    def score(masks: Tensor) -> Tensor:
        return masked_scores(model, task, pair, masks)

    return weights, mask, measure_drops(score, weights.sum(dim=0), mask, seed)


def measure_faithfulness(
    run: Path,
    manifest: Manifest,
    split: str,
    pairs: int,
    home: Home,
    device: torch.device,
    seed: int,
    reporter: Reporter,
) -> Faithfulness | None:
    """Over so many captions of a split, drawn by the seed, each with its own picture; None where none has two
    regions or more.

    Raises:
        UsageError: when the run's method does not tell which word met which region, or the split is empty.
        ArtifactError: when the run or its features are not there, or do not fit.
        DataError: when there is no caption with a picture, or a picture can no longer be read.
    """
    opened = open_run(run, home, device, manifest.name)
    task = explaining_task(opened.method, f"'{run}' was trained with '{opened.folder.facts['method']}'")
    data = split_as_it_stands(opened, manifest, split)
    row_of = [row for row, record in enumerate(data.records) for _ in record.captions]
    able = [place for place, row in enumerate(row_of) if data.records[row].image is not None]
    if not able:
        raise DataError(f"no caption of '{manifest.name}' {split} has a picture. Name another split.")
    order = torch.randperm(len(able), generator=torch.Generator().manual_seed(seed))[:pairs].tolist()
    found = []
    with reporter.progress("faithfulness", len(order), "pairs") as bar:
        for caption in (able[place] for place in order):
            row = row_of[caption]
            try:
                pair = data.batch(torch.tensor([row]), torch.tensor([caption])).to(device)
            except ImageError as error:
                raise unreadable(data, torch.tensor([row]), error) from error
            seed_of_pair = derive_seed("faithfulness", seed, caption)
            found.append(weigh(opened.model, task, pair, seed_of_pair)[2])
            bar.advance()
    return compare(found)


def _explaining(method: Method) -> Retrieval | None:
    return next((task for task in method.tasks if isinstance(task, Retrieval) and task.explain), None)
