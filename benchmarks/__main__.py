"""Runs the benchmarks one after the other and writes down what they print, with command and machine.

    python -m benchmarks --out FOLDER --data FOLDER              # all that this machine can do, about 40 minutes
    python -m benchmarks zone_stats board --out FOLDER           # some; what lies there of others stays
    python -m benchmarks --out FOLDER --small                    # only whether they run, in minutes

FOLDER gets NAME.md for each and `all.md` with all of them, for docs/benchmarks.md. --data names a folder with
`masks/davis/` and `identity/`; without it what needs real pictures or boxes is left out and said so. What only a GPU
can tell takes --gpu WEIGHTS VIDEO. Nothing else should run on the machine meanwhile; its load is written down.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from backend.project.atomic import atomic_write
from backend.project.manifest import hardware, versions

ROOT = Path(__file__).resolve().parents[1]
LEK = "--birds 12 --seconds 4 --size 2688x1520 --seed 1 --mask-every 1"
PLACE = re.compile(r"\{(\w+)\}")
SMALL_LEK = "--birds 3 --seconds 1 --size 640x384 --seed 1 --mask-every 1"


@dataclass(frozen=True)
class Benchmark:
    """A module of this folder with its arguments. ``small`` are those of a trial; None where that takes as long.

    ``{data}``, ``{lek}`` (a rendered one), ``{work}`` (an empty folder), ``{weights}`` and ``{video}`` in them are
    filled in; a benchmark that uses what was not given is left out.
    """

    name: str
    title: str
    module: str
    arguments: str
    small: str | None = None
    gpu: bool = False


BENCHMARKS = (
    Benchmark("decoders", "Which decoder returns the frame that was asked for", "decoders", ""),
    Benchmark("decoders_speed", "Decoders in sequence", "decoders", "--speed"),
    Benchmark("export_frames", "Exporting frames", "export_frames", "", "--frames 8 --repeats 1"),
    Benchmark("encoders", "PNG encoders", "export_frames", "--encoders"),
    Benchmark("mask2coco", "Masks to COCO JSON", "mask2coco", "", "--frames 4"),
    Benchmark("train", "Training", "train", "", "--steps 1 --turns 1 --warm-up 1 --images 4"),
    Benchmark(
        "segannot",
        "SegAnnot, with a scripted annotator",
        "segannot",
        "--frames 40 --sequences {data}/masks/davis/mallard-water {data}/masks/davis/flamingo {data}/masks/davis/dog",
    ),
    Benchmark(
        "segannot_lek",
        "SegAnnot on a rendered lek",
        "segannot",
        "--frames 16 --rounds 3 --sequences {lek}",
        "--frames 2 --rounds 1 --sequences {lek}",
    ),
    Benchmark("segannot_latency", "SegAnnot, scribble to outline", "segannot", "--latency {lek}", "--latency {lek}"),
    Benchmark("inference", "Inference", "inference", "", "--frames 16 --only bytes rle"),
    Benchmark(
        "tracking",
        "Tracking",
        "tracking",
        "--minutes 2 --seeds 201 202 --data {data}",
        "--minutes 0.2 --seeds 201 --presets normal",
    ),
    Benchmark("tracking_calibration", "Calibration of p_identity", "tracking_calibration", "--folder {work}"),
    Benchmark("board", "Board", "board", "--pictures 200 --acts 1000", "--rows 20000 --pictures 3 --acts 2"),
    Benchmark("zone_stats", "Zone statistics", "zone_stats", "", "--minutes 1"),
    Benchmark("inference_gpu", "Inference on a GPU", "inference_gpu", "--weights {weights} --video {video}", gpu=True),
    Benchmark(
        "train_gpu",
        "Training on a GPU",
        "train",
        "--device 0 --backbone resnet50 --channels 256 --rois 512 --short-side 800 --long-side 1333 --batch-size 8 "
        "--workers 8 --images 64 --steps 10",
        gpu=True,
    ),
)


def main() -> int:
    """Run what was asked for; exit code 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [each.name for each in BENCHMARKS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--gpu", nargs=2, type=Path, metavar=("WEIGHTS", "VIDEO"))
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    unknown = set(given.names) - set(names)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: not known; there are {', '.join(names)}")
    given.out.mkdir(parents=True, exist_ok=True)
    places = {"data": given.data, "weights": given.gpu and given.gpu[0], "video": given.gpu and given.gpu[1]}
    places = {name: str(path.resolve()) for name, path in places.items() if path}
    failed = []
    with tempfile.TemporaryDirectory(prefix="lektrack-benchmarks-") as folder:
        places["lek"], places["work"] = f"{folder}/lek", f"{folder}/work"
        Path(places["work"]).mkdir()
        for benchmark in [each for each in BENCHMARKS if each.name in (given.names or names)]:
            why = left_out(benchmark, given, places)
            if why:
                print(f"{benchmark.name}: left out: {why}", flush=True)
            elif not run(benchmark, given.out, given.small, places, Path(folder)):
                failed.append(benchmark.name)
    parts = [path.read_text() for name in names if (path := given.out / f"{name}.md").is_file()]
    atomic_write(given.out / "all.md", "\n".join(parts))
    print(f"{given.out / 'all.md'}: {len(parts)} tables" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def left_out(benchmark: Benchmark, given: argparse.Namespace, places: dict[str, str]) -> str:
    """Return why a benchmark is not run, or an empty string."""
    arguments = benchmark.small if given.small else benchmark.arguments
    if arguments is None:
        return "there is no small form of it"
    if benchmark.gpu and not given.gpu:
        return "needs a GPU (--gpu)"
    missing = [name for name in ("data", "weights", "video") if f"{{{name}}}" in arguments and name not in places]
    return f"needs --{missing[0]}" if missing else ""


def run(benchmark: Benchmark, out: Path, small: bool, places: dict[str, str], folder: Path) -> bool:
    """Run one benchmark, show what it prints and write its file; return whether it came to its end."""
    arguments = (benchmark.small if small else benchmark.arguments) or ""
    if "{lek}" in arguments and not Path(places["lek"]).exists():
        make_lek(Path(places["lek"]), small)
    command = ["-m", f"benchmarks.{benchmark.module}", *(word.format(**places) for word in arguments.split())]
    print(f"\n{benchmark.name}: python {' '.join(command)}", flush=True)
    environment = {**os.environ, "LEKTRACK_STATE": str(folder / "state"), "PYTHONUNBUFFERED": "1"}
    begun, load = time.monotonic(), os.getloadavg()[0]
    said = []
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            said.append(line.rstrip())
    if process.returncode != 0:
        print(f"{benchmark.name}: FAILED with exit code {process.returncode}", flush=True)
        return False
    typed = f"python -m benchmarks.{benchmark.module} {PLACE.sub(lambda found: found[1].upper(), arguments)}".strip()
    minutes = (time.monotonic() - begun) / 60
    about = f"{machine()}; load {load:.1f} before, {os.getloadavg()[0]:.1f} after {minutes:.1f} min"
    text = [f"## {benchmark.title}", "", f"`{typed}` ({about})", "", *as_markdown(said)]
    atomic_write(out / f"{benchmark.name}.md", "\n".join(text))
    return True


def make_lek(folder: Path, small: bool) -> None:
    """Render what ``{lek}`` stands for: a video with the outlines of every frame."""
    words = ["-m", "backend.simulate", "--out", str(folder), *(SMALL_LEK if small else LEK).split()]
    print(f"\nrendering: python {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)


def machine() -> str:
    """Return date, version and machine in one line."""
    found = hardware()
    words = f"{found['processor']}, {found['cores']} cores, {found['memory_bytes'] / 1e9:.0f} GB"
    return f"{datetime.now(UTC):%Y-%m-%d}, Lektrack {versions()['lektrack']}; {words}"


def as_markdown(lines: list[str]) -> Iterator[str]:
    """Yield what a benchmark printed: its tables as they are, everything else as it stood on the terminal."""
    for is_table, part in groupby(lines, lambda line: line.startswith("|")):
        block = "\n".join(part).strip("\n")
        if block:
            yield from ((block, "") if is_table else ("```", block, "```", ""))


if __name__ == "__main__":
    sys.exit(main())
