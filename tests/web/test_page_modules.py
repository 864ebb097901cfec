"""The modules of the pages of SegAnnot and the board: imports and elements exist, and no import circle does."""

import re
from pathlib import Path

import pytest

from backend.project.settings import REPOSITORY
from backend.web.pages import SHARED

PAGES = {name: REPOSITORY / name / "static" for name in ("segannot", "board")}


def imports(module: Path) -> list[Path]:
    """Return the files that a module imports, as the page finds them."""
    found = re.findall(r"""(?:from|import) "(\.{1,2}/[^"]+)";""", module.read_text())
    return [SHARED / name.rpartition("/")[2] if "/shared/" in name else module.parent / name for name in found]


def elements(module: Path) -> set[str]:
    """Return the ids of elements that a module names."""
    return set(re.findall(r'byId\("([\w-]+)"\)', module.read_text()))


@pytest.mark.parametrize("page", PAGES)
def test_modules_import_each_other_in_no_circle(page: str) -> None:
    done: set[Path] = set()

    def visit(module: Path, above: tuple[Path, ...]) -> None:
        assert module not in above, [path.name for path in (*above, module)]
        if module in done:
            return
        for other in imports(module):
            assert other.is_file(), f"{module.name} imports {other}"
            visit(other, (*above, module))
        done.add(module)

    visit(PAGES[page] / "main.js", ())
    assert done >= set(PAGES[page].glob("*.js"))  # and none is left over


@pytest.mark.parametrize("page", PAGES)
def test_every_element_that_a_module_names_is_on_the_page(page: str) -> None:
    ids = set(re.findall(r'\bid="([\w-]+)"', (PAGES[page] / "index.html").read_text()))
    for module in (*PAGES[page].glob("*.js"), SHARED / "shell.js", SHARED / "page.js", SHARED / "axis.js"):
        assert elements(module) <= ids, module.name
