"""The parts of the settings form. Each draws its fields with the present values and returns what was entered."""

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
        help="Everything Lektrack creates is stored here. An absolute path on the server.",
    )
    roots = st.text_area(
        "Allowed folders, one per line",
        "\n".join(str(root) for root in now.allowed_roots),
        help="The file picker shows only these folders of the server.",
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
        help="The address users type if a TLS proxy stands in front.",
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
        help="SegAnnot, the board and TensorBoard each use a free port in this range.",
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
    st.subheader("Resources")
    cpu = st.number_input("CPU slots", 1, 1024, now.cpu_slots, help="How many jobs without a GPU run at the same time.")
    gpus = st.text_input(
        "GPUs",
        "" if now.gpus is None else " ".join(map(str, now.gpus)),
        placeholder="all",
        help="Numbers as shown by nvidia-smi, such as: 0 1. Empty: all.",
    )
    return {"cpu_slots": cpu, "gpus": gpus.replace(",", " ").split() or None}


def messages(now: Notify) -> dict[str, Any]:
    """Who is notified when jobs finish."""
    st.subheader("Notify when jobs finish")
    left, right = st.columns(2)
    to = left.text_input(
        "E-mail addresses", " ".join(now.email_to), placeholder="anna@example.org", help="Empty: no e-mail is sent."
    )
    host = left.text_input("Mail server", now.smtp_host, help="The SMTP server of your institute.")
    sender = left.text_input("Sender", now.email_from)
    user = left.text_input(
        "User name for the mail server",
        now.smtp_user,
        help=f"Put the password into {state_folder() / PASSWORD_FILE} (mode 0600).",
    )
    hook = right.text_input(
        "Webhook", now.webhook_url, placeholder="https://...", help="For example of a Slack or Mattermost channel."
    )
    port = right.number_input("Port of the mail server", 1, 65535, now.smtp_port)
    security = right.selectbox("Encryption", ENCRYPTION, ENCRYPTION.index(now.smtp_security))
    after = right.number_input(
        "Only if jobs took longer than, min", 0.0, 100_000.0, now.after_min, help="No message for short jobs."
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
    """The time zone of pages and reports."""
    st.subheader("Time zone")
    zones = sorted(available_timezones())
    zone = st.selectbox("Time zone", zones, zones.index(now.time_zone), help="Used for times on pages and in reports.")
    return {"time_zone": zone}
