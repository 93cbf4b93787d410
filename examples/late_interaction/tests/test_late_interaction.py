"""What can be worked out by hand, masks, and the second look beside the loop that defines it."""

from types import SimpleNamespace

import torch
from late_interaction import METHOD, PRESETS, LateInteractionSettings
from late_interaction.model import LateInteraction, encode_image, encode_text
from late_interaction.scores import late_parts, late_scores
from late_interaction.second_look import explain, fine, keep_image, keep_text
from late_interaction.training import compare, sigmoid_loss
from torch import Tensor
from torch.nn import functional

from mmx.core.batch import Batch


def units(seed: int, *shape: int) -> Tensor:
    """Random unit vectors of a shape [.., D]."""
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def sides() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Three images of five patches at most, four captions of six tokens at most."""
    patch_mask = torch.arange(5) < torch.tensor([[5], [3], [1]])
    token_mask = torch.arange(6) < torch.tensor([[6], [2], [4], [1]])
    return units(0, 3, 5, 8), patch_mask, units(1, 4, 6, 8), token_mask


def by_loop(patches: Tensor, patch_mask: Tensor, tokens: Tensor, token_mask: Tensor) -> Tensor:
    """The definition: a pair at a time, without what is padded."""
    rows = []
    for words, real_words in zip(tokens, token_mask, strict=True):
        row = []
        for cells, real_cells in zip(patches, patch_mask, strict=True):
            match = words[real_words] @ cells[real_cells].T
            row.append((match.amax(dim=1).mean() + match.amax(dim=0).mean()) / 2)
        rows.append(torch.stack(row))
    return torch.stack(rows)


def model_and_batch() -> tuple[LateInteraction, Batch]:
    """A small model, and four images beside four captions."""
    torch.manual_seed(0)
    tower = SimpleNamespace(width=8)
    model = LateInteraction(LateInteractionSettings(width=4), {"image": tower, "text": tower})
    patches, patch_mask, tokens, token_mask = sides()
    more = torch.cat([patches, units(2, 1, 5, 8)]), torch.cat([patch_mask, patch_mask[1:2]])
    batch = Batch(
        image_group=torch.arange(4),
        text_group=torch.arange(4),
        image_features=units(3, 4, 8),
        region_features=more[0],
        region_mask=more[1],
        text_features=units(4, 4, 8),
        token_features=tokens,
        token_mask=token_mask,
    )
    return model, batch


def test_two_tokens_and_two_patches_by_hand() -> None:
    patches = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    tokens = torch.tensor([[[1.0, 0.0], [0.8, 0.6]]])
    both = torch.ones(1, 2, dtype=torch.bool)
    # tokens find 1.0 and 0.8, mean 0.9; patches find 1.0 and 0.6, mean 0.8
    assert torch.allclose(late_scores(patches, both, tokens, both), torch.tensor([[0.85]]))
    expected = torch.tensor([[[0.5, 0.0], [0.2, 0.15]]])  # 1/4 + 1/4, 0; 0.8/4, 0.6/4
    assert torch.allclose(late_parts(patches, both, tokens, both), expected)


def test_it_is_the_loop() -> None:
    assert torch.allclose(late_scores(*sides()), by_loop(*sides()), atol=1e-6)


def test_padding_has_no_say() -> None:
    patches, patch_mask, tokens, token_mask = sides()
    loud = torch.where(patch_mask[:, :, None], patches, 1e4), torch.where(token_mask[:, :, None], tokens, 1e4)
    assert torch.equal(late_scores(loud[0], patch_mask, loud[1], token_mask), late_scores(*sides()))


def test_nothing_there_scores_zero_and_has_finite_gradients() -> None:
    patches, patch_mask, tokens, token_mask = sides()
    patches.requires_grad_()
    patch_mask[0], token_mask[0] = False, False
    scores = late_scores(patches, patch_mask, tokens, token_mask)
    scores.sum().backward()
    assert not scores[0].any() and not scores[:, 0].any() and scores[1:, 1:].all()
    assert patches.grad is not None and patches.grad.isfinite().all()


def test_order_of_parts_does_not_matter() -> None:
    patches, patch_mask, tokens, token_mask = sides()
    turned = late_scores(patches.flip(1), patch_mask.flip(1), tokens.flip(1), token_mask.flip(1))
    assert torch.allclose(turned, late_scores(*sides()), atol=1e-6)


def test_second_look_is_the_loop_over_what_is_kept() -> None:
    model, batch = model_and_batch()
    images, texts = keep_image(model, batch), keep_text(model, batch)
    expected = by_loop(images["patches"], images["patch_mask"], texts["tokens"], texts["token_mask"])
    assert torch.allclose(fine(model, images, texts), expected, atol=1e-6)


def test_explanation_adds_up_to_the_fine_score() -> None:
    model, batch = model_and_batch()
    score = fine(model, keep_image(model, batch), keep_text(model, batch)).diagonal()
    parts = explain(model, batch)
    there = batch.token_mask[:, :, None] & batch.region_mask[:, None, :]
    assert torch.allclose(parts.sum(dim=(1, 2)), model.settings.fine_weight * score, atol=1e-6)
    assert not parts[~there].any()


def test_sigmoid_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [2.0, -1.0]])
    loss = sigmoid_loss(logits, torch.eye(2, dtype=torch.bool))
    expected = (
        2 * torch.tensor(2.0).log()
        + (1 + torch.tensor(2.0).exp()).log()
        + (1 + torch.tensor(1.0).exp()).log()
    ) / 2
    assert torch.allclose(loss, expected)


def test_training_score_is_the_second_looks() -> None:
    model, batch = model_and_batch()
    late = fine(model, keep_image(model, batch), keep_text(model, batch))
    pooled = encode_text(model, batch) @ encode_image(model, batch).T
    same = torch.eye(4, dtype=torch.bool)
    losses = compare(model, METHOD.represent(model, batch), 0.5)
    assert torch.allclose(losses["late"], sigmoid_loss(10 * late - 10, same))
    assert torch.allclose(losses["whole"], sigmoid_loss(10 * pooled - 10, same))


def test_presets_set_what_there_is() -> None:
    assert all(LateInteractionSettings(**changed) for changed in PRESETS.values())
