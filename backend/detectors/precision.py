"""Devices and number formats."""

from typing import Any

import torch

from backend.project.errors import InputError

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str) -> torch.device:
    """Return the device ``name``: "cpu", or a GPU's number as text ("0"), or "cuda:0".

    Raises
    ------
    InputError
        With the GPUs there are, if that one is not there.
    """
    if name == "cpu":
        return torch.device("cpu")
    number = name.removeprefix("cuda:")
    count = torch.cuda.device_count()
    if not number.isdigit() or int(number) >= count:
        there = f"there are GPUs 0 to {count - 1}" if count else "there is none on this machine that torch can use"
        raise InputError(f"GPU {number!r} cannot be used: {there}; cpu works everywhere")
    return torch.device("cuda", int(number))


def number_format(device: torch.device, amp: str = "auto") -> str:
    """Return the number format to compute in: "fp32", "bf16" or "fp16".

    "auto" is fp32 on the CPU, bf16 on GPUs of compute capability 8.0 and later, fp16 on older ones.
    """
    if amp == "auto":
        if device.type != "cuda":
            return "fp32"
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    if amp not in FORMATS:
        raise InputError(f"number format {amp!r} is not known: auto, {', '.join(FORMATS)}")
    if amp == "fp16" and device.type == "cpu":
        raise InputError("number format fp16 needs a GPU; the CPU computes in fp32 or bf16")
    return amp


def device_description(device: torch.device) -> dict[str, Any]:
    """Return the GPU's name, memory and compute capability; nothing for the CPU, which the manifest names anyway."""
    if device.type != "cuda":
        return {"device": "cpu"}
    properties = torch.cuda.get_device_properties(device)
    return {
        "device": properties.name,
        "device_memory_bytes": properties.total_memory,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
    }
