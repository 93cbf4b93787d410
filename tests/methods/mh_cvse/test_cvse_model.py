"""The network of mh-cvse: what an index keeps, what each option takes away, and what bad input gives."""

import dataclasses

import pytest
import torch
from torch.nn import functional

from mmx.core.batch import Batch
from mmx.core.record import Record
from mmx.methods.mh_cvse.assets import caption_ids
from mmx.methods.mh_cvse.model import encode_image, encode_text, find_gauges
from tests.methods.doubles import CONCEPTS, WIDTH, build, count_assets, make_batch, take
from tests.methods.mh_cvse.small import METHOD, STILL, preset, tiny

ENCODER = {"text": "encoder", "token_norm": "layer"}


@pytest.mark.parametrize("weight", [0.0, 0.05, 1.0])
def test_the_product_of_what_an_index_keeps_is_the_weighted_sum_of_two_cosines(
    batch: Batch, weight: float
) -> None:
    model = build(METHOD, tiny(consensus_weight=weight)).eval()
    (member,) = model.members
    image, text = (
        member.view_images(batch, member.concepts()),
        member.view_texts(batch, member.concepts()),
    )
    fused, consensus = image.fused @ text.fused.T, image.consensus @ text.consensus.T

    scores = encode_image(model, batch) @ encode_text(model, batch).T

    torch.testing.assert_close(scores, (1 - weight) * fused + weight * consensus)


def test_without_consensus_an_index_keeps_the_instance(batch: Batch) -> None:
    model = build(METHOD, tiny(consensus=False)).eval()

    assert not any("consensus" in name or "graph" in name for name in model.state_dict())
    assert torch.equal(encode_image(model, batch), model.members[0].view_images(batch, None).instance)
    assert encode_image(model, batch).shape == (4, 32)


def test_concepts_are_embedded_once_a_step(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = build(METHOD, tiny()).train(), []
    embed = model.members[0].graph._embed
    monkeypatch.setattr(model.members[0].graph, "_embed", lambda: calls.append(1) or embed())

    METHOD.loss(model, batch, 0.5)["total"].backward()

    assert len(calls) == 1


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_the_order_of_regions_matters_to_slots_alone(norm: str) -> None:
    model, batch = build(METHOD, tiny(gate_norm=norm)).train(), make_batch()
    batch.region_mask = torch.ones_like(batch.region_mask)
    batch.region_features = torch.randn(4, 5, WIDTH)
    for _ in range(5):
        METHOD.loss(model, batch, 0.5)
    flipped = dataclasses.replace(batch, region_features=batch.region_features.flip(1))
    if norm == "batch":
        model.members[0].image_branch.pool.part_norm.mean.copy_(torch.arange(49))

    same = torch.allclose(encode_image(model.eval(), flipped), encode_image(model, batch), atol=1e-5)

    assert same == (norm == "layer")


def test_without_attention_and_gates_an_image_is_the_mean_of_its_projected_regions() -> None:
    model, batch = build(METHOD, tiny(attention=False, pooling="mean", consensus=False)).eval(), make_batch()
    project = model.members[0].image_branch.embed.project
    regions = [functional.normalize(project(batch.region_features[0, t]), dim=0) for t in range(5)]

    expected = functional.normalize(torch.stack(regions).mean(0), dim=0)

    torch.testing.assert_close(encode_image(model, batch)[0], expected)


def test_a_picture_without_regions_has_a_finite_embedding_and_disturbs_no_other(batch: Batch) -> None:
    for changes in ({}, {"pooling": "gpo"}, {"gate_norm": "batch"}, {"region_norm": "standard"}):
        model = build(METHOD, tiny(**changes)).eval()
        empty = dataclasses.replace(
            batch,
            region_features=batch.region_features.clone(),
            region_mask=batch.region_mask & torch.tensor([True, False, True, True])[:, None],
        )
        empty.region_features[1] = 0.0

        embedding = encode_image(model, empty)

        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(4))
        torch.testing.assert_close(embedding[0], encode_image(model, batch)[0])
        assert torch.isfinite(METHOD.loss(model.train(), empty, 0.5)["total"])


def test_regions_without_a_mask_are_all_there() -> None:
    model, batch = build(METHOD, tiny()).eval(), make_batch()
    full = dataclasses.replace(batch, region_mask=torch.ones_like(batch.region_mask))

    bare = encode_image(model, dataclasses.replace(batch, region_mask=None))

    assert torch.equal(bare, encode_image(model, full))


