"""A search on a small disk of its own, in memory: it stops before a file is torn, and goes on."""

from dataclasses import replace

import pytest

from tests.chaos.disk import fill, mount, unmount
from tests.search.run_parts import FILE, NoWriter, options_of
from tuning.errors import StorageError
from tuning.ledger.search import SearchFiles
from tuning.reports.progress import SilentProgress
from tuning.search.run import run_study


class FillsUp(SilentProgress):
    """Fills the disk when the third trial has ended."""

    def __init__(self, home):
        self.home = home
        self.ended = []

    def finished(self, result, best):
        self.ended.append(result.number)
        if len(self.ended) == 3:
            fill(self.home)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "home"
    try:
        mount(folder, 64)
    except PermissionError as error:
        pytest.skip(str(error))
    yield folder
    unmount(folder)


@pytest.mark.slow
def test_a_search_on_a_full_disk_ends_with_75_and_goes_on_once_there_is_space(
    small_disk, forkserver, monkeypatch
):
    monkeypatch.setattr("tuning.search.run.Writer", NoWriter)
    options = replace(options_of("optuna:random", trials=6), home=str(small_disk), devices="cpu:1")
    view = FillsUp(small_disk)
    with pytest.raises(StorageError) as caught:
        run_study(FILE, options, view, forkserver)
    assert caught.value.exit_code == 75
    with pytest.raises(StorageError, match="are left on the disk of"):
        run_study(FILE, options, SilentProgress(), forkserver)  # refused before it begins
    (small_disk / "ballast").unlink()
    again = FillsUp(small_disk / "nowhere")
    again.ended = [None] * 3
    summary = run_study(FILE, options, again, forkserver)
    assert summary.counts["completed"] == 6
    assert not set(view.ended) & set(again.ended[3:])
    (folder,) = small_disk.glob("ledger/*/*/")
    assert SearchFiles(folder).result(0) is not None
