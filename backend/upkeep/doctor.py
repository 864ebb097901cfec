"""The doctor: checks an installation, from the Python packages to the last day's jobs. Nothing is changed."""

import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import metadata
from pathlib import Path

import psutil

from backend.detectors.header import list_weights
from backend.jobs import JobState, JobStore
from backend.jobs.slots import GpuError, GpuList
from backend.project.disk import RESERVE_BYTES, as_bytes
from backend.project.errors import InputError
from backend.project.locks import file_lock
from backend.project.settings import REPOSITORY, Settings, load_settings, state_folder
from backend.project.state_files import set_aside
from backend.upkeep.findings import Finding, bad, note, ok
from backend.upkeep.hardware_checks import decode_a_clip, write_speed
from backend.web.listen import listen
from backend.web.token import token_path

ADMIN = ".venv/bin/python -m backend.admin"  # as it is typed in Lektrack's folder
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - only looked at
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "ceph", "lustre")
COMFORTABLE_BYTES = 50 * 1000**3  # detections and tracks of a season; see the admin's guide, disk
SLOW_BYTES_S = 30e6
NEED_MEMORY_BYTES = 7 * 1000**3
NEED_SHARED_MEMORY_BYTES = 1000**3
NEED_DESCRIPTORS = 1024
VIDEO_HOUR_BYTES = 0.5e9  # detections and tracks of an hour of 20 birds; docs/admin-guide.md says how it was measured


def examine(state: Path | None = None) -> Iterator[Finding]:
    """Yield the findings of all checks, in order of dependence. A check that raises is a finding, too."""
    state = state or state_folder()
    yield from _guarded(packages)
    try:
        settings = load_settings(state)
    except InputError as error:
        yield bad("settings", str(error), f"put it right in {state / 'settings.toml'}")
        return
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        partial(state_files, state),
        partial(folders, settings),
        machine,
        partial(graphics, settings),
        video,
        partial(weights, settings),
        partial(ports, settings, state),
        partial(jobs, state),
    )
    for check in checks:
        yield from _guarded(check)


def packages() -> Iterator[Finding]:
    """Python and its packages against requirements.txt."""
    version = ".".join(map(str, sys.version_info[:3]))
    differing, pins = [], pinned(REPOSITORY / "requirements.txt")
    for name, wanted in pins.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "absent"
        if found != wanted:
            differing.append(f"{name} {found} (wanted {wanted})")
    if differing:
        yield bad("packages", ", ".join(differing[:5]), "bash setup.sh install")
    else:
        yield ok("packages", f"Python {version}, {len(pins)} packages as in requirements.txt")


def pinned(path: Path) -> dict[str, str]:
    """Return package names and versions of a compiled list; lines for another platform or Python are left out."""
    from packaging.requirements import Requirement

    found = {}
    for line in path.read_text().splitlines():
        text = line.split("#")[0].strip()
        if not text or text.startswith("-"):
            continue
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate():
            found[requirement.name] = next(iter(requirement.specifier)).version
    return found


def state_files(state: Path) -> Iterator[Finding]:
    """Check the state folder: its rights, its file system, and files that were set aside."""
    mode = stat.S_IMODE(state.stat().st_mode)
    if mode & 0o077:
        yield bad("state folder", f"{state} has mode {mode:04o}", f"chmod 700 {state}")
    else:
        yield ok("state folder", str(state))
    kind = file_system(state)
    if kind in NETWORK_FILE_SYSTEMS:
        yield bad(
            "state folder",
            f"{state} lies on {kind}; the job table needs a local disk",
            "set LEKTRACK_STATE to a folder on a local disk",
        )
    free = shutil.disk_usage(state).free
    if free < RESERVE_BYTES:
        yield bad(
            "state folder", f"{state}: {as_bytes(free)} free for the job table and logs", "make room on that disk"
        )
    token = token_path(state)
    if not token.exists():
        yield note("token", "there is none yet", "the first start makes one")
    elif stat.S_IMODE(token.stat().st_mode) & 0o077 or token.stat().st_uid != os.geteuid():
        yield bad("token", f"{token} can be read by others", f"{ADMIN} token rotate")
    else:
        yield ok("token", f"in {token}, readable by its owner only")
    for broken in set_aside(state):
        yield note("set aside", f"{broken} could not be read", "look at it, then delete it")


def folders(settings: Settings) -> Iterator[Finding]:
    """Check the project folder and the allowed roots: rights, room and speed."""
    project = settings.project_folder
    if not project.exists():
        yield note("project folder", f"{project} is not there yet", "the first start makes it")
        return
    try:
        speed = write_speed(project)
    except OSError as error:
        yield bad("project folder", f"{project}: {error.strerror}", "give this user the right to write there")
        return
    free = shutil.disk_usage(project).free
    room = f"{project}: {as_bytes(free)} free, about {free / VIDEO_HOUR_BYTES:.0f} h of video"
    if free < RESERVE_BYTES:
        yield bad("disk", room, f"{ADMIN} clean shows what can go")
    elif free < COMFORTABLE_BYTES:
        yield note("disk", room, f"{ADMIN} clean shows what can go")
    else:
        yield ok("disk", room)
    words = f"{as_bytes(speed)}/s written and flushed"
    yield note("disk speed", words, "use a faster disk") if speed < SLOW_BYTES_S else ok("disk speed", words)
    for root in settings.allowed_roots:
        if os.access(root, os.R_OK | os.X_OK):
            yield ok("video folder", str(root))
        else:
            yield bad(
                "video folder", f"{root} cannot be read", "mount it, or change the allowed folders under Settings"
            )