def embed_captions(captions: tuple[str, ...]) -> torch.Tensor:
    """The embeddings of captions as they are typed."""
    settings = tiny()
    ids = caption_ids(settings, count_assets(METHOD, settings), [Record("q", "test", None, captions)])
    longest = max(map(len, ids["token_ids"]))
    token_ids = torch.tensor([row + [0] * (longest - len(row)) for row in ids["token_ids"]])
    concepts = torch.tensor([row + [-1] * (3 - len(row)) for row in ids["concept_ids"]])
    batch = Batch(token_ids=token_ids, token_mask=token_ids > 0, concept_ids=concepts)
    return encode_text(build(METHOD, settings).eval(), batch)


def test_captions_of_unknown_words_or_of_none_have_finite_embeddings() -> None:
    embedding = embed_captions(("qwxz vbnm", "...", "word4 stands", "vbnm qwxz"))

    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(embedding[0], embedding[3])
    assert not torch.allclose(embedding[0], embedding[2], atol=1e-3)


def test_a_plural_names_the_concept_of_its_word() -> None:
    settings = tiny()
    record = Record("q", "test", None, ("two word4s and a word5", "nothing of note"))

    ids = caption_ids(settings, count_assets(METHOD, settings), [record])["concept_ids"]

    assert ids == [[0, 1], []]


def test_concepts_that_a_caption_names_change_its_embedding(batch: Batch) -> None:
    model = build(METHOD, tiny()).eval()
    other = dataclasses.replace(batch, concept_ids=(batch.concept_ids + 1) % CONCEPTS)

    assert not torch.allclose(encode_text(model, other)[0], encode_text(model, batch)[0], atol=1e-4)
    assert torch.equal(encode_image(model, other), encode_image(model, batch))


def test_a_mirror_adds_the_embedding_of_the_mirrored_picture(batch: Batch) -> None:
    model, plain = build(METHOD, tiny(mirror=True)).eval(), build(METHOD, tiny()).eval()
    swapped = dataclasses.replace(batch, region_features=batch.region_features_mirrored)
    both = encode_image(plain, batch) + encode_image(plain, swapped)

    torch.testing.assert_close(encode_image(model, batch), functional.normalize(both, dim=-1))
    bare = dataclasses.replace(batch, region_features_mirrored=None)
    assert torch.equal(encode_image(model, bare), encode_image(plain, bare))


def test_a_pooled_path_starts_as_the_head_over_mean_features(batch: Batch) -> None:
    changes = {"pooled_path": "both", "consensus": False, "hidden_width": 16, **ENCODER}
    model = build(METHOD, tiny(**changes)).eval()

    expected = model.members[0].text_branch.pooled_path(batch.token_features, batch.token_mask)

    torch.testing.assert_close(encode_text(model, batch), functional.normalize(expected, dim=-1))
    path = model.members[0].image_branch.pooled_path
    mean = batch.region_features[0].mean(0, keepdim=True)
    torch.testing.assert_close(
        encode_image(model, batch)[:1], functional.normalize(path.head(path.scale(mean)), dim=-1)
    )


@pytest.mark.parametrize("pooling", ["gated", "mean", "gpo"])
def test_regions_may_be_narrower_than_the_shared_space(batch: Batch, pooling: str) -> None:
    model = build(METHOD, tiny(token_width=8, heads=2, pooling=pooling)).eval()

    assert encode_image(model, batch).shape == (4, 64)
    assert encode_text(model, batch).shape == (8, 64)


def test_no_more_than_max_tokens_are_read(batch: Batch) -> None:
    for changes in ({}, {**ENCODER}, {**ENCODER, "train_text": True}):
        model = build(METHOD, tiny(max_tokens=3, **changes)).eval()
        cut = dataclasses.replace(
            batch,
            token_ids=batch.token_ids[:, :3],
            token_mask=batch.token_mask[:, :3],
            token_features=batch.token_features[:, :3],
        )

        torch.testing.assert_close(encode_text(model, cut), encode_text(model, batch))


