"""Settings of dynamic-gating, with the source of each default."""

from dataclasses import dataclass
from typing import Any

from mmx.core.classifier import ShotSettings
from mmx.core.settings import setting

PAPER, STRONG = "paper", "strong"
NEAREST, LINEAR = "nearest", "linear"
PROJECTED, RAW = "projected", "raw"

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"recipe": PAPER, "scored": LINEAR},
    "paper-nearest": {"recipe": PAPER, "scored": NEAREST},
    "strong": {"recipe": STRONG},
    "tiny": {"recipe": PAPER, "encoder": "random", "shots": 2, "epochs": 1},
}
ROWS = ("paper", "paper-nearest", "strong")


@dataclass(frozen=True)
class GatingSettings(ShotSettings):
    """What is learned, and how; a setting that one recipe alone reads says so."""

    recipe: str = setting(
        STRONG,
        "paper: the published network; strong: a signed gate beside the picture, before the best head.",
        source="ours: the published one stays below zero-shot",
        choices=(PAPER, STRONG),
    )
    scored: str = setting(
        LINEAR,
        "paper: scored by the nearest class text, or by a linear classifier learned along.",
        source="seed names a loss without a classifier, and accuracies; both readings",
        choices=(NEAREST, LINEAR),
    )
    top_k: int | None = setting(
        5,
        "paper: class texts that the gate opens; none opens all.",
        source="ours: the seed names none",
        low=1,
    )
    align_target: str = setting(
        PROJECTED,
        "paper: what a gated picture is drawn to: its class text as projected, or raw (of the same width).",
        source="seed, equation of L_align; its shapes fit only by label",
        choices=(PROJECTED, RAW),
    )
    scale_scores: bool = setting(
        False, "paper: divide scores by the root of the width before the gate.", source="seed: not done"
    )
    reconstruction_weight: float = setting(
        0.75, "paper: share of the reconstruction in the loss; alignment has the rest.", source="seed",
        low=0, high=1,
    )  # fmt: skip
    epochs: int = setting(20, "paper: passes over the shots.", source="seed", low=1)
    lr: float = setting(1e-3, "paper: learning rate of Adam.", source="seed", low=0)
    lr_step: int = setting(5, "paper: epochs between two falls of the rate.", source="seed", low=1)
    lr_factor: float = setting(0.5, "paper: factor of each fall.", source="seed", low=0, high=1)
    batch_size: int = setting(
        32, "paper: rows a step, half of them pictures and half class texts.", source="ours: the seed names "
        "the halves alone", low=2,
    )  # fmt: skip
    look_every: int = setting(100, "paper: steps between two looks at val.", source="seed", low=1)
    class_sharpness: float = setting(
        20.0, "strong: factor of cosines to the mean pictures of classes, in the gate.",
        source="ours: val of Pets and Caltech101", low=0,
    )  # fmt: skip
    text_sharpness: float = setting(
        100.0, "strong: factor of cosines to class texts, in the gate.", source="CLIP's own", low=0
    )
    steps: int = setting(
        60, "strong: full-batch steps of Adam; 0 leaves the gate as it opens at first.", source="ours", low=0
    )
    gate_lr: float = setting(3e-4, "strong: learning rate.", source="ours: val of Pets and Caltech101", low=0)
    hold: float = setting(
        3.0, "strong: weight of the divergence from the head it starts from.",
        source="ours: val of Pets and Caltech101", low=0,
    )  # fmt: skip
