"""Settings and stages of mh-cvse: the paper's numbers, its schedule, and what contradicts each other."""

from itertools import pairwise

import pytest

from mmx.core.errors import UsageError
from mmx.engine.optimizer import rate_scale
from mmx.methods.mh_cvse.stages import stages, towers
from tests.methods.mh_cvse.small import METHOD, preset


def test_the_paper_preset_has_the_numbers_of_the_code_it_builds_on() -> None:
    settings = preset("paper")
    (stage,) = METHOD.stages(settings)

    assert settings.terms == {"fused": 3.0, "instance": 5.0, "consensus": 1.0, "divergence": 2.0}
    assert (settings.margin, settings.width, settings.concepts, settings.slots) == (0.2, 1024, 300, 36)
    assert (settings.edge_base, settings.edge_offset, settings.edge_threshold) == (5.0, 0.02, 0.3)
    assert (settings.neighbour_share, settings.sharpness, settings.label_share) == (0.25, 10.0, 0.35)
    assert (settings.instance_share, settings.consensus_weight) == (0.85, 0.05)
    assert (settings.word_width, settings.graph_width, settings.least_count) == (300, 512, 4)
    assert (stage.batch_size, stage.captions_per_image, stage.clip_norm) == (128, 1, 2.0)
    assert [group.lr for group in stage.groups] == [2e-4]


def test_the_rate_falls_by_a_cosine_to_one_hundredth() -> None:
    (stage,) = METHOD.stages(preset("paper"))
    steps = 1000

    scales = [rate_scale(stage.schedule, step, steps) for step in range(steps + 1)]

    assert (scales[0], scales[-1]) == (1.0, pytest.approx(0.01))
    assert scales[steps // 2] == pytest.approx((1 + 0.01) / 2)
    assert all(later < earlier for earlier, later in pairwise(scales))


def test_words_need_no_text_tower_and_an_encoder_is_one() -> None:
    assert set(towers(preset("paper"))) == {"image"}
    text = towers(preset("strong", train_text=True))["text"]

    assert (text.encoder, text.trainable, text.features) == ("minilm", True, ("token_features",))


def test_a_mirror_asks_for_the_features_of_mirrored_pictures() -> None:
    assert towers(preset(mirror=False))["image"].features == ("region_features",)
    assert towers(preset(mirror=True))["image"].features == ("region_features", "region_features_mirrored")
    assert towers(preset(augment="flip"))["image"].augment == "flip"


def test_a_trained_text_encoder_has_a_rate_of_its_own() -> None:
    settings = preset("strong", train_text=True, lr=1e-3, text_lr_factor=0.1, text_blocks=2, layer_decay=0.8)
    (stage,) = stages(settings)

    groups = {group.name: group for group in stage.groups}
    assert groups["text_tower"].lr == pytest.approx(1e-4)
    assert (groups["text_tower"].last_blocks, groups["text_tower"].layer_decay) == (2, 0.8)
    assert groups["layers"].lr == 1e-3


def test_buckets_and_averaging_reach_the_stage() -> None:
    (stage,) = stages(preset(bucket=4, average=0.9))

    assert (stage.bucket, stage.average) == (4, 0.9)


def test_a_narrower_inside_is_what_the_heads_share() -> None:
    assert preset(width=100, token_width=64, heads=8).inner_width == 64


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 100}, "width=100 .* heads=8"),
        ({"gpo_width": 3}, "gpo_width=3 is odd"),
        ({"train_text": True}, "train_text=true needs a text encoder .* text=encoder"),
        ({"pooled_path": "both"}, "pooled_path=both .* pooled_path=image"),
        ({"image_power": 0.5}, "image_power=0.5 .* region_norm=standard"),
        ({"consensus": False, "instance_loss": 0}, "every term .* weight 0"),
        ({"pooling": "max"}, "one of: gated, gpo, mean"),
        ({"balance": "dynamic"}, "one of: static, value, uncertainty, dwa"),
        ({"text": "bert"}, "one of: words, encoder"),
        ({"heads": 0}, "out of bounds"),
        ({"concpets": 3}, "Did you mean 'concepts'"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_a_way_on(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        preset(None, **changes)


def test_without_attention_any_width_will_do() -> None:
    assert preset(attention=False, width=100).inner_width == 100