def test_parts_are_hidden_in_training_only(batch: Batch) -> None:
    model = build(METHOD, tiny(region_drop=0.5, token_drop=0.5))
    model.members[0].image_branch.eval()
    model.members[0].text_branch.eval()
    before = encode_image(model, batch), encode_text(model, batch)

    assert torch.equal(encode_image(model, batch), before[0])
    model.members[0].image_branch.training = model.members[0].text_branch.training = True
    assert not torch.equal(encode_image(model, batch), before[0])
    assert not torch.equal(encode_text(model, batch), before[1])


@pytest.mark.parametrize("balance", ["value", "dwa", "uncertainty"])
def test_training_goes_on_from_saved_weights_bit_for_bit(balance: str) -> None:
    settings = tiny(balance=balance, epochs=6)
    batches = [make_batch(seed=seed) for seed in range(6)]

    def learn(model: torch.nn.Module, steps: range) -> dict[str, torch.Tensor]:
        for step in steps:
            METHOD.loss(model.train(), batches[step], step / 6)["total"].backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.grad is not None:
                        parameter -= 0.01 * parameter.grad
            model.zero_grad()
        return model.state_dict()

    whole, first = build(METHOD, settings), build(METHOD, settings)
    learn(whole, range(6))
    second = build(METHOD, settings, seed=9)
    second.load_state_dict(learn(first, range(3)))
    learn(second, range(3, 6))

    states = whole.state_dict(), second.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_gauges_are_weights_of_terms_shares_of_fusion_and_a_learned_temperature() -> None:
    read = find_gauges(build(METHOD, tiny(contrastive_loss=1.0)))

    assert read["weight of fused"] == 3.0 and read["weight of contrastive"] == 1.0
    assert read["instance share of image"] == pytest.approx(0.85)
    assert read["temperature"] == pytest.approx(0.07)
    assert not any("share" in name for name in find_gauges(build(METHOD, tiny(fusion="concat"))))
    assert "temperature" not in find_gauges(build(METHOD, tiny()))


@pytest.mark.parametrize("fusion", ["weighted", "concat", "adaptive"])
@pytest.mark.parametrize("balance", ["static", "uncertainty", "dwa"])
def test_every_fusion_and_balance_learns_in_its_stage(fusion: str, balance: str) -> None:
    settings = tiny(fusion=fusion, balance=balance)
    model, batch = build(METHOD, settings).train(), make_batch(captions_per_image=2)
    METHOD.loss(model, batch, 0.5)["total"].backward()
    (group,) = METHOD.stages(settings)[0].groups

    learned = {name for name, parameter in model.named_parameters() if parameter.grad is not None}

    assert learned == {name for name, _ in model.named_parameters()}
    assert all(name.startswith(group.prefixes) for name in learned)


def test_an_image_does_not_depend_on_the_captions_or_the_other_images(batch: Batch) -> None:
    model = build(METHOD, preset("strong", width=32, hidden_width=16)).eval()
    alone = take(batch, torch.tensor([2]), torch.tensor([4, 5]))

    torch.testing.assert_close(encode_image(model, alone)[0], encode_image(model, batch)[2])


def test_a_trained_text_encoder_is_a_part_of_the_model_and_learns(batch: Batch) -> None:
    settings = preset("tiny", **STILL, **ENCODER, train_text=True)
    model = build(METHOD, settings).train()

    METHOD.loss(model, batch, 0.5)["total"].backward()

    assert all(parameter.grad is not None for parameter in model.text_tower.parameters())
    assert build(METHOD, tiny(**ENCODER)).text_tower is None


@pytest.mark.parametrize("members", [2, 3])
def test_scores_are_the_mean_of_the_members(batch: Batch, members: int) -> None:
    model = build(METHOD, tiny(members=members)).eval()
    single, scores = build(METHOD, tiny()).eval(), []
    for member in model.members:
        single.members[0].load_state_dict(member.state_dict())
        scores.append(encode_image(single, batch) @ encode_text(single, batch).T)

    together = encode_image(model, batch) @ encode_text(model, batch).T

    torch.testing.assert_close(together, sum(scores) / members)
    assert not torch.allclose(scores[0], scores[1], atol=1e-3)


def test_gauges_of_members_are_their_mean() -> None:
    model = build(METHOD, tiny(members=2))
    model.members[0].image_fusion.theta.data = torch.tensor([0.0, 0.0])

    assert find_gauges(model)["instance share of image"] == pytest.approx((0.5 + 0.85) / 2)
