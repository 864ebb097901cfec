"""What the RLE kernel is compared with: 28x28 masks pasted into frames by torch, encoded by pycocotools."""

import numpy as np
import torch
from pycocotools import mask as coco


def paste(mask: np.ndarray, box: np.ndarray, size: tuple[int, int], threshold: float = 0.5) -> np.ndarray:
    """Return the mask (H, W) uint8, Fortran order, as Detectron2 pastes it: bilinear, sub-pixel, zeros around."""
    width, height = size
    x1, y1 = np.maximum(np.floor(box[:2]).astype(int) - 1, 0)
    x2, y2 = np.minimum(np.ceil(box[2:]).astype(int) + 1, (width, height))
    full = np.zeros((height, width), np.uint8, order="F")
    if x1 >= x2 or y1 >= y2:
        return full
    left, top, right, bottom = torch.from_numpy(box)
    across = (torch.arange(x1, x2, dtype=torch.float32) + 0.5 - left) / (right - left) * 2 - 1
    down = (torch.arange(y1, y2, dtype=torch.float32) + 0.5 - top) / (bottom - top) * 2 - 1
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1)[None]
    values = torch.nn.functional.grid_sample(torch.from_numpy(mask)[None, None], grid, align_corners=False)
    full[y1:y2, x1:x2] = (values[0, 0] >= threshold).numpy()
    return full


def counts(full: np.ndarray) -> bytes:
    """Return the COCO counts of a pasted mask."""
    return coco.encode(full)["counts"]


def random_masks(seed: int, number: int, size: tuple[int, int], sides_px: tuple[float, float]) -> tuple:
    """Return blob-like masks (N, 28, 28) float32 and boxes (N, 4) float32, some of them partly outside the frame."""
    rng = np.random.default_rng(seed)
    rough = torch.from_numpy(rng.normal(size=(number, 1, 7, 7)).astype(np.float32)) * 3
    logits = torch.nn.functional.interpolate(rough, (28, 28), mode="bicubic", align_corners=False)[:, 0]
    centre = torch.arange(28) - 13.5
    logits = logits + 3 - (centre[:, None] ** 2 + centre**2) / 25
    corner = rng.uniform(-10, size, (number, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(*sides_px, (number, 2))], 1).astype(np.float32)
    return logits.sigmoid().numpy(), boxes
