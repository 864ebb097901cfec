"""Notification when jobs finish: by e-mail (SMTP), by a webhook, or both. Off by default."""

import json
import smtplib
import ssl
import urllib.error
import urllib.request
from email.message import EmailMessage
from pathlib import Path

from backend.project.settings import Notify

TIMEOUT_S = 20.0
PASSWORD_FILE = "smtp_password"  # noqa: S105 - in the state folder, mode 0600; never in settings.toml, which is shown


def notify(where: Notify, state: Path, subject: str, text: str) -> str:
    """Send ``text`` wherever the settings say; return what went wrong in one line, or an empty string."""
    problems = []
    mail, web = f"e-mail by {where.smtp_host}:{where.smtp_port}", "webhook"  # its address is a secret
    for wanted, way, send in ((where.email_to, mail, _send_mail), (where.webhook_url, web, _call_webhook)):
        if wanted:
            try:
                send(where, state, subject, text)
            except (OSError, smtplib.SMTPException, ValueError) as error:
                problems.append(f"{way}: {_in_words(error)}")
    return " ".join("; ".join(problems).split())


def _send_mail(where: Notify, state: Path, subject: str, text: str) -> None:
    message = EmailMessage()
    message["Subject"] = f"Lektrack: {subject}"
    message["From"], message["To"] = where.email_from, ", ".join(where.email_to)
    message.set_content(text)
    tls = ssl.create_default_context()
    if where.smtp_security == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(where.smtp_host, where.smtp_port, timeout=TIMEOUT_S, context=tls)
    else:
        connection = smtplib.SMTP(where.smtp_host, where.smtp_port, timeout=TIMEOUT_S)
    with connection:
        if where.smtp_security == "starttls":
            connection.starttls(context=tls)
        if where.smtp_user:
            connection.login(where.smtp_user, _password(state))
        connection.send_message(message)


def _call_webhook(where: Notify, state: Path, subject: str, text: str) -> None:
    """Post what Slack, Mattermost and their like take: ``{"text": ...}``."""
    body = json.dumps({"text": f"Lektrack: {subject}\n\n{text}", "subject": subject}).encode()
    request = urllib.request.Request(  # noqa: S310 - the settings allow http and https only
        where.webhook_url, body, {"Content-Type": "application/json", "User-Agent": "lektrack"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            answer.read(1024)
    except urllib.error.HTTPError as error:
        error.close()
        raise ValueError(f"it answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise ValueError(_in_words(error.reason)) from None


def _in_words(error: object) -> str:
    return getattr(error, "strerror", None) or str(error)


def _password(state: Path) -> str:
    path = state / PASSWORD_FILE
    try:
        if path.stat().st_mode & 0o077:
            raise ValueError(f"{path} can be read by others: chmod 600 {path}")
        return path.read_text().strip()
    except FileNotFoundError as error:
        raise ValueError(f"smtp_user is set, so the password must stand in {path} (mode 0600)") from error
