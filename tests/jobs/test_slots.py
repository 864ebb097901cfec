"""Which GPUs jobs may use. The real NVML is asked where it is; what it may say is put into its place otherwise."""

import sys
from types import SimpleNamespace

import pytest

from backend.jobs.launcher import LocalLauncher
from backend.jobs.slots import VISIBLE_VARIABLE, GpuError, GpuList
from backend.project.settings import Settings
from tests.jobs.tools import python


class NVMLError(Exception):
    """As in pynvml."""

    def __init__(self, value: int):
        super().__init__(f"NVML says {value}")
        self.value = value


@pytest.fixture
def nvml(monkeypatch):
    """Put a machine with four GPUs into NVML's place; return it, to be changed."""
    machine = SimpleNamespace(
        NVMLError=NVMLError,
        NVML_ERROR_LIBRARY_NOT_FOUND=12,
        NVML_ERROR_DRIVER_NOT_LOADED=9,
        asked=0,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 4,
        nvmlDeviceGetHandleByIndex=lambda id: id,
        nvmlDeviceGetUUID=lambda handle: f"GPU-{'abcd'[handle]}123",
    )

    def start() -> None:
        machine.asked += 1

    machine.nvmlInit = start
    monkeypatch.setitem(sys.modules, "pynvml", machine)
    for name in (VISIBLE_VARIABLE, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return machine


def failing(value: int):
    """Return a function that fails as NVML does."""

    def fail() -> None:
        raise NVMLError(value)

    return fail


def test_all_that_there_are(nvml):
    assert GpuList().ids(Settings()) == (0, 1, 2, 3)


def test_of_them_those_that_the_settings_allow_and_that_exist(nvml):
    assert GpuList().ids(Settings(gpus=(3, 1, 7))) == (1, 3)
    assert GpuList().ids(Settings(gpus=())) == ()


@pytest.mark.parametrize("name", [VISIBLE_VARIABLE, "CUDA_VISIBLE_DEVICES"])
@pytest.mark.parametrize(
    ("value", "ids"), [("2,0", (0, 2)), ("", ()), ("GPU-b1,GPU-d", (1, 3)), ("-1", ()), ("MIG-x", ()), ("9", ())]
)
def test_of_them_those_that_a_cluster_or_container_leaves_us(nvml, monkeypatch, name, value, ids):
    monkeypatch.setenv(name, value)
    assert GpuList().ids(Settings()) == ids


@pytest.mark.parametrize("value", [9, 12], ids=["no driver", "no library"])
def test_a_machine_without_a_gpu_has_none(nvml, value):
    nvml.nvmlInit = failing(value)
    assert GpuList().ids(Settings()) == ()


def test_a_machine_without_the_package_has_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert GpuList().ids(Settings()) == ()


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetCount"])
def test_a_driver_that_fails_is_not_taken_for_no_gpu(nvml, call):
    setattr(nvml, call, failing(18))
    with pytest.raises(GpuError, match="NVML says 18"):
        GpuList().ids(Settings())


def test_it_is_asked_rarely(nvml):
    gpus = GpuList()
    for _ in range(100):
        gpus.ids(Settings())
    assert nvml.asked == 1


def test_the_real_one_answers_in_some_way():
    pytest.importorskip("pynvml")
    assert all(isinstance(id, int) for id in GpuList().ids(Settings()))


def test_jobs_count_gpus_as_nvml_does_and_are_not_confined_by_numbers_of_others(store, monkeypatch):
    """A job started from a confined process must get the same physical ids as one started from another."""
    seen = {}
    monkeypatch.setattr(
        "backend.jobs.launcher.launch",
        lambda arguments, environment, log: seen.update(environment) or SimpleNamespace(poll=lambda: None),
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    job = store.submit(python(""))
    LocalLauncher().start(job, store.mark(job))
    assert "CUDA_VISIBLE_DEVICES" not in seen
    assert seen[VISIBLE_VARIABLE] == "3"
    assert seen["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
