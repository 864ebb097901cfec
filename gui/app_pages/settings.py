"""Settings: folders, addresses, slots; validated and kept in one TOML file in the state folder."""

from zoneinfo import available_timezones

import streamlit as st
from pydantic import ValidationError

from backend.project.settings import Settings, first_problem, load_settings, save_settings, state_folder
from backend.project.state_files import set_aside
from gui.widgets.context import title


def form(now: Settings) -> dict[str, object] | None:
    """Draw the form with the values of ``now``; return what was entered when it was submitted."""
    with st.form("settings", border=False):
        st.subheader("Folders")
        project = st.text_input(
            "Project folder",
            str(now.project_folder),
            help="Everything Lektrack makes is kept here. An absolute path on the server.",
        )
        roots = st.text_area(
            "Allowed folders, one a line",
            "\n".join(str(root) for root in now.allowed_roots),
            help="Where the file picker may look for videos. Nothing else on the server can be seen.",
        )
        st.subheader("Addresses")
        left, right = st.columns(2)
        bind = left.text_input(
            "Bind address", now.bind_address, help="127.0.0.1: this machine only. 0.0.0.0: the whole network."
        )
        public = left.text_input(
            "Public address",
            now.public_address,
            placeholder="https://lek.example.org",
            help="What users type when a proxy with TLS stands in front.",
        )
        port = right.number_input("Port of the app", 1, 65535, now.app_port)
        prefix = right.text_input(
            "Path prefix", now.path_prefix, placeholder="/lektrack", help="If the proxy serves Lektrack under a path."
        )
        first = left.number_input(
            "First port for services",
            1,
            65535,
            now.port_range[0],
            help="SegAnnot, the board and TensorBoard each take a free port of this range.",
        )
        last = right.number_input("Last port for services", 1, 65535, now.port_range[1])
        st.subheader("Work at the same time")
        cpu = st.number_input("CPU slots", 1, 1024, now.cpu_slots, help="How many jobs without a GPU may run at once.")
        gpus = st.text_input(
            "GPUs",
            "" if now.gpus is None else " ".join(map(str, now.gpus)),
            placeholder="all",
            help="Numbers as nvidia-smi shows them, such as: 0 1. Empty: all.",
        )
        zones = sorted(available_timezones())
        zone = st.selectbox(
            "Time zone", zones, zones.index(now.time_zone), help="Of the times shown in pages and reports."
        )
        if not st.form_submit_button("Save", type="primary"):
            return None
    return {
        "project_folder": project.strip(),
        "allowed_roots": [line.strip() for line in roots.splitlines() if line.strip()],
        "bind_address": bind.strip(),
        "public_address": public.strip(),
        "app_port": port,
        "path_prefix": prefix.strip(),
        "port_range": (first, last),
        "cpu_slots": cpu,
        "gpus": gpus.replace(",", " ").split() or None,
        "time_zone": zone,
    }


title("settings")
for broken in set_aside(state_folder()):
    st.warning(
        f"{broken.name}: this state file could not be read and was set aside. Its content is kept in {broken.parent}."
    )
saved = load_settings()
entered = form(saved)
if entered is not None:
    try:
        wanted = Settings(**entered)
    except ValidationError as error:
        st.error(first_problem(error), icon=":material/error:")
    else:
        missing = [root for root in wanted.allowed_roots if not root.is_dir()]
        if missing:
            st.error(f"allowed_roots: {missing[0]} is not a folder on this server", icon=":material/error:")
        else:
            save_settings(wanted)
            restart = ("bind_address", "app_port", "public_address", "path_prefix")
            needs_restart = any(getattr(wanted, key) != getattr(saved, key) for key in restart)
            st.success(
                "Saved."
                + (" Restart the app (Ctrl+C, then bash setup.sh start) for the new address." if needs_restart else "")
            )
st.caption(f"Kept in {state_folder() / 'settings.toml'}")
