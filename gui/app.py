"""The router: every page of Lektrack in the order of the work. Started by ``python -m gui``."""

import html
from pathlib import Path

import streamlit as st

from gui.guide import GUIDE_PATH
from gui.steps import STEPS
from gui.widgets.context import active_jobs, person, settings

HERE = Path(__file__).parent
NAME_HELP = "Your name appears on the jobs you start and the corrections you make."

st.set_page_config(page_title="Lektrack", page_icon=str(HERE / "static" / "mark.svg"), layout="wide")
st.logo(str(HERE / "static" / "logo.svg"), icon_image=str(HERE / "static" / "mark.svg"), size="large")

st.html(HERE / "static" / "page.css")

sections: dict[str, list[st.Page]] = {}
pages = {
    step.key: st.Page(step.file, title=step.title, icon=step.icon, url_path=step.key, default=step.key == "home")
    for step in STEPS
}
for step in STEPS:
    sections.setdefault(step.section, []).append(pages[step.key])
st.session_state["pages"] = pages

chosen = st.navigation(sections, expanded=True)
with st.sidebar:
    if running := active_jobs():
        label = f"{len(running)} running or queued"
        st.page_link(pages["jobs"], label=label, icon=":material/progress_activity:")
    prefix = settings().path_prefix
    name = html.escape(person() or "Who are you?")
    st.html(  # plain links: Streamlit's own open a new tab
        f'<p class="person"><a href="{prefix}{GUIDE_PATH}" target="_blank">User guide</a></p>'
        f'<p class="person"><a href="{prefix}/-/name" target="_self" title="{NAME_HELP}">{name}</a>'
        f'<a href="{prefix}/-/sign-out" target="_self">Sign out</a></p>'
    )
chosen.run()
