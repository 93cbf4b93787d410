"""All settings of muse, and which of them contradict each other."""

from dataclasses import dataclass

from mmx.core.errors import UsageError
from mmx.methods.muse.learning_settings import LearningSettings
from mmx.methods.muse.network_settings import NetworkSettings


@dataclass(frozen=True)
class MuseSettings(LearningSettings, NetworkSettings):
    """Everything a person could want to change; see `mmx train muse --settings`."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise UsageError(
                f"width={self.width} cannot be shared by heads={self.heads}. "
                "Choose a multiple of the number of heads."
            )
        if self.task == "tagging" and self.modalities == "image":
            raise UsageError("modalities=image leaves no words to tag. Set modalities=both, or text.")
        if self.thumbnail % 4:
            raise UsageError(f"thumbnail={self.thumbnail} cannot be halved twice. Choose a multiple of 4.")
        if not self.layers and not self.tower_path:
            raise UsageError("with layers=0 the head reads the encoders alone. Set tower_path=true.")

    @property
    def reads_text(self) -> bool:
        """Whether words are read."""
        return self.modalities != "image"

    @property
    def reads_images(self) -> bool:
        """Whether pictures are read."""
        return self.modalities != "text"

    @property
    def writes_captions(self) -> bool:
        """Whether the captioner learns beside the task."""
        return self.captioner and self.modalities == "both"

    @property
    def draws(self) -> str:
        """What is generated from the words: `pixels`, `features` or `none`."""
        return self.generator if self.modalities == "both" else "none"

    @property
    def regularised(self) -> bool:
        """Whether anything is generated."""
        return self.writes_captions or self.draws != "none"
