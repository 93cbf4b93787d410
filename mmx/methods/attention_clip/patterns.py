"""Which tokens look at which, where attention is sparse.

Source: arXiv 2004.05150, section 3.1; the window over the grid of patches is its form in two dimensions.
"""

from mmx.core.tower import Tower
from mmx.methods.attention_clip.settings import AttentionClipSettings
from mmx.methods.attention_clip.sparse_attention import GridWindow, TopK, Window
from mmx.nn.attention import Pattern

SIGNS = 2
"""First rows of a caption that look at all and are seen by all: the learned query, and the sign behind it
([CLS], or CLIP's start).
"""


def patterns(settings: AttentionClipSettings, towers: dict[str, Tower]) -> dict[str, Pattern]:
    """The pattern of each modality; empty where all look at all."""
    if settings.attention != "sparse":
        return {}
    if settings.sparsity == "top-k":
        return dict.fromkeys(("image", "text"), TopK(settings.top_keys))
    view = getattr(towers["image"].module, "view", None)
    # Features are stored of square views only.
    aspect = 1.0 if view is None else view.width / view.height
    return {
        "image": GridWindow(settings.grid_radius, aspect),
        "text": Window(settings.window // 2, dense_rows=SIGNS),
    }
