"""All settings of mh-cvse, and which of them contradict each other."""

from dataclasses import dataclass

from mmx.core.errors import UsageError
from mmx.methods.mh_cvse.learning_settings import LearningSettings
from mmx.methods.mh_cvse.network_settings import NetworkSettings


@dataclass(frozen=True)
class MhCvseSettings(LearningSettings, NetworkSettings):
    """Everything a person could want to change; see `mmx train mh-cvse --settings`."""

    def __post_init__(self) -> None:
        if self.attention and self.inner_width % self.heads:
            raise UsageError(
                f"width={self.inner_width} of regions and words cannot be shared by heads={self.heads}. "
                "Choose a multiple of the number of heads."
            )
        if self.gpo_width % 2:
            raise UsageError(
                f"gpo_width={self.gpo_width} is odd, and a code is pairs of sine and cosine. "
                f"Set gpo_width={self.gpo_width + 1}."
            )
        if self.text == "words":
            self._check_words()
        if not self.terms:
            raise UsageError("every term of the loss has weight 0. Set instance_loss=5.")
        if self.image_power != 1 and not self.standardizes_images:
            raise UsageError(
                f"image_power={self.image_power} is a part of standardising, which is off. "
                "Set image_power=1, or region_norm=standard."
            )

    def _check_words(self) -> None:
        if self.train_text:
            raise UsageError("train_text=true needs a text encoder to train. Set text=encoder.")
        if self.pooled_path == "both":
            raise UsageError(
                "pooled_path=both reads mean features of a text encoder, and text is 'words'. "
                "Set pooled_path=image, or text=encoder."
            )

    @property
    def inner_width(self) -> int:
        """Width of regions and words before they are pooled."""
        return self.width if self.token_width is None else self.token_width

    @property
    def standardizes_images(self) -> bool:
        """Whether image features are brought to mean 0 and variance 1 anywhere."""
        return self.region_norm == "standard" or (self.pooled_path != "none" and self.standardize)

    @property
    def terms(self) -> dict[str, float]:
        """The terms of the loss that count, with their base weights."""
        weights = {"instance": self.instance_loss, "contrastive": self.contrastive_loss}
        if self.consensus:
            weights |= {
                "fused": self.fused_loss,
                "consensus": self.consensus_loss,
                "divergence": self.divergence_loss,
            }
        order = ("fused", "instance", "consensus", "divergence", "contrastive")
        return {name: weights[name] for name in order if weights.get(name, 0.0) > 0}

    @property
    def learns_temperature(self) -> bool:
        """Whether the temperature is a parameter of the model."""
        return self.learn_temperature and "contrastive" in self.terms
