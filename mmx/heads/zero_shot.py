"""zero-shot: a picture belongs to the class whose words lie nearest; no picture is learned from.

Source: Radford et al. 2021 (CLIP), with the mean of the prompts' vectors for each class.
"""

from collections.abc import Mapping

from torch import Tensor

from mmx.core.classifier import SHARED_TEXTS, Classifier, Episode, Fitted, ShotSettings
from mmx.core.present import present

SCALE = 100.0
"""Factor of cosines, at which CLIP's towers were trained."""


def fit(settings: ShotSettings, episode: Episode) -> Fitted:
    """The class texts are all there is."""
    return Fitted({"texts": present(episode.texts).prototypes(episode.classes)})


def score(settings: ShotSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """[B, F] -> 100 cos(x, t_c), [B, C]."""
    return SCALE * features @ tensors["texts"].T


CLASSIFIER = Classifier(
    summary="The class whose text is nearest; learns from no picture.",
    settings=ShotSettings,
    needs_texts=lambda settings: SHARED_TEXTS,
    fit=fit,
    score=score,
    learns=False,
)
