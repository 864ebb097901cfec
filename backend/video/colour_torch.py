"""YUV to RGB in torch, for planes on a GPU; bit for bit equal to `colour`."""

import torch

from backend.video.colour import SHIFT, Planes, coefficients


def yuv_to_rgb_torch(planes: Planes) -> torch.Tensor:
    """Return (H, W, 3) uint8 RGB on the device of the planes. The result is equal to `colour.yuv_to_rgb`'s."""
    c = coefficients(planes.colour).tolist()
    luma = planes.y[:, : planes.width].int() * c[0]  # H x W
    if planes.u is None:
        return ((luma + c[8]) >> SHIFT).clamp(0, 255).byte().unsqueeze(-1).expand(-1, -1, 3).contiguous()
    u, v = (_full_size(chroma, planes) for chroma in (planes.u, planes.v))
    rgb = torch.stack((luma + v * c[1] + c[5], luma - u * c[2] - v * c[3] + c[6], luma + u * c[4] + c[7]), dim=-1)
    return (rgb >> SHIFT).clamp(0, 255).byte()


def _full_size(chroma: torch.Tensor, planes: Planes) -> torch.Tensor:
    """Return (H, W) int32: chroma interpolated to full size, times 16."""
    colour, height, width = planes.colour, planes.y.shape[0], planes.width
    columns = (width + 1) // 2 if colour.half_width else width
    samples = chroma[:, :columns].int()
    if colour.half_height:
        above = torch.cat((samples[:1], samples[:-1]))
        below = torch.cat((samples[1:], samples[-1:]))
        rows = torch.stack((3 * samples + above, 3 * samples + below), dim=1).flatten(0, 1)[:height]
    else:
        rows = samples * 4
    if not colour.half_width:
        return rows * 4
    right = torch.cat((rows[:, 1:], rows[:, -1:]), dim=1)
    if colour.centred:
        left = torch.cat((rows[:, :1], rows[:, :-1]), dim=1)
        pair = (3 * rows + left, 3 * rows + right)
    else:
        pair = (4 * rows, 2 * (rows + right))
    return torch.stack(pair, dim=-1).flatten(1)[:, :width]
