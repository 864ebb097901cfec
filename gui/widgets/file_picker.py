"""The file picker of all pages: folders and files under the allowed roots, by mouse or keyboard."""

from pathlib import Path

import streamlit as st

from backend.project.browse import Listing, list_folder
from backend.project.errors import InputError
from backend.project.paths import resolve_under
from gui.widgets.context import settings

HERE = Path(__file__).parent
PICKER = st.components.v2.component(
    "lektrack_file_picker",
    html='<div class="picker"></div>',
    css=(HERE / "file_picker.css").read_text(),
    js=(HERE / "file_picker.js").read_text(),
)


def pick_files(key: str, kind: str, action: str, several: bool = True) -> list[Path]:
    """Draw a picker and return the real paths that were chosen in this very run, else an empty list.

    Parameters
    ----------
    key
        Of the widget; one picker keeps its folder under it.
    kind
        A key of `backend.project.browse.KINDS`; ``folder`` picks folders.
    action
        The text of the button, such as "Add videos".
    several
        Whether more than one may be selected.
    """
    roots = settings().roots
    shown: Listing | None = None
    folder = st.session_state.get(key, {}).get("folder") or str(roots[0])
    try:
        shown = list_folder(folder, roots, kind)
    except InputError as error:
        st.warning(str(error))
        shown = _first_root(roots, kind)
    if shown is None:
        return []
    result = PICKER(
        key=key,
        data={
            "folder": str(shown.folder),
            "roots": [str(root) for root in roots if root.is_dir()],
            "trail": [
                {"name": path.name if index else str(path), "path": str(path)} for index, path in enumerate(shown.trail)
            ],
            "entries": [
                {
                    "name": entry.name,
                    "path": str(entry.path),
                    "folder": entry.is_folder,
                    "size": entry.size,
                    "modified": entry.modified,
                }
                for entry in shown.entries
            ],
            "hidden": shown.hidden,
            "kind": kind,
            "action": action,
            "several": several,
        },
        on_folder_change=lambda: None,
        on_chosen_change=lambda: None,
    )
    chosen = result.chosen if isinstance(result.chosen, list) else []
    return [resolve_under(str(path), roots) for path in chosen[:1000]]


def _first_root(roots: tuple[Path, ...], kind: str) -> Listing | None:
    """List the first root that can be listed, when the folder shown last is gone."""
    for root in roots:
        try:
            return list_folder(root, roots, kind)
        except InputError:
            continue
    return None
