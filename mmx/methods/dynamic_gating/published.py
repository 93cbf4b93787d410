"""The published network: a picture is written anew from the few class texts that it opens.

    P = ReLU(X W_i)    Q = ReLU(T W_t)    alpha = gate(P Q^T)    Xe = ReLU((alpha Q) W_f)
    L = 0.75 mean ||Xe - X||^2 + 0.25 mean (1 - cos(Xe, R_y)) (+ cross-entropy of the linear classifier)

R is Q, or T where it is so wished. Xe is never negative while X has signs, so that the first term cannot fall
below mean ||min(X, 0)||^2; and Xe knows of X only which texts it opened. Both are kept as published.

Source: seed 003; batches half of pictures and half of texts, and the classifier that starts at class texts,
from Lin et al. 2023, whose training code it changes.
Shapes: B pictures, M texts, C classes, F and F_t widths.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, normalize

from mmx.core.classifier import ClassTexts, Episode, Evidence, Fitted
from mmx.core.errors import UsageError
from mmx.core.present import present
from mmx.heads.nearest_mean import class_means
from mmx.heads.zero_shot import SCALE
from mmx.methods.dynamic_gating.gate import gate
from mmx.methods.dynamic_gating.settings import LINEAR, RAW, GatingSettings


@dataclass(frozen=True)
class Passed:
    """What pictures become: `written` [B, F], `alpha` [B, M], and the texts as they are drawn to, [M, F]."""

    written: Tensor
    alpha: Tensor
    targets: Tensor


def pass_through(settings: GatingSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Passed:
    """[B, F] -> what the network makes of them."""
    texts = tensors["texts"]
    queries, keys = (features @ tensors["image_map"]).relu(), (texts @ tensors["text_map"]).relu()
    scores = queries @ keys.T
    if settings.scale_scores:
        scores = scores / keys.shape[1] ** 0.5
    alpha = gate(scores, settings.top_k)
    written = ((alpha @ keys) @ tensors["output_map"]).relu()
    return Passed(written, alpha, texts if settings.align_target == RAW else keys)


def losses(
    settings: GatingSettings, passed: Passed, features: Tensor, labels: Tensor, text_labels: Tensor
) -> dict[str, Tensor]:
    """What is written against [B, F] and the texts of its class -> `reconstruction`, `alignment`, `total`."""
    own = _class_targets(passed.targets, text_labels)[labels]
    reconstruction = (passed.written - features).square().sum(1).mean()
    alignment = (1 - cosine_similarity(passed.written, own)).mean()
    share = settings.reconstruction_weight
    total = share * reconstruction + (1 - share) * alignment
    return {"reconstruction": reconstruction, "alignment": alignment, "total": total}


def _class_targets(targets: Tensor, text_labels: Tensor) -> Tensor:
    """[M, F], [M] int64 -> [C, F]: the mean over the texts of each class."""
    return class_means(targets, text_labels, int(text_labels.max()) + 1)


def fit(settings: GatingSettings, episode: Episode) -> Fitted:
    """The weights of the look at which val was most often right; looks are counted in steps.

    Raises:
        UsageError: when raw texts are to be aligned with, and they are of another width than the pictures.
    """
    width, texts = episode.features.shape[1], present(episode.texts)
    if settings.align_target == RAW and texts.features.shape[1] != width:
        raise UsageError(
            f"align_target='{RAW}' needs class texts as wide as the pictures: they have "
            f"{texts.features.shape[1]} and {width} numbers. Leave it at projected."
        )
    best: tuple[int | None, dict[str, Tensor]] = (None, {})
    most = -1.0
    for step, tensors in _learn(settings, episode, _start(texts, width, episode)):
        right = score(settings, tensors, episode.val_features).argmax(1) == episode.val_labels
        share = float(right.double().mean()) if len(right) else 0.0
        if share > most or not len(right):
            best, most = (step, {name: tensor.clone() for name, tensor in tensors.items()}), share
    return Fitted(best[1], {"step": best[0]})


def _start(texts: ClassTexts, width: int, episode: Episode) -> dict[str, Tensor]:
    """Maps by chance; the classifier at the class texts where pictures share their space, else at nothing."""
    random = torch.Generator().manual_seed(episode.seed)

    def kaiming(rows: int) -> Tensor:
        bound = (6 / rows) ** 0.5
        return (2 * torch.rand(rows, width, generator=random) - 1) * bound

    known = texts.prototypes(episode.classes) if texts.shared else torch.zeros(episode.classes, width)
    return {
        "image_map": kaiming(width),
        "text_map": kaiming(texts.features.shape[1]),
        "output_map": kaiming(width),
        "classifier": known,
        "texts": texts.features,
        "text_labels": texts.labels,
    }


def _learn(
    settings: GatingSettings, episode: Episode, tensors: dict[str, Tensor]
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Steps after which val is looked at, with the tensors as they are then."""
    learned = {name: tensors[name].requires_grad_() for name in _learned(settings)}
    whole = {**tensors, **learned}
    optimizer = torch.optim.Adam(learned.values(), lr=settings.lr, fused=True)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, settings.lr_step, settings.lr_factor)
    random = torch.Generator().manual_seed(episode.seed + 1)
    half, step = max(1, settings.batch_size // 2), 0
    text_labels = present(episode.texts).labels
    text_rows = _endless(len(text_labels), half, random)
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(episode.labels), generator=random).split(half):
            features, labels = episode.features[rows], episode.labels[rows]
            passed = pass_through(settings, whole, features)
            total = losses(settings, passed, features, labels, text_labels)["total"]
            if settings.scored == LINEAR:
                total = total + _classified(whole, passed, labels, next(text_rows))
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            step += 1
            if step % settings.look_every == 0:
                yield step, {name: tensor.detach() for name, tensor in whole.items()}
        schedule.step()
        if step % settings.look_every:
            yield step, {name: tensor.detach() for name, tensor in whole.items()}


def _learned(settings: GatingSettings) -> tuple[str, ...]:
    maps = ("image_map", "text_map", "output_map")
    return (*maps, "classifier") if settings.scored == LINEAR else maps


def _classified(tensors: Mapping[str, Tensor], passed: Passed, labels: Tensor, text_rows: Tensor) -> Tensor:
    """Cross-entropy of the linear classifier over what was written and over some texts, half and half."""
    rows = torch.cat([passed.written, passed.targets[text_rows]])
    logits = SCALE * normalize(rows, dim=1) @ tensors["classifier"].T
    return cross_entropy(logits, torch.cat([labels, tensors["text_labels"][text_rows]]))


def _endless(count: int, size: int, random: torch.Generator) -> Iterator[Tensor]:
    """Batches of so many of the rows, each row as often as any other; shuffled anew when all were there."""
    left = torch.empty(0, dtype=torch.int64)
    while True:
        while len(left) < size:
            left = torch.cat([left, torch.randperm(count, generator=random)])
        yield left[:size]
        left = left[size:]


def score(settings: GatingSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """[B, F] -> logits [B, C] of what is written, by the linear classifier or by the nearest class text."""
    passed = pass_through(settings, tensors, features)
    written = normalize(passed.written, dim=1)
    if settings.scored == LINEAR:
        return SCALE * written @ tensors["classifier"].T
    return SCALE * written @ normalize(_class_targets(passed.targets, tensors["text_labels"]), dim=1).T


def explain(settings: GatingSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Evidence:
    """[B, F] -> how far each class text was opened."""
    return Evidence(pass_through(settings, tensors, features).alpha, "texts")
