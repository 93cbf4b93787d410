"""The network of attention-clip: what attention adds, and what it must not see."""

import dataclasses

import pytest
import torch

from mmx.core.discover import find_method
from mmx.methods.attention_clip.branch import AttentionPool
from mmx.methods.attention_clip.model import encode_image, encode_text
from mmx.methods.attention_clip.settings import AttentionClipSettings
from tests.methods.doubles import LENGTH, build, make_batch

METHOD = find_method("attention-clip")


def test_over_pooled_features_attention_starts_as_the_model_without_it() -> None:
    batch = make_batch()
    attending = build(METHOD, AttentionClipSettings(attention="self", pooled_path=True)).eval()
    plain = build(METHOD, AttentionClipSettings(attention="none")).eval()
    plain.load_state_dict(attending.state_dict(), strict=False)

    assert torch.equal(encode_image(attending, batch), encode_image(plain, batch))
    assert torch.equal(encode_text(attending, batch), encode_text(plain, batch))


def test_a_score_of_members_is_the_mean_of_their_cosines() -> None:
    batch, model = make_batch(), build(METHOD, AttentionClipSettings(attention="self", members=3)).eval()
    cosines = []
    for member in model.members:
        alone = build(METHOD, AttentionClipSettings(attention="self")).eval()
        alone.members[0].load_state_dict(member.state_dict())
        cosines.append(encode_text(alone, batch) @ encode_image(alone, batch).T)

    scores = encode_text(model, batch) @ encode_image(model, batch).T

    torch.testing.assert_close(scores, torch.stack(cosines).mean(0))
    assert not torch.allclose(cosines[0], cosines[1])


def test_without_the_pooled_path_only_tokens_are_read() -> None:
    model, batch = (
        build(METHOD, AttentionClipSettings(attention="self", pooled_path=False)).eval(),
        make_batch(),
    )
    without = dataclasses.replace(batch, image_features=None, text_features=None)

    assert torch.equal(encode_image(model, without), encode_image(model, batch))
    assert torch.equal(encode_text(model, without), encode_text(model, batch))


def test_what_stands_on_padding_cannot_change_a_caption() -> None:
    model, batch = (
        build(METHOD, AttentionClipSettings(attention="self", pooled_path=False)).eval(),
        make_batch(),
    )
    rubbish = torch.where(batch.token_mask[..., None], batch.token_features, torch.tensor(1e4))

    changed = encode_text(model, dataclasses.replace(batch, token_features=rubbish))

    torch.testing.assert_close(changed, encode_text(model, batch), atol=1e-5, rtol=0)


def test_attention_reads_every_token_that_is_there() -> None:
    model, batch = (
        build(METHOD, AttentionClipSettings(attention="self", pooled_path=False)).eval(),
        make_batch(),
    )
    features = batch.token_features.clone()
    features[0, LENGTH - 1] += 1

    changed = encode_text(model, dataclasses.replace(batch, token_features=features))

    assert not torch.allclose(changed[0], encode_text(model, batch)[0])
    torch.testing.assert_close(changed[1:], encode_text(model, batch)[1:], atol=1e-5, rtol=0)


def test_with_every_token_hidden_the_learned_query_still_answers() -> None:
    pool = AttentionPool(12, AttentionClipSettings(attention="self", token_dropout=0.95)).train()
    pool.token_dropout = 1.0

    answer = pool(torch.randn(3, 5, 12), torch.ones(3, 5, dtype=torch.bool))

    assert torch.isfinite(answer).all()


def test_hidden_tokens_are_hidden_in_training_only() -> None:
    model = build(
        METHOD,
        AttentionClipSettings(
            attention="self", token_dropout=0.5, dropout=0.0, image_dropout=0.0, pooled_path=False
        ),
    )
    batch = make_batch()

    assert not torch.equal(encode_image(model.train(), batch), encode_image(model, batch))
    assert torch.equal(encode_image(model.eval(), batch), encode_image(model, batch))


def test_a_trained_text_encoder_reads_no_more_than_max_tokens() -> None:
    settings = AttentionClipSettings(attention="self", train_text=True, max_tokens=3)
    model, batch = build(METHOD, settings).eval(), make_batch()
    cut = dataclasses.replace(
        batch, token_ids=batch.token_ids[:, :3].clone(), token_mask=batch.token_mask[:, :3].clone()
    )

    torch.testing.assert_close(encode_text(model, cut), encode_text(model, batch), atol=1e-6, rtol=0)


@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_frozen_encoder_is_no_part_of_the_model(modality: str) -> None:
    model = build(METHOD, AttentionClipSettings(attention="self", **{f"train_{modality}": True}))
    towers = {name.split(".")[0] for name, _ in model.named_parameters() if "tower" in name}

    assert towers == {f"{modality}_tower"}
