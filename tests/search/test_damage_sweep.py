"""Every kind of damage to every file of a search: no traceback, nothing given to another trial, and
the same command comes to its budget.
"""

from __future__ import annotations

import random
import shutil
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.search.damages import DAMAGES
from tests.search.scripted import (
    RECORD,
    ScriptedEngine,
    ScriptedExecutor,
    make_loop,
    result_of,
)
from tests.search.test_finals import ObedientExecutor
from tuning.bench.runs import BenchRun
from tuning.bench.statistics.records import AnytimeRun
from tuning.errors import NewerFileError, StorageError, StudyError
from tuning.ledger.begin import begin
from tuning.ledger.catalog import finished
from tuning.ledger.damage import SetAside
from tuning.ledger.known import (
    KnownRecord,
    KnownTrial,
    keep_known_result,
    known_result,
    read_known,
    write_known,
)
from tuning.ledger.records import (
    Death,
    LRIntervals,
    SearchHeader,
    SearchStatus,
    read_record,
    write_record,
)
from tuning.ledger.results import keep_test_score, read_test_score
from tuning.ledger.search import SearchFiles
from tuning.reports.progress import SilentProgress
from tuning.search.finals import Finals
from tuning.search.lr_bounds import kept_tests
from tuning.storage.durable import write_json
from tuning.tracking.writer.feed import LedgerView
from tuning.trial import FoldResult
from tuning.trials.earlier_attempts import folds_of_earlier_attempts

TRIALS = 4
HEADER = SearchHeader(
    study="scripted",
    engine="scripted",
    objective=RECORD.objective,
    versions=(RECORD.definition,),
    spaces_json=(RECORD.space.to_json(),),
)
# Without them nothing can be said of the search, or of what came after: refused in words.
NEEDED = ("search.json", "trials/00001/spec.json")
FILES = (
    *NEEDED,
    "trials/00003/spec.json",
    "trials/00001/result.json",
    "trials/00003/result.json",
    "trials/00001/attempt-1/fold-0.json",
    "trials/00001/attempt-1/died.json",
    "trials/00001/test.json",
    "finalists/{best}/0.json",
    "finalists/{best}/1.json",
    "evaluation.json",
    "winner.json",
    "status.json",
    "intervals.json",
    "known.json",
    "known/00000.json",
    "run.json",
    "artifacts/lr_range_lr.json",
    "artifacts/pareto.json",
)


class Engine(ScriptedEngine):
    """Begins elsewhere for another seed, and takes what the files say, as real engines do."""

    def __init__(self, seed: int = 0):
        super().__init__()
        self._told = [(seed, "", None)]

    def adopt(self, proposal):
        return True


def run(folder: Path, notices: list[str], seed: int = 0):
    """Search, choose the winner and read all that readers read; return loop and winner."""
    files = begin(
        folder / "search",
        HEADER,
        fresh=False,
        allow_change=False,
        on_damage=SetAside(notices.append),
    )
    executor = ScriptedExecutor(files)
    loop = make_loop(Engine(seed), executor, replace(RECORD, trials=TRIALS))
    loop.replay()
    loop.run()
    winner = Finals(
        study=RECORD,
        source="study.py",
        overrides={},
        executor=ObedientExecutor(),
        files=files,
        progress=SilentProgress(),
    ).run(loop.trial_index)
    files.write_status(SearchStatus(status="completed", at=1.0))
    return loop, winner


def read_all(files: SearchFiles) -> None:
    """Read what the writer, reports, benchmarks and other searches read."""
    finished(files)
    view = LedgerView(files.folder)
    view.poll()
    assert sorted(view.finished) == list(range(TRIALS))
    assert files.status is not None
    for read in (read_known, kept_tests, BenchRun.read):
        read(files.folder)
    read_record(LRIntervals, files.folder / "intervals.json")
    known_result(files.folder, 0)
    for number in range(TRIALS):
        files.deaths(number)
        own = float(files.proposal(number, RECORD.space).params["x"])
        assert read_test_score(files.trial_folder(number)) in (own, None)
        for fold in folds_of_earlier_attempts(files.trial_folder(number)):
            assert fold.value == 0.25


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A search with every kind of file, and one of the same study with other results."""
    folder = tmp_path_factory.mktemp("whole")
    for name, seed in (("search", 0), ("other", 1)):
        run(folder / name, [], seed)
        (folder / name / "search").rename(folder / f"{name}-files")
        shutil.rmtree(folder / name)
        (folder / f"{name}-files").rename(folder / name)
        add_the_rest(SearchFiles(folder / name))
    return folder


def add_the_rest(files: SearchFiles) -> None:
    """Write the files that this search has no use for, as others do."""
    for number in range(TRIALS):
        fold = FoldResult(0, 0.25, {}, (), best_epoch=1, seconds=0.0, seed=0)
        write_json(files.trial_folder(number) / "attempt-1" / "fold-0.json", fold.to_json())
        x = files.proposal(number, RECORD.space).params["x"]
        keep_test_score(files.trial_folder(number), "loss", float(x))
        files.write_death(number, 1, Death(cause="killed"))
    write_record(
        files.folder / "intervals.json", LRIntervals(intervals={"x": [1, 2]}, definition={})
    )
    known = KnownTrial(number=0, params={"x": 1}, epochs=2, whole=True)
    write_known(
        files.folder,
        KnownRecord(search="s", name="s/k", engine="e", definition={}, trials=(known,), n_starts=1),
    )
    keep_known_result(files.folder, result_of(files.proposal(0, RECORD.space)))
    curve = AnytimeRun(study="s", engine="e", seed=0, direction="minimize", metric="val_loss",
                       epochs=(1,), seconds=(1.0,), values=(0.5,), tests=(0.5,))  # fmt: skip
    BenchRun(curve=curve, search="s-1", pinned="p", ended="budget").write(files.folder)
    write_json(files.folder / "artifacts" / "lr_range_lr.json", [{"lrs": [0.1]}])
    write_json(files.folder / "artifacts" / "pareto.json", {"front": [0], "knee": 0})


def sweep(whole: Path, home: Path, file: str, name: str) -> None:
    """Damage one file, run the same command twice, and check what the files say then."""
    shutil.copytree(whole, home)
    files = SearchFiles(home / "search")
    best = files.winner.number
    path = files.folder / file.format(best=f"{best:05d}")
    DAMAGES[name](path, random.Random(f"{file} {name}"))

    may_end = file in NEEDED or name == "a newer release"
    with suppress(StudyError, StorageError) if may_end else nullcontext():
        run(home, [])

    refused = None
    try:
        loop, winner = run(home, second := [])
    except (StudyError, StorageError) as error:
        refused = str(error)
    if refused is not None:
        assert may_end, refused
        return
    assert second == [], "the second run finds damage too"
    assert len(loop.trial_index.results) == TRIALS
    for number, proposal in loop.trial_index.proposals.items():
        assert loop.trial_index.results[number].value == float(proposal.params["x"])
    assert set(winner.standing.values) == {float(winner.params["x"])}
    with suppress(NewerFileError) if name == "a newer release" else nullcontext():
        read_all(files)


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_damaged_somehow_harms_nothing_else(whole, tmp_path, file):
    name = random.Random(file).choice(sorted(DAMAGES))
    sweep(whole, tmp_path / "home", file, name)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", FILES)
def test_no_damage_of_a_file_harms_anything_else(whole, tmp_path, file):
    for i, name in enumerate(DAMAGES):
        sweep(whole, tmp_path / str(i), file, name)


def test_there_are_more_kinds_of_damage_than_were_ever_seen():
    assert len(DAMAGES) >= 42
