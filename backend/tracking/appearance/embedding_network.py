"""A small network that learns from the video itself what tells its birds apart.

Nobody labels anything: two pictures of one tracklet are the same bird, birds that are there at the same time are
different ones. The network is trained to put the former close together and the latter apart (InfoNCE, van den Oord et
al. 2018; for tracklets TRex and idtracker.ai do likewise).
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from backend.tracking.appearance.crops import Cutout

SIDE = 48  # px of the pictures the network sees
SIZE = 24  # numbers a bird
MOMENTS = 6  # moments a step; birds of one moment are compared with each other
TEMPERATURE = 0.1
RATE = 2e-3
BATCH = 256


def picture_of(cutout: Cutout) -> np.ndarray:
    """Return (SIDE, SIDE, 3) uint8: the bird alone, in the middle, its longer side filling the picture."""
    height, width = cutout.own.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    alone = np.where(cutout.own[..., None], cutout.rgb, 128).astype(np.uint8)
    small = cv2.resize(alone, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    picture = np.full((SIDE, SIDE, 3), 128, np.uint8)
    x, y = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    picture[y : y + size[1], x : x + size[0]] = small
    return picture


class Describer(nn.Module):
    """Pictures (n, 3, SIDE, SIDE) float32 0 to 1 to (n, SIZE) of unit length."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 72, 96)
        steps: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            steps += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.ReLU()]
        self.body = nn.Sequential(*steps)
        self.head = nn.Linear(widths[-1], SIZE)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Describe."""
        return functional.normalize(self.head(self.body(pictures - 0.5).mean(dim=(2, 3))), dim=1)


def train(
    pictures: np.ndarray,
    moment: np.ndarray,
    tracklet: np.ndarray,
    steps: int,
    seed: int,
    device: str = "cpu",
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> Describer:
    """Train on the birds of one video.

    Parameters
    ----------
    pictures
        (n, SIDE, SIDE, 3) uint8.
    moment, tracklet
        (n,) when each was taken, and of which tracklet; a tracklet is there at most once a moment.
    steps, seed
        How long. The same steps and seed give the same network on the same kind of machine.
    device
        Where to train, in torch's words.
    report
        Told the step and the loss now and then.

    Raises
    ------
    ValueError
        If no two birds of a moment are seen again: there is nothing to learn from.
    """
    again = np.bincount(tracklet)[tracklet] > 1
    usable = [rows for rows in _groups(np.where(again, moment, -1)) if len(rows) > 1]
    if not usable:
        raise ValueError("no two birds are followed at the same time: there is nothing to learn from")
    of_tracklet = _groups(tracklet, from_zero=True)
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = Describer().to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=max(2, steps))
    for step in range(steps):
        chosen = [usable[k] for k in rng.integers(len(usable), size=MOMENTS)]
        anchors = np.concatenate(chosen)
        others = np.array([_other(rng, of_tracklet[tracklet[row]], row) for row in anchors])
        group = torch.from_numpy(np.repeat(np.arange(len(chosen)), [len(rows) for rows in chosen])).to(device)
        given = _changed(pictures[np.concatenate([anchors, others])], rng, device)
        one, other = network(given).chunk(2)
        alike = (one @ other.T / TEMPERATURE).masked_fill(group[:, None] != group[None], -1e4)
        aims = torch.arange(len(anchors), device=device)
        loss = (functional.cross_entropy(alike, aims) + functional.cross_entropy(alike.T, aims)) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 20 == 0 or step == steps - 1:
            report(step + 1, float(loss.detach()))
    return network.eval()


@torch.inference_mode()
def describe(network: Describer, pictures: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Return (n, SIZE) float32 of pictures (n, SIDE, SIDE, 3) uint8."""
    parts = [network(_tensor(pictures[k : k + BATCH], device)).cpu().numpy() for k in range(0, len(pictures), BATCH)]
    return np.concatenate([np.zeros((0, SIZE), np.float32), *parts])


def _groups(values: np.ndarray, from_zero: bool = False) -> list[np.ndarray]:
    """Return the rows of each value, negative ones left out; ``from_zero``: also of values that do not occur."""
    order = np.argsort(values, kind="stable")
    wanted = np.arange(values.max(initial=-1) + 1) if from_zero else np.unique(values[values >= 0])
    first, last = (np.searchsorted(values[order], wanted, side=side) for side in ("left", "right"))
    return [order[a:b] for a, b in zip(first, last, strict=True)]


def _other(rng: np.random.Generator, rows: np.ndarray, row: int) -> int:
    """Return another picture of the tracklet, the one of two that is farther away in time."""
    two = rng.choice(rows[rows != row], 2)
    return int(two[np.argmax(np.abs(two - row))])


def _changed(pictures: np.ndarray, rng: np.random.Generator, device: str) -> torch.Tensor:
    """Return pictures mirrored, brighter or darker, and shifted at random: none of these says who it is."""
    given = _tensor(pictures, device)
    n = len(given)
    mirrored = torch.from_numpy(rng.random(n) < 0.5).to(device)
    given[mirrored] = given[mirrored].flip(3)
    light = torch.from_numpy(rng.uniform(0.85, 1.15, (n, 1, 1, 1)).astype(np.float32)).to(device)
    down, right = rng.integers(-3, 4, 2).tolist()
    return (given * light).clamp(0, 1).roll((down, right), (2, 3))


def _tensor(pictures: np.ndarray, device: str) -> torch.Tensor:
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 255