def machine() -> Iterator[Finding]:
    """Check memory, shared memory and open files."""
    memory, cores = psutil.virtual_memory().total, len(os.sched_getaffinity(0))
    words = f"{as_bytes(memory)}, {cores} cores"
    if memory < NEED_MEMORY_BYTES:
        yield note("memory", words, "8 GB are needed for training, 16 GB are comfortable")
    else:
        yield ok("memory", words)
    shared = shutil.disk_usage(SHARED_MEMORY).total if SHARED_MEMORY.is_dir() else 0
    if shared < NEED_SHARED_MEMORY_BYTES:
        yield bad("shared memory", f"{SHARED_MEMORY} has {as_bytes(shared)}", "start the container with --shm-size=2g")
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit < NEED_DESCRIPTORS:
        yield bad("open files", f"at most {limit}", f"raise the limit (ulimit -n) to {NEED_DESCRIPTORS}")


def graphics(settings: Settings) -> Iterator[Finding]:
    """Check the GPUs, whether PyTorch can use them, and their video decoder."""
    try:
        ids = GpuList().ids(settings)
    except GpuError as error:
        yield bad("GPU", f"the driver does not answer: {error}", "restart the machine, or reinstall the driver")
        return
    if not ids:
        yield note("GPU", "none", "everything works on the processor, but slowly; in a container start it with --nv")
        return
    import torch

    for id, name, memory in described(ids):
        yield ok(f"GPU {id}", f"{name}, {as_bytes(memory)}")
    if torch.cuda.is_available():
        yield ok("CUDA", f"PyTorch {torch.__version__} for CUDA {torch.version.cuda}")
    else:
        yield bad("CUDA", "PyTorch cannot use the GPU", f"update the driver to one for CUDA {torch.version.cuda}")
    try:
        import PyNvVideoCodec  # noqa: F401
    except (ImportError, OSError) as error:
        words = str(error).splitlines()[0]
        yield note("NVDEC", f"not usable: {words}", "videos are decoded on the processor; bash setup.sh install")
    else:
        yield ok("NVDEC", "videos are decoded on the GPU")


def described(ids: tuple[int, ...]) -> Iterator[tuple[int, str, int]]:
    """Yield number, name and memory (bytes) of GPUs."""
    import pynvml

    pynvml.nvmlInit()
    try:
        for id in ids:
            handle = pynvml.nvmlDeviceGetHandleByIndex(id)
            yield id, str(pynvml.nvmlDeviceGetName(handle)), int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    finally:
        pynvml.nvmlShutdown()


def video() -> Iterator[Finding]:
    """Check that a clip is written and read back frame by frame."""
    begun = time.monotonic()
    for codec in ("h264", "hevc"):
        problem = decode_a_clip(codec)
        if problem:
            yield bad("video", f"{codec}: {problem}", "bash setup.sh install (package av)")
        else:
            yield ok("video", f"{codec} is read frame by frame")
    if time.monotonic() - begun > 30:
        yield note("video", "reading two small clips took over 30 s", "the machine is very busy or very slow")


def weights(settings: Settings) -> Iterator[Finding]:
    """Check whether there are start weights."""
    folder = settings.project_folder / "weights"
    files = sorted(folder.glob("*.safetensors"))
    good = list_weights(folder)
    for path in files:
        if path not in good:
            yield note("weights", f"{path} is not usable", f"{ADMIN} weights add FILE checks weights")
    if good:
        yield ok("weights", f"{', '.join(path.stem for path in good)} in {folder}")
    elif not files:
        yield note("weights", f"none in {folder}", f"{ADMIN} weights fetch coco_resnet50")


def ports(settings: Settings, state: Path) -> Iterator[Finding]:
    """Check the app's port and the range for services."""
    host, (first, last) = settings.bind_address, settings.port_range
    open_ports = sum(not taken(host, port) for port in range(first, last + 1))
    words = f"{open_ports} of {last - first + 1} free from {first} to {last}"
    yield ok("ports", words) if open_ports >= 3 else bad("ports", words, "choose another range under Settings")
    try:
        with file_lock(state / ".app.lock"):
            problem = taken(host, settings.app_port)
    except BlockingIOError:
        yield ok("app", "runs")
        return
    if problem:
        yield bad("app", problem, f"end that program, or change app_port in {state / 'settings.toml'}")
    else:
        yield ok("app", f"does not run; port {settings.app_port} is free for it")


def taken(host: str, port: int) -> str:
    """Return why ``port`` cannot be listened on, or an empty string."""
    try:
        listen(host, port).close()
    except InputError as error:
        return str(error)
    return ""


def jobs(state: Path) -> Iterator[Finding]:
    """Check what failed in the last day."""
    since = datetime.now(UTC) - timedelta(days=1)
    table = JobStore(state).list(limit=500)
    failed = [job for job in table if job.state in (JobState.FAILED, JobState.LOST) and job.ended and job.ended > since]
    for job in failed[:5]:
        words = f"job {job.id} ({job.title}) {job.state}: {job.reason}"
        yield note("jobs", words, f".venv/bin/python -m backend.jobs log {job.id}")
    if not failed:
        yield ok("jobs", f"{len(table)} in the table, none failed in the last day")


def file_system(path: Path) -> str:
    """Return the kind of file system that ``path`` lies on, such as ``ext4``."""
    real = os.path.realpath(path)
    mounts = psutil.disk_partitions(all=True)
    mounts = [each for each in mounts if os.path.commonpath([real, each.mountpoint]) == each.mountpoint]
    return max(mounts, key=lambda each: len(each.mountpoint)).fstype if mounts else ""


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of ``check``; an error that it did not expect becomes one, too."""
    try:
        yield from check()
    except Exception as error:  # the doctor must come to the end of its round
        words = f"{type(error).__name__}: {error}"
        name = getattr(check, "func", check).__name__.replace("_", " ")
        yield bad(name, words, f"send what {ADMIN} report writes")
