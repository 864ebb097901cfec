"""Mask R-CNN from torchvision: the default engine, because it installs from the package index."""

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large, resnet
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.misc import FrozenBatchNorm2d

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.interface import ClassRows, Detections, Detector, Target

MOBILENET_LEVELS = (2, 4, 7, 16)  # blocks whose outputs have strides 4, 8, 16 and 32, as the stages of a ResNet
BOX_SIDE = 7  # cells of a box that the box head looks at
NAMES = {
    "loss_classifier": "loss_class",
    "loss_box_reg": "loss_box",
    "loss_mask": "loss_mask",
    "loss_objectness": "loss_objectness",
    "loss_rpn_box_reg": "loss_proposal_box",
}


def build(settings: DetectorSettings) -> "TorchvisionDetector":
    """Return a detector with random weights on the CPU, with the same parameter names as torchvision's own models."""
    norm = _norm_layer(settings)
    second = settings.backbone == "resnet50_v2"
    backbone = _backbone(settings, norm)
    channels = settings.channels
    layers, representation = [channels] * 4, 4 * channels
    heads = {
        "mask_head": MaskRCNNHeads(channels, layers, 1),
        "mask_predictor": MaskRCNNPredictor(channels, channels, settings.n_classes + 1),
        "box_head": TwoMLPHead(channels * BOX_SIDE**2, representation),
        "box_predictor": FastRCNNPredictor(representation, settings.n_classes + 1),
    }
    if second:
        heads["rpn_head"] = RPNHead(channels, 3, conv_depth=2)
        heads["box_head"] = FastRCNNConvFCHead((channels, BOX_SIDE, BOX_SIDE), layers, [representation], norm)
        heads["mask_head"] = MaskRCNNHeads(channels, layers, 1, norm_layer=norm)
    network = MaskRCNN(
        backbone,
        rpn_anchor_generator=_Anchors(tuple((size,) for size in settings.anchor_sizes_px), ((0.5, 1.0, 2.0),) * 5),
        rpn_pre_nms_top_n_train=settings.proposals_in_training,
        rpn_post_nms_top_n_train=settings.proposals_in_training,
        rpn_pre_nms_top_n_test=settings.proposals_before_nms,
        rpn_post_nms_top_n_test=settings.proposals,
        rpn_nms_thresh=settings.proposal_nms_iou,
        box_score_thresh=settings.score_threshold,
        box_nms_thresh=settings.nms_iou,
        box_batch_size_per_image=settings.rois_in_training,
        box_detections_per_img=settings.detections_per_image,
        **heads,
    )
    for head in (network.rpn.head, network.roi_heads.box_predictor, network.roi_heads.mask_predictor):
        head.register_forward_hook(_as_float)
    return TorchvisionDetector(settings, network)


