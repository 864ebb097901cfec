"""A report of a fault holds what helps, and no secret of this installation or of a log."""

import time

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


def test_a_report_is_made_even_with_settings_that_cannot_be_read(installation: Installation):
    (installation.state / "settings.toml").write_text("cpu_slots = 0\n")
    assert "cpu_slots" in fault_report(installation.state)
