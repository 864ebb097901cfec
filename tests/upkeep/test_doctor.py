"""Each fault that the doctor knows is made, found and given a remedy; a sound installation has none."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.weights import write_weights
from backend.project.settings import load_settings, save_settings
from backend.upkeep import doctor
from backend.upkeep import hardware_checks as trials
from backend.upkeep.doctor import examine, pinned
from backend.upkeep.findings import Finding, Level, bad
from tests.upkeep.conftest import Installation


def found(findings: list[Finding], what: str) -> list[Finding]:
    return [finding for finding in findings if finding.what == what]


def worst(findings: list[Finding]) -> list[str]:
    return [str(finding) for finding in findings if finding.level is Level.BAD and finding.what != "packages"]


def test_a_sound_installation_has_nothing_that_will_fail(installation: Installation):
    findings = list(examine(installation.state))
    assert worst(findings) == []
    assert {"packages", "state folder", "token", "disk", "memory", "GPU", "video", "ports", "app", "jobs"} <= {
        finding.what.split(" ")[0] if finding.what.startswith("GPU") else finding.what for finding in findings
    }
    assert all(finding.remedy for finding in findings if finding.level is not Level.OK)


def test_looking_changes_nothing(installation: Installation, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LEKTRACK_STATE", str(installation.state))

    def listing() -> set[str]:
        return {str(path) for root in (installation.state, installation.project) for path in root.rglob("*")}

    before = listing()
    list(examine(installation.state))
    assert {name for name in listing() ^ before if not name.endswith((".lock", "-wal", "-shm", "sqlite"))} == set()


def test_rights_that_are_too_wide_are_found(installation: Installation):
    installation.state.chmod(0o755)
    (installation.state / "token").chmod(0o644)
    findings = list(examine(installation.state))
    assert [finding.level for finding in found(findings, "state folder")] == [Level.BAD]
    assert found(findings, "token")[0].remedy.endswith("token rotate")


def test_settings_that_are_not_allowed_end_the_round_with_the_key(installation: Installation):
    path = installation.state / "settings.toml"
    path.write_text(path.read_text().replace("cpu_slots = 1", "cpu_slots = 0"))
    findings = list(examine(installation.state))
    assert "cpu_slots" in found(findings, "settings")[0].found
    assert not found(findings, "ports")


def test_a_taken_app_port_is_named_with_its_holder(installation: Installation):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = load_settings(installation.state)
        port = taken.getsockname()[1]
        save_settings(settings.model_copy(update={"app_port": port}), installation.state)
        finding = found(list(examine(installation.state)), "app")[0]
    assert finding.level is Level.BAD
    assert str(port) in finding.found and str(os.getpid()) in finding.found


def test_failed_jobs_of_the_last_day_are_told_with_their_reason(installation: Installation):
    import time

    id = installation.end_job("failed", ended=time.time() - 60, reason="disk full: /x")
    installation.end_job("failed", ended=time.time() - 3 * 86400, reason="long ago")
    findings = found(list(examine(installation.state)), "jobs")
    assert [f"job {id} " in finding.found and "disk full" in finding.found for finding in findings] == [True]


def test_a_network_file_system_under_the_job_table_is_refused(installation: Installation, monkeypatch):
    monkeypatch.setattr(doctor, "file_system", lambda path: "nfs4")
    assert "local disk" in worst(list(examine(installation.state)))[0]


def test_a_full_disk_under_the_state_folder_is_found(installation: Installation, monkeypatch):
    room = shutil.disk_usage

    def full_there(path: Path) -> object:
        return room(path)._replace(free=1000) if Path(path) == installation.state else room(path)

    monkeypatch.setattr(shutil, "disk_usage", full_there)
    assert worst(list(examine(installation.state))) == [
        str(
            bad(
                "state folder",
                f"{installation.state}: 1.0 kB free for the job table and logs",
                "make room on that disk",
            )
        )
    ]


def test_a_check_that_breaks_is_a_finding_and_the_round_goes_on(installation: Installation, monkeypatch):
    def broken() -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor, "decode_a_clip", lambda codec: broken())
    findings = list(examine(installation.state))
    assert [finding.found for finding in found(findings, "video")] == ["RuntimeError: no such thing"]
    assert found(findings, "jobs")


def test_weights_are_named_and_those_of_others_are_pointed_out(installation: Installation):
    folder = installation.project / "weights"
    folder.mkdir()
    write_weights(folder / "ours.safetensors", {}, DetectorSettings(class_names=("bird",)))
    (folder / "torn.safetensors").write_bytes(b"torn")
    about = list(doctor.weights(load_settings(installation.state)))
    assert [finding.level for finding in about] == [Level.NOTE, Level.OK]
    assert "torn.safetensors is not usable" in about[0].found
    assert about[1].found == f"ours in {folder}"


def test_a_wrong_version_of_a_package_is_named(installation: Installation, monkeypatch):
    monkeypatch.setattr(doctor, "pinned", lambda path: {"numpy": "0.1", "not-a-package": "1"})
    finding = found(list(examine(installation.state)), "packages")[0]
    assert finding.level is Level.BAD
    assert "numpy" in finding.found and "not-a-package absent" in finding.found


def test_pins_for_another_platform_are_left_out(tmp_path: Path):
    path = tmp_path / "requirements.txt"
    path.write_text(
        "# a comment\n--extra-index-url x\na==1.2\nb==3 ; sys_platform == 'win32'\nc-d==4.5 ; python_version >= '3'\n"
    )
    assert pinned(path) == {"a": "1.2", "c-d": "4.5"}


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_clip_comes_back_frame_by_frame(codec: str):
    assert trials.decode_a_clip(codec) == ""


def test_a_reader_that_returns_the_wrong_frame_is_caught(monkeypatch):
    real = trials.VideoReader.read
    monkeypatch.setattr(trials.VideoReader, "read", lambda self, indices: real(self, [*indices[1:], indices[0]]))
    assert "came back as another one" in trials.decode_a_clip("h264")


def test_the_trial_of_the_disk_leaves_nothing(tmp_path: Path):
    assert trials.write_speed(tmp_path, 2 * 1024**2) > 0
    assert list(tmp_path.iterdir()) == []
