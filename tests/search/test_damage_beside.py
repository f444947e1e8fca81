"""Every kind of damage to the files that lie beside a search's records: caches, marks, manifests.

Each reader gives what is right or nothing, or says in our words what is wrong.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from tests.search.damages import DAMAGES, NEEDS_JSON
from tests.simulation import recorded
from tests.tracking.writer import searches
from tuning.data.kinds import image_decoding
from tuning.errors import StorageError, StudyError
from tuning.ledger import trial_cache
from tuning.ledger.stamps import search_stamp
from tuning.ledger.trial_cache import ended_trials
from tuning.search.ended.kept_report import kept_report, remember_report
from tuning.simulation.recording import load_recording
from tuning.storage.durable import write_json
from tuning.tracking.mlflow_store import MLflowPlace
from tuning.tracking.writer import written
from tuning.tracking.writer.note import WriterNote, leave_note, unwritten
from tuning.tracking.writer.written import WrittenMark, place_of
from tuning.trial import Proposal
from tuning.trials.functions import _epochs_of_parent
from tuning.trials.jobs import TrialJob

LEDGER = "ledger/toy/optuna-tpe"


class Beside(NamedTuple):
    """A file that lies beside a search.

    Attributes:
        file: Within a state folder; `*` stands for what is not known before.
        read: Returns what a reader makes of it; raises what a reader says of damage.
    """

    file: str
    read: Callable[[Path], Any]


def read_mark(home: Path) -> Any:
    return written.is_written(home / LEDGER, home)


def read_note(home: Path) -> Any:
    return [each.note.words for each in unwritten(home)]


def read_place(home: Path) -> Any:
    return place_of(home / LEDGER)


def read_report(home: Path) -> Any:
    report = kept_report(home / LEDGER, home / "reports")
    return None if report is None else report.name


def read_trials(home: Path) -> Any:
    trials = ended_trials(searches_files(home), searches.SPACE)
    return [(proposal.params, result.value) for proposal, result in trials]


def read_recording(home: Path) -> Any:
    return float(np.nansum(load_recording(home / "recordings" / "made.json").values))


def read_images(home: Path) -> Any:
    """Return the brightest pixel: the images of each home have one grey."""
    decoded = image_decoding.decode(sorted((home / "images").iterdir()), (4, 4), "grayscale")
    return int(decoded.images.max())


def read_end(home: Path) -> Any:
    folder = home / LEDGER / "trials" / "00000"
    proposal = Proposal(1, {"x": 1.5}, 9, 0)
    job = TrialJob(source="", overrides={}, proposal=proposal, folder=folder, parent=folder)
    return _epochs_of_parent(job)


FILES = (
    Beside(f"{LEDGER}/written.json", read_mark),
    Beside(f"{LEDGER}/writer.json", read_note),
    Beside(f"{LEDGER}/mlflow.json", read_place),
    Beside(f"{LEDGER}/report.json", read_report),
    Beside(f"{LEDGER}/trials.cache", read_trials),
    Beside(f"{LEDGER}/trials/00000/end.json", read_end),
    Beside("recordings/made.json", read_recording),
    Beside("recordings/made.parquet", read_recording),
    Beside("data/images-*[0-9a-f].json", read_images),
    Beside("data/images-*.failures.json", read_images),
    Beside("data/images-*.npy", read_images),
)
# A reader may take these for absent; of all else it has to find what was right.
NOTHING = {
    read_mark: (False,),
    read_note: ([],),
    read_place: (None,),
    read_report: (None,),
    read_end: (0,),
}
# They say where a search is in a store, or how far a writer was: shown, and looked up anew.
ONLY_SHOWN = (read_note, read_place)


def searches_files(home: Path):
    from tuning.ledger.search import SearchFiles

    return SearchFiles(home / LEDGER)


def fill(home: Path, seed: int, monkeypatch) -> None:
    """Make a state folder with every such file; another seed gives others."""
    files = searches.search(home, versions=({"seed": seed},))
    for number in range(3):
        proposal, result = searches.trial(number + 10 * seed)
        files.write_spec(replace(proposal, number=number))
        files.write_result(replace(result, number=number))
    searches.end(files)

    report = home / "reports" / f"{files.header.id}.html"
    report.parent.mkdir(exist_ok=True)
    report.write_text("a page")
    remember_report(files.folder, report)
    write_json(
        files.folder / "mlflow.json",
        MLflowPlace(tracking_uri="", experiment_id=str(seed), run_id=str(seed)).to_json(),
    )
    leave_note(files.folder, WriterNote(pid=1, trials=3, at=0.0, behind={"MLflow": 1 + seed}))
    digest = files.proposal(0, searches.SPACE).digest
    end = {"epoch": 3 + seed, "proposal_digest": digest}
    write_json(files.trial_folder(0) / "end.json", end)
    (home / "recordings").mkdir()
    recorded.write(home / "recordings", seed=seed, value=lambda *about: float(seed))
    (home / "images").mkdir()
    for place in range(2):
        pixels = np.full((4, 4), 100 + 50 * seed, np.uint8)
        Image.fromarray(pixels).save(home / "images" / f"{place}.png")
    read_trials(home)
    with_data_in(home, monkeypatch)
    read_images(home)


def with_data_in(home: Path, monkeypatch) -> None:
    (home / "data").mkdir(exist_ok=True)
    monkeypatch.setattr(image_decoding, "data_folder", lambda: home / "data")


@pytest.fixture(scope="module")
def patched():
    with pytest.MonkeyPatch.context() as monkeypatch:
        # As if files were older: else nothing of them would be kept.
        monkeypatch.setattr(trial_cache, "is_settled", lambda stamps, read_at_ns: True)
        monkeypatch.setattr(written, "_mark", count)
        yield monkeypatch


def count(files: str, header, home: Path) -> WrittenMark:
    """Count without databases: both have three trials of every search."""
    return WrittenMark(files=files, stores="s", runs=3, trials=3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, patched):
    """Two state folders, `search` and `other`."""
    folder = tmp_path_factory.mktemp("beside")
    for seed, name in enumerate(("search", "other")):
        fill(folder / name, seed, patched)
    return folder


def sweep(whole: Path, folder: Path, beside: Beside, name: str, monkeypatch) -> None:
    """Damage one file and read it."""
    # Stamps are of this very copy; the marks that hold stamps are written again.
    shutil.copytree(whole, folder, copy_function=shutil.copy2)
    for each in ("search", "other"):
        renew_marks(folder / each)
    home = folder / "search"
    with_data_in(home, monkeypatch)
    right = beside.read(home)
    with_data_in(folder / "other", monkeypatch)
    wrong = beside.read(folder / "other")
    with_data_in(home, monkeypatch)

    (path,) = home.glob(beside.file)
    damage(path, home, folder / "other", beside, name)
    try:
        found = beside.read(home)
    except (StudyError, StorageError):
        return
    allowed = (right, *NOTHING.get(beside.read, ()))
    if beside.read in ONLY_SHOWN:
        allowed = (*allowed, found)
    assert found in allowed, f"{name}: {found!r}, {right!r} is right, the other one has {wrong!r}"


def damage(path: Path, home: Path, other: Path, beside: Beside, name: str) -> None:
    if name == "another search's":
        (theirs,) = other.glob(beside.file)
        shutil.copy2(theirs, path)
    elif name == "another trial's":
        path.unlink()
    else:
        DAMAGES[name](path, random.Random(f"{beside.file} {name}"))


def renew_marks(home: Path) -> None:
    files = searches_files(home)
    (report,) = (home / "reports").iterdir()
    remember_report(files.folder, report)
    written.leave_mark(files.folder, home, written.stamp_of(files.folder, home))
    (files.folder / "trials.cache").unlink(missing_ok=True)
    read_trials(home)
    for path in (home / "data").glob("images-*[0-9a-f].json"):  # the images lie elsewhere now
        path.unlink()


def kinds(beside: Beside) -> list[str]:
    """Return the damages that can be done to a file: some are made of its JSON."""
    is_json = beside.file.endswith(".json")
    return [name for name in DAMAGES if is_json or name not in NEEDS_JSON]


@pytest.mark.parametrize("beside", FILES, ids=lambda beside: beside.file)
def test_a_file_beside_a_search_that_is_damaged_somehow_misleads_nobody(
    whole, tmp_path, beside, patched
):
    for i, name in enumerate(
        ("another search's", random.Random(beside.file).choice(kinds(beside)))
    ):
        sweep(whole, tmp_path / str(i), beside, name, patched)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("beside", FILES, ids=lambda beside: beside.file)
def test_no_damage_of_a_file_beside_a_search_misleads_anybody(whole, tmp_path, beside, patched):
    for i, name in enumerate(kinds(beside)):
        sweep(whole, tmp_path / str(i), beside, name, patched)


def test_both_folders_differ_in_what_is_read_of_them(whole, patched):
    for beside in FILES:
        if beside.read in (read_mark, read_report):
            continue
        values = []
        for name in ("search", "other"):
            with_data_in(whole / name, patched)
            values.append(beside.read(whole / name))
        assert values[0] != values[1], beside.file
    stamps = [search_stamp(whole / name / LEDGER) for name in ("search", "other")]
    assert stamps[0] != stamps[1]
