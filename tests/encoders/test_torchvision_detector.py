"""Faster R-CNN: which regions are kept, what their vectors are, and that a picture's are its own."""

import pytest
import torch
from torch.nn import functional
from torchvision.models.detection.image_list import ImageList

from mmx.core.errors import UsageError
from mmx.encoders import torchvision_detector
from mmx.encoders.batch_norm import freeze
from mmx.encoders.fingerprint import fingerprint
from mmx.encoders.load import load_encoder
from mmx.encoders.names import check_trainable, is_detector
from mmx.encoders.torchvision_detector import (
    LEAST_SCORE,
    REGIONS,
    RegionTower,
    best_regions,
    load_detector,
)

NAME = "random:faster-rcnn"
SIZES = [(40, 60), (60, 40), (64, 64), (40, 60), (200, 40), (9, 120), (41, 59)]


@pytest.fixture(scope="module")
def tower() -> RegionTower:
    return load_encoder(NAME, "image")


@pytest.fixture(autouse=True)
def no_gradients() -> object:
    with torch.inference_mode():
        yield


def blots(sizes: list[tuple[int, int]]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    coarse = [torch.rand(1, 3, 5, 5, generator=generator) * 255 for _ in sizes]
    return [
        functional.interpolate(colours, size=size, mode="bilinear")[0].to(torch.uint8)
        for colours, size in zip(coarse, sizes, strict=True)
    ]


def test_each_class_drops_its_overlaps_and_a_proposal_counts_once_by_its_highest_score() -> None:
    """Boxes 0 and 1 overlap by 0.8, box 2 lies apart. Class 1 keeps 1 and 2, class 2 keeps 0 and 2."""
    boxes = torch.tensor([[0.0, 0, 10, 8], [0, 0, 10, 10], [20, 20, 30, 30]])
    chances = torch.tensor([[0.1, 0.6, 0.3], [0.1, 0.7, 0.2], [0.85, 0.05, 0.1]])

    rows, scores = best_regions(boxes, chances)

    assert rows.tolist() == [1, 0, 2]
    torch.testing.assert_close(scores, torch.tensor([0.7, 0.3, 0.1]))


def test_a_proposal_that_every_class_drops_is_no_region() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 8], [0, 0, 10, 10], [20, 20, 30, 30]])
    chances = torch.tensor([[0.4, 0.5, 0.1], [0.1, 0.7, 0.2], [1 - LEAST_SCORE, LEAST_SCORE / 2, 0]])

    rows, scores = best_regions(boxes, chances)

    assert rows.tolist() == [1]
    assert scores.tolist() == pytest.approx([0.7])


def test_regions_come_by_falling_score_in_boxes_inside_the_picture(tower: RegionTower) -> None:
    read = tower(blots(SIZES))

    assert tuple(read) == tower.fields
    assert read["region_features"].shape == (len(SIZES), REGIONS, tower.width)
    boxes, scores = read["region_boxes"], read["region_scores"]
    assert bool((scores.diff(dim=1) <= 0).all()) and bool((scores > 0).all())
    assert bool(((boxes >= 0) & (boxes <= 1)).all())
    assert bool((boxes[..., :2] < boxes[..., 2:]).all())


@pytest.mark.parametrize("at_once", [None, 3])
def test_pictures_of_different_sizes_are_read_as_if_alone(at_once: int | None) -> None:
    tower, pictures = load_encoder(NAME, "image"), blots(SIZES)
    tower.at_once = at_once

    together = tower(pictures)

    tower.at_once = None
    for place, picture in enumerate(pictures):
        for field, values in tower([picture]).items():
            torch.testing.assert_close(together[field][place], values[0], atol=1e-5, rtol=1e-4)


def test_a_vector_is_what_the_head_says_of_its_box(tower: RegionTower) -> None:
    picture = blots([(40, 60)])[0]
    read = tower([picture])
    images, _ = tower.network.transform([picture / 255])
    height, width = images.image_sizes[0]
    boxes = read["region_boxes"][0] * torch.tensor([width, height, width, height])

    heads = tower.network.roi_heads
    pooled = heads.box_roi_pool(tower.network.backbone(images.tensors), [boxes], images.image_sizes)

    torch.testing.assert_close(heads.box_head(pooled), read["region_features"][0], atol=1e-4, rtol=1e-3)


def test_places_without_a_region_are_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    tower = load_encoder(NAME, "image")
    find = tower.network.rpn.forward

    def few(images: ImageList, maps: dict) -> tuple:
        proposals, losses = find(images, maps)
        return [boxes[:5] for boxes in proposals], losses

    monkeypatch.setattr(tower.network.rpn, "forward", few)
    read = tower(blots(SIZES[:2]))

    there = read["region_scores"] > 0
    assert 1 <= int(there.sum(dim=1).min()) <= int(there.sum(dim=1).max()) <= 5
    for field in ("region_features", "region_boxes"):
        assert bool((read[field][~there] == 0).all())
        assert bool(read[field][there].any(dim=-1).all())


