"""All settings of attention-clip, and which of them contradict each other."""

import re
from dataclasses import dataclass

from mmx.core.errors import UsageError
from mmx.methods.attention_clip.learning_settings import LearningSettings
from mmx.methods.attention_clip.network_settings import NetworkSettings

LEAST_SIDE, MOST_SIDE = 16, 2_048


@dataclass(frozen=True)
class AttentionClipSettings(LearningSettings, NetworkSettings):
    """Everything a person could want to change; see `mmx train attention-clip --settings`."""

    def __post_init__(self) -> None:
        self._check_attention()
        self.check_pixels(*[f"image_size={self.image_size}"] * (self.image_size is not None))
        self._check_size()
        self._check_losses()

    def _check_attention(self) -> None:
        if self.attention_width % self.heads:
            raise UsageError(
                f"attention_width={self.attention_width} cannot be shared by heads={self.heads}. "
                "Choose a multiple of the number of heads."
            )
        if self.attention == "sparse" and self.sparsity == "window" and self.layers < 2:
            raise UsageError(
                "attention=sparse with layers=1 is attention=self: only the learned query is read, and it "
                "looks everywhere. Set layers=2, or sparsity=top-k."
            )
        if self.attention in ("cross", "cross_leaky") and self.members != 1:
            raise UsageError(
                f"attention={self.attention} has one pair of branches, and members is {self.members}. "
                "Set members=1."
            )
        if self.image_power != 1 and not self.standardize:
            raise UsageError(
                f"image_power={self.image_power} is a part of standardize, which is off. "
                "Set image_power=1, or standardize=true."
            )
        if self.projection == "none" and not (self.train_image and self.train_text):
            raise UsageError(
                "projection=none reads the embeddings of encoders that share a space, not stored features. "
                "Set train_image=true and train_text=true."
            )

    def _check_size(self) -> None:
        if self.image_size is not None and self.size is None:
            raise UsageError(
                f"image_size='{self.image_size}' is not possible. Write height x width in pixels, from "
                f"{LEAST_SIDE} to {MOST_SIDE} each, such as 384x128."
            )

    def _check_losses(self) -> None:
        paired = {"loss=faithful": self.loss == "faithful", "attention=cross_leaky": self.leaks}
        for name, wanted in paired.items():
            if wanted and self.captions_per_image != 1:
                raise UsageError(
                    f"{name} compares pairs, and captions_per_image is '{self.captions_per_image}'. "
                    "Set captions_per_image=1."
                )
        if self.masked_words and (not self.train_text or not self.attends or self.members != 1):
            raise UsageError(
                f"masked_words={self.masked_words} hides words from a text encoder and finds them with the "
                "patches of the picture. Set train_text=true, members=1 and an attention other than none."
            )

    @property
    def attends(self) -> bool:
        """Whether tokens and patches are read."""
        return self.attention != "none"

    @property
    def leaks(self) -> bool:
        """Whether a picture's embedding reads the caption that it is to be found by."""
        return self.attention == "cross_leaky"

    @property
    def looks_twice(self) -> bool:
        """Whether near pairs are looked at again."""
        return self.attention == "cross"

    @property
    def reads_pooled(self) -> bool:
        """Whether the encoders' pooled features are a part of the model."""
        return not self.attends or self.pooled_path

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the pixels; None for the encoder's own, or for what cannot be."""
        found = re.fullmatch(r"(\d{1,4})x(\d{1,4})", self.image_size or "")
        sides = (int(found[1]), int(found[2])) if found else (0, 0)
        return sides if min(sides) >= LEAST_SIDE and max(sides) <= MOST_SIDE else None
