"""No name that comes from outside leads out of the allowed folders."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.project.errors import InputError
from backend.project.paths import Project, check_name, resolve_under, slug

OUTSIDE = "outside"


@contextlib.contextmanager
def garden(parent: Path) -> Iterator[Path]:
    """A root with links in every direction, a sibling whose name begins like the root's, and secrets outside."""
    root = parent / "root"
    (root / "videos" / "north").mkdir(parents=True)
    (root / "videos" / "a.mp4").write_text("inside")
    (root / "-rf").write_text("inside")
    (root / "$(id)\n'\"").write_text("inside")
    for name in ("outside", "root-sibling", "rootless"):
        (parent / name).mkdir()
        (parent / name / "secret.mp4").write_text("secret")
    (root / "link_in").symlink_to(root / "videos")
    (root / "link_out").symlink_to(parent / OUTSIDE)
    (root / "link_up").symlink_to("../..")
    (root / "link_file_out").symlink_to(parent / OUTSIDE / "secret.mp4")
    (root / "link_chain").symlink_to("link_out")
    (root / "loop").symlink_to("loop")
    (root / "videos" / "root_again").symlink_to(root)
    (parent / "door").symlink_to(root)
    yield root


@pytest.fixture
def root(tmp_path) -> Iterator[Path]:
    """See `garden`."""
    with garden(tmp_path) as root:
        yield root


ESCAPES = [
    "..",
    "../",
    "../outside/secret.mp4",
    "../../../../../../../etc/passwd",
    "videos/../../outside",
    "videos/north/../../../outside/secret.mp4",
    "./../outside",
    "videos/./.././../outside",
    "videos//..//..//outside",
    "../root-sibling/secret.mp4",
    "../rootless",
    "../root-sibling/../outside",
    "/etc/passwd",
    "//etc/passwd",
    "///",
    "/",
    "/..",
    "/proc/self/root/etc/passwd",
    "/proc/self/cwd",
    "/dev/stdin",
    "link_out",
    "link_out/secret.mp4",
    "link_out/../secret",
    "link_file_out",
    "link_up",
    "link_up/etc/passwd",
    "link_chain/secret.mp4",
    "link_in/../../outside",
    "videos/root_again/../outside",
    "videos/root_again/link_out/secret.mp4",
    "",
    "\0",
    "videos/a.mp4\0.png",
    "../outside\0",
    "a/" * 2048 + "b",
    "x" * 4097,
    "é" * 2049,
    "../" * 1365 + "etc",
]
STAYS = [
    (".", ""),
    ("videos", "videos"),
    ("videos/a.mp4", "videos/a.mp4"),
    ("videos/not-there-yet.mp4", "videos/not-there-yet.mp4"),
    ("videos/north/../a.mp4", "videos/a.mp4"),
    ("link_in/a.mp4", "videos/a.mp4"),
    ("videos/root_again/videos/a.mp4", "videos/a.mp4"),
    ("%2e%2e/outside", "%2e%2e/outside"),
    ("..%2foutside", "..%2foutside"),
    ("..\\outside", "..\\outside"),
    ("~/x", "~/x"),
    ("~root", "~root"),
    ("...", "..."),
    ("-rf", "-rf"),
    ("$(id)\n'\"", "$(id)\n'\""),
    ("file:///etc/passwd", "file:/etc/passwd"),
    ("C:\\windows", "C:\\windows"),
    ("．．/outside", "．．/outside"),
    ("..\u200b/outside", "..\u200b/outside"),
    ("\udcff.mp4", "\udcff.mp4"),
]


@pytest.mark.parametrize("payload", ESCAPES, ids=lambda payload: ascii(payload)[:40])
def test_what_leads_out_is_refused(root, payload):
    with pytest.raises(InputError) as refusal:
        resolve_under(payload, [root])
    text = str(refusal.value)
    assert len(text) < 600
    assert text.isprintable()


@pytest.mark.parametrize(("payload", "place"), STAYS, ids=[ascii(payload) for payload, _ in STAYS])
def test_what_only_looks_dangerous_is_a_plain_name_inside(root, payload, place):
    assert resolve_under(payload, [root]) == root / place


def test_absolute_paths_inside_are_fine_also_through_a_link_to_the_root(root):
    assert resolve_under(root / "videos" / "a.mp4", [root]) == root / "videos" / "a.mp4"
    assert resolve_under(root.parent / "door" / "videos", [root]) == root / "videos"
    assert resolve_under("videos", [root.parent / "door"]) == root / "videos"


