"""How region-align is trained: heads where there are any, then encoders, then the alignment over them.

Source: seed 004, "Stage 1" and "Stage 2"; the stage of the heads is ours.
"""

from mmx.core.method import ParameterGroup, Schedule, Stage
from mmx.core.tower import TowerUse
from mmx.methods.region_align.settings import RegionAlignSettings

HEADS = ("image_head", "text_head")


def towers(settings: RegionAlignSettings) -> dict[str, TowerUse]:
    """The two encoders, and that of the regions where they are not the image encoder's own patches."""
    image = ("image_features",) + ("region_features",) * settings.reads_grid
    text = ("text_features", "token_features")
    image_lora, text_lora = (
        settings.lora if trained else None for trained in (settings.train_image, settings.train_text)
    )
    uses = {
        "image": TowerUse(settings.image_encoder, settings.train_image, image, settings.augment, image_lora),
        "text": TowerUse(settings.text_encoder, settings.train_text, text, lora=text_lora),
    }
    if not settings.reads_grid:
        uses["regions"] = TowerUse(settings.regions, False, ("region_features", "region_boxes"))
    return uses


def stages(settings: RegionAlignSettings) -> tuple[Stage, ...]:
    """`heads`, `joint` and `regions`, those that there are."""
    found = []
    if settings.projection != "none":
        heads = ParameterGroup("heads", HEADS, settings.head_lr, settings.weight_decay)
        groups = (heads, *_temperature(settings))
        found.append(_first_stage("heads", groups, settings.head_epochs, settings))
    if settings.tunes:
        found.append(_first_stage("joint", _joint_groups(settings), settings.epochs, settings))
    if settings.learns_fine:
        found.append(_second_stage(settings))
    return tuple(found)


def _joint_groups(settings: RegionAlignSettings) -> tuple[ParameterGroup, ...]:
    decay = settings.weight_decay
    text_lr = settings.lr if settings.text_lr is None else settings.text_lr
    groups = []
    if settings.projection != "none":
        head_lr = settings.head_lr if settings.joint_head_lr is None else settings.joint_head_lr
        groups.append(ParameterGroup("heads", HEADS, head_lr, decay))
    if settings.train_image:
        groups.append(ParameterGroup("image", ("image_tower",), settings.lr, decay, settings.image_blocks))
    if settings.train_text:
        groups.append(ParameterGroup("text", ("text_tower",), text_lr, decay, settings.text_blocks))
    return (*groups, *_temperature(settings))


def _temperature(settings: RegionAlignSettings) -> tuple[ParameterGroup, ...]:
    if not settings.learn_temperature:
        return ()
    learned = ("log_scale",) + ("bias",) * (settings.loss == "sigmoid")
    return (ParameterGroup("temperature", learned, settings.head_lr),)


def _first_stage(
    name: str, groups: tuple[ParameterGroup, ...], epochs: int, settings: RegionAlignSettings
) -> Stage:
    return Stage(
        name=name,
        groups=groups,
        epochs=epochs,
        batch_size=settings.batch_size,
        captions_per_image=settings.captions_per_image,
        schedule=Schedule(settings.schedule, settings.warmup),
        clip_norm=settings.clip_norm,
        average=settings.average,
    )


def _second_stage(settings: RegionAlignSettings) -> Stage:
    learned = ("alignment",) + ("region_map",) * (not settings.reads_grid)
    group = ParameterGroup("alignment", learned, settings.region_lr, settings.region_weight_decay)
    return Stage(
        name="regions",
        groups=(group,),
        epochs=settings.region_epochs,
        batch_size=settings.region_batch_size or settings.batch_size,
        captions_per_image=settings.region_captions,
        schedule=Schedule(settings.schedule, settings.warmup),
        clip_norm=settings.region_clip_norm,
        average=settings.average,
        from_best=True,
    )
