"""What a training measures on val after each epoch, to select weights by."""

import torch
from torch import nn

from mmx.core.errors import DataError
from mmx.core.present import present
from mmx.core.record import have_identities
from mmx.core.reporter import SilentReporter
from mmx.core.task import PostTask, Retrieval, Study
from mmx.engine.evaluator import embed_split
from mmx.engine.second_stage import active
from mmx.engine.split_data import SplitData
from mmx.engine.split_loss import split_loss
from mmx.engine.train_options import TrainOptions, Validate
from mmx.tasks.rerank import FirstStage
from mmx.tasks.retrieval import primary_metric, retrieval_metrics
from mmx.workflows.assemble import Assembly
from mmx.workflows.labelled import check_labelled, label_split
from mmx.workflows.method_settings import ResolvedMethod
from mmx.workflows.stage_rows import DEFAULT_TOP, rerank_split


def validation_of(resolved: ResolvedMethod, assembly: Assembly, options: TrainOptions) -> Validate:
    """What measures a model on val.

    Raises:
        DataError: when val has no picture, or no caption, or nothing of what posts are to be told.
    """
    records = assembly.manifest.split("val")
    task = assembly.fitted.task
    if isinstance(task, PostTask):
        return _post_validation(assembly, task, options)
    pictures = sum(record.image is not None for record in records)
    captions = sum(len(record.captions) for record in records)
    if not pictures or not captions:
        raise DataError(
            f"'{assembly.manifest.name}' val has {pictures} pictures and {captions} captions: nothing can be "
            "matched to select weights by. Prepare it with both."
        )
    data = assembly.data("val")
    if isinstance(task, Study):
        stage = resolved.method.stages(resolved.settings)[-1]

        def study(model: nn.Module) -> dict[str, float]:
            loss = split_loss(resolved.method, model, stage, data, options.device, options.precision)
            return {"loss": loss, task.primary_metric: -loss}

        return study

    def validate(model: nn.Module) -> dict[str, float]:
        return _measure(model, task, data, options.device, options.precision)

    return validate


def _post_validation(assembly: Assembly, task: PostTask, options: TrainOptions) -> Validate:
    fitted, quiet = assembly.fitted, SilentReporter()
    check_labelled(task, assembly.manifest.split("val"), f"'{assembly.manifest.name}' val")
    data, names = assembly.data("val"), task.labels(fitted.assets)

    def validate(model: nn.Module) -> dict[str, float]:
        told = (data, options.device, options.precision, quiet)
        return label_split(model, task, names, *told).metrics

    return validate


def _measure(
    model: nn.Module, task: Retrieval, data: SplitData, device: torch.device, precision: str
) -> dict[str, float]:
    """The metrics that a training selects by: of both stages where the method has two and the second one has
    a say, with the first stage's `rsum` or `map` beside them as `first_rsum` or `first_map`.
    """
    second = active(task.rerank, model)
    found = embed_split(
        model, task.encode_image, task.encode_text, data, device, precision=precision, rerank=second
    )
    groups = found.image_group, found.text_group
    first = FirstStage.of(found.image, found.text, *groups, have_identities(data.records))
    metrics = retrieval_metrics(first.ranks)
    if task.rerank is None:
        return metrics
    primary = primary_metric(first.ranks)
    before = {f"first_{primary}": metrics[primary]}
    if second is not None:
        weights = [present(found.second).weight]
        (ranks,) = rerank_split(found, first, weights, DEFAULT_TOP, SilentReporter())
        metrics = retrieval_metrics(ranks)
    return {**metrics, **before}