def test_a_second_root_counts_but_relative_paths_start_in_the_first(root):
    roots = [root, root.parent / OUTSIDE]
    assert resolve_under("link_out/secret.mp4", roots) == root.parent / OUTSIDE / "secret.mp4"
    assert resolve_under("secret.mp4", roots) == root / "secret.mp4"
    with pytest.raises(InputError, match="outside the allowed folders"):
        resolve_under("../root-sibling", roots)


def test_a_loop_of_links_does_no_harm(root):
    with contextlib.suppress(InputError):
        assert is_inside(resolve_under("loop/x", [root]), root)


def test_the_whole_disk_may_be_allowed(root):
    assert resolve_under("/etc", ["/"]) == Path("/etc")


def test_without_roots_everything_is_refused(root):
    with pytest.raises(InputError, match="no folders are allowed"):
        resolve_under("videos", [])


SEGMENTS = (
    ["..", ".", "", "videos", "north", "a.mp4", "link_in", "link_out", "link_up", "link_chain", "link_file_out"]
    + ["root_again", "root", "root-sibling", "outside", "secret.mp4", "loop", "door", "%2e%2e", "..%2f", "~", "..\\"]
    + ["..", "..", "videos", "root_again", "link_in", "\0", "\n", "\u202e", "\udcff", "x" * 300]
)
STARTS = ["", "", "", "/", "//", "ROOT/", "ROOT/", "ROOT/../", "ROOT-sibling/", "./"]
PATHS_AN_EXAMPLE = 100
BYTES_A_PATH = 12


def path_of(code: bytes) -> str:
    """Return the path that a few bytes stand for: a start, a number of segments, and these."""
    segments = [SEGMENTS[byte] if byte < len(SEGMENTS) else chr(byte) for byte in code[2 : 3 + code[1] % 10]]
    return STARTS[code[0] % len(STARTS)] + "/".join(segments)


def test_ten_thousand_generated_paths_lead_nowhere_else():
    counts = {"inside": 0, "refused": 0}
    with tempfile.TemporaryDirectory() as parent, garden(Path(parent).resolve()) as root:

        @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(st.binary(min_size=BYTES_A_PATH, max_size=BYTES_A_PATH), min_size=PATHS_AN_EXAMPLE))
        def stay_inside(codes: list[bytes]) -> None:
            for code in codes:
                text = path_of(code).replace("ROOT", str(root))
                try:
                    found = resolve_under(text, [root])
                except InputError:
                    counts["refused"] += 1
                    continue
                counts["inside"] += 1
                assert is_inside(found, root), text
                assert os.path.realpath(found) == str(found), "what is opened holds no link any more"

        stay_inside()
    assert sum(counts.values()) >= 10_000
    assert min(counts.values()) > 1000, counts


def is_inside(path: Path, root: Path) -> bool:
    """Whether ``path`` is ``root`` or below it, letter by letter."""
    return path == root or str(path).startswith(f"{root}/")


class TestNames:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("Lek North 2026-05-03.MP4", "lek-north-2026-05-03-mp4"),
            ("Árvíztűrő tükörfúrógép", "arvizturo-tukorfurogep"),
            ("../../etc/passwd", "etc-passwd"),
            ("___", "unnamed"),
            ("", "unnamed"),
            ("日本", "unnamed"),
            ("a" * 200, "a" * 80),
            ("a" * 79 + "-b", "a" * 79),
        ],
    )
    def test_any_name_becomes_a_folder_name(self, name, expected):
        assert slug(name) == expected
        assert check_name(slug(name)) == expected

    @given(st.text())
    def test_every_slug_is_an_allowed_name(self, name):
        check_name(slug(name))

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "A", "a b", "-a", "a-", "é", "a\n", "a" * 81, "a\0"])
    def test_other_names_are_refused_with_what_is_allowed(self, name):
        with pytest.raises(InputError, match="use 1 to 80 lower-case letters"):
            check_name(name)


def test_no_path_of_a_project_leaves_it():
    project = Project(Path("/data"))
    for place in (project.video, project.exported_frames, project.segannot, project.training):
        assert str(place("north")).startswith("/data/")
        for name in ("..", "a/../../b", "/etc", ""):
            with pytest.raises(InputError):
                place(name)
    for place in (project.inference_output, project.track_output):
        with pytest.raises(InputError, match="run"):
            place("north", "../x")
