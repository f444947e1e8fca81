"""The rules that pytest tries: which tests belong to which, and what a run of them says."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.records import ROOT, Record
from tests.search.damages import DAMAGES, NEEDS_JSON


@dataclass(frozen=True, kw_only=True)
class Tested:
    """Tests of a rule.

    Attributes:
        rule: Of the specification.
        what: Is injected or tried, in words.
        file: Of the tests, below `tests/`.
        names: Parts of the tests' names; none: all of the file.
        each: Injections in one test.
    """

    rule: str
    what: str
    file: str
    names: tuple[str, ...] = ()
    each: int = 1

    @property
    def command(self) -> str:
        """Runs these tests."""
        chosen = f' -k "{" or ".join(self.names)}"' if self.names else ""
        return f"pytest tests/{self.file}{chosen}"

    def matches(self, file: str, name: str) -> bool:
        """Whether a test belongs to it."""
        is_named = not self.names or any(part in name for part in self.names)
        return file == f"tests/{self.file}" and is_named


TESTED: tuple[Tested, ...] = (
    Tested(
        rule="F2", what="a worker's death right behind its answer",
        file="executors/test_local.py", names=("sent_just_before_death",),
    ),
    Tested(
        rule="F1", what="20 kills of workers at random moments, executor alone",
        file="executors/test_local.py", names=("under_kills_at_random_moments",),
    ),
    Tested(
        rule="F1", what="eight devices: slots that come and go, kills of workers, executor alone",
        file="executors/test_resize.py", names=("a_hundred_rounds",), each=100,
    ),
    Tested(
        rule="F5", what="MLflow down, or taking connections and answering nothing",
        file="tracking/writer/test_writer.py", names=("store_that_is_down", "store_that_hangs"),
    ),
    Tested(
        rule="F5", what="a server over PostgreSQL killed, stopped, its database killed, for 30 s",
        file="tracking/servers/test_outages.py", names=("away_for_long",),
    ),
    Tested(
        rule="F6", what="answers lost, 429, 500, 502, 503, hanging; carried out or not",
        file="tracking/servers/test_outages.py", names=("answers_that_fail",),
    ),
    Tested(
        rule="F6", what="40 % of the answers lost or 500, a real server behind them",
        file="tracking/writer/test_faults.py", names=("two_answers_in_five",),
    ),
    Tested(
        rule="F6", what="each answer to a run's creation lost once",
        file="cli/test_ui.py", names=("every_answer_to_its_creation",),
    ),
    Tested(
        rule="F7", what="a search written to PostgreSQL, killed in mid-write",
        file="tracking/servers/test_postgres.py",
    ),
    Tested(
        rule="F13", what="memory of the device runs out once, twice",
        file="trials/test_trial.py", names=("memory",),
    ),
    Tested(
        rule="F14", what="a learning rate that explodes, a fold that diverges",
        file="trials/test_trial.py", names=("explodes", "diverged"),
    ),
    Tested(
        rule="F17", what="study files that cannot be imported, or hold no study",
        file="study/test_study_file.py",
    ),
    Tested(
        rule="F17", what="any values in the fields of a study (Hypothesis)",
        file="study/test_any_values.py",
    ),
    Tested(
        rule="F18", what="a study that was changed under its search",
        file="ledger/test_versions.py",
    ),
    Tested(
        rule="F19", what="caches of data cut, changed, of a wrong shape",
        file="data/test_cache.py", names=("damaged", "another_file", "wrong_shape"),
    ),
    Tested(
        rule="F20 F21", what="50 kinds of damage to each of the files of a search",
        file="search/test_damage_sweep.py", names=("no_damage_of_a_file",), each=len(DAMAGES),
    ),
    Tested(rule="F20", what="results of other asks, torn results", file="ledger/test_damage.py"),
    Tested(
        rule="F20 F21", what="50 kinds of damage to caches, marks, manifests, a rung's end",
        file="search/test_damage_beside.py", names=("no_damage_of_a_file",),
        each=len(DAMAGES) - len(NEEDS_JSON),
    ),
    Tested(
        rule="F20 F21", what="kinds of damage to checkpoints of rungs, attempts and finalists",
        file="trials/test_checkpoint_damage.py", names=("no_damage_of_a_checkpoint",),
        each=len(DAMAGES) - len(NEEDS_JSON),
    ),
    Tested(rule="F20", what="deaths of other trials and attempts", file="ledger/test_deaths.py"),
    Tested(
        rule="F20", what="test scores, ends, evaluations of another trial, fold or seed",
        file="ledger/test_results.py", names=("test_score",),
    ),
    Tested(
        rule="F21", what="files of a newer release, verb by verb",
        file="cli/test_newer_release.py", names=("later_release", "doctor_tells"),
    ),
    Tested(
        rule="F21", what="any bytes, any JSON in each file (Hypothesis)",
        file="search/test_any_json.py",
    ),
    Tested(
        rule="F21", what="databases with zeroed pages, dropped tables, no database at all",
        file="storage/test_sqlite_file.py", names=("damage",),
    ),
    Tested(
        rule="F21", what="schemas that lack tables, or are of another release",
        file="tracking/test_schema_internals.py",
    ),
    Tested(
        rule="F25", what="kills while a database is made, five makers at once",
        file="storage/test_sqlite_file.py", names=("kill_during_creation", "at_once"),
    ),
    Tested(
        rule="F23", what="100 rounds of three searches on one device",
        file="executors/test_leases.py", names=("starves", "line"), each=1,
    ),
    Tested(
        rule="F23", what="executors and searches that take turns at one device",
        file="executors/test_turns.py",
    ),
    Tested(
        rule="F23", what="two searches on one core, 20 rounds", file="search/test_turns.py",
        each=20,
    ),
    Tested(rule="F12", what="trials that take too much memory", file="executors/test_memory.py"),
    Tested(
        rule="F12", what="trials at the limit of a control group",
        file="executors/test_memory_limits.py",
    ),
    Tested(rule="F11", what="floors and quotas of space", file="storage/test_space.py"),
    Tested(rule="F11", what="a search on a disk that is full", file="search/test_space.py"),
    Tested(
        rule="F26", what="nodes of a cluster of three killed in mid-trial, ten in one search",
        file="search/test_ray.py", names=("ten_nodes_are_killed",), each=10,
    ),
    Tested(
        rule="F26", what="the head of a cluster killed: exit 75, and the same command goes on",
        file="search/test_ray.py", names=("a_lost_head_ends",),
    ),
    Tested(
        rule="F26", what="a slot's process, and a node in mid-checkpoint, killed",
        file="executors/test_ray.py", names=("a_lost_actor", "a_node_lost_in_mid_checkpoint"),
    ),
    Tested(
        rule="F26", what="late words and files of an attempt whose slot was lost",
        file="executors/cluster/test_late_words.py",
    ),
    Tested(
        rule="C10", what="clients without the token, with another one, from outside",
        file="executors/test_ray.py", names=("without_its_token",),
    ),
    Tested(
        rule="C10", what="Ray's client from outside, without the token",
        file="cli/test_on_ray.py", names=("the_token_is_asked_for_too",),
    ),
    Tested(
        rule="F27", what="a trial that floods its log",
        file="executors/test_local.py", names=("flood",),
    ),
    Tested(
        rule="C1", what="foreign hosts and origins, frames, other addresses",
        file="cli/test_ui.py", names=("host", "origin", "framed", "loopback", "address"),
    ),
    Tested(
        rule="C2", what="routes that start work; jobs, telemetry, pickle in the server",
        file="cli/test_ui.py", names=("routes_that_start_work", "jobs_telemetry"),
    ),
    Tested(
        rule="C3", what="who has no password, guesses, comes around the login",
        file="cli/ui_page/test_login.py",
    ),
    Tested(
        rule="C3", what="guesses are slowed down", file="cli/ui_page/test_throttle.py",
    ),
    Tested(
        rule="C3", what="pages for others without name, password or TLS",
        file="cli/ui_page/test_shared_page.py",
    ),
    Tested(
        rule="C3", what="every route of the real server without a login",
        file="cli/ui_page/test_server.py",
    ),
    Tested(rule="C4", what="folders that others own or may change", file="storage/test_home.py"),
    Tested(
        rule="C4", what="the folder of the leases, squatted",
        file="executors/test_leases.py", names=("folder",),
    ),
    Tested(
        rule="C5", what="an audit hook: what is unpickled from a file",
        file="search/test_canary.py", names=("unpickled",),
    ),
    Tested(rule="C6", what="model files with more than a model", file="ledger/test_model_file.py"),
    Tested(
        rule="C7", what="flipped bytes, other arrays in caches of data",
        file="data/test_cache.py", names=("damaged", "another_file", "wrong_shape"),
    ),
    Tested(rule="C8", what="names and paths (Hypothesis)", file="ledger/test_paths.py"),
    Tested(
        rule="C11", what="canaries in URLs, variables, arguments; every file is searched",
        file="search/test_canary.py", names=("no_secret",),
    ),
    Tested(
        rule="C11", what="passwords of MLflow's server and of PostgreSQL, which are killed",
        file="tracking/servers/test_secrets.py",
    ),
    Tested(rule="C11", what="what is masked in texts", file="storage/test_secrets.py"),
    Tested(
        rule="C12", what="script tags in every text of the report",
        file="reports/test_html.py", names=("no_user_text", "search_id_cannot_leave"),
    ),
)  # fmt: skip


def run_tests(records: Path, rules: Collection[str] = ()) -> bool:
    """Run tests once, add a record for each row; return whether all went well.

    Args:
        records: The file.
        rules: Those whose tests are run; none: all.
    """
    chosen = [row for row in TESTED if not rules or set(row.rule.split()) & set(rules)]
    whole = {row.file for row in chosen if not row.names}
    parts = [row for row in chosen if row.file not in whole]
    cases = _run(whole) if whole else []
    if parts:
        cases += _run({row.file for row in parts}, [name for row in parts for name in row.names])
    rows = [_record(row, cases) for row in chosen]
    for record in rows:
        record.append_to(records)
    return all(record.is_well and record.tests for record in rows)


def _run(files: Collection[str], names: Sequence[str] = ()) -> list[Case]:
    """Run tests, in these files those whose names have one of these parts; none: all."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        words = [sys.executable, "-m", "pytest", "-q", "-m", "", "-p", "no:randomly"]
        words += ["-o", "junit_family=xunit1", f"--junitxml={report}", "--timeout", "900"]
        words += ["-k", " or ".join(names)] if names else []
        words += sorted(f"tests/{file}" for file in files)
        subprocess.run(words, cwd=ROOT, check=False)
        return list(_cases(report))


@dataclass(frozen=True)
class Case:
    """One test that was run."""

    file: str
    name: str
    state: str
    seconds: float


def _cases(report: Path) -> Iterator[Case]:
    for case in ElementTree.parse(report).iter("testcase"):
        states = {child.tag for child in case} & {"failure", "error", "skipped"}
        yield Case(
            case.get("file", ""),
            case.get("name", ""),
            "passed" if not states else states.pop(),
            float(case.get("time", "0")),
        )


def _record(row: Tested, cases: list[Case]) -> Record:
    ours = [case for case in cases if row.matches(case.file, case.name)]
    ran = [case for case in ours if case.state != "skipped"]
    failed = tuple(case.name for case in ran if case.state != "passed")
    return Record(
        campaign=row.file,
        rule=row.rule,
        what=row.what,
        command=row.command,
        injected=len(ran) * row.each,
        other=failed,
        tests=len(ran),
        seconds=sum(case.seconds for case in ran),
    )
