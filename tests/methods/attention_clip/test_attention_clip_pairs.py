"""The second look of attention=cross, the leak of cross_leaky, and sparse attention in the branches."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from mmx.core.batch import Batch
from mmx.core.discover import find_method
from mmx.core.task import Retrieval, Study
from mmx.methods.attention_clip.cross_attention import PairEncoder
from mmx.methods.attention_clip.matching import draw_pairs
from mmx.methods.attention_clip.model import AttentionClip, encode_image, encode_text
from mmx.methods.attention_clip.rerank import fine, keep_image, keep_text, weight
from mmx.methods.attention_clip.settings import AttentionClipSettings
from mmx.nn.contrastive import contrastive_loss
from mmx.tasks.rerank import FirstStage, rerank
from tests.methods.doubles import build, count_assets, make_batch, take

METHOD = find_method("attention-clip")
SMALL = {"attention_width": 16, "width": 8, "hidden_width": 16, "token_dropout": 0.0}


def settings(attention: str, **changes: object) -> AttentionClipSettings:
    return AttentionClipSettings(attention=attention, **{**SMALL, **changes})


def built(attention: str, **changes: object) -> AttentionClip:
    return build(METHOD, settings(attention, **changes)).eval()


def spoken(model: AttentionClip) -> AttentionClip:
    """The same with a second look that has something to say."""
    torch.nn.init.normal_(model.pairs.judge[-1].weight)
    return model


def first_and_fine(batch: Batch) -> tuple[FirstStage, Tensor, AttentionClip]:
    model = spoken(built("cross"))
    with torch.no_grad():
        image, text = encode_image(model, batch), encode_text(model, batch)
        table = fine(model, keep_image(model, batch), keep_text(model, batch))
    return FirstStage.of(image, text, batch.image_group, batch.text_group, lists=True), table, model


@torch.no_grad()
@pytest.mark.parametrize("attention", ["none", "self", "sparse", "cross"])
def test_the_captions_of_a_batch_do_not_change_an_image(attention: str) -> None:
    model, batch = built(attention, layers=2), make_batch(6)
    turned = torch.roll(torch.arange(6), 1)

    shuffled = take(batch, torch.arange(6), turned)

    assert torch.equal(encode_image(model, shuffled), encode_image(model, batch))
    torch.testing.assert_close(encode_text(model, shuffled), encode_text(model, batch)[turned])


@torch.no_grad()
def test_with_cross_leaky_they_do() -> None:
    """The negative case: a picture's embedding has read the caption that it is to be found by."""
    model, batch = built("cross_leaky", captions_per_image=1, pooled_path=False), make_batch(6)

    shuffled = take(batch, torch.arange(6), torch.roll(torch.arange(6), 1))

    assert not torch.allclose(model.look(shuffled).projected, model.look(batch).projected, atol=1e-3)


def test_a_model_that_leaks_is_for_study_and_has_no_way_to_embed() -> None:
    leaky = METHOD.with_task(
        settings("cross_leaky", captions_per_image=1), count_assets(METHOD, settings("none"))
    )

    (task,) = leaky.tasks

    assert isinstance(task, Study) and "reads the caption" in task.why


@pytest.mark.parametrize(
    ("attention", "twice"), [("none", False), ("self", False), ("sparse", False), ("cross", True)]
)
def test_only_cross_has_a_second_stage(attention: str, twice: bool) -> None:
    chosen = settings(attention, layers=2)

    (task,) = METHOD.with_task(chosen, count_assets(METHOD, chosen)).tasks

    assert isinstance(task, Retrieval) and (task.rerank is not None) == twice


@torch.no_grad()
def test_cross_embeds_as_self_does_before_and_after_the_second_look_is_learned() -> None:
    one, other, batch = built("self"), spoken(built("cross")), make_batch(4)
    other.load_state_dict(one.state_dict(), strict=False)

    for encode in (encode_image, encode_text):
        assert torch.equal(encode(one, batch), encode(other, batch))


def test_a_second_look_that_has_learned_nothing_has_no_say() -> None:
    model = built("cross", temperature=0.05)

    assert weight(model) == 0
    assert weight(spoken(model)) == pytest.approx(0.05)
    assert weight(spoken(built("cross", temperature=0.05, cross_weight=3.0))) == pytest.approx(0.15)


def test_ranking_again_with_no_weight_keeps_the_order_of_the_first_stage() -> None:
    first, table, _ = first_and_fine(make_batch(12))

    for top in (1, 5, None):
        (found,) = rerank(first, lambda images, texts: table[texts][:, images], [0.0], top)
        assert torch.equal(found.t2i, first.ranks.t2i) and torch.equal(found.i2t, first.ranks.i2t)


def test_ranking_again_moves_nothing_into_or_out_of_the_nearest() -> None:
    first, table, _ = first_and_fine(make_batch(12))

    for top in (1, 3, 6):
        (found,) = rerank(first, lambda images, texts: table[texts][:, images], [100.0], top)
        for before, after in ((first.ranks.t2i, found.t2i), (first.ranks.i2t, found.i2t)):
            assert torch.equal(before < top, after < top)


