"""COCO files from other tools that are merged into a data set."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from backend.dataset.merge import classes_of, read_coco
from backend.project.errors import InputError
from gui.widgets.file_picker import pick_files
from gui.widgets.job_view import escape

KEY = "coco-merge"


@dataclass(frozen=True)
class MergedFile:
    """A file with its number of images and the classes that have annotations."""

    path: Path
    images: int
    classes: tuple[str, ...]


def choose_merged() -> list[MergedFile]:
    """Let the user add and remove COCO files; return those that can be read."""
    paths = st.session_state.setdefault(KEY, [])
    files = []
    with st.expander("COCO files from other tools", expanded=bool(paths), icon=":material/merge:"):
        st.caption("Adds exports of CVAT, Label Studio or an earlier Lektrack. Classes are matched by name.")
        for path in list(paths):
            if (file := show_file(path)) is not None:
                files.append(file)
        if new := [path for path in pick_files("coco-json", "json", "Add files") if path not in paths]:
            paths.extend(new)
            st.rerun()
    return files


def show_file(path: Path) -> MergedFile | None:
    """Draw a file with a button that removes it; return its content, None if it cannot be read."""
    words, button = st.columns([0.8, 0.2], vertical_alignment="center")
    if button.button("Remove", key=f"leave-{path}", help=str(path), icon=":material/close:", width="stretch"):
        st.session_state[KEY].remove(path)
        st.rerun()
    try:
        file = read(path, path.stat().st_mtime)
    except (InputError, OSError) as error:
        words.error(escape(str(error)))
        return None
    words.markdown(escape(f"{path.name} · {file.images} images · classes: {', '.join(file.classes) or 'none'}"))
    return file


@st.cache_data(max_entries=50, show_spinner="Reading the file")
def read(path: Path, modified: float) -> MergedFile:
    """Return what is in a file; ``modified`` keeps the cache true."""
    content = read_coco(path)
    return MergedFile(path, len(content.images), tuple(classes_of([content])))
