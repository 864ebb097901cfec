"""Mask R-CNN of Detectron2's model zoo configuration: used where Detectron2 is installed.

Detectron2 wants BGR pictures and 0-based classes; both are turned here and nowhere else.
"""

from typing import ClassVar

import torch
from detectron2 import model_zoo
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor, nn

from backend.detectors.detector_settings import MASK_SIDE, DetectorSettings
from backend.detectors.interface import ClassRows, Detections, Detector, Target

NAMES = {
    "loss_cls": "loss_class",
    "loss_box_reg": "loss_box",
    "loss_mask": "loss_mask",
    "loss_rpn_cls": "loss_objectness",
    "loss_rpn_loc": "loss_proposal_box",
}
NORMS = {"frozen": "FrozenBN", "batch": "BN", "group": "GN"}


def build(settings: DetectorSettings) -> "Detectron2Detector":
    """Return a detector with random weights on the CPU."""
    return Detectron2Detector(settings, build_model(configuration(settings)))


def configuration(settings: DetectorSettings) -> CfgNode:
    """Return the model zoo's configuration with our settings put in."""
    config = model_zoo.get_config(f"COCO-InstanceSegmentation/{settings.backbone}.yaml")
    model = config.MODEL
    model.DEVICE = "cpu"
    model.WEIGHTS = ""
    model.RESNETS.NORM = NORMS[settings.norm]
    model.RESNETS.STRIDE_IN_1X1 = settings.stride_in_1x1
    model.BACKBONE.FREEZE_AT = settings.frozen_stages
    model.ANCHOR_GENERATOR.SIZES = [[size] for size in settings.anchor_sizes_px]
    model.RPN.PRE_NMS_TOPK_TRAIN = model.RPN.POST_NMS_TOPK_TRAIN = settings.proposals_in_training
    model.RPN.PRE_NMS_TOPK_TEST = settings.proposals_before_nms
    model.RPN.POST_NMS_TOPK_TEST = settings.proposals
    model.RPN.NMS_THRESH = settings.proposal_nms_iou
    model.RPN.CONV_DIMS = [-1]
    model.FPN.OUT_CHANNELS = model.ROI_MASK_HEAD.CONV_DIM = settings.channels
    model.ROI_BOX_HEAD.FC_DIM = 4 * settings.channels
    model.ROI_HEADS.BATCH_SIZE_PER_IMAGE = settings.rois_in_training
    model.ROI_HEADS.NUM_CLASSES = settings.n_classes
    model.ROI_HEADS.NMS_THRESH_TEST = settings.nms_iou
    model.ROI_HEADS.SCORE_THRESH_TEST = settings.score_threshold
    model.ROI_MASK_HEAD.POOLER_RESOLUTION = MASK_SIDE // 2
    config.TEST.DETECTIONS_PER_IMAGE = settings.detections_per_image
    return config


class Detectron2Detector(Detector):
    """See `Detector`."""

    class_rows: ClassVar = {
        "roi_heads.box_predictor.cls_score.": ClassRows(1, "last"),
        "roi_heads.box_predictor.bbox_pred.": ClassRows(4, "none"),
        "roi_heads.mask_head.predictor.": ClassRows(1, "none"),
    }

    def activations(self) -> dict[str, list[nn.Module]]:
        """See `Detector.activations`: res2 to res5."""
        body = self.network.backbone.bottom_up
        return {name: list(getattr(body, name)) for name in ("res2", "res3", "res4", "res5")}

    def _features(self, pictures: Tensor) -> dict[str, Tensor]:
        return self.network.backbone(pictures.flip(1))

    def _detect(self, features: dict[str, Tensor], pictures: Tensor, sizes: list[tuple[int, int]]) -> Detections:
        images = _images(pictures, sizes)
        proposals, _ = self.network.proposal_generator(images, features, None)
        instances, _ = self.network.roi_heads(images, features, proposals, None)
        counts = torch.tensor([len(one) for one in instances])
        return Detections(
            torch.repeat_interleave(torch.arange(len(instances)), counts).to(self.device),
            torch.cat([one.pred_classes for one in instances]) + 1,
            torch.cat([one.scores for one in instances]).float(),
            torch.cat([one.pred_boxes.tensor for one in instances]).float(),
            torch.cat([one.pred_masks[:, 0] for one in instances]).float(),
        )

    def _losses(
        self, features: dict[str, Tensor], pictures: Tensor, sizes: list[tuple[int, int]], targets: list[Target]
    ) -> dict[str, Tensor]:
        network = self.network
        truth = [_instances(size, target) for size, target in zip(sizes, targets, strict=True)]
        parts = (network.proposal_generator, network.roi_heads, network.roi_heads.mask_head)
        for part in parts:
            part.training = True  # this module alone: normalisation layers below it keep their mode
        try:
            images = _images(pictures, sizes)
            with EventStorage():
                proposals, first = network.proposal_generator(images, features, truth)
                _, second = network.roi_heads(images, features, proposals, truth)
        finally:
            for part in parts:
                part.training = network.training
        return {NAMES[name]: loss for name, loss in {**first, **second}.items()}


def _images(pictures: Tensor, sizes: list[tuple[int, int]]) -> ImageList:
    return ImageList(pictures, [(height, width) for width, height in sizes])


def _instances(size: tuple[int, int], target: Target) -> Instances:
    width, height = size
    return Instances(
        (height, width),
        gt_boxes=Boxes(target.boxes),
        gt_classes=target.class_ids - 1,
        gt_masks=BitMasks(target.masks.bool()),
    )
