"""What travels to a node and back: two folders of one disk stand for driver and node."""

import json
import pickle

import pytest

from tuning.errors import TuningError
from tuning.executors.base import Job
from tuning.executors.cluster import node_files
from tuning.executors.cluster.node_files import NodeJobs
from tuning.executors.cluster.travel import CALLBACKS, Sender
from tuning.executors.unchanging import Unchanging
from tuning.trial import Proposal, Status, TrialResult
from tuning.trials.jobs import EvaluationJob, FinalistJob, TrialJob

TRIAL = "ledger/housing/tpe/trials/00007"
SEEN = {}


class Trip:
    """A driver and a node, and one job's way between them."""

    def __init__(self, folder, sources=(), code=None):
        self.home = folder / "home"
        self.home.mkdir()
        self.sender = Sender(self.home, sources, code)
        self.jobs = NodeJobs(
            folder / "node", {"project/studies/a.py": "/node/project/studies/a.py"}
        )
        self.held = set()

    def begin(self, function, *args):
        """Have the job begin; return it as the worker gets it."""
        self.parcel = self.sender.pack(Job("7-2", function, args))
        luggage = self.sender.luggage(self.parcel)
        new = [name for name in luggage.constants if name not in self.held]
        self.held.update(new)
        self.jobs.hold(new, [self.sender.constant(name) for name in new])
        job = pickle.loads(pickle.dumps(self.parcel.job))  # noqa: S301
        return self.jobs.begin(job, luggage)

    def end(self):
        """Bring back what the job has changed; return the names of these files."""
        return self.take(self.jobs.end())

    def take(self, changes):
        if changes is None:
            return []
        self.sender.write(self.parcel, changes)
        return [sent.path for sent in changes.files]

    def run(self, function, *args):
        """Do a job; return what the driver is told that it returned."""
        name = f"{__name__}:{function.__name__}"
        value = self.sender.value_of(self.begin(name, *args).call(None))
        self.end()
        return value


@pytest.fixture
def trip(tmp_path):
    return Trip(tmp_path)


def trial_job(trip, **changes):
    fields = {"source": "/driver/studies/a.py", "overrides": {}, "folder": trip.home / TRIAL}
    return TrialJob(**{**fields, "proposal": Proposal(7, {"lr": 0.1}, 3), "attempt": 2, **changes})


