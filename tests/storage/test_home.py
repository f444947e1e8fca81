"""The state folder and the locks in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tuning.errors import BusyError, StorageError
from tuning.storage.home import locked, tuning_home

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from tuning.errors import BusyError
from tuning.storage.home import locked
try:
    with locked(Path(sys.argv[1]), f"driver {sys.argv[2]}"):
        print("holds", flush=True)
        sys.stdin.read()
except BusyError as error:
    print(error, flush=True)
"""


def driver(folder, name):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), name],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def end(process):
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_the_folder_is_made_for_its_owner_alone(tmp_path):
    home = tuning_home(str(tmp_path / "a" / "b"))
    assert (home.is_dir(), home.stat().st_mode & 0o777) == (True, 0o700)


def test_what_is_given_wins_over_the_variable_which_wins_over_mlruns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNING_HOME", raising=False)
    assert tuning_home() == tmp_path / "mlruns"
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "variable"))
    assert tuning_home() == tmp_path / "variable"
    assert tuning_home(str(tmp_path / "given")) == tmp_path / "given"


def test_a_folder_that_others_can_write_to_is_refused_with_the_remedy(tmp_path):
    tmp_path.chmod(0o770)
    with pytest.raises(StorageError, match=f"chmod 700 {tmp_path}"):
        tuning_home(str(tmp_path))


@pytest.mark.parametrize("name", ["100%", "what?"])
def test_a_path_that_no_database_url_takes_is_refused(tmp_path, name):
    with pytest.raises(StorageError, match="neither MLflow nor Optuna takes a path with"):
        tuning_home(str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the state folder"):
        tuning_home(str(tmp_path / "file" / "home"))


def test_of_ten_drivers_one_holds_the_search_and_nine_name_it(tmp_path):
    drivers = [driver(tmp_path / "ledger" / "study" / "key", str(i)) for i in range(10)]
    try:
        said = [process.stdout.readline().strip() for process in drivers]
        holder = said.index("holds")
        assert (
            sum(
                f"is being run by driver {holder};" in line or "by another process" in line
                for line in said
            )
            == 9
        )
        assert f"is being run by driver {holder};" in " ".join(said)
    finally:
        for process in drivers:
            end(process)


def test_a_killed_holder_frees_the_search_at_once(tmp_path):
    process = driver(tmp_path / "key", "first")
    assert process.stdout.readline() == "holds\n"
    with pytest.raises(BusyError, match="driver first"), locked(tmp_path / "key", "second"):
        pass
    end(process)
    with locked(tmp_path / "key", "second"):
        pass


def test_two_threads_of_one_process_do_not_share_the_lock(tmp_path):
    key = tmp_path / "key"
    with (
        locked(key, "mine"),
        pytest.raises(BusyError, match="run by mine"),
        locked(key, "also mine"),
    ):
        pass