@torch.no_grad()
def test_the_table_of_all_pairs_is_its_pairs_one_by_one() -> None:
    torch.manual_seed(0)
    encoder = PairEncoder(16, 4, layers=2, dropout=0.1).eval()
    torch.nn.init.normal_(encoder.judge[-1].weight)
    tokens, seen = torch.randn(3, 5, 16), torch.randn(4, 7, 16)
    mask, seen_mask = torch.ones(3, 5, dtype=torch.bool), torch.ones(4, 7, dtype=torch.bool)
    mask[1, 3:], seen_mask[2, 4:] = False, False

    table = encoder.table(tokens, mask, seen, seen_mask)

    for text in range(3):
        for image in range(4):
            alone = encoder(tokens[[text]], mask[[text]], seen[[image]], seen_mask[[image]])
            torch.testing.assert_close(table[text, [image]], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_what_a_pair_encoder_reads_first_is_what_it_judges() -> None:
    encoder = PairEncoder(16, 4, layers=2, dropout=0.1).eval()
    torch.nn.init.normal_(encoder.judge[-1].weight)
    given = (
        torch.randn(3, 5, 16),
        torch.ones(3, 5, dtype=torch.bool),
        torch.randn(3, 7, 16),
        torch.ones(3, 7, dtype=torch.bool),
    )

    read = encoder.read(*given)

    torch.testing.assert_close(encoder.judge(read[:, 0])[:, 0], encoder(*given), atol=1e-5, rtol=1e-5)


def test_wrong_ones_are_drawn_from_what_is_wrong_and_near_ones_more_often() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([[9.0, 8.0, 0.0], [0.0, 9.0, 8.0], [8.0, 0.0, 9.0]])
    positive = torch.eye(3, dtype=torch.bool)
    near = 0
    for _ in range(100):
        pairs = draw_pairs(logits, positive)
        assert torch.equal(positive[pairs.image, pairs.text], pairs.match.bool())
        assert pairs.match.tolist() == [1] * 3 + [0] * 6
        near += int((logits[pairs.image, pairs.text] == 8).sum())

    assert near > 590


def test_crops_of_one_identity_are_right_for_each_others_captions() -> None:
    positive = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])

    for seed in range(20):
        torch.manual_seed(seed)
        pairs = draw_pairs(torch.zeros(3, 3), positive)
        assert torch.equal(positive[pairs.image, pairs.text], pairs.match.bool())


def test_a_batch_of_one_identity_has_no_pair_to_learn_from() -> None:
    batch = make_batch(4)
    batch = dataclasses.replace(batch, image_group=torch.zeros(4).long(), text_group=torch.zeros(4).long())
    model = build(METHOD, settings("cross")).train()

    parts = METHOD.loss(model, batch, 0.0)

    assert parts["matches"].item() == 0
    parts["total"].backward()


def test_the_second_look_learns_to_tell_hard_pairs_apart() -> None:
    """From ln 2, what a coin costs, to less than half of it on a batch learned by heart."""
    torch.manual_seed(0)
    model, batch = build(METHOD, settings("cross", dropout=0.0, attention_dropout=0.0)).train(), make_batch(6)
    model.members.requires_grad_(False)
    optimizer = torch.optim.Adam(model.pairs.parameters(), lr=3e-3)
    totals = []
    for _ in range(100):
        optimizer.zero_grad()
        total = METHOD.loss(model, batch, 0.0)["matches"]
        total.backward()
        optimizer.step()
        totals.append(total.item())

    assert totals[0] == pytest.approx(math.log(2), abs=1e-5)
    assert sum(totals[-10:]) / 10 < math.log(2) / 2


@torch.no_grad()
def test_wide_windows_make_sparse_attention_self_attention() -> None:
    one = built("self", layers=2)
    other = built("sparse", layers=2, window=64, grid_radius=4)
    other.load_state_dict(one.state_dict())
    batch = make_batch(5)
    for member in (one, other):
        torch.manual_seed(3)
        for block in member.members[0].text_branch.attend.blocks:
            torch.nn.init.normal_(block.narrow.weight)
        torch.nn.init.normal_(member.members[0].text_branch.join.weight)
        torch.nn.init.normal_(member.members[0].image_branch.join.weight)

    for encode in (encode_image, encode_text):
        torch.testing.assert_close(encode(other, batch), encode(one, batch), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("changes", [{"window": 2, "grid_radius": 0}, {"sparsity": "top-k", "top_keys": 1}])
def test_narrow_ones_do_not(changes: dict) -> None:
    one = built("self", layers=2, pooled_path=False)
    other = built("sparse", layers=2, pooled_path=False, **changes)
    other.load_state_dict(one.state_dict())
    batch = make_batch(5)

    for encode in (encode_image, encode_text):
        assert not torch.allclose(encode(other, batch), encode(one, batch), atol=1e-4)


def test_scores_that_are_sure_cost_nothing_and_even_ones_the_logarithm_of_their_number() -> None:
    positive = torch.eye(8, dtype=torch.bool)

    assert contrastive_loss(100 * torch.eye(8), positive).item() == pytest.approx(0, abs=1e-6)
    assert contrastive_loss(torch.zeros(8, 8), positive).item() == pytest.approx(math.log(8))
