"""Settings of region-align: what they make of stages and towers, and which contradict each other."""

import pytest

from mmx.core.errors import UsageError
from mmx.core.tower import Lora
from tests.methods.region_align.test_region_align_model import METHOD, settings
from tests.methods.test_contract import settings_of

SHARED = {"train_image": True, "train_text": True, "projection": "none"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"projection": "none"}, "projection=none reads the embeddings of encoders that share a space"),
        ({"projection": "none", "train_image": True}, "Set train_image=true and train_text=true"),
        ({"mirror": True}, "mirror=true needs pixels"),
        ({"augment": "crop-flip"}, "augment=crop-flip needs pixels"),
        ({"lora_rank": 8}, "lora_rank and wise_share are about encoders that are tuned"),
        ({"wise_share": 0.5}, "lora_rank and wise_share are about encoders that are tuned"),
        ({**SHARED, "lora_rank": 8, "wise_share": 0.5}, "pulls back weights that LoRA never moves"),
        ({"fine": "colbert"}, "It is one of: attention, maxsim, gather"),
        ({"members": 2}, "members=2 is about fine=gather, and this is fine=attention. Set fine=gather."),
        ({"fine": "maxsim", "region_window": 3}, "region_window=3 is about fine=gather"),
        (
            {"fine": "gather", "regions": "faster-rcnn", "region_window": 3},
            "region_window=3 is about patches of a grid, and 'faster-rcnn' gives regions",
        ),
        ({"sum_loss": 0}, "sum_loss=0 and fine_loss=0 leave the alignment nothing to learn from"),
        ({"wise_share": 1.5}, r"out of bounds. It must lie in \[0, 1\]"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        settings(**changes)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ["heads", "regions"]),
        ({"train_image": True}, ["heads", "joint", "regions"]),
        (SHARED, ["joint", "regions"]),
        ({"fine": "maxsim"}, ["heads"]),
        ({"fine": "maxsim", "regions": "faster-rcnn"}, ["heads", "regions"]),
        ({"fine": "gather"}, ["heads", "regions"]),
    ],
)
def test_there_is_a_stage_for_whatever_has_something_to_learn(
    changes: dict[str, object], names: list[str]
) -> None:
    assert [stage.name for stage in METHOD.stages(settings(**changes))] == names


def test_the_paper_trains_clip_then_the_alignment_at_the_rates_of_the_seed() -> None:
    chosen = settings_of(METHOD, "paper")
    joint, regions = METHOD.stages(chosen)

    assert [(group.lr, group.weight_decay) for group in joint.groups] == [(1e-5, 1e-4)] * 2
    assert (joint.epochs, joint.batch_size, joint.captions_per_image) == (12, 64, 1)
    assert (regions.groups[0].lr, regions.epochs, regions.clip_norm) == (1e-4, 10, 1.0)
    assert regions.groups[0].prefixes == ("alignment", "region_map")
    assert (chosen.start_temperature, chosen.fine_weight) == (0.07, 1.0)


def test_regions_of_another_encoder_are_a_third_frozen_tower_with_places() -> None:
    uses = METHOD.towers(settings(train_image=True, regions="faster-rcnn"))

    assert uses["regions"].encoder == "faster-rcnn" and not uses["regions"].trainable
    assert uses["regions"].features == ("region_features", "region_boxes")
    assert uses["image"].features == ("image_features",)
    assert "regions" not in METHOD.towers(settings())


def test_lora_is_asked_for_of_trained_towers_only() -> None:
    uses = METHOD.towers(settings(train_text=True, lora_rank=4, lora_alpha=8))

    assert (uses["image"].lora, uses["text"].lora) == (None, Lora(4, 8.0, 0.0))


def test_the_temperature_starts_where_its_loss_is_used_to() -> None:
    assert settings().start_temperature == 0.07
    assert settings(loss="sigmoid").start_temperature == 0.1
    assert settings(loss="sigmoid", temperature=0.5).start_temperature == 0.5
