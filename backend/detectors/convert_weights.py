"""Convert weights of other programs: torchvision's ``.pth`` or ``.safetensors``, ``.pkl`` of Detectron2's model zoo.

None of them says which network it is; that is recognised from the names and shapes of the parameters.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.detectron2_pickle import read_zoo_file
from backend.detectors.weights import Weights, WeightsFile
from backend.project.errors import InputError

PARALLEL = "module."  # before each name in the weights of a DistributedDataParallel network
FROZEN_STAGES = 2  # edges and textures, learnt from a million pictures, are kept when fine-tuning
UNUSED = "N/A"  # ids that COCO never used, which torchvision keeps rows for
RESNETS = {(2, False): "resnet18", (6, False): "resnet34", (6, True): "resnet50"}  # blocks in layer3, bottlenecks
ZOO = {6: "mask_rcnn_R_50_FPN_3x", 23: "mask_rcnn_R_101_FPN_3x"}  # blocks in res4
ZOO_LEFT_OUT = ("pixel_", "proposal_generator.anchor_generator")  # made anew from the settings
CAFFE2 = (  # names in the first Detectron's backbones, and what the second calls them
    (r"^conv1_w$", "stem.conv1.weight"),
    (r"^res_conv1_bn_", "stem.conv1.norm_"),
    (r"^res(\d)_(\d+)_branch1_bn_", r"res\1.\2.shortcut.norm_"),
    (r"^res(\d)_(\d+)_branch1_w$", r"res\1.\2.shortcut.weight"),
    (r"^res(\d)_(\d+)_branch2([abc])_bn_", r"res\1.\2.conv\3.norm_"),
    (r"^res(\d)_(\d+)_branch2([abc])_w$", r"res\1.\2.conv\3.weight"),
)
CAFFE2_PARTS = {"conva": "conv1", "convb": "conv2", "convc": "conv3", "norm_s": "norm.weight", "norm_b": "norm.bias"}


def convert(path: Path) -> WeightsFile:
    """Read ``path`` and find out what it holds.

    Raises
    ------
    InputError
        If it cannot be read without running code, or is none of the networks of the two engines.
    """
    kind = path.suffix.lower()
    if kind == ".pkl":
        content = read_zoo_file(path)
    elif kind in (".pth", ".pt"):
        content = _read_torch_file(path)
    elif kind == ".safetensors":
        content = load_file(path)
    else:
        raise InputError(f"{path}: weights to convert end in .pth, .pt or .pkl, or are plain .safetensors")
    inner = content.get("model", content.get("blobs", content))
    if isinstance(inner, dict) and isinstance(inner.get("state_dict"), dict):
        inner = inner["state_dict"]
    weights = _tensors(inner) if isinstance(inner, dict) else {}
    if weights and all(name.startswith(PARALLEL) for name in weights):
        weights = {name.removeprefix(PARALLEL): value for name, value in weights.items()}
    for recognise in (_torchvision_detector, _torchvision_classifier, _zoo_detector, _zoo_backbone):
        converted = recognise(weights)
        if converted is not None:
            return converted
    raise InputError(f"{path} holds none of the networks that can be trained here")


def _torchvision_detector(weights: Weights) -> WeightsFile | None:
    if "roi_heads.box_predictor.cls_score.weight" not in weights or "backbone.body" not in " ".join(weights):
        return None
    backbone = _resnet(weights, "backbone.body.") or "mobilenet_v3_large"
    plain = not any(name.endswith("num_batches_tracked") for name in weights)
    settings = DetectorSettings(
        backbone="resnet50_v2" if "backbone.fpn.inner_blocks.0.1.weight" in weights else backbone,
        class_names=_coco_names(len(weights["roi_heads.box_predictor.cls_score.bias"]) - 1),
        channels=len(weights["roi_heads.mask_predictor.conv5_mask.bias"]),
        norm_eps=0.0 if plain else 1e-5,  # torchvision's first COCO weights were made without it
        frozen_stages=FROZEN_STAGES,
    )
    return WeightsFile(weights, settings, False)


def _torchvision_classifier(weights: Weights) -> WeightsFile | None:
    if "features.0.0.weight" in weights:
        backbone, start = "mobilenet_v3_large", "features."
    elif "layer1.0.conv1.weight" in weights and _resnet(weights, ""):
        backbone, start = _resnet(weights, ""), ""
    else:
        return None
    dropped = ("fc.", "classifier.")
    kept = {
        f"backbone.body.{name.removeprefix(start)}": value
        for name, value in weights.items()
        if not name.startswith(dropped)
    }
    settings = DetectorSettings(backbone=backbone, class_names=("none",), frozen_stages=FROZEN_STAGES)
    return WeightsFile(kept, settings, True)


def _zoo_detector(weights: Weights) -> WeightsFile | None:
    if "roi_heads.mask_head.predictor.weight" not in weights or "backbone.fpn_lateral2.weight" not in weights:
        return None
    kept = {name: value for name, value in weights.items() if not name.startswith(ZOO_LEFT_OUT)}
    names = _coco_names(len(weights["roi_heads.mask_head.predictor.bias"]))
    return WeightsFile(kept, _zoo_settings(kept, "backbone.bottom_up.", names), False)


def _zoo_backbone(weights: Weights) -> WeightsFile | None:
    if "conv1_w" not in weights:
        return None
    renamed = {}
    for name, value in weights.items():
        for pattern, to in CAFFE2:
            new_name, count = re.subn(pattern, to, name)
            if count:
                for old, new in CAFFE2_PARTS.items():
                    new_name = new_name.replace(old, new)
                renamed[f"backbone.bottom_up.{new_name}"] = value
                break
    return WeightsFile(renamed, _zoo_settings(renamed, "backbone.bottom_up.", ("none",)), True)


def _zoo_settings(weights: Weights, start: str, names: tuple[str, ...]) -> DetectorSettings:
    blocks = _blocks(weights, rf"^{re.escape(start)}res4\.(\d+)\.")
    if blocks not in ZOO:
        raise InputError(f"a ResNet with {blocks} blocks in res4 is not one of {', '.join(ZOO.values())}")
    return DetectorSettings(
        engine="detectron2",
        backbone=ZOO[blocks],
        class_names=names,
        stride_in_1x1=True,
        pixel_std=(1.0, 1.0, 1.0),
        frozen_stages=FROZEN_STAGES,
    )


def _resnet(weights: Weights, start: str) -> str | None:
    blocks = _blocks(weights, rf"^{re.escape(start)}layer3\.(\d+)\.")
    return RESNETS.get((blocks, f"{start}layer1.0.conv3.weight" in weights))


def _blocks(weights: Weights, pattern: str) -> int:
    return len({match[1] for name in weights if (match := re.match(pattern, name))})


def _coco_names(n: int) -> tuple[str, ...]:
    """Return COCO's names for as many classes as torchvision (90) or Detectron2 (80) count; else numbered ones."""
    known = MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"][1:]
    if n == len(known):
        return tuple(f"unused {number}" if name == UNUSED else name for number, name in enumerate(known, 1))
    used = [name for name in known if name != UNUSED]
    return tuple(used) if n == len(used) else tuple(f"class {number}" for number in range(1, n + 1))


def _read_torch_file(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises nearly anything on a file that is torn or wants code run
        raise InputError(
            f"{path} cannot be read: it is damaged, no PyTorch file (a saved web page?), or holds a whole network or "
            "other objects, which would run code; save the network's state_dict() alone and import that"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no dictionary of weights but a {type(content).__name__}")
    return content


def _tensors(content: Mapping[str, Any]) -> Weights:
    tensors: dict[str, Tensor] = {}
    for name, value in content.items():
        if isinstance(value, Tensor):
            tensors[name] = value
        elif isinstance(value, np.ndarray):
            tensors[name] = torch.from_numpy(value)
    return tensors
