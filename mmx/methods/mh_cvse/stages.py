"""How mh-cvse is trained: one stage, in whose first epochs hinges may take all negatives.

Source: seed 000; CVSE code (BruceW91/CVSE, commit 94c2191, train_f30k.py); arXiv 2011.04305 for the warm-up.
"""

from mmx.core.method import ParameterGroup, Schedule, Stage
from mmx.core.tower import TowerUse
from mmx.methods.mh_cvse.settings import MhCvseSettings

ROUNDING = 1e-6


def towers(settings: MhCvseSettings) -> dict[str, TowerUse]:
    """The frozen image encoder, and the text encoder where captions are not read word by word."""
    regions = ("region_features",) + ("region_features_mirrored",) * settings.mirror
    uses = {"image": TowerUse(settings.image_encoder, False, regions, settings.augment)}
    if settings.text == "encoder":
        uses["text"] = TowerUse(settings.text_encoder, settings.train_text, ("token_features",))
    return uses


def stages(settings: MhCvseSettings) -> tuple[Stage, ...]:
    """One stage; the warm-up is a phase of its loss, so that optimiser and average go on through it."""
    groups = [ParameterGroup("layers", ("members",), settings.lr, settings.weight_decay)]
    if settings.train_text:
        groups.append(
            ParameterGroup(
                "text_tower",
                ("text_tower",),
                settings.lr * settings.text_lr_factor,
                settings.weight_decay,
                settings.text_blocks,
                settings.layer_decay,
            )
        )
    return (
        Stage(
            name="all",
            groups=tuple(groups),
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            captions_per_image=settings.captions_per_image,
            schedule=Schedule(settings.schedule, settings.warmup, settings.floor),
            clip_norm=settings.clip_norm,
            bucket=settings.bucket,
            average=settings.average,
        ),
    )


def epoch_of(settings: MhCvseSettings, progress: float) -> int:
    """Share 0..1 of all steps -> the epoch, from 0; every epoch has as many steps."""
    return int(progress * settings.epochs + ROUNDING)


def in_warmup(settings: MhCvseSettings, progress: float) -> bool:
    """Whether the hinges take all negatives."""
    return epoch_of(settings, progress) < settings.warmup_epochs
