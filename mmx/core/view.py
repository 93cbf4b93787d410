"""View: how an encoder wants a picture cut and sized, before its pixels become a tensor."""

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """Size and fit of the picture an encoder reads.

    Pixels travel as uint8 [3, height, width] RGB; each encoder normalises them itself, on its own device.
    """

    height: int
    width: int
    fit: str = "squash"
    """`squash` resizes both sides to the size; `crop` resizes the short side and cuts the centre. `within`
    only shrinks, and keeps the aspect: the short side is at most `height`, the long one at most `width`, so
    that pictures differ in size and travel as a list.
    """
    interpolation: str = "bicubic"
