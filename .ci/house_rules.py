"""House rules that no linter knows: one helper for each dangerous act, layers, sizes. A line a breach, exit code 1."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

WRITES = {"write_text", "write_bytes", "imwrite", "savez", "savez_compressed"}
PROCESS_CALLS = {"os.kill", "os.killpg", "os.system", "os.fork", "os.execv", "os.execve", "os.popen"}

# Where a dangerous act is allowed, and why. Everything else goes through the helper that stands here.
MAY_WRITE = {
    "backend/project/atomic.py": "is the helper",
    "backend/jobs/job_log.py": "a job's log grows while the job runs",
}
MAY_START_PROCESSES = {
    "backend/jobs/process.py": "is the helper",
    "backend/project/manifest.py": "asks git for the commit",
}
MAY_IMPORT_NUMBA = ("backend/project/kernels.py",)
MAY_IMPORT_PICKLE = {"backend/detectors/detectron2_pickle.py": "allows only the names that NumPy's arrays consist of"}
MAX_LINES = {"py": 700, "js": 400}
MAX_PAGE_LINES = 150
MAX_FUNCTION_LINES = 80
RETIRED = {  # words of earlier versions that a reader of the field would not look for
    "Flock": "TrackStates",
    "Doors": "EntryExit",
    "WAYS_IN": "entries",
    "WAYS_OUT": "exits",
    "said_false": "false_positive_log_odds",
    "NOBODY": "UNASSIGNED",
    "Stepper": "TrainStep",
    "Ranks": "ProcessGroup",
    "take_over": "import_weights",
    "zoo_reader": "detectron2_pickle",
    "deaf": "ignores",
    "Length in all": "Total duration",
    "at work or waiting": "running or queued",
    "Least score": "Minimum score",
    "Keys as they came": "Reset shortcuts",
    "Carry outlines": "Propagate",
    "Boxes tremble": "Boxes jitter",
    "what is asked of": "settings of",
    "What is asked of": "Settings of",
}
AGPL = {"ultralytics", "boxmot"}
RETIRED_WORDS = re.compile(r"\b(" + "|".join(map(re.escape, RETIRED)) + r")\b")
MAX_LINE = 200  # of a document


def main() -> int:
    """Check every tracked file and return the exit code."""
    files = [ROOT / name for name in tracked()]
    breaches = [breach for file in files for breach in check(file)]
    print("\n".join(breaches) or f"house rules: {len(files)} files keep them")
    return 1 if breaches else 0


def check(path: Path) -> Iterator[str]:
    """Yield the breaches of one file as ``path:line: what is wrong``."""
    name = path.relative_to(ROOT).as_posix()
    kind = path.suffix.removeprefix(".")
    if kind in MAX_LINES:
        lines = path.read_text().count("\n")
        limit = MAX_PAGE_LINES if name.startswith("gui/app_pages/") else MAX_LINES[kind]
        if lines > limit:
            yield f"{name}:1: {lines} lines, at most {limit}"
    if kind == "py":
        yield from check_python(name, ast.parse(path.read_text(), name))
    if kind in ("js", "html") and not name.startswith("tests/"):
        yield from check_browser_code(name, path.read_text())
    if kind in ("py", "js", "html") and not name.startswith((".ci/", "tests/")):
        for number, line in enumerate(path.read_text().split("\n"), 1):
            for word in re.findall(RETIRED_WORDS, line):
                yield f"{name}:{number}: '{word}' is retired; say {RETIRED[word]}"
    if kind == "md":
        yield from check_document(name, path.read_text())
    if kind in ("py", "js", "sh", "md") and not name.startswith(".ci/"):
        yield from check_citations(name, path.read_text())


def check_python(name: str, tree: ast.Module) -> Iterator[str]:
    """Yield breaches of layers, dangerous acts and function sizes."""
    product = name.startswith(("backend/", "gui/", "segannot/", "board/"))
    for node in ast.walk(tree):
        where = f"{name}:{getattr(node, 'lineno', 1)}:"
        if isinstance(node, ast.Import | ast.ImportFrom):
            for module in imported(node):
                yield from (f"{where} {problem}" for problem in import_problems(name, module))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not name.startswith("tests/"):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{where} {node.name} has {length} lines, at most {MAX_FUNCTION_LINES}"
        elif isinstance(node, ast.Call) and product:
            yield from (f"{where} {problem}" for problem in call_problems(name, node))


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the modules that a statement imports."""
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]


