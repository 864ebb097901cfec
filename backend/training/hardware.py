"""What a manifest says of the device a model was trained on."""

from typing import Any

import torch


def describe(device: torch.device) -> dict[str, Any]:
    """Return the GPU's name, memory and compute capability; nothing for the CPU, which the manifest names anyway."""
    if device.type != "cuda":
        return {"device": "cpu"}
    found = torch.cuda.get_device_properties(device)
    return {
        "device": found.name,
        "device_memory_bytes": found.total_memory,
        "compute_capability": f"{found.major}.{found.minor}",
        "cuda": torch.version.cuda,
    }
