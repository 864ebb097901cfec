"""Links to services: as the public address, the prefix, or the visitor's own way to this machine ask for."""

import json
from pathlib import Path

import pytest

from backend.project.settings import Settings
from backend.web.links import APP_RECORD, app_link, direct_link, running_app_link, service_base, service_link

LAB = {"public_address": "https://lek.example.org", "path_prefix": "labs/lek"}


@pytest.mark.parametrize(
    ("settings", "request_host", "link"),
    [
        ({}, None, "http://127.0.0.1:8881/board?x=1"),
        ({}, "localhost:8501", "http://localhost:8881/board?x=1"),
        ({}, "labserver", "http://labserver:8881/board?x=1"),
        ({}, "[::1]:8501", "http://[::1]:8881/board?x=1"),
        ({"bind_address": "192.0.2.7"}, None, "http://192.0.2.7:8881/board?x=1"),
        ({"bind_address": "0.0.0.0"}, None, "http://127.0.0.1:8881/board?x=1"),
        ({"bind_address": "::"}, None, "http://[::1]:8881/board?x=1"),
        ({"path_prefix": "lek"}, "localhost:8501", "http://localhost:8881/lek/port/8881/board?x=1"),
        ({"public_address": "https://lek.example.org"}, None, "https://lek.example.org/port/8881/board?x=1"),
        (LAB, "127.0.0.1:8501", "https://lek.example.org/labs/lek/port/8881/board?x=1"),
        (LAB, None, "https://lek.example.org/labs/lek/port/8881/board?x=1"),
    ],
)
def test_a_service_is_linked(settings: dict, request_host: str | None, link: str) -> None:
    assert service_link(Settings(**settings), request_host, 8881, "/board?x=1") == link


def test_the_base_is_the_links_path() -> None:
    assert service_base(Settings(), 8881) == ""
    assert service_base(Settings(**LAB), 8881) == "/labs/lek/port/8881"


def test_the_app_is_at_the_prefix() -> None:
    assert app_link(Settings(), 8501) == "http://127.0.0.1:8501/"
    assert app_link(Settings(**LAB), 8501) == "https://lek.example.org/labs/lek/"


def test_the_running_app_is_linked_on_the_port_that_it_was_started_on(tmp_path: Path) -> None:
    assert running_app_link(Settings(), "labserver:8881", tmp_path) == "http://labserver:8501/"
    (tmp_path / APP_RECORD).write_text(json.dumps({"format": 1, "pid": 1, "address": "http://127.0.0.1:9001/"}))
    assert running_app_link(Settings(), "labserver:8881", tmp_path) == "http://labserver:9001/"
    assert running_app_link(Settings(), None, tmp_path) == "http://127.0.0.1:9001/"
    assert running_app_link(Settings(**LAB), "labserver:8881", tmp_path) == "https://lek.example.org/labs/lek/"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"address": 7}', '{"address": "http://127.0.0.1:99999999/"}'])
def test_a_record_that_cannot_be_read_leaves_the_port_of_the_settings(tmp_path: Path, content: str) -> None:
    (tmp_path / APP_RECORD).write_text(content)
    assert running_app_link(Settings(app_port=8600), None, tmp_path) == "http://127.0.0.1:8600/"


def test_this_machine_reaches_a_service_past_the_proxy() -> None:
    assert direct_link(Settings(**LAB), 8881, "/-/ready") == "http://127.0.0.1:8881/-/ready"
