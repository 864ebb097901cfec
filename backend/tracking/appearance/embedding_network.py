"""A small network that learns from the video itself which appearance tells its birds apart (re-identification).

It needs no labels: two crops of one tracklet show the same bird (positive pairs), birds of one frame are different ones
(negative pairs). The network is trained to embed the former close together and the latter apart (InfoNCE, van den Oord
et al. 2018; contrastive learning from tracklets as in TRex and idtracker.ai).
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from backend.tracking.appearance.crops import Crop

SIDE = 48  # px of the network's input images
SIZE = 24  # numbers of an embedding
FRAMES_PER_STEP = 6  # a bird is compared with the birds of its own frame
TEMPERATURE = 0.1
LEARNING_RATE = 2e-3
BATCH = 256  # images that are embedded at once
BACKGROUND = 128  # grey value


def network_image(crop: Crop) -> np.ndarray:
    """Return (SIDE, SIDE, 3) uint8: the bird on a grey background, centred, its longer side filling the image."""
    height, width = crop.mask.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    masked = np.where(crop.mask[..., None], crop.rgb, BACKGROUND).astype(np.uint8)
    resized = cv2.resize(masked, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    image = np.full((SIDE, SIDE, 3), BACKGROUND, np.uint8)
    x, y = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    image[y : y + size[1], x : x + size[0]] = resized
    return image


class EmbeddingNetwork(nn.Module):
    """From images (n, 3, SIDE, SIDE) float32, 0 to 1, to embeddings (n, SIZE) of unit length."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 72, 96)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.GroupNorm(8, outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], SIZE)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return embeddings (n, SIZE)."""
        return functional.normalize(self.head(self.body(images - 0.5).mean(dim=(2, 3))), dim=1)


def train(
    images: np.ndarray,
    frame: np.ndarray,
    tracklet: np.ndarray,
    steps: int,
    seed: int,
    device: str = "cpu",
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> EmbeddingNetwork:
    """Train an embedding network on the birds of one video.

    Parameters
    ----------
    images
        (n, SIDE, SIDE, 3) uint8.
    frame, tracklet
        (n,) int64 frame and tracklet of each image, from 0; a tracklet has at most one image in a frame.
    steps, seed
        Training steps and random seed. The same ones give the same network on the same kind of machine.
    device
        torch device to train on.
    report
        Called with step and loss every 20 steps and at the end.

    Raises
    ------
    ValueError
        If no frame has two birds whose tracklets have other images: there are no negative pairs.
    """
    has_positive = np.bincount(tracklet)[tracklet] > 1
    usable = [rows for rows in _groups(np.where(has_positive, frame, -1)) if len(rows) > 1]
    if not usable:
        raise ValueError("no two birds are followed at the same time: there is nothing to learn from")
    of_tracklet = _groups(tracklet, from_zero=True)
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = EmbeddingNetwork().to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=max(2, steps))
    for step in range(steps):
        chosen = [usable[k] for k in rng.integers(len(usable), size=FRAMES_PER_STEP)]
        anchors = np.concatenate(chosen)
        positives = np.array([_positive(rng, of_tracklet[tracklet[row]], row) for row in anchors])
        group = torch.from_numpy(np.repeat(np.arange(len(chosen)), [len(rows) for rows in chosen])).to(device)
        batch = _augmented(images[np.concatenate([anchors, positives])], rng, device)
        anchor, positive = network(batch).chunk(2)  # n x SIZE
        logits = (anchor @ positive.T / TEMPERATURE).masked_fill(group[:, None] != group[None], -1e4)  # n x n
        targets = torch.arange(len(anchors), device=device)
        loss = (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets)) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 20 == 0 or step == steps - 1:
            report(step + 1, float(loss.detach()))
    return network.eval()


@torch.inference_mode()
def embed(network: EmbeddingNetwork, images: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Return the embeddings (n, SIZE) float32 of images (n, SIDE, SIDE, 3) uint8."""
    parts = [network(_tensor(images[k : k + BATCH], device)).cpu().numpy() for k in range(0, len(images), BATCH)]
    return np.concatenate([np.zeros((0, SIZE), np.float32), *parts])


def _groups(values: np.ndarray, from_zero: bool = False) -> list[np.ndarray]:
    """Return the rows of each value, negative ones left out; ``from_zero``: also of values that do not occur."""
    order = np.argsort(values, kind="stable")
    wanted = np.arange(values.max(initial=-1) + 1) if from_zero else np.unique(values[values >= 0])
    first, last = (np.searchsorted(values[order], wanted, side=side) for side in ("left", "right"))
    return [order[a:b] for a, b in zip(first, last, strict=True)]


def _positive(rng: np.random.Generator, rows: np.ndarray, row: int) -> int:
    """Return another image of the tracklet with ``rows``: of two drawn at random the one farther away in time."""
    two = rng.choice(rows[rows != row], 2)
    return int(two[np.argmax(np.abs(two - row))])


def _augmented(images: np.ndarray, rng: np.random.Generator, device: str) -> torch.Tensor:
    """Return images flipped, with other brightness, and shifted at random: none of these identifies a bird."""
    batch = _tensor(images, device)
    n = len(batch)
    flipped = torch.from_numpy(rng.random(n) < 0.5).to(device)
    batch[flipped] = batch[flipped].flip(3)
    brightness = torch.from_numpy(rng.uniform(0.85, 1.15, (n, 1, 1, 1)).astype(np.float32)).to(device)
    down, right = rng.integers(-3, 4, 2).tolist()
    return (batch * brightness).clamp(0, 1).roll((down, right), (2, 3))


def _tensor(images: np.ndarray, device: str) -> torch.Tensor:
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
