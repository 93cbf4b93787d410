"""Faster R-CNN of torchvision: the best regions of a picture, each as the vector of the detector's box head.

Which regions are kept, and what their vectors are, follows bottom-up attention (arXiv 1707.07998): of 300
proposals those that stay for some class when each class drops overlaps above 0.3, by their highest score, 36
of them whatever that score is. So a proposal counts once however many classes like it, its vector is what the
head says of exactly its box, and a photo without an object of the detector's classes still fills 36 places.

Source: arXiv 1506.01497 and 2111.11429 for the network; the choice of regions as above.
Shapes: B pictures, N proposals, R regions, C classes with the background first, F width of the box head.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import Conv2dNormActivation, MultiScaleRoIAlign, batched_nms

from mmx.core.seed import derive_seed
from mmx.core.view import View
from mmx.encoders.batch_norm import settle_batch_norm
from mmx.encoders.fingerprint import fingerprint
from mmx.encoders.torchvision_weights import DETECTORS, load_published, unknown_kind

REGIONS = 36
PROPOSALS = 300
OVERLAP = 0.3
LEAST_SCORE = 1e-3
"""Classes less likely than this are not looked at; also the score of a picture that stands in for regions."""
AT_ONCE = 8
"""Pictures of one size that an accelerator reads together; a processor is no faster so, and needs twice the
memory."""
NO_EPSILON = ("fasterrcnn_resnet50_fpn",)
"""Published for norms that add nothing to the variance."""


class RegionTower(nn.Module):
    """A pretrained detector; fulfils `core.encoder.ImageEncoder`."""

    modality = "image"
    embedding_width = None
    fields = ("region_features", "region_boxes", "region_scores")

    def __init__(self, name: str, network: FasterRCNN) -> None:
        super().__init__()
        self.name, self.network = name, network
        self.width = network.roi_heads.box_predictor.cls_score.in_features
        self.view = View(network.transform.min_size[-1], network.transform.max_size, "within", "bilinear")
        self.at_once: int | None = None
        """Pictures of one size read together; None: one on a processor, `AT_ONCE` elsewhere."""
        choice = f"{REGIONS} {PROPOSALS} {OVERLAP} {LEAST_SCORE}"
        self.fingerprint = fingerprint(f"{type(network).__name__} regions {self.view} {choice}", network)
        self.eval()

    def forward(self, pixels: Tensor | Sequence[Tensor]) -> dict[str, Tensor]:
        """B pictures [3, height, width] uint8 -> region_features [B, R, F], region_boxes [B, R, 4] as
        fractions x1 y1 x2 y2 of the picture, region_scores [B, R] falling; zeros where there are fewer.
        """
        alone = [self.network.transform([picture / 255])[0] for picture in pixels]
        read: list[tuple[Tensor, ...]] = [()] * len(alone)
        for places in self._alike(alone):
            sizes = [alone[place].image_sizes[0] for place in places]
            images = ImageList(torch.cat([alone[place].tensors for place in places]), sizes)
            for place, found in zip(places, self._find(images), strict=True):
                read[place] = found
        columns = zip(*read, strict=True)
        return {field: torch.stack(values) for field, values in zip(self.fields, columns, strict=True)}

    def _alike(self, alone: Sequence[ImageList]) -> Iterator[list[int]]:
        """Places of pictures of one padded size: a picture padded to another's size is read differently."""
        at_once = self.at_once or (AT_ONCE if alone[0].tensors.is_cuda else 1)
        groups: dict[torch.Size, list[int]] = {}
        for place, images in enumerate(alone):
            groups.setdefault(images.tensors.shape, []).append(place)
        for group in groups.values():
            yield from (group[begin : begin + at_once] for begin in range(0, len(group), at_once))

    def _find(self, images: ImageList) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The vectors [R, F], boxes [R, 4] and scores [R] of each picture."""
        maps = self.network.backbone(images.tensors)
        proposals, _ = self.network.rpn(images, maps)
        padded = tuple(images.tensors.shape[-2:])
        vectors = self._vectors(maps, proposals, padded)
        likely = self.network.roi_heads.box_predictor(vectors)[0].softmax(dim=-1)
        counts = [len(boxes) for boxes in proposals]
        parts = zip(proposals, vectors.split(counts), likely.split(counts), images.image_sizes, strict=True)
        for place, (boxes, own, chances, (height, width)) in enumerate(parts):
            rows, scores = best_regions(boxes, chances)
            boxes, own = boxes[rows], own[rows]
            if not len(rows):  # the whole picture, so that nothing is ever without a region
                boxes, scores = boxes.new_tensor([[0, 0, width, height]]), scores.new_tensor([LEAST_SCORE])
                alone = {name: one[place : place + 1] for name, one in maps.items()}
                own = self._vectors(alone, [boxes], padded)
            fractions = (boxes / boxes.new_tensor([width, height, width, height])).clamp(0, 1)
            yield tuple(_padded(values) for values in (own, fractions, scores))

    def _vectors(self, maps: dict[str, Tensor], boxes: list[Tensor], padded: tuple[int, int]) -> Tensor:
        """The boxes of every picture, one after the other -> [N, F]."""
        heads = self.network.roi_heads
        # The pooling guesses the strides of the maps from the sizes of the first pictures it meets and keeps
        # them: only sizes with the padding give the strides that are, whichever picture comes first.
        return heads.box_head(heads.box_roi_pool(maps, boxes, [padded] * len(boxes)))


def best_regions(boxes: Tensor, chances: Tensor) -> tuple[Tensor, Tensor]:
    """[N, 4] boxes of a picture, [N, C] how likely each class is -> rows [R] and scores [R], best first."""
    rows, classes = (chances[:, 1:] > LEAST_SCORE).nonzero(as_tuple=True)
    scores = chances[rows, classes + 1]
    kept = batched_nms(boxes[rows], scores, classes, OVERLAP)
    best = chances.new_zeros(len(boxes)).scatter_reduce(0, rows[kept], scores[kept], "amax")
    highest, order = best.sort(descending=True, stable=True)
    count = min(REGIONS, int((highest > 0).sum()))
    return order[:count], highest[:count]


def _padded(values: Tensor) -> Tensor:
    """[n, ...] -> [R, ...], zeros at the end."""
    return torch.cat([values, values.new_zeros(REGIONS - len(values), *values.shape[1:])])


def load_detector(name: str, kind: str) -> RegionTower:
    """A Faster R-CNN of torchvision with its newest COCO weights: F = 1024.

    Raises:
        UsageError: for a network that torchvision has not, or that is no Faster R-CNN.
        ArtifactError: when the weights are not in the cache and cannot be fetched.
    """
    if kind not in DETECTORS:
        raise unknown_kind(kind)
    network = torchvision.models.get_model(
        kind, weights=None, weights_backbone=None, rpn_post_nms_top_n_test=PROPOSALS
    )
    load_published(name, kind, network)
    if kind in NO_EPSILON:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0
    return RegionTower(name, network)


def random_detector() -> RegionTower:
    """A tiny Faster R-CNN with drawn weights; its untrained proposals are its anchors."""
    name = "random:faster-rcnn"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(name))
        network = _tiny_network()
    settle_batch_norm(network.backbone, network.backbone)
    return RegionTower(name, network.eval())


def _tiny_network() -> FasterRCNN:
    """Three strided convolutions, a pyramid over the last two, and a head of F = 64."""
    widths, channels, cells, width = (16, 32, 48), 32, 3, 64
    steps = [
        Conv2dNormActivation(before, after, stride=2)
        for before, after in zip((3, *widths), widths, strict=False)
    ]
    body = nn.Sequential(OrderedDict((str(number), step) for number, step in enumerate(steps)))
    backbone = BackboneWithFPN(body, {"1": "0", "2": "1"}, list(widths[1:]), channels)
    head = TwoMLPHead(channels * cells**2, width)
    for layer in (head.fc6, head.fc7):  # so that vectors keep the scale of the maps
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    return FasterRCNN(
        backbone,
        min_size=64,
        max_size=128,
        rpn_anchor_generator=AnchorGenerator(((12,), (24,), (48,)), ((0.5, 1.0, 2.0),) * 3),
        rpn_post_nms_top_n_test=PROPOSALS,
        box_roi_pool=MultiScaleRoIAlign(["0", "1"], cells, 2),
        box_head=head,
        box_predictor=FastRCNNPredictor(width, 9),
    )
