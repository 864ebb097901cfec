"""Devices and number formats."""

import pytest
import torch

from backend.detectors.precision import number_format, pick_device
from backend.project.errors import InputError

CPU = torch.device("cpu")


def test_the_cpu_computes_in_full_precision_unless_told_otherwise():
    assert pick_device("cpu") == CPU
    assert (number_format(CPU), number_format(CPU, "bf16")) == ("fp32", "bf16")


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_a_gpu_computes_in_bf16_from_capability_8_on(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert number_format(torch.device("cuda", 0)) == expected


@pytest.mark.parametrize("name", ["3", "cuda:3", "gpu", "-1", ""])
def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="there are GPUs 0 to 1"):
        pick_device(name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="cpu works everywhere"):
        pick_device(name)


@pytest.mark.parametrize("amp", ["fp8", "fp16"])
def test_formats_that_the_device_has_not_are_refused(amp):
    with pytest.raises(InputError, match=amp):
        number_format(CPU, amp)
