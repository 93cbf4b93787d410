"""What may be set, which encoders are read, and what is trained at which rate."""

from dataclasses import dataclass

from mmx.core.method import ParameterGroup, Schedule, Stage
from mmx.core.settings import setting
from mmx.core.tower import TowerUse

FILIP, SIGLIP = "arXiv 2111.07783", "arXiv 2303.15343"


@dataclass(frozen=True)
class LateInteractionSettings:
    """Two names and nine numbers."""

    image_encoder: str = setting("siglip-b16", "Encoder of the images, frozen.", source=SIGLIP)
    text_encoder: str = setting("siglip-b16", "Encoder of the captions, frozen.", source=SIGLIP)
    width: int = setting(256, "Width of the shared space.", source=FILIP, low=1)
    scale: float = setting(
        10.0, "What scores are multiplied by at the start.", source=SIGLIP, low=0.1, high=100
    )
    bias: float = setting(-10.0, "What is added to them at the start.", source=SIGLIP, high=0)
    fine_weight: float = setting(1.0, "What late interaction counts beside the cosine.", source="ours", low=0)
    lr: float = setting(1e-3, "Rate of the four maps.", source="ours", low=0)
    scale_lr: float = setting(1e-2, "Rate of scales and biases.", source="ours", low=0)
    weight_decay: float = setting(1e-2, "Decoupled weight decay of the maps.", source="ours", low=0)
    batch_size: int = setting(64, "Images a step.", source="ours", low=2)
    epochs: int = setting(15, "Passes over the images.", source="ours", low=0)


PRESETS: dict[str, dict[str, object]] = {
    "tiny": {
        "image_encoder": "random:resnet",
        "text_encoder": "random:bert",
        "width": 32,
        "batch_size": 8,
        "epochs": 2,
    },
    "offline": {"image_encoder": "efficientnet-lite0", "text_encoder": "minilm"},
}


def towers(settings: LateInteractionSettings) -> dict[str, TowerUse]:
    """Two frozen encoders, each read as a whole and in parts."""
    return {
        "image": TowerUse(
            settings.image_encoder, trainable=False, features=("image_features", "region_features")
        ),
        "text": TowerUse(
            settings.text_encoder, trainable=False, features=("text_features", "token_features")
        ),
    }


def stages(settings: LateInteractionSettings) -> tuple[Stage, ...]:
    """One stage that trains the maps, and without decay the two scales and biases."""
    names = ("image_map", "patch_map", "text_map", "token_map")
    maps = ParameterGroup("maps", names, settings.lr, settings.weight_decay)
    logits = ParameterGroup("logits", ("log_scale", "bias"), settings.scale_lr, 0.0)
    schedule = Schedule("cosine", warmup=0.1)
    return (Stage("all", (maps, logits), settings.epochs, settings.batch_size, schedule=schedule),)
