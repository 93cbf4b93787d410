"""All settings of region-align, and which of them contradict each other."""

from dataclasses import dataclass

from mmx.core.errors import UsageError
from mmx.core.tower import Lora
from mmx.methods.region_align.learning_settings import LearningSettings
from mmx.methods.region_align.network_settings import NetworkSettings

GRID = "grid"
START_TEMPERATURE = {"infonce": 0.07, "sigmoid": 0.1}


@dataclass(frozen=True)
class RegionAlignSettings(LearningSettings, NetworkSettings):
    """Everything a person could want to change; see `mmx train region-align --settings`."""

    def __post_init__(self) -> None:
        if self.projection == "none" and not (self.train_image and self.train_text):
            raise UsageError(
                "projection=none reads the embeddings of encoders that share a space, not stored features. "
                "Set train_image=true and train_text=true (epochs=0 leaves both as they are), or "
                "projection=perceptron."
            )
        self.check_pixels()
        if self.region_epochs and self.learns_fine and self.sum_loss == self.fine_loss == 0:
            raise UsageError(
                "sum_loss=0 and fine_loss=0 leave the alignment nothing to learn from. Set fine_loss=1, or "
                "region_epochs=0 for no second stage."
            )
        if not self.gathers:
            alone = {"members": 1, "region_window": 1}
            for name, without in alone.items():
                if getattr(self, name) != without:
                    raise UsageError(
                        f"{name}={getattr(self, name)} is about fine=gather, and this is fine={self.fine}. "
                        "Set fine=gather."
                    )
        if self.region_window > 1 and not self.reads_grid:
            raise UsageError(
                f"region_window={self.region_window} is about patches of a grid, and '{self.regions}' gives "
                "regions. Set region_window=1."
            )
        if not self.tunes and (self.lora_rank is not None or self.wise_share != 1):
            raise UsageError(
                "lora_rank and wise_share are about encoders that are tuned, and none is. "
                "Set train_image=true or train_text=true."
            )
        if self.lora_rank is not None and self.wise_share != 1:
            raise UsageError(
                f"wise_share={self.wise_share} pulls back weights that LoRA never moves. Leave one of them "
                "out; a smaller lora_alpha makes the updates of LoRA smaller."
            )

    @property
    def tunes(self) -> bool:
        """Whether some encoder is trained."""
        return self.train_image or self.train_text

    @property
    def reads_grid(self) -> bool:
        """Whether regions are the patches of the image encoder itself."""
        return self.regions == GRID

    @property
    def learns_fine(self) -> bool:
        """Whether the fine score has anything to learn."""
        return self.fine != "maxsim" or not self.reads_grid

    @property
    def gathers(self) -> bool:
        """Whether the fine score has maps of its own, from what the encoders give."""
        return self.fine == "gather"

    @property
    def start_temperature(self) -> float:
        """What scores are divided by at the start."""
        return START_TEMPERATURE[self.loss] if self.temperature is None else self.temperature

    @property
    def lora(self) -> Lora | None:
        """What tuned encoders learn in place of their weights."""
        if self.lora_rank is None:
            return None
        return Lora(self.lora_rank, self.lora_alpha, self.lora_dropout)
