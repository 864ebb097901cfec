"""A report of a fault holds what helps, and no secret of this installation or of a log."""

import time

import pytest

from backend.project.settings import Notify, load_settings, save_settings
from backend.upkeep.fault_report import fault_report
from tests.upkeep.conftest import Installation


def test_versions_settings_and_ends_of_logs_are_there_and_secrets_are_not(installation: Installation):
    hook = "https://chat.example.org/hooks/very-long-secret"
    settings = load_settings(installation.state).model_copy(update={"notify": Notify(webhook_url=hook)})
    save_settings(settings, installation.state)
    password = installation.state / "smtp_password"
    password.write_text("correct horse\n")
    password.chmod(0o600)
    id = installation.end_job("failed", ended=time.time(), reason="the reason why")
    log = installation.store.folder(id) / "log"
    log.write_text(
        f"GET /?token={installation.token}\nhttps://anna:pw123@host/\napi_key='abc999'\ncorrect horse\nthe end\n"
    )
    text = fault_report(installation.state)
    for wanted in ("torch ", "cpu_slots", "the reason why", "the end", "https://[left out]host/"):
        assert wanted in text
    for secret in (installation.token, hook, "correct horse", "pw123", "abc999"):
        assert secret not in text


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer abc.hunter2",
        "'authorization': 'Basic hunter2'",
        'password: "my hunter2 phrase"',
        "smtp_password = a hunter2",
        "program --password hunter2",
        "program --api-key=hunter2",
        "GET /?lektrack_token=hunter2",
        "proxy sends Bearer hunter2",
        "ftp://anna:hunter2@host/",
    ],
)
def test_a_secret_in_a_log_is_left_out_whole_and_the_lines_beside_it_stay(installation: Installation, line: str):
    id = installation.end_job("failed", ended=time.time())
    (installation.store.folder(id) / "log").write_text(f"one before\n{line}\nGET /?page=2&token=x&zoom=3\n")
    text = fault_report(installation.state)
    assert "hunter2" not in text
    assert "one before\n" in text and "&zoom=3" in text and "[left out]" in text


@pytest.mark.parametrize(
    "settings",
    [
        'cpu_slots = 0\n[notify]\nwebhook_url = "https://chat.example.org/hooks/SECRET"\n',
        '[notify]\nwebhook_url = "chat.example.org/hooks/SECRET"\n',
        '[notify]\nhook = "https://chat.example.org/hooks/SECRET"\n',
        'notify = "https://chat.example.org/hooks/SECRET"\n',
        '[notify]\nwebhook_url = "ftp://chat.example.org/hooks/SECRET"\n',
        '[notify]\nwebhook_url = "https://chat.example.org/hooks/SECRET" # not closed\n[notify\n',
    ],
)
def test_the_webhook_is_left_out_also_where_the_settings_are_refused(installation: Installation, settings: str):
    path = installation.state / "settings.toml"
    path.write_text(settings.replace("SECRET", "hunter2" * 20))
    text = fault_report(installation.state)
    assert "hunter2" not in text
    assert "settings" in text


def test_a_report_is_made_even_with_settings_that_cannot_be_read(installation: Installation):
    (installation.state / "settings.toml").write_text("cpu_slots = 0\n")
    assert "cpu_slots" in fault_report(installation.state)