class TorchvisionDetector(Detector):
    """See `Detector`. Resizing and pasting, which torchvision's model would do itself, are left out."""

    class_rows: ClassVar = {
        "roi_heads.box_predictor.cls_score.": ClassRows(1, "first"),
        "roi_heads.box_predictor.bbox_pred.": ClassRows(4, "first"),
        "roi_heads.mask_predictor.mask_fcn_logits.": ClassRows(1, "first"),
    }

    def activations(self) -> dict[str, list[nn.Module]]:
        """See `Detector.activations`: layer1 to layer4 of a ResNet, the four levels of a MobileNet."""
        body = self.network.backbone.body
        stages: dict[str, list[nn.Module]] = {}
        waiting: list[nn.Module] = []
        for name, block in body.items():
            waiting += [module for module in block.modules() if isinstance(module, nn.ReLU | nn.Hardswish)]
            if name in body.return_layers:
                stages[name], waiting = waiting, []
        return stages

    def _features(self, pictures: Tensor) -> dict[str, Tensor]:
        return self.network.backbone(pictures)

    def _detect(self, features: dict[str, Tensor], pictures: Tensor, sizes: list[tuple[int, int]]) -> Detections:
        network = self.network
        shapes = [(height, width) for width, height in sizes]
        proposals, _ = network.rpn(ImageList(pictures, shapes), features)
        outputs, _ = network.roi_heads(features, proposals, shapes)
        counts = torch.tensor([len(one["scores"]) for one in outputs])
        return Detections(
            torch.repeat_interleave(torch.arange(len(outputs)), counts).to(self.device),
            torch.cat([one["labels"] for one in outputs]),
            torch.cat([one["scores"] for one in outputs]).float(),
            torch.cat([one["boxes"] for one in outputs]).float(),
            torch.cat([one["masks"][:, 0] for one in outputs]).float(),
        )

    def _losses(
        self, features: dict[str, Tensor], pictures: Tensor, sizes: list[tuple[int, int]], targets: list[Target]
    ) -> dict[str, Tensor]:
        network = self.network
        shapes = [(height, width) for width, height in sizes]
        truth = [{"boxes": target.boxes, "labels": target.class_ids, "masks": target.masks} for target in targets]
        parts = (network.rpn, network.roi_heads)
        for part in parts:
            part.training = True  # this module alone: normalisation layers below it keep their mode
        try:
            proposals, first = network.rpn(ImageList(pictures, shapes), features, truth)
            _, second = network.roi_heads(features, proposals, shapes, truth)
        finally:
            for part in parts:
                part.training = network.training
        return {NAMES[name]: loss for name, loss in {**first, **second}.items()}


class _Anchors(AnchorGenerator):
    """Anchors in float32 whatever the features are: in bf16 a corner at 1,300 px would be off by up to 4 px."""

    def set_cell_anchors(self, dtype: torch.dtype, device: torch.device) -> None:
        super().set_cell_anchors(torch.float32, device)


def _as_float(module: nn.Module, inputs: tuple, output: Tensor | list | tuple) -> Tensor | list | tuple:
    """Turn a head's half-precision output into float32: boxes are decoded in the format of their offsets."""
    if isinstance(output, Tensor):
        return output.float()
    return type(output)(_as_float(module, inputs, part) for part in output)


def _backbone(settings: DetectorSettings, norm: Callable[[int], nn.Module]) -> BackboneWithFPN:
    """Return a pyramid with four levels, at strides 4, 8, 16 and 32, and a fifth for the largest anchors."""
    if settings.backbone == "mobilenet_v3_large":
        body = mobilenet_v3_large(norm_layer=norm).features
        levels = {str(number): str(level) for level, number in enumerate(MOBILENET_LEVELS)}
        widths = [body[number].out_channels for number in MOBILENET_LEVELS]
        stages = [
            body[:2],
            *(body[a + 1 : b + 1] for a, b in zip((1, *MOBILENET_LEVELS), MOBILENET_LEVELS, strict=False)),
        ]
    else:
        body = getattr(resnet, settings.backbone.removesuffix("_v2"))(norm_layer=norm)
        levels = {f"layer{number}": str(number - 1) for number in range(1, 5)}
        widths = [body.inplanes // 2**down for down in (3, 2, 1, 0)]
        stages = [nn.ModuleList([body.conv1, body.bn1]), body.layer1, body.layer2, body.layer3, body.layer4]
    for stage in stages[: settings.frozen_stages]:
        stage.requires_grad_(False)
    pyramid_norm = norm if settings.backbone.endswith("_v2") else None
    return BackboneWithFPN(body, levels, widths, settings.channels, LastLevelMaxPool(), pyramid_norm)


def _norm_layer(settings: DetectorSettings) -> Callable[[int], nn.Module]:
    eps = settings.norm_eps
    if settings.norm == "frozen":
        return lambda channels: FrozenBatchNorm2d(channels, eps)
    if settings.norm == "group":
        return lambda channels: nn.GroupNorm(math.gcd(32, channels), channels, eps)
    return lambda channels: nn.BatchNorm2d(channels, eps)
