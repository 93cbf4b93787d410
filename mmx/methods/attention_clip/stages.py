"""How attention-clip is trained: the new layers first, if asked for, then everything that is not frozen, and
last all of that with the second look.

Source: seed 001, Table I; that the second look joins last is ours: its hard negatives are then hard.
"""

from mmx.core.method import ParameterGroup, Schedule, Stage
from mmx.core.tower import TowerUse
from mmx.methods.attention_clip.settings import AttentionClipSettings

UNDER_THE_JUDGE = ("pairs.cross", "pairs.blocks", "pairs.norm")
"""What reads a caption before a picture; hidden words teach it before pairs do."""


def towers(settings: AttentionClipSettings) -> dict[str, TowerUse]:
    """The two encoders, and which of their features the model reads."""
    image = ("image_features",) * settings.reads_pooled + ("patch_features",) * settings.attends
    text = ("text_features",) * settings.reads_pooled + ("token_features",) * settings.attends
    return {
        "image": TowerUse(
            settings.image_encoder, settings.train_image, image, settings.augment, size=settings.size
        ),
        "text": TowerUse(settings.text_encoder, settings.train_text, text),
    }


def stages(settings: AttentionClipSettings) -> tuple[Stage, ...]:
    """`heads`, `all` and `pairs`, those that there are."""
    encoders = _encoders(settings)
    joint_lr = settings.lr if settings.joint_lr is None or not encoders else settings.joint_lr
    found = [_stage("all", (_new_layers(settings, joint_lr), *encoders), settings.epochs, settings)]
    if encoders and settings.head_epochs:
        heads = (_new_layers(settings, settings.lr),)
        found.insert(0, _stage("heads", heads, settings.head_epochs, settings))
    if settings.looks_twice:
        pairs = ParameterGroup("pairs", ("pairs",), settings.cross_lr, settings.weight_decay)
        groups = (_new_layers(settings, joint_lr, of_pairs=()), pairs, *encoders)
        found.append(_stage("pairs", groups, settings.cross_epochs, settings, from_best=True))
    return tuple(found)


def measures_twice(settings: AttentionClipSettings) -> str | None:
    """The setting for which running means take in a picture, use it, and then take in its mirrored one."""
    standardizes = settings.reads_pooled and settings.standardize and settings.projection != "none"
    twice = settings.mirror and settings.looks_twice and standardizes
    return "mirror=true" if twice else None


def _new_layers(
    settings: AttentionClipSettings, lr: float, of_pairs: tuple[str, ...] = UNDER_THE_JUDGE
) -> ParameterGroup:
    learned = ("members",) + ("log_scale",) * settings.learn_temperature
    if settings.masked_words:
        learned += ("words", *of_pairs)
    if settings.identity_loss:
        learned += ("identities",)
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
    name: str,
    groups: tuple[ParameterGroup, ...],
    epochs: int,
    settings: AttentionClipSettings,
    from_best: bool = False,
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
        from_best=from_best,
    )
