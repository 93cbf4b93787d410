"""How attention-clip is trained: first the new layers, if asked for, then everything that is not frozen.

Source: seed 001, Table I.
"""

from mmx.core.method import ParameterGroup, Schedule, Stage
from mmx.core.tower import TowerUse
from mmx.methods.attention_clip.settings import AttentionClipSettings


def towers(settings: AttentionClipSettings) -> dict[str, TowerUse]:
    """The two encoders, and which of their features the model reads."""
    pooled = settings.reads_pooled
    attended = settings.attention == "self"
    image = ("image_features",) * pooled + ("patch_features",) * attended
    text = ("text_features",) * pooled + ("token_features",) * attended
    return {
        "image": TowerUse(settings.image_encoder, settings.train_image, image, settings.augment),
        "text": TowerUse(settings.text_encoder, settings.train_text, text),
    }


def stages(settings: AttentionClipSettings) -> tuple[Stage, ...]:
    """One stage, or two where the new layers go first."""
    encoders = _encoders(settings)
    if not encoders:
        return (_stage("all", (_new_layers(settings, settings.lr),), settings.epochs, settings),)
    joint_lr = settings.lr if settings.joint_lr is None else settings.joint_lr
    joint = _stage("all", (_new_layers(settings, joint_lr), *encoders), settings.epochs, settings)
    if not settings.head_epochs:
        return (joint,)
    return (_stage("heads", (_new_layers(settings, settings.lr),), settings.head_epochs, settings), joint)


def _new_layers(settings: AttentionClipSettings, lr: float) -> ParameterGroup:
    learned = ("members",) + ("log_scale",) * settings.learn_temperature
    return ParameterGroup("layers", learned, lr, settings.weight_decay)


def _encoders(settings: AttentionClipSettings) -> tuple[ParameterGroup, ...]:
    asked = (
        ("image_tower", settings.train_image, settings.image_lr, settings.image_blocks),
        ("text_tower", settings.train_text, settings.text_lr, settings.text_blocks),
    )
    return tuple(
        ParameterGroup(name, (name,), lr, settings.weight_decay, blocks, settings.layer_decay)
        for name, trained, lr, blocks in asked
        if trained
    )


def _stage(
    name: str, groups: tuple[ParameterGroup, ...], epochs: int, settings: AttentionClipSettings
) -> Stage:
    return Stage(
        name=name,
        groups=groups,
        epochs=epochs,
        batch_size=settings.batch_size,
        captions_per_image=settings.captions_per_image,
        schedule=Schedule(settings.schedule, settings.warmup, 0.0, settings.patience, settings.factor),
        clip_norm=settings.clip_norm,
        average=settings.average,
    )