def import_problems(name: str, module: str) -> Iterator[str]:
    """Yield what is wrong with importing ``module`` in the file ``name``."""
    top = module.split(".")[0]
    if name.startswith("backend/") and top in ("streamlit", "gui", "segannot", "board"):
        yield f"imports {top}: imports go gui -> backend.jobs -> plain functions"
    if top == "numba" and name not in MAY_IMPORT_NUMBA:
        yield "imports numba: its own cache runs old code after an update; @kernel of backend.project.kernels"
    if top in AGPL:
        yield f"imports {top}, which is AGPL"
    if top in ("pickle", "dill", "joblib") and name not in MAY_IMPORT_PICKLE and not name.startswith("tests/"):
        yield f"imports {top}: files from outside must not run code"


def call_problems(name: str, node: ast.Call) -> Iterator[str]:
    """Yield what is wrong with one call in product code."""
    called = ast.unparse(node.func)
    if writes(node, called) and name not in MAY_WRITE:
        yield f"{called}() writes past backend.project.atomic"
    if (called in PROCESS_CALLS or called.startswith("subprocess.")) and name not in MAY_START_PROCESSES:
        yield f"{called}() goes round backend.jobs.process"
    keywords = {word.arg: word.value for word in node.keywords}
    if called.endswith("torch.load") and ast.unparse(keywords.get("weights_only", ast.Constant(None))) != "True":
        yield "torch.load without weights_only=True runs what the file says"
    if name.startswith("gui/") and called.endswith("job_store().submit") and name != "gui/widgets/context.py":
        yield "job_store().submit() forgets who did it: gui.widgets.context.submit"
    if ast.unparse(keywords.get("shell", ast.Constant(False))) == "True":
        yield "shell=True: arguments are lists, never a shell string"


def writes(node: ast.Call, called: str) -> bool:
    """Tell whether a call opens a file for writing or writes one whole.

    What gets an open ``file`` (of `atomic_file`) or a ``buffer`` in memory writes into that.
    """
    if node.args and isinstance(node.args[0], ast.Name) and node.args[0].id in ("file", "buffer"):
        return False
    if called.rsplit(".", 1)[-1] in WRITES or called in ("os.replace", "os.rename", "shutil.move"):
        return True
    if called != "open" and not called.endswith(".open"):
        return False
    modes = [*node.args[:2], *(word.value for word in node.keywords if word.arg == "mode")]
    return any(
        isinstance(mode, ast.Constant)
        and isinstance(mode.value, str)
        and re.fullmatch(r"[rwaxbt+]*[wax+][rwaxbt+]*", mode.value)
        for mode in modes
    )


def check_browser_code(name: str, text: str) -> Iterator[str]:
    """Yield inline handlers and innerHTML."""
    for number, line in enumerate(text.split("\n"), 1):
        if "innerHTML" in line or "insertAdjacentHTML" in line or "document.write" in line:
            yield f"{name}:{number}: use textContent and elements, not HTML strings"
        if re.search(r"<[^>]*\son[a-z]+\s*=", line):
            yield f"{name}:{number}: inline event handler"


def check_document(name: str, text: str) -> Iterator[str]:
    """Yield lines that are too long, and files that a document names although the repository does not have them."""
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE:
            yield f"{name}:{number}: {len(line)} characters, at most {MAX_LINE}"
        for cited in re.findall(r"`([\w./-]+\.(?:py|js|sh|css|def))(?:::\w+)?`", line):
            if "NAME" not in cited and not has_file(cited):
                yield f"{name}:{number}: names {cited}, which the repository does not have"


def check_citations(name: str, text: str) -> Iterator[str]:
    """Yield documents that are cited although the repository does not have them."""
    for number, line in enumerate(text.split("\n"), 1):
        for cited in re.findall(r"\bdocs/[\w/-]+\.md\b", line):
            if not has_file(cited):
                yield f"{name}:{number}: cites {cited}, which the repository does not have"
        if cited_rule := re.search(r"\b(RELIABILITY|DESIGN|PERFORMANCE|THESIS) \d", line):
            yield f"{name}:{number}: cites {cited_rule[0]}, which the repository does not have"


def has_file(cited: str) -> bool:
    """Tell whether a tracked file has this path, or ends with it."""
    return any(f"/{known}".endswith("/" + cited.removeprefix("./").removeprefix("../")) for known in tracked())


@cache
def tracked() -> tuple[str, ...]:
    """Return the paths of the repository's files."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    return tuple(name for name in listed.stdout.split("\n") if name and (ROOT / name).is_file())


if __name__ == "__main__":
    sys.exit(main())
