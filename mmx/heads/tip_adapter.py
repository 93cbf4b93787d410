"""tip-adapter: zero-shot, and beside it a cache of the shots that a picture looks itself up in.

Source: Zhang et al. 2022. Shapes: K keys, one a shot.

    logits = 100 x T^T + amount exp(-sharpness (1 - x K^T)) Y
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mmx.core.classifier import SHARED_TEXTS, Classifier, Episode, Fitted, ShotSettings
from mmx.core.present import present
from mmx.heads.zero_shot import SCALE
from mmx.tasks.selection import choose

SHARPNESSES = (1.0, 2.0, 3.5, 5.5, 8.0, 12.0, 20.0)
AMOUNTS = (0.1, 0.3, 0.6, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 40.0)


def fit(settings: ShotSettings, episode: Episode) -> Fitted:
    """The shots themselves; amount and sharpness are chosen on val, where 0 leaves zero-shot alone."""
    texts = present(episode.texts).prototypes(episode.classes)
    return settle(episode, texts, episode.features)


def settle(episode: Episode, texts: Tensor, keys: Tensor) -> Fitted:
    """[C, F], [K, F] -> the cache with the amount and sharpness that are best on val."""
    values = one_hot(episode.labels, episode.classes).float()
    known, nearness = SCALE * episode.val_features @ texts.T, episode.val_features @ keys.T

    def candidates() -> Iterator[tuple[float, float, Tensor]]:
        yield 0.0, SHARPNESSES[0], known
        for sharpness in SHARPNESSES:
            looked_up = look_up(nearness, values, sharpness)
            yield from ((amount, sharpness, known + amount * looked_up) for amount in AMOUNTS)

    amount, sharpness, _ = choose(candidates(), lambda found: found[2], episode.val_labels)
    tensors = {"texts": texts, "keys": keys, "values": values}
    tensors |= {"amount": torch.tensor(amount), "sharpness": torch.tensor(sharpness)}
    return Fitted(tensors, {"amount": amount, "sharpness": sharpness})


def look_up(nearness: Tensor, values: Tensor, sharpness: Tensor | float) -> Tensor:
    """Cosines [B, K], [K, C] -> what the cache says, [B, C]."""
    return torch.exp(-sharpness * (1 - nearness)) @ values


def score(settings: ShotSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """[B, F] -> [B, C]."""
    looked_up = look_up(features @ tensors["keys"].T, tensors["values"], tensors["sharpness"])
    return SCALE * features @ tensors["texts"].T + tensors["amount"] * looked_up


CLASSIFIER = Classifier(
    summary="Zero-shot, and a cache of the shots beside it.",
    settings=ShotSettings,
    needs_texts=lambda settings: SHARED_TEXTS,
    fit=fit,
    score=score,
    learns=False,
)
