"""The parts of the settings form. Each draws its fields with the values of now and returns what was entered."""

from typing import Any
from zoneinfo import available_timezones

import streamlit as st

from backend.project.settings import Notify, Settings, state_folder
from backend.upkeep.notify import PASSWORD_FILE

ENCRYPTION = ("none", "starttls", "tls")


def folders(now: Settings) -> dict[str, Any]:
    """Where the project is and where videos may lie."""
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
    allowed = [line.strip() for line in roots.splitlines() if line.strip()]
    return {"project_folder": project.strip(), "allowed_roots": allowed}


def addresses(now: Settings) -> dict[str, Any]:
    """How browsers reach the servers."""
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
    return {
        "bind_address": bind.strip(),
        "public_address": public.strip(),
        "app_port": port,
        "path_prefix": prefix.strip(),
        "port_range": (first, last),
    }


def slots(now: Settings) -> dict[str, Any]:
    """How much runs at the same time."""
    st.subheader("Work at the same time")
    cpu = st.number_input("CPU slots", 1, 1024, now.cpu_slots, help="How many jobs without a GPU may run at once.")
    gpus = st.text_input(
        "GPUs",
        "" if now.gpus is None else " ".join(map(str, now.gpus)),
        placeholder="all",
        help="Numbers as nvidia-smi shows them, such as: 0 1. Empty: all.",
    )
    return {"cpu_slots": cpu, "gpus": gpus.replace(",", " ").split() or None}


def messages(now: Notify) -> dict[str, Any]:
    """Who is told when the night's work is over."""
    st.subheader("Tell somebody when the night's work is over")
    left, right = st.columns(2)
    to = left.text_input(
        "E-mail addresses", " ".join(now.email_to), placeholder="anna@example.org", help="Empty: no e-mail is sent."
    )
    host = left.text_input("Mail server", now.smtp_host, help="The SMTP server of your institute.")
    sender = left.text_input("Sender", now.email_from)
    user = left.text_input(
        "User at the mail server",
        now.smtp_user,
        help=f"Its password goes into the file {state_folder() / PASSWORD_FILE} (mode 0600), never into this form.",
    )
    hook = right.text_input(
        "Webhook", now.webhook_url, placeholder="https://...", help="Of a Slack or Mattermost channel, for instance."
    )
    port = right.number_input("Port of the mail server", 1, 65535, now.smtp_port)
    security = right.selectbox("Encryption", ENCRYPTION, ENCRYPTION.index(now.smtp_security))
    after = right.number_input(
        "Only after so many minutes of work", 0.0, 100_000.0, now.after_min, help="Short jobs are not worth a message."
    )
    entered = {
        "email_to": to.replace(",", " ").split(),
        "email_from": sender.strip(),
        "smtp_host": host.strip(),
        "smtp_port": port,
        "smtp_security": security,
        "smtp_user": user.strip(),
        "webhook_url": hook.strip(),
        "after_min": after,
    }
    return {"notify": entered}


def times(now: Settings) -> dict[str, Any]:
    """In which time zone moments are shown."""
    st.subheader("Times")
    zones = sorted(available_timezones())
    zone = st.selectbox("Time zone", zones, zones.index(now.time_zone), help="Of the times shown in pages and reports.")
    return {"time_zone": zone}
