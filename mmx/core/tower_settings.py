"""Settings of methods with two towers: which encoders are read, and what of them is trained.

A method's own settings inherit them, so that a person meets them under the same names everywhere.
"""

from dataclasses import dataclass

from mmx.core.errors import UsageError
from mmx.core.settings import setting

OF_PIXELS = ("crop-flip", "person")
"""Ways to vary a picture that its mirrored features cannot stand for."""


@dataclass(frozen=True)
class TowerSettings:
    """The encoder of each modality."""

    image_encoder: str = setting(
        "efficientnet-lite0", "Encoder of the images.", source="ours: ships in a package"
    )
    text_encoder: str = setting("minilm", "Encoder of the captions.", source="ours: ships in a package")
    train_image: bool = setting(
        False,
        "Train the image encoder; else its features are read from `mmx extract`.",
        source="ours: quick on a CPU",
    )
    train_text: bool = setting(
        False,
        "Train the text encoder; else its features are read from `mmx extract`.",
        source="ours: quick on a CPU",
    )
    image_blocks: int | None = setting(
        None,
        "Number of last blocks of the image encoder that are trained; none for all.",
        source="ours",
        low=1,
    )
    text_blocks: int | None = setting(
        None,
        "Number of last blocks of the text encoder that are trained; none for all.",
        source="ours",
        low=1,
    )
    augment: str = setting(
        "flip",
        "How training pictures are varied: none, flip, crop-flip, or person (flip, shift, a part erased); "
        "the last two need train_image=true.",
        source="ours; person: IRRA, arXiv 2303.12501, as published in code",
        choices=("none", "flip", "crop-flip", "person"),
    )
    mirror: bool = setting(
        False,
        "Embed a picture as the mean of itself and its mirror, at twice the cost; needs train_image=true.",
        source="ours",
    )

    def check_pixels(self, *also: str) -> None:
        """Make sure that pixels are read where something needs them.

        Args:
            also: settings of the method itself that need them, as they are typed, such as `image_size=64x64`.

        Raises:
            UsageError: when features are read instead.
        """
        asked = ["mirror=true"] * self.mirror
        asked += [f"augment={self.augment}"] * (self.augment in OF_PIXELS)
        asked += also
        if asked and not self.train_image:
            raise UsageError(
                f"{asked[0]} needs pixels, and a frozen image encoder reads features. Set train_image=true."
            )
