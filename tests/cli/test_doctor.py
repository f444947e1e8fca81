"""`tuning doctor` says what is missing and ends with 3 where that is needed."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess

import pytest

from tuning.cli import checks
from tuning.cli.main import main
from tuning.executors.devices import leases as module


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "state"
    monkeypatch.setenv("TUNING_HOME", str(folder))
    return folder


def checked(capsys, *words: str) -> dict[str, dict[str, str]]:
    main(["doctor", "--json", *words])
    return {check["name"]: check for check in json.loads(capsys.readouterr().out)}


def answer(text: str, code: int = 0):
    return lambda command, **rest: subprocess.CompletedProcess(
        command, code, stdout=text, stderr="loader: no libcuda"
    )


def without(monkeypatch, *missing: str, **versions: str):
    version = checks._version
    monkeypatch.setattr(
        checks,
        "_version",
        lambda name: versions.get(name, None if name in missing else version(name)),
    )


def test_a_whole_installation_ends_with_0_and_changes_nothing(home, capsys):
    assert main(["doctor"]) == 0
    page = capsys.readouterr().out
    assert "FAIL" not in page
    assert "is made by the first run" in page
    assert not home.exists()


def test_a_missing_library_is_a_fail_with_advice_and_ends_with_3(home, capsys, monkeypatch):
    without(monkeypatch, "optuna")
    assert main(["doctor"]) == 3
    line = next(line for line in capsys.readouterr().out.splitlines() if "optuna" in line)
    assert " ".join(line.split()) == "FAIL optuna missing → make clean, then make doctor"


def test_both_tensorflow_packages_at_once_are_a_fail(home, capsys, monkeypatch):
    without(monkeypatch, **{"tensorflow": "2.21.0", "tensorflow-cpu": "2.21.0"})
    check = checked(capsys)["TensorFlow"]
    assert check["state"] == "FAIL"
    assert "own the same files" in check["advice"]


def test_a_state_folder_others_can_write_is_a_fail_as_it_is_for_a_search(home, capsys):
    home.mkdir()
    home.chmod(0o777)
    check = checked(capsys)["state"]
    assert (check["state"], check["advice"]) == (
        "FAIL",
        f"a search will refuse it: {home} is writable for others, who could change results: "
        f"chmod 700 {home}",
    )


def test_a_state_folder_that_is_a_file_is_a_fail(home, capsys):
    home.write_text("")
    assert checked(capsys)["state"]["state"] == "FAIL"


@pytest.mark.parametrize("broken", [True, False])
def test_the_database_of_mlflow_is_opened_read_only(home, capsys, broken):
    home.mkdir(mode=0o700)
    path = home / "mlflow.db"
    if broken:
        path.write_bytes(b"SQLite format 3\0" + os.urandom(4096))
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE runs (run_uuid)")
        connection.close()
    before = path.read_bytes()
    check = checked(capsys)["MLflow store"]
    assert check["state"] == ("FAIL" if broken else "ok")
    assert path.read_bytes() == before


def test_little_memory_and_little_disk_are_warnings(home, capsys, monkeypatch):
    monkeypatch.setattr(checks, "MEMORY_GB", 1e6)
    monkeypatch.setattr(checks, "DISK_GB", 1e9)
    by_name = checked(capsys)
    assert [by_name[name]["state"] for name in ("memory", "disk")] == ["warn", "warn"]


def test_stand_in_devices_are_listed(home, capsys, monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a,GPU-b")
    assert checked(capsys)["GPUs"]["found"].startswith("0: stand-in")


# --- leases ---


@pytest.fixture
def box(home, tmp_path, monkeypatch):
    """A box on which nobody has leased anything yet."""
    monkeypatch.delenv("TUNING_LEASES", raising=False)
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a,GPU-b")
    monkeypatch.setattr(module, "GPU_FOLDER", tmp_path / "gpus")
    monkeypatch.setattr(module, "default_folder", lambda: tmp_path / "user")
    return tmp_path


def test_where_nothing_was_leased_no_folder_is_made(box, capsys):
    by_name = checked(capsys)
    assert by_name["devices held"]["found"] == "none"
    assert by_name["leases"]["state"] == "ok"
    assert not (box / "gpus").exists()
    assert not (box / "user").exists()


def test_the_line_says_who_holds_which_device_since_when(box, capsys):
    leases = module.Leases()
    held = [*leases.acquire_all(["GPU-b"], "housing"), leases.try_acquire("cpu:0", "moons")]
    found = checked(capsys)["devices held"]["found"]
    own = os.getpid()
    time_ = r"since \d\d:\d\d"
    words = rf"1: housing \(process {own}\) {time_}; cpu:0: moons \(process {own}\) {time_}"
    assert re.fullmatch(words, found)
    module.release(held)
    leases.close()


def test_a_folder_that_others_cannot_share_is_a_warning_that_says_how_to_share_it(box, capsys):
    (box / "gpus").mkdir(mode=0o700)
    check = checked(capsys)["leases"]
    assert check["state"] == "warn"
    assert "is not a folder for all users" in check["found"]
    assert check["advice"] == f"as root: install -d -m 1777 {box / 'gpus'}"
    assert (box / "gpus").stat().st_mode & 0o7777 == 0o700

    (box / "gpus").rmdir()
    (box / "gpus").write_text("")
    assert checked(capsys)["leases"]["advice"].endswith(f"once {box / 'gpus'} is removed")


def test_a_named_folder_is_said_to_be_seen_by_few(box, capsys, monkeypatch):
    monkeypatch.setenv("TUNING_LEASES", str(box / "own"))
    assert "by no other user's" in checked(capsys)["leases"]["found"]


@pytest.mark.parametrize(
    ("stdout", "code", "state", "detail"),
    [
        ("TF 2.21.0 0\n", 0, "ok", "2.21.0 starts and sees 0 GPUs"),
        ("", 1, "FAIL", "loader: no libcuda"),
        ("", -11, "FAIL", "loader: no libcuda"),
    ],
)
def test_a_tensorflow_that_does_not_start_is_a_fail_with_its_last_words(
    monkeypatch, stdout, code, state, detail
):
    monkeypatch.delenv("TUNING_DEVICES", raising=False)
    check = checks.tensorflow(run=answer(stdout, code))
    assert (check.state, check.found) == (state, detail)


def test_tensorflow_that_sees_fewer_gpus_than_the_driver_is_a_fail(monkeypatch):
    from tuning.executors.devices import gpus

    monkeypatch.setattr(gpus, "discover", lambda: [gpus.Device(0, "GPU-a", "A100", 40960)])
    check = checks.tensorflow(run=answer("TF 2.21.0 0\n"))
    assert (check.state, check.found) == ("FAIL", "2.21.0 starts and sees 0 GPUs of 1")


@pytest.mark.slow
def test_deep_starts_the_real_tensorflow(home, capsys):
    assert "starts and sees" in checked(capsys, "--deep")["TensorFlow run"]["found"]


def test_fix_mends_the_state_folder_and_then_looks_at_it(home, capsys):
    home.mkdir(mode=0o700)
    home.chmod(0o777)
    check = checked(capsys, "--fix")["state"]
    assert (check["state"], home.stat().st_mode & 0o777) == ("ok", 0o700)
