"""What a training measures on val after each epoch, to select weights by."""

from torch import nn

from mmx.core.errors import DataError
from mmx.core.reporter import SilentReporter
from mmx.core.task import Study
from mmx.engine.split_loss import split_loss
from mmx.engine.trainer import TrainOptions, Validate
from mmx.workflows.assemble import Assembly
from mmx.workflows.labelled import check_labelled, label_split
from mmx.workflows.method_settings import ResolvedMethod
from mmx.workflows.stage_rows import measure_val


def validation_of(resolved: ResolvedMethod, assembly: Assembly, options: TrainOptions) -> Validate:
    """What measures a model on val.

    Raises:
        DataError: when val has no picture, or no caption, or nothing of what posts are to be told.
    """
    records = assembly.manifest.split("val")
    if assembly.fitted.reads_posts:
        return _post_validation(assembly, options)
    pictures = sum(record.image is not None for record in records)
    captions = sum(len(record.captions) for record in records)
    if not pictures or not captions:
        raise DataError(
            f"'{assembly.manifest.name}' val has {pictures} pictures and {captions} captions: nothing can be "
            "matched to select weights by. Prepare it with both."
        )
    task, data = assembly.fitted.task, assembly.data("val")
    if isinstance(task, Study):
        stage = resolved.method.stages(resolved.settings)[-1]

        def study(model: nn.Module) -> dict[str, float]:
            loss = split_loss(resolved.method, model, stage, data, options.device, options.precision)
            return {"loss": loss, task.primary_metric: -loss}

        return study

    def validate(model: nn.Module) -> dict[str, float]:
        return measure_val(model, task, data, options.device, options.precision)

    return validate


def _post_validation(assembly: Assembly, options: TrainOptions) -> Validate:
    fitted, quiet = assembly.fitted, SilentReporter()
    check_labelled(fitted.task, assembly.manifest.split("val"), f"'{assembly.manifest.name}' val")
    data, names = assembly.data("val"), fitted.task.labels(fitted.assets)

    def validate(model: nn.Module) -> dict[str, float]:
        told = (data, options.device, options.precision, quiet)
        return label_split(model, fitted.task, names, *told).metrics

    return validate
