"""Only what was named goes, only while nothing is at work, and what was promised to be freed is freed."""

import os
import shutil
import time
from pathlib import Path

import pytest

from backend.jobs import JobSpec
from backend.project.errors import InputError
from backend.upkeep.clean import MEANINGS, clean, rubbish
from tests.upkeep.conftest import Installation, finish_run

GONE_PID = 2**22 + 1  # above what Linux gives (PID_MAX_LIMIT)


def by_kind(state: Path) -> dict[str, tuple[int, int]]:
    return {each.kind: (each.count, each.bytes) for each in rubbish(state)}


def test_listing_deletes_nothing_and_knows_every_kind(installation: Installation):
    before = {path for path in installation.project.rglob("*")}
    assert set(by_kind(installation.state)) == set(MEANINGS)
    assert {path for path in installation.project.rglob("*")} == before


def test_the_cache_goes_and_the_rest_stays(installation: Installation):
    promised = by_kind(installation.state)["cache"][1]
    assert promised >= 1000
    clean(["cache"], installation.state)
    assert not (installation.project / ".cache").exists()
    assert (installation.project / "corrections" / "lek" / "run-1.jsonl").exists()
    assert by_kind(installation.state)["cache"] == (0, 0)


def test_half_written_files_of_the_living_and_young_ones_stay(installation: Installation):
    old = time.time() - 7200
    names = {
        "dead": f".a.parquet.{GONE_PID}-0123abcd.tmp",
        "young": f".b.parquet.{GONE_PID}-0123abcd.tmp",
        "living": f".c.parquet.{os.getpid()}-0123abcd.tmp",
        "other": ".d.tmp",
    }
    for which, name in names.items():
        path = installation.project / name
        path.write_bytes(b"12345")
        if which != "young":
            os.utime(path, (old, old))
    assert by_kind(installation.state)["half-written"] == (1, 5)
    clean(["half-written"], installation.state)
    left = {which for which, name in names.items() if (installation.project / name).exists()}
    assert left == {"young", "living", "other"}


def test_checkpoints_go_only_of_finished_trainings_with_weights(installation: Installation):
    for name in ("finished", "unfinished", "no-weights"):
        folder = installation.project / "training" / name
        finish_run(folder, "train")
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "last.pt").write_bytes(b"0" * 500)
        if name != "no-weights":
            (folder / "model.safetensors").write_bytes(b"w")
    manifest = installation.project / "training" / "unfinished" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"complete": true', '"complete": false'))
    assert by_kind(installation.state)["checkpoints"] == (1, 500)
    clean(["checkpoints"], installation.state)
    left = sorted(path.parent.parent.name for path in installation.project.glob("training/*/checkpoints/last.pt"))
    assert left == ["no-weights", "unfinished"]


def test_old_jobs_are_forgotten_and_newer_ones_kept(installation: Installation):
    old = installation.end_job("succeeded", ended=time.time() - 91 * 86400)
    new = installation.end_job("failed", ended=time.time() - 86400)
    clean(["jobs"], installation.state)
    assert [job.id for job in installation.store.list()] == [new]
    assert not installation.store.folder(old).exists()


def test_nothing_is_cleaned_while_a_job_waits(installation: Installation):
    installation.store.submit(JobSpec("test", "waits", ("-c", "pass")))
    with pytest.raises(InputError, match=r"job 1 \(waits\) is queued"):
        clean(["cache"], installation.state)
    assert (installation.project / ".cache").exists()


def test_an_unknown_kind_is_refused_with_those_that_are_known(installation: Installation):
    with pytest.raises(InputError, match="--delete videos is not known; choose from cache"):
        clean(["videos"], installation.state)


def test_a_project_that_is_not_there_has_nothing_to_clean(installation: Installation):
    shutil.rmtree(installation.project)
    assert by_kind(installation.state)["cache"] == (0, 0)
