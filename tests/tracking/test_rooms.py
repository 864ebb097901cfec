"""Imports between the rooms of backend/tracking go one way, and no modules of them import each other in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "backend.tracking"
BUILDS_ON = {
    "tracks": set(),
    "online": {"tracks"},
    "appearance": {"tracks", "online"},
    "linking": {"tracks", "online", "appearance"},
    "review": {"tracks", "online", "appearance", "linking"},
    "io": {"tracks"},
    "evaluation": {"tracks", "online", "appearance", "linking", "io"},
}  # room: the rooms that its modules may import


def imports_of(source: str) -> set[str]:
    """Return everything that a module imports by its full name, inside functions and from packages, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return found


def modules() -> dict[str, set[str]]:
    """Return the modules of the package and what each imports of it."""
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.glob("backend/tracking/*/*.py")
    }
    return {name: imports_of(path.read_text()) & paths.keys() for name, path in paths.items()}


def room_of(module: str) -> str:
    return module.split(".")[2]


def breaches(graph: dict[str, set[str]]) -> list[str]:
    """Return the imports that go against `BUILDS_ON`."""
    return [
        f"{name} imports {imported}"
        for name, others in sorted(graph.items())
        for imported in sorted(others)
        if room_of(imported) != room_of(name) and room_of(imported) not in BUILDS_ON[room_of(name)]
    ]


def test_every_module_lies_in_a_room():
    assert {room_of(name) for name in modules()} == BUILDS_ON.keys()
    assert [path.name for path in (ROOT / "backend/tracking").glob("*.py")] == ["__init__.py"]


def test_the_allowed_imports_have_an_order():
    TopologicalSorter(BUILDS_ON).prepare()


def test_rooms_import_one_way():
    assert breaches(modules()) == []


def test_no_modules_import_each_other_in_a_circle():
    TopologicalSorter(modules()).prepare()


def test_a_room_is_imported_by_its_name_only():
    """Nobody imports a whole room, which would hide from these tests what is used of it."""
    rooms = {f"{PACKAGE}.{room}" for room in BUILDS_ON}
    for path in (ROOT / "backend/tracking").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert rooms.isdisjoint(alias.name for alias in node.names), path


@pytest.mark.parametrize(
    "statement",
    [
        "from backend.tracking.linking.link import link",
        "import backend.tracking.linking.link",
        "from backend.tracking.linking import link",
        "def late():\n    from backend.tracking.linking.link import link",
    ],
)
def test_an_import_against_the_order_is_seen(statement):
    graph = modules()
    graph["backend.tracking.tracks.tracks"] |= imports_of(statement) & graph.keys()
    assert breaches(graph) == ["backend.tracking.tracks.tracks imports backend.tracking.linking.link"]


def test_a_circle_is_seen():
    graph = modules()
    graph["backend.tracking.tracks.tracks"].add("backend.tracking.tracks.track_folder")
    assert breaches(graph) == []
    with pytest.raises(CycleError):
        TopologicalSorter(graph).prepare()
