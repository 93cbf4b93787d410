"""How muse is trained: one stage, with rates for the encoders, for the cross transformer and for the rest.

Source: code of MuSE, commit 812dc19; more than one rate is ours: a random field learns from nothing.
"""

from mmx.core.method import ParameterGroup, Schedule, Stage
from mmx.core.tower import TowerUse
from mmx.methods.muse.settings import MuseSettings


def towers(settings: MuseSettings) -> dict[str, TowerUse]:
    """The encoders of the modalities that are read; the words' one is always trained."""
    uses = {}
    if settings.reads_images:
        side = settings.thumbnail if settings.draws == "pixels" else 0
        cells = ("patch_features",)
        uses["image"] = TowerUse(settings.image_encoder, settings.train_image, cells, thumbnail=side)
    if settings.reads_text:
        uses["text"] = TowerUse(settings.text_encoder, True, ("token_features",))
    return uses


def stages(settings: MuseSettings) -> tuple[Stage, ...]:
    """Everything at once."""
    decay, blocks = settings.weight_decay, settings.layer_decay
    new = ("head",) + ("regularisers",) * settings.regularised
    groups = [
        ParameterGroup("fusion", ("fusion",), settings.fusion_lr, decay),
        ParameterGroup("layers", new, settings.lr, decay),
    ]
    if settings.reads_text and settings.text_lr:
        group = ("text", ("text_tower",), settings.text_lr, decay, settings.text_blocks, blocks)
        groups.append(ParameterGroup(*group))
    if settings.reads_images and settings.train_image:
        group = ("image", ("image_tower",), settings.image_lr, decay, settings.image_blocks, blocks)
        groups.append(ParameterGroup(*group))
    return (
        Stage(
            name="all",
            groups=tuple(groups),
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            schedule=Schedule(settings.schedule, settings.warmup),
            clip_norm=settings.clip_norm,
            bucket=settings.bucket,
            average=settings.average,
        ),
    )
