"""What only a GPU can tell of inference, each ratio measured within one run.

    python benchmarks/inference_gpu.py --weights weights/maskrcnn_resnet50_fpn.safetensors --video lek.mp4

forward  images/s in the card's number format, channels_last, compiled / eager fp32       goal >= 4
rate     share of the card's matrix rate that this is (--matrix-rate, H200: 790e12)       goal >= 0.25
iou      mean IoU of masks in that format with those in fp32, score 0.5 and more          goal >= 0.99
whole    frames/s from file to files / forward alone                                      goal >= 0.95
frames/s of the whole, absolute; on an H200                                               goal >= 150
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.inference import main as inference
from backend.masks.from_network import encode_masks
from backend.masks.rle import iou
from backend.pipeline.network import ModelChoice, NetworkDetections, TorchNetwork
from backend.video import VideoReader

FLOP_AN_IMAGE = 436e9  # Mask R-CNN R50-FPN at 1344 x 768, 1000 proposals, 20 detections
BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--gpu-id", default="0")
    parser.add_argument("--batches", type=int, default=30)
    parser.add_argument("--frames", type=int, default=2000, help="of the video, for the whole")
    parser.add_argument("--matrix-rate", type=float, default=790e12, help="of the card, operations a second")
    given = parser.parse_args()
    print(torch.cuda.get_device_name(int(given.gpu_id)), torch.__version__)
    plain = TorchNetwork(ModelChoice(given.weights, amp="fp32"), given.gpu_id)
    fast = TorchNetwork(ModelChoice(given.weights, compiled=True), given.gpu_id)
    with VideoReader(given.video) as reader:
        size = plain.facts.settings.input_size(reader.size)
        frames = np.linspace(0, len(reader) - 1, BATCH).astype(int)
        pictures = np.concatenate([next(reader.stream(frame, frame + 1, 1, size=size)) for frame in frames.tolist()])
        n_frames = min(given.frames, len(reader))
    before, after = (images_a_second(network, pictures, given.batches) for network in (plain, fast))
    print(f"forward   {after / before:6.2f}   {after:.1f} and {before:.1f} images/s, {fast.facts.number_format}")
    print(f"rate      {after * FLOP_AN_IMAGE / given.matrix_rate:6.3f}")
    print(f"iou       {mask_iou(plain.find(pictures, BATCH), fast.find(pictures, BATCH), size):6.4f}")
    rate = whole(given.video, given.weights, given.gpu_id, n_frames)
    print(f"whole     {rate / after:6.3f}   {rate:.1f} frames/s")


def images_a_second(network: TorchNetwork, pictures: np.ndarray, batches: int) -> float:
    """Return the rate of the forward alone, pictures on the device already."""
    batch = torch.from_numpy(pictures).to(network.facts.torch_device)
    for _ in range(5):
        network.find(batch, BATCH)
    begun = time.perf_counter()
    for _ in range(batches):
        network.find(batch, BATCH)
    return batches * BATCH / (time.perf_counter() - begun)


def mask_iou(one: NetworkDetections, other: NetworkDetections, size: tuple[int, int]) -> float:
    """Return the mean, over detections of ``one`` with score 0.5 and more, of the best IoU with one of ``other``."""
    best = []
    for picture in range(BATCH):
        encoded = []
        for found, least in ((one, 0.5), (other, 0.0)):
            rows = (found.picture == picture) & (found.score >= least)
            masks = encode_masks(found.masks[rows], found.boxes[rows], size)
            encoded.append([masks.counts(k) for k in range(int(rows.sum()))])
        if all(encoded):
            best += iou(*encoded, size[1]).max(axis=1).tolist()
    return float(np.mean(best)) if best else float("nan")


def whole(video: Path, weights: Path, gpu_id: str, frames: int) -> float:
    """Return frames/s of the whole pipeline without its start: from the first chunk on the disk to the last."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--video-path", video, "--base-out-dir", folder, "--model-dir", weights, "--run", "a"]
        words += ["--gpu-id", gpu_id, "--frame-end", frames, "--chunk-frames", frames // 8]
        inference([str(word) for word in words])
        ends = sorted(path.stat().st_mtime for path in Path(folder).rglob("frames_*.parquet"))
    return (len(ends) - 1) * (frames // 8) / (ends[-1] - ends[0])


if __name__ == "__main__":
    main()
