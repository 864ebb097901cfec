"""The router: every page of Lektrack in the order of the work. Started by ``python -m gui``."""

import html
from pathlib import Path

import streamlit as st

from gui.steps import STEPS, Step
from gui.widgets.coming import show_coming
from gui.widgets.context import active_jobs, person, settings

HERE = Path(__file__).parent
NAME_HELP = "Your name stands beside the jobs you start and the corrections you make."


def page_of(step: Step) -> st.Page:
    """Return the page of a step; a step whose page is not built yet says so and links to the step before."""
    target = step.file if step.is_built else lambda: show_coming(step)
    return st.Page(target, title=step.title, icon=step.icon, url_path=step.key, default=step.key == "home")


st.set_page_config(page_title="Lektrack", page_icon=str(HERE / "static" / "mark.svg"), layout="wide")
st.logo(str(HERE / "static" / "logo.svg"), icon_image=str(HERE / "static" / "mark.svg"), size="large")

st.html(HERE / "static" / "page.css")

sections: dict[str, list[st.Page]] = {}
pages = {step.key: page_of(step) for step in STEPS}
for step in STEPS:
    sections.setdefault(step.section, []).append(pages[step.key])
st.session_state["pages"] = pages

chosen = st.navigation(sections, expanded=True)
with st.sidebar:
    if running := active_jobs():
        st.page_link(pages["jobs"], label=f"{len(running)} at work or waiting", icon=":material/progress_activity:")
    own = f"{settings().path_prefix}/-"
    name = html.escape(person() or "Who are you?")
    st.html(  # plain links: Streamlit's own open a new tab
        f'<p class="person"><a href="{own}/name" target="_self" title="{NAME_HELP}">{name}</a>'
        f'<a href="{own}/sign-out" target="_self">Sign out</a></p>'
    )
chosen.run()