def write(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def look_around(job, context):
    SEEN["folder"] = job.folder
    SEEN["files"] = {file.name: file.read_text() for file in job.folder.rglob("*.json")}
    SEEN["parent"] = job.parent
    SEEN["source"] = job.source
    return job


def keep_checkpoint(job, context):
    write(job.folder / f"attempt-{job.attempt}" / "fold-0.npz", "weights")


def drop_checkpoints(job, context):
    for path in job.folder.glob("attempt-*/fold-*"):
        path.unlink()


def evaluate(job, context):
    SEEN["files"] = sorted(path.name for path in job.file.parent.rglob("*") if path.is_file())
    write(job.saved, "model")
    write(job.file, json.dumps({"model": str(job.saved)}))


def finish(job, context):
    write(job.folder / "result.json", json.dumps(job.overrides["result"]))


def be_named(source, constant, context):
    SEEN["source"] = source
    SEEN["constant"] = constant.path.read_bytes()
    return source


def test_a_job_finds_its_folder_elsewhere_with_what_earlier_attempts_have_left(trip):
    write(trip.home / TRIAL / "attempt-1" / "fold-0.json", "done")
    returned = trip.run(look_around, trial_job(trip))
    assert SEEN["files"] == {"fold-0.json": "done"}
    assert not SEEN["folder"].is_relative_to(trip.home)
    assert returned.folder == trip.home / TRIAL


def test_the_folder_of_the_trial_that_is_continued_comes_along(trip):
    parent = trip.home / "ledger/housing/tpe/trials/00003"
    write(parent / "end.npz", "weights")
    trip.begin(f"{__name__}:look_around", trial_job(trip, parent=parent)).call(None)
    assert (SEEN["parent"] / "end.npz").read_text() == "weights"


def test_what_a_job_writes_comes_back_before_its_end_is_told(trip):
    trip.run(keep_checkpoint, trial_job(trip))
    assert (trip.home / TRIAL / "attempt-2" / "fold-0.npz").read_text() == "weights"


def test_what_a_job_removes_is_removed_here_too(trip):
    kept = write(trip.home / TRIAL / "attempt-1" / "fold-0.npz")
    trip.run(drop_checkpoints, trial_job(trip))
    assert not kept.exists()


def test_what_has_not_changed_does_not_come_back(trip):
    write(trip.home / TRIAL / "attempt-1" / "fold-0.json")
    trip.begin(f"{__name__}:look_around", trial_job(trip)).call(None)
    assert trip.end() == []


def test_a_checkpoint_comes_back_while_the_job_runs(trip, monkeypatch):
    monkeypatch.setattr(node_files, "_LOOK_S", 0.0)
    trip.begin(f"{__name__}:keep_checkpoint", trial_job(trip)).call(None)
    assert trip.take(trip.jobs.look()) == [f"{TRIAL}/attempt-2/fold-0.npz"]
    assert trip.jobs.look() is None  # once


def test_a_log_of_callbacks_waits_for_a_checkpoint(trip, monkeypatch):
    monkeypatch.setattr(node_files, "_LOOK_S", 0.0)
    trip.begin(f"{__name__}:look_around", trial_job(trip)).call(None)
    log = write(SEEN["folder"] / f"{CALLBACKS}0" / "events.log")
    assert trip.jobs.look() is None
    write(SEEN["folder"] / "attempt-2" / "fold-0.npz")
    assert len(trip.take(trip.jobs.look())) == 2
    log.write_text("more")
    assert trip.end() == [f"{TRIAL}/{CALLBACKS}0/events.log"]


def test_a_file_that_is_being_written_is_left_for_later(trip):
    trip.begin(f"{__name__}:look_around", trial_job(trip)).call(None)
    write(SEEN["folder"] / ".fold-0.npz.17.tmp", "half")
    assert trip.end() == []


def test_a_result_is_never_written_over_one_that_is_whole(trip):
    kept = TrialResult(7, Status.COMPLETED, 0.5).to_json()
    late = TrialResult(7, Status.COMPLETED, 0.9).to_json()
    job = trial_job(trip, overrides={"result": late})
    begun = trip.begin(f"{__name__}:finish", job)
    write(trip.home / TRIAL / "result.json", json.dumps(kept))
    begun.call(None)
    trip.end()
    assert json.loads((trip.home / TRIAL / "result.json").read_text())["value"] == 0.5


def test_the_result_is_the_last_file_that_is_written(trip, monkeypatch):
    written = []
    monkeypatch.setattr(
        "tuning.executors.cluster.travel.write_bytes", lambda path, data: written.append(path.name)
    )
    result = TrialResult(7, Status.COMPLETED, 0.5).to_json()
    trip.begin(f"{__name__}:finish", trial_job(trip, overrides={"result": result})).call(None)
    folder = next(trip.jobs._folder.glob("job-*"))
    write(folder / TRIAL / "test.json", "{}")
    trip.end()
    assert written == ["test.json", "result.json"]


def test_the_winner_comes_back_and_its_record_names_it_here(trip):
    search = trip.home / "ledger/housing/tpe"
    write(search / "search.json")
    weights = write(search / "finalists/00007/0.npz")
    job = EvaluationJob(
        source="a.py",
        overrides={},
        params={},
        epochs=1,
        seed=0,
        weights=weights,
        saved=search / "winner.keras",
        file=search / "evaluation.json",
    )
    trip.run(evaluate, job)
    assert SEEN["files"] == ["0.npz"]
    assert (search / "winner.keras").read_text() == "model"
    record = json.loads((search / "evaluation.json").read_text())
    assert record["model"] == str(search / "winner.keras")


@pytest.mark.parametrize(
    "path",
    ["../outside", "/etc/passwd", "ledger/other.json", f"{TRIAL}/../00008/result.json"],
)
def test_a_node_writes_no_file_that_is_none_of_its_jobs(trip, path):
    trip.begin(f"{__name__}:keep_checkpoint", trial_job(trip)).call(None)
    changes = trip.jobs.end()
    changes = changes._replace(files=(changes.files[0]._replace(path=path),))
    with pytest.raises(TuningError, match="no file of the job"):
        trip.sender.write(trip.parcel, changes)
    assert not any(trip.home.rglob("*.json"))


def test_a_finalist_writes_beside_its_file_what_has_its_name_and_no_more(trip):
    file = trip.home / "ledger/housing/tpe/finalists/00007/0.json"
    job = FinalistJob(
        source="a.py", overrides={}, number=7, params={}, epochs=1, index=0, file=file
    )
    trip.begin(f"{__name__}:look_around", job)
    root = next(trip.jobs._folder.glob("job-*")) / "ledger/housing/tpe/finalists/00007"
    write(root / "0.npz", "weights")
    write(root / "0.kept-0.npz", "its progress, for the next attempt")
    write(root / f"{CALLBACKS}0-0" / "state")
    trip.end()
    assert (file.parent / "0.npz").exists()
    assert (file.parent / "0.kept-0.npz").exists()
    assert (file.parent / f"{CALLBACKS}0-0" / "state").exists()

    trip.begin(f"{__name__}:look_around", job)
    root = next(trip.jobs._folder.glob("job-*")) / "ledger/housing/tpe/finalists/00007"
    write(root / "1.npz", "weights")
    with pytest.raises(TuningError, match=r"1\.npz"):
        trip.end()


def test_a_study_file_is_found_where_the_node_has_it(tmp_path):
    trip = Trip(tmp_path, code={"project/studies/a.py": "/driver/studies/a.py"})
    returned = trip.run(look_around, trial_job(trip))
    assert SEEN["source"] == "/node/project/studies/a.py"
    assert returned.source == "/driver/studies/a.py"


def test_a_pickled_study_and_a_file_that_never_changes_travel_once(tmp_path):
    source = b"study" * 20_000
    constant = Unchanging("name", tmp_path / "rows.npy")
    constant.path.write_bytes(b"rows")
    trip = Trip(tmp_path, sources=[source])
    for _ in range(2):
        assert trip.run(be_named, source, constant) is source
        assert (SEEN["source"], SEEN["constant"]) == (source, b"rows")
        assert len(trip.parcel.job.pickled_args) < 1000
    assert len(trip.held) == 2


def test_values_that_name_no_file_are_as_they_were(trip):
    def echo(value):
        return trip.sender.value_of(trip.begin("builtins:max", value, value).call((0,)))

    assert echo((1.5, "text", b"bytes", "/elsewhere")) == (1.5, "text", b"bytes", "/elsewhere")


def test_nothing_of_a_job_stays_on_the_node(trip):
    trip.run(keep_checkpoint, trial_job(trip))
    assert not list(trip.jobs._folder.glob("job-*"))
