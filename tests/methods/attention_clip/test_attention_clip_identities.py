"""Losses that know of identities and of hidden words: SDM, the classifier, masked words."""

import dataclasses
import math

import pytest
import torch

from mmx.core.assets import AssetSource
from mmx.core.discover import find_method
from mmx.core.errors import UsageError
from mmx.methods.attention_clip.identities import IdentityHead, count_identities, sdm_loss
from mmx.methods.attention_clip.loss import masked_words
from mmx.methods.attention_clip.masked_words import hide_words, word_nll
from mmx.methods.attention_clip.settings import AttentionClipSettings
from tests.methods.doubles import RECORDS, SOURCE, build, make_batch

METHOD = find_method("attention-clip")
SMALL = {"attention_width": 16, "width": 8, "hidden_width": 16}


def test_matching_distributions_that_are_equal_cost_nothing() -> None:
    """Two identities with two items each: cosines 1 within, 0 between, at a temperature near 0."""
    image = torch.eye(2).repeat_interleave(2, 0)
    positive = image @ image.T > 0

    assert sdm_loss(image, image, torch.tensor(200.0), positive).item() == pytest.approx(0, abs=1e-4)


def test_matching_distributions_is_the_divergence_both_ways() -> None:
    image, text = torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    rows = [[1.0, 0.0], [0.6, 0.8]]
    by_hand = 0.0
    for table in (rows, [list(column) for column in zip(*rows, strict=True)]):
        for place, row in enumerate(table):
            total = sum(math.exp(value) for value in row)
            for other, value in enumerate(row):
                share = math.exp(value) / total
                by_hand += share * (math.log(share) - math.log((place == other) + 1e-8)) / 2

    found = sdm_loss(image, text, torch.tensor(1.0), torch.eye(2, dtype=torch.bool))

    assert found.item() == pytest.approx(by_hand, rel=1e-5)


def test_identities_start_as_likely_as_each_other_and_unknown_ones_are_left_out() -> None:
    head = IdentityHead(4, torch.tensor([3, 8, 90]))

    known = head(torch.randn(2, 4), torch.tensor([8, 90]))

    assert known.item() == pytest.approx(math.log(3), abs=0.01)
    assert head(torch.randn(2, 4), torch.tensor([4, -1])).item() == 0


def test_the_identities_of_train_are_counted_where_they_are_told_apart() -> None:
    counted = count_identities(AttentionClipSettings(identity_loss=1.0), SOURCE)

    assert counted.tensors["identities"].tolist() == list(range(len(RECORDS)))
    assert not count_identities(AttentionClipSettings(), SOURCE).tensors


def test_data_without_identities_cannot_be_told_apart() -> None:
    plain = AssetSource(
        [dataclasses.replace(record, identity=None) for record in RECORDS],
        SOURCE.concepts,
        SOURCE.word_vectors,
    )

    with pytest.raises(UsageError, match=r"identity_loss=1\.0 .* have none\. Set identity_loss=0"):
        count_identities(AttentionClipSettings(identity_loss=1.0), plain)


def test_only_words_are_hidden_and_as_many_as_asked_for() -> None:
    torch.manual_seed(0)
    token_ids, mask = torch.randint(5, 40, (200, 30)), torch.rand(200, 30) < 0.8
    token_ids[:, 0] = 2

    shown, hidden = hide_words(token_ids, mask, torch.tensor([0, 2]), 99, 0.15)

    assert not hidden[:, 0].any() and not hidden[~mask].any()
    assert shown[hidden].eq(99).all() and torch.equal(shown[~hidden], token_ids[~hidden])
    assert hidden.sum().item() == pytest.approx(0.15 * mask[:, 1:].sum().item(), rel=0.1)


def test_nothing_hidden_costs_nothing() -> None:
    assert word_nll(torch.zeros(0, 7), torch.zeros(0, dtype=torch.int64)).item() == 0
    assert word_nll(torch.zeros(3, 7), torch.tensor([0, 1, 2])).item() == pytest.approx(3 * math.log(7))


@pytest.mark.parametrize("attention", ["self", "cross"])
def test_hidden_words_are_learned_with_the_help_of_the_picture(attention: str) -> None:
    torch.manual_seed(0)
    chosen = AttentionClipSettings(
        attention=attention, train_text=True, masked_words=1.0, mask_share=0.5, identity_loss=1.0, **SMALL
    )
    model, batch = build(METHOD, chosen).train(), make_batch(4)
    if model.settings.looks_twice:
        model.pairs.judge.requires_grad_(False)

    parts = METHOD.loss(model, batch, 0.0)
    parts["total"].backward()

    assert set(parts) == {"total", "pairs", "identities", "words"}
    assert parts["total"].item() == pytest.approx(
        sum(parts[name].item() for name in ("pairs", "identities", "words"))
    )
    assert model.pairs.cross.attention.value.weight.grad.any() and model.words.name.weight.grad.any()


@torch.no_grad()
def test_hidden_words_are_looked_for_in_the_captions_own_picture() -> None:
    chosen = AttentionClipSettings(attention="self", train_text=True, masked_words=1.0, **SMALL)
    model, batch = build(METHOD, chosen).eval(), make_batch(4)
    torch.nn.init.normal_(model.pairs.cross.attention.output.weight)

    def found(seen) -> float:
        torch.manual_seed(1)
        return masked_words(model, seen, model.look(seen).states[0])[0].item()

    other = dataclasses.replace(batch, patch_features=batch.patch_features.roll(1, 0))

    assert found(batch) == found(batch) and found(batch) != found(other)
