"""Settings and stages of attention-clip: the seed's table, and settings that contradict each other."""

import pytest

from mmx.core.discover import find_method
from mmx.core.errors import UsageError
from mmx.core.settings import resolve
from mmx.methods.attention_clip.settings import AttentionClipSettings

METHOD = find_method("attention-clip")


def preset(name: str, **changes: object) -> AttentionClipSettings:
    """A preset with changes laid over it."""
    return resolve(AttentionClipSettings, [(name, METHOD.presets[name]), ("test", changes)], "")[0]


def test_the_paper_preset_is_table_1_of_the_seed() -> None:
    settings = preset("paper")
    (stage,) = METHOD.stages(settings)

    assert {group.name: group.lr for group in stage.groups} == {
        "layers": 1e-3,
        "image_tower": 1e-4,
        "text_tower": 1e-5,
    }
    assert {group.weight_decay for group in stage.groups} == {1e-3}
    assert (stage.batch_size, stage.epochs, stage.captions_per_image) == (64, 2, 1)
    assert (stage.schedule.kind, stage.schedule.patience, stage.schedule.factor) == ("plateau", 1, 0.8)
    assert (stage.clip_norm, stage.average, stage.schedule.warmup) == (None, 0.0, 0.0)
    assert (settings.width, settings.dropout, settings.temperature, settings.max_tokens) == (
        256,
        0.1,
        1.0,
        200,
    )
    assert (settings.loss, settings.learn_temperature) == ("faithful", False)


def test_a_gradient_cannot_be_clipped_to_nothing() -> None:
    with pytest.raises(UsageError, match=r"clip_norm=0\.0 is out of bounds"):
        preset("paper", clip_norm=0)


def test_encoders_join_after_the_new_layers_when_asked_to() -> None:
    first, second = METHOD.stages(preset("offline-tuned", train_text=True, head_epochs=3))

    assert (first.name, first.epochs) == ("heads", 3)
    assert {prefix for group in first.groups for prefix in group.prefixes}.isdisjoint(
        {"image_tower", "text_tower"}
    )
    assert {prefix for group in second.groups for prefix in group.prefixes} >= {"image_tower", "text_tower"}


def test_new_layers_may_slow_down_when_the_encoders_join() -> None:
    first, second = METHOD.stages(preset("offline-tuned", head_epochs=3, lr=1e-3, joint_lr=3e-4))

    assert (first.groups[0].lr, second.groups[0].lr) == (1e-3, 3e-4)


def test_depth_and_decay_of_the_encoders_reach_their_groups() -> None:
    settings = preset("offline-tuned", train_text=True, image_blocks=3, text_blocks=2, layer_decay=0.7)
    groups = {group.name: group for group in METHOD.stages(settings)[-1].groups}

    assert (groups["image_tower"].last_blocks, groups["image_tower"].layer_decay) == (3, 0.7)
    assert groups["text_tower"].last_blocks == 2
    assert groups["layers"].last_blocks is None


def test_the_temperature_is_trained_only_where_it_is_learned() -> None:
    for learned in (True, False):
        (stage,) = METHOD.stages(AttentionClipSettings(learn_temperature=learned))
        assert ("log_scale" in stage.groups[0].prefixes) == learned


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"attention_width": 10, "heads": 4}, "attention_width=10 .* heads=4"),
        ({"loss": "faithful", "captions_per_image": 5}, "captions_per_image=1"),
        ({"loss": "faithful"}, "captions_per_image=1"),
        ({"augment": "crop-flip"}, "train_image=true"),
        ({"standardize": False}, "image_power=1"),
        ({"attention": "corss"}, "one of: none, self, sparse, cross, cross_leaky"),
        ({"attention": "sparse"}, "layers=1 is attention=self"),
        ({"attention": "cross", "members": 2}, "members is 2"),
        ({"attention": "cross_leaky"}, "captions_per_image=1"),
        ({"projection": "none"}, "train_image=true and train_text=true"),
        ({"image_size": "384x128"}, "train_image=true"),
        ({"image_size": "384", "train_image": True}, "such as 384x128"),
        ({"image_size": "4096x128", "train_image": True}, "from 16 to 2048"),
        ({"augment": "person"}, "augment=person needs pixels"),
        ({"masked_words": 1}, "train_text=true, members=1"),
        ({"dropout": 1.5}, "out of bounds"),
        ({"hedas": 4}, "Did you mean 'heads'"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_a_way_on(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve(AttentionClipSettings, [("--set", changes)], "mmx train attention-clip --settings")


def test_a_mirror_needs_pixels() -> None:
    with pytest.raises(UsageError, match="mirror=true needs pixels"):
        preset("offline", mirror=True)