@pytest.mark.parametrize("proposals", [0, 4])
def test_where_nothing_is_found_the_whole_picture_is_the_region(
    proposals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proposal at all, or proposals that are all background."""
    tower = load_encoder(NAME, "image")
    boxes = torch.tensor([[1.0, 1, 20, 20]]).repeat(proposals, 1)
    monkeypatch.setattr(
        tower.network.rpn, "forward", lambda images, maps: ([boxes] * len(images.tensors), {})
    )
    tower.network.roi_heads.box_predictor.cls_score.bias.copy_(torch.tensor([50.0] + [0] * 8))

    read = tower(blots(SIZES[:2]))

    assert read["region_boxes"][:, 0].tolist() == [[0, 0, 1, 1]] * 2
    assert read["region_scores"].count_nonzero(dim=1).tolist() == [1, 1]
    assert float(read["region_scores"].half().amax()) > 0
    assert not torch.equal(read["region_features"][0, 0], read["region_features"][1, 0])


def test_the_regions_of_a_plain_picture_tell_its_colour(tower: RegionTower) -> None:
    """A linear map from the mean of the vectors recovers the colours of plain pictures."""
    colours = torch.rand(100, 3, generator=torch.Generator().manual_seed(0))
    pictures = list((colours * 255).to(torch.uint8)[:, :, None, None].expand(-1, -1, 32, 32).contiguous())

    means = tower(pictures)["region_features"].mean(dim=1)
    design = torch.cat([means, torch.ones(100, 1)], dim=1)
    seen, unseen = design[:75], design[75:]
    fit = torch.linalg.solve(seen.T @ seen + 0.1 * torch.eye(65), seen.T @ colours[:75])

    assert (unseen @ fit - colours[75:]).pow(2).mean() < 0.2 * colours.var()


def test_folding_batch_norm_finds_the_same_regions(tower: RegionTower) -> None:
    frozen, pictures = freeze(load_encoder(NAME, "image")), blots(SIZES[:1])

    before, after = tower(pictures), frozen(pictures)

    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in frozen.modules())
    assert frozen.fingerprint == tower.fingerprint
    torch.testing.assert_close(after["region_scores"], before["region_scores"], atol=1e-3, rtol=0)


def test_the_fingerprint_follows_weights_and_choice_of_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = load_encoder(NAME, "image"), load_encoder(NAME, "image")
    other.network.roi_heads.box_predictor.cls_score.bias.add_(1)

    assert RegionTower(NAME, one.network).fingerprint == one.fingerprint
    assert RegionTower(NAME, other.network).fingerprint != one.fingerprint
    assert fingerprint("", one.network) != one.fingerprint
    monkeypatch.setattr(torchvision_detector, "OVERLAP", 0.5)
    assert RegionTower(NAME, one.network).fingerprint != one.fingerprint


@pytest.mark.parametrize(
    ("kind", "sides", "epsilons"),
    [
        ("fasterrcnn_mobilenet_v3_large_320_fpn", (320, 640), {1e-5}),
        ("fasterrcnn_resnet50_fpn", (800, 1333), {0.0}),
    ],
)
def test_a_published_detector_has_the_width_of_its_head_and_the_norms_it_was_published_with(
    kind: str, sides: tuple[int, int], epsilons: set[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(torchvision_detector, "load_published", lambda *about: asked.append(about[:2]))

    tower = load_detector(f"torchvision:{kind}", kind)

    assert asked == [(f"torchvision:{kind}", kind)]
    assert (tower.width, tower.embedding_width) == (1024, None)
    assert (tower.view.height, tower.view.width, tower.view.fit) == (*sides, "within")
    assert tower.network.rpn.post_nms_top_n() == torchvision_detector.PROPOSALS
    norms = [module for module in tower.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == epsilons


def test_a_detector_is_known_by_its_name_and_is_not_trained() -> None:
    for name in ("faster-rcnn", "Faster_RCNN", "torchvision:fasterrcnn_resnet50_fpn", NAME):
        assert is_detector(name)
        with pytest.raises(UsageError, match=rf"'{name}' finds regions and cannot be trained along\. Read"):
            check_trainable(name, "image")
    for name in ("resnet50", "import:butd", "random:resnet"):
        check_trainable(name, "image")
    check_trainable("minilm", "text")


def test_a_wrong_detector_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="Did you mean 'fasterrcnn-resnet50-fpn-v2'"):
        load_encoder("torchvision:fasterrcnn_resnet50_fpn_v3", "image")
    with pytest.raises(UsageError, match="fasterrcnn_resnet50_fpn_v2"):
        load_encoder("torchvision:maskrcnn_resnet50_fpn", "image")
    with pytest.raises(UsageError, match="'faster-rcnn' reads no texts"):
        load_encoder("faster-rcnn", "text")
