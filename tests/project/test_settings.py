"""Settings: what is allowed, what is refused in one line, and that every released format loads."""

import os
import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from backend.project.errors import InputError
from backend.project.settings import Settings, first_problem, load_settings, save_settings, state_folder
from backend.project.state_files import set_aside

FORMATS = Path(__file__).with_name("formats")


class TestFiles:
    def test_without_a_file_the_defaults_hold(self, tmp_path):
        settings = load_settings(tmp_path)
        assert settings == Settings()
        assert (settings.bind_address, settings.app_port, settings.port_range) == ("127.0.0.1", 8501, (8880, 8900))
        assert list(tmp_path.iterdir()) == []

    def test_what_is_saved_comes_back(self, tmp_path):
        settings = Settings(
            project_folder=tmp_path / "é",
            allowed_roots=(Path("/videos"), Path("/mnt/lek 2")),
            cpu_slots=3,
            gpus=(1,),
            time_zone="Europe/Budapest",
            path_prefix="lektrack/",
            public_address="https://lek.example.org/",
        )
        save_settings(settings, tmp_path)
        assert load_settings(tmp_path) == settings
        assert (settings.path_prefix, settings.public_address) == ("/lektrack", "https://lek.example.org")

    def test_the_first_format_loads(self, tmp_path):
        (tmp_path / "settings.toml").write_bytes((FORMATS / "settings-1.toml").read_bytes())
        settings = load_settings(tmp_path)
        assert settings.format == 1
        assert settings.roots == (Path("/srv/lektrack"), Path("/videos"), Path("/mnt/nas/lek videos"))
        assert (settings.cpu_slots, settings.gpus, settings.time_zone) == (2, (0, 1), "Europe/Budapest")

    def test_a_file_that_is_no_toml_is_set_aside_with_a_warning(self, tmp_path, caplog):
        (tmp_path / "settings.toml").write_bytes(b"cpu_slots = = 3\n")
        assert load_settings(tmp_path) == Settings()
        (aside,) = set_aside(tmp_path)
        assert aside.read_bytes() == b"cpu_slots = = 3\n"
        assert "settings.toml could not be read" in caplog.text

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("cpu_slots = 0", r"cpu_slots: .*greater than or equal to 1 \(given: 0\)"),
            ('cpu_slots = "many"', r"cpu_slots: .*\(given: 'many'\)"),
            ("cpu_slot = 1", "cpu_slot: Extra inputs are not permitted"),
            ("format = 2", r"format: .*less than or equal to 1 \(given: 2\)"),
            ('project_folder = "data"', "project_folder: data must be an absolute path"),
            ('allowed_roots = ["/a", "b"]', "allowed_roots: b must be an absolute path"),
            ('bind_address = "localhost"', "bind_address: 'localhost' does not appear to be an IPv4 or IPv6 address"),
            ("port_range = [8900, 8880]", "port_range 8900 to 8880 is empty"),
            ("app_port = 8890", "app_port 8890 lies inside port_range 8880 to 8900"),
            ("app_port = 70000", r"app_port: .*\(given: 70000\)"),
            ('public_address = "lek.example.org"', "public_address: .* must be scheme and host"),
            ('public_address = "https://x/path"', "the path goes below"),
            ('path_prefix = "a/../b"', "path_prefix: 'a/../b' must be plain path segments"),
            ('time_zone = "Budapest"', "time_zone: 'Budapest' is not a time zone"),
            ('time_zone = "../../etc/passwd"', "is not a time zone"),
            ("gpus = [-1]", r"gpus.0: .*\(given: -1\)"),
        ],
    )
    def test_a_value_that_is_not_allowed_is_named_and_the_file_stays(self, tmp_path, line, words):
        (tmp_path / "settings.toml").write_text(line + "\n")
        with pytest.raises(InputError, match=words) as error:
            load_settings(tmp_path)
        assert "\n" not in str(error.value)
        assert (tmp_path / "settings.toml").read_text() == line + "\n"
        assert set_aside(tmp_path) == []

    def test_settings_cannot_be_changed_in_place(self):
        with pytest.raises(ValidationError):
            Settings().cpu_slots = 2


class TestStateFolder:
    def test_it_is_made_for_its_owner_alone(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LEKTRACK_STATE", str(tmp_path / "a" / "b"))
        folder = state_folder()
        assert folder == tmp_path / "a" / "b"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_links_are_followed_so_that_all_processes_name_it_alike(self, tmp_path, monkeypatch):
        (tmp_path / "real").mkdir()
        os.symlink(tmp_path / "real", tmp_path / "link")
        monkeypatch.setenv("LEKTRACK_STATE", str(tmp_path / "link"))
        assert state_folder() == tmp_path / "real"


def test_a_problem_is_one_line_with_key_and_value():
    with pytest.raises(ValidationError) as error:
        Settings(cpu_slots="x" * 1000)
    line = first_problem(error.value)
    assert line.startswith("cpu_slots: ")
    assert len(line) < 250
