"""The installation a page works in: settings, project folder, job table, and who sits at the browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from urllib.parse import unquote

import streamlit as st

from backend.jobs import ACTIVE, Job, JobSpec, JobStore
from backend.project.errors import InputError
from backend.project.paths import Project
from backend.project.settings import Settings, load_settings
from backend.web.person import NAME_COOKIE, clean_name
from gui.guide import GUIDE_PATH, anchor
from gui.steps import BY_KEY


def settings() -> Settings:
    """Return the settings as now in the file. If a value is not allowed, the page shows it and stops."""
    try:
        return load_settings()
    except InputError as error:
        st.error(f"{error}. Correct it in the file, then reload this page.", icon=":material/error:")
        st.stop()


def project() -> Project:
    """Return the layout of the project folder."""
    return Project(settings().project_folder)


@st.cache_resource
def job_store() -> JobStore:
    """Return the one job table of this installation."""
    return JobStore()


def person() -> str:
    """Return the name that was given in this browser (backend/web/person.py), or an empty string."""
    return clean_name(unquote(st.context.cookies.get(NAME_COOKIE, "")))


def submit(spec: JobSpec) -> Job:
    """Queue a job in the name of whoever sits at the browser."""
    return job_store().submit(replace(spec, user=person()))


def fresh_folder(wanted: Path) -> Path:
    """Return ``wanted``, or WANTED-2, -3 and so on where that is there: it may hold the same of older inputs."""
    names = chain([wanted.name], (f"{wanted.name}-{number}" for number in count(2)))
    return next(folder for name in names if not (folder := wanted.with_name(name)).exists())


def active_jobs(kind: str | None = None, video: str | None = None) -> list[Job]:
    """Return queued and running jobs, newest first."""
    return job_store().list(states=ACTIVE, kind=kind, video=video)


@contextmanager
def refusals() -> Iterator[None]:
    """Show an `InputError` as one line on the page instead of a traceback."""
    try:
        yield
    except InputError as error:
        st.error(str(error), icon=":material/error:")


def title(key: str) -> None:
    """Draw a page's heading, its one-sentence purpose and a link to its section of the user guide."""
    step = BY_KEY[key]
    st.title(step.title)
    section = f"{settings().path_prefix}{GUIDE_PATH}#{anchor(step.title)}"
    st.caption(f"{step.purpose} &ensp; [:material/help: Help]({section})")
