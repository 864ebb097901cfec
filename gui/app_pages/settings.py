"""Settings: folders, addresses, slots, messages; validated and kept in one TOML file in the state folder."""

import streamlit as st
from pydantic import ValidationError

from backend.project.errors import InputError
from backend.project.settings import (
    Settings,
    check_beside,
    first_problem,
    load_settings,
    save_settings,
    state_folder,
)
from backend.project.state_files import set_aside
from gui.widgets.context import title
from gui.widgets.settings_form import addresses, folders, messages, slots, times


def form(now: Settings) -> dict[str, object] | None:
    """Draw the form with the values of ``now``; return what was entered when it was submitted."""
    with st.form("settings", border=False):
        entered = {**folders(now), **addresses(now), **slots(now), **messages(now.notify), **times(now)}
        return entered if st.form_submit_button("Save", type="primary") else None


def misplaced(wanted: Settings, saved: Settings) -> str:
    """Return what is wrong with the folders, empty if nothing is. A new project folder is made; its parent is not."""
    missing = [root for root in wanted.allowed_roots if not root.is_dir()]
    if missing:
        return f"allowed_roots: {missing[0]} is not a folder on this server"
    project = wanted.project_folder
    if project == saved.project_folder:
        return ""
    if not project.parent.is_dir():
        return f"project_folder: there is no folder {project.parent} on this server to make {project.name} in"
    try:
        check_beside(project, state_folder())
    except InputError as error:
        return f"project_folder: {error}"
    return ""


title("settings")
for broken in set_aside(state_folder()):
    st.warning(f"{broken.name} was damaged and has been set aside. Its content is kept in {broken.parent}.")
saved = load_settings()
entered = form(saved)
if entered is not None:
    try:
        wanted = Settings(**entered)
    except ValidationError as error:
        st.error(first_problem(error), icon=":material/error:")
    else:
        problem = misplaced(wanted, saved)
        if problem:
            st.error(problem, icon=":material/error:")
        else:
            save_settings(wanted)
            restart = ("bind_address", "app_port", "public_address", "path_prefix")
            needs_restart = any(getattr(wanted, key) != getattr(saved, key) for key in restart)
            st.success("Saved." + (" Restart Lektrack to use the new address." if needs_restart else ""))
st.caption(f"Stored in {state_folder() / 'settings.toml'}")
