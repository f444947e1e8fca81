"""What is done to which command: a row is a campaign, a life is one search from first to last."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
QUICK = str(HERE / "quick.py")
SMALL = str(HERE / "small.py")
BAD = str(HERE / "bad.py")
MOVING = str(HERE / "moving.py")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is sent to whom.

    Attributes:
        part: "driver", "everything" on the home, "disk", "store", or a part below the driver, see
            `tuning.executors.supervision.parts`.
        signals: Sent one after the other, half a second between them.
        exits: How the driver may end after it, where it is hit itself.
    """

    part: str
    signals: tuple[int, ...] = (signal.SIGKILL,)
    exits: tuple[int, ...] = (-signal.SIGKILL,)

    @property
    def ends_command(self) -> bool:
        """Whether the command ends with it, and is to be given again."""
        return self.part in ("driver", "everything", "disk")

    @property
    def words(self) -> str:
        """As the table names it."""
        if not self.signals:
            return f"fault of the {self.part}"
        names = " ".join(signal.Signals(number).name for number in self.signals)
        return f"{names} {self.part}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A campaign.

    Attributes:
        rule: Of the specification, e.g. "F3".
        what: Is injected, in words.
        times: How often it is to be injected in all.
        words: Of the command.
        faults: One of these at a time, by chance.
        hits: So many in one life at most.
        pause_s: Shortest and longest time from one to the next, or from a trial's end.
        recovers: So many trials end between two hits.
        trials: Of the search; None: not counted.
        limit_s: So long an undisturbed command may take.
        ends_s: So long a driver that is told to end may take.
        environment: See `hook/sitecustomize.py`.
        is_repeatable: Whether a disturbed search must come to the very trials of another one.
        kind: Of what is checked: "search", "bad", "bench", "lr-range", "at-once", "resize".
        first: Words of a command that is run to its end before, on the same home.
        removes: Files of the home that are deleted after it.
        from_start: Moments are counted from the start of the command, seconds; None: most from
            the end of a trial.
        store: A server that the search writes to, "mlflow" or "postgres"; "": none.
        disk_mb: The home is a file system of this size; None: an ordinary folder.
    """

    rule: str
    what: str
    times: int
    words: tuple[str, ...]
    faults: tuple[Fault, ...]
    hits: int = 6
    pause_s: tuple[float, float] = (0.0, 2.0)
    recovers: int = 0
    trials: int | None = None
    limit_s: float = 300.0
    ends_s: float = 30.0
    environment: Mapping[str, str] = field(default_factory=dict)
    is_repeatable: bool = True
    kind: str = "search"
    first: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    from_start: tuple[float, float] | None = None
    store: str = ""
    disk_mb: int | None = None


KILL = Fault(part="driver")
STORE_DOWN = Fault(part="store", signals=())
FULL_DISK = Fault(part="disk", signals=(), exits=(75,))
REBOOT = Fault(part="everything")
TERM = Fault(part="driver", signals=(signal.SIGTERM,), exits=(143, -signal.SIGTERM))
TERM_KILL = Fault(part="driver", signals=(signal.SIGTERM, signal.SIGKILL), exits=(143, -15, -9))
HANG_UP = Fault(part="driver", signals=(signal.SIGHUP,), exits=(143, -signal.SIGHUP))
# While Python itself starts, its own handler ends it by the signal.
CTRL_C = Fault(part="driver", signals=(signal.SIGINT,), exits=(130, -signal.SIGINT))
TWO_CTRL_C = Fault(
    part="driver", signals=(signal.SIGINT, signal.SIGINT), exits=(130, -signal.SIGINT)
)


def _run(study: str, engine: str, trials: int, *words: str) -> tuple[str, ...]:
    return (
        "run", study, "--engine", engine, "--trials", str(trials), "--devices", "cpu:1", "--json",
        "--quiet", *words,
    )  # fmt: skip


def _driver_kills(name: str, words: tuple[str, ...], trials: int | None, **changes: object) -> Plan:
    fields = {
        "rule": "F3",
        "what": f"SIGKILL of the driver at random moments, `{name}`",
        "times": 20,
        "words": words,
        "faults": (KILL,),
        "trials": trials,
        **changes,
    }
    return Plan(**fields)  # type: ignore[arg-type]


def _stops(part: str) -> Plan:
    return Plan(
        rule="F15",
        what=f"SIGSTOP of the {part} at random moments (5 s of silence allowed)",
        times=20,
        words=_run(QUICK, "optuna:random", 300),
        faults=(Fault(part=part, signals=(signal.SIGSTOP,)),),
        hits=20,
        pause_s=(0.5, 4.0),
        # A part that is hit again and again before it has answered once is given up, as it is
        # meant to be.
        recovers=5,
        trials=300,
        environment={"CHAOS_SILENCE_S": "5"},
    )


def _failpoint(rule: str, what: str, place: str, when: str, share: float) -> Plan:
    return Plan(
        rule=rule,
        what=what,
        times=10,
        words=_run(QUICK, "optuna:tpe", 40),
        faults=(),
        hits=10,
        trials=40,
        environment={"CHAOS_FAILPOINT": f"{place} {when} {share}"},
    )


_LEDGER = "tuning.ledger.search:SearchFiles"
_ENGINE = "tuning.engines.remote:RemoteEngine"
_COMMIT = "sqlalchemy.engine.default:DefaultDialect.do_commit"

PLANS: dict[str, Plan] = {
    "drivers-tpe": _driver_kills("optuna:tpe", _run(QUICK, "optuna:tpe", 40), 40),
    "drivers-hyperband": _driver_kills(
        "keras-tuner:hyperband", _run(QUICK, "keras-tuner:hyperband", 40), None
    ),
    "drivers-grid": _driver_kills("gridsearchcv", _run(QUICK, "gridsearchcv", 27), 27),
    "drivers-bench": _driver_kills(
        "bench",
        ("bench", QUICK, "--engines", "optuna:random,randomizedsearchcv", "--seeds", "2",
         "--budget", "trials=12", "--devices", "cpu:1", "--json", "--quiet"),
        None,
        kind="bench",
    ),
    "drivers-lr-range": _driver_kills(
        "lr-range",
        ("lr-range", SMALL, "--seeds", "2", "--steps", "40", "--devices", "cpu:1", "--json"),
        None,
        kind="lr-range",
        hits=10,
    ),
    "reboots": Plan(
        rule="F10",
        what="SIGKILL of every process of the search at once",
        times=20,
        words=_run(QUICK, "optuna:tpe", 40),
        faults=(REBOOT,),
        trials=40,
    ),
    "signals-term": Plan(
        rule="F8",
        what="SIGTERM; SIGTERM then SIGKILL; SIGHUP, at random moments",
        times=20,
        words=_run(QUICK, "optuna:tpe", 40),
        faults=(TERM, TERM_KILL, HANG_UP),
        ends_s=10.0,
        trials=40,
    ),
    "signals-int": Plan(
        rule="F9",
        what="Ctrl-C once, twice, at random moments",
        times=20,
        words=_run(QUICK, "optuna:tpe", 40),
        faults=(CTRL_C, TWO_CTRL_C),
        ends_s=60.0,
        trials=40,
    ),
    "workers": Plan(
        rule="F1",
        what="SIGKILL of a worker in mid-epoch at random moments, two slots",
        times=50,
        words=(*_run(QUICK, "optuna:random", 120), "--devices", "cpu:2"),
        faults=(Fault(part="worker"),),
        hits=50,
        pause_s=(0.1, 1.5),
        trials=120,
        is_repeatable=False,
    ),
    "engines": Plan(
        rule="F3",
        what="SIGKILL of the engine process at random moments",
        times=20,
        words=_run(QUICK, "optuna:tpe", 120),
        faults=(Fault(part="engine"),),
        hits=20,
        pause_s=(0.5, 4.0),
        # Killed again and again before it has answered once, it is given up. Two trials may end
        # meanwhile: one that ran, one that was sent ahead.
        recovers=3,
        trials=120,
    ),
    "writers": Plan(
        rule="F4",
        what="SIGKILL of the writer at random moments",
        times=20,
        words=_run(QUICK, "optuna:random", 120),
        faults=(Fault(part="writer"),),
        hits=20,
        pause_s=(0.1, 5.0),
        trials=120,
    ),
    "stops-engine": _stops("engine"),
    "stops-worker": _stops("worker"),
    "stops-forkserver": _stops("forkserver"),
    "stops-writer": _stops("writer"),
    "clock": Plan(
        rule="F24",
        what="the wall clock of every process steps by ± 1 day, three steps in 2 s",
        times=20,
        words=_run(QUICK, "optuna:tpe", 120),
        faults=(),
        hits=20,
        trials=120,
        environment={"CHAOS_CLOCK_S": "86400"},
    ),
    "soak": Plan(
        rule="F28",
        what="every 20 s a kill or a stop of a part, the driver, everything; SIGTERM, Ctrl-C",
        times=10_000,
        words=(*_run(QUICK, "optuna:random", 500), "--devices", "cpu:4"),
        faults=(
            *(Fault(part=part) for part in ("worker", "engine", "forkserver", "writer")),
            *(
                Fault(part=part, signals=(signal.SIGSTOP,))
                for part in ("worker", "engine", "forkserver", "writer")
            ),
            KILL,
            REBOOT,
            TERM,
            TERM_KILL,
            CTRL_C,
            TWO_CTRL_C,
        ),
        hits=10_000,
        pause_s=(10.0, 30.0),
        trials=500,
        limit_s=900.0,
        ends_s=90.0,
        is_repeatable=False,
        environment={"CHAOS_SILENCE_S": "5"},
    ),
    "server": Plan(
        rule="F5",
        what="MLflow's server killed, down for 2 to 6 s, begun again",
        times=6,
        words=_run(QUICK, "optuna:random", 120),
        faults=(STORE_DOWN,),
        hits=3,
        pause_s=(3.0, 8.0),
        trials=120,
        store="mlflow",
    ),
    "postgres": Plan(
        rule="F7",
        what="PostgreSQL killed in mid-write (immediate stop), down for 2 to 6 s, begun again",
        times=10,
        words=_run(QUICK, "optuna:random", 120),
        faults=(STORE_DOWN,),
        hits=5,
        pause_s=(1.0, 4.0),
        trials=120,
        store="postgres",
    ),
    "at-once": Plan(
        rule="F22",
        what="ten drivers start at once on an empty home: nine are refused",
        times=18,
        words=("run", QUICK, "--trials", "400", "--devices", "cpu:2", "--json", "--quiet"),
        faults=(),
        hits=9,
        trials=400,
        kind="at-once",
        is_repeatable=False,
    ),
    "disk": Plan(
        rule="F11",
        what="a small file system is filled to its last byte at random moments",
        times=10,
        words=_run(QUICK, "optuna:tpe", 40),
        faults=(FULL_DISK,),
        hits=5,
        trials=40,
        ends_s=60.0,
        disk_mb=24,
    ),
    "sync": Plan(
        rule="F25",
        what="SIGKILL of `tuning sync` that makes both databases anew, 0.1–8 s after its start",
        times=20,
        words=("sync",),
        faults=(KILL,),
        hits=10,
        trials=40,
        first=_run(QUICK, "optuna:tpe", 40),
        removes=("mlflow.db", "optuna.db"),
        from_start=(0.1, 8.0),
        is_repeatable=False,
    ),
    "bad-trials": Plan(
        rule="F14 F15 F16 F27",
        what="trials that return nan or inf, raise, exit, abort, hang, stop, print 20 MB",
        times=24,
        words=("run", BAD, "--devices", "cpu:1", "--json", "--quiet"),
        faults=(),
        hits=24,
        trials=27,
        kind="bad",
        is_repeatable=False,
        environment={"CHAOS_SILENCE_S": "3"},
    ),
    "resize": Plan(
        rule="F1 F3 F23",
        what="eight devices: slots that come and go, kills of workers, forkserver, engine, driver",
        times=1000,
        words=("run", MOVING, "--devices", "auto", "--json", "--quiet"),
        faults=(),
        hits=250,
        pause_s=(0.2, 1.0),
        trials=200,
        kind="resize",
        limit_s=900.0,
        environment={"TUNING_DEVICES": ",".join(f"GPU-{number}" for number in range(8))},
    ),
    "fail-result": _failpoint(
        "F2", "SIGKILL of a worker between its durable result and its reply",
        "tuning.ledger.results:keep_result", "after", 0.2,
    ),
    "fail-before-result": _failpoint(
        "F1", "SIGKILL of a worker before its result is durable",
        "tuning.ledger.results:keep_result", "before", 0.2,
    ),
    "fail-spec": _failpoint(
        "F3", "SIGKILL of the driver right after an ask is durable",
        f"{_LEDGER}.write_spec", "after", 0.06,
    ),
    "fail-ask": _failpoint(
        "F3", "SIGKILL of the driver between an ask and its file",
        f"{_ENGINE}.ask", "after", 0.05,
    ),
    "fail-tell": _failpoint(
        "F3", "SIGKILL of the driver before a result is told", f"{_ENGINE}.tell", "before", 0.05,
    ),
    "fail-notify": _failpoint(
        "F3", "SIGKILL of the driver before MLflow hears of a result",
        "tuning.tracking.writer.handle:Writer.notify", "before", 0.05,
    ),
    "fail-winner": _failpoint(
        "F3", "SIGKILL of the driver before the winner's file",
        f"{_LEDGER}.write_winner", "before", 0.7,
    ),
    "fail-before-commit": _failpoint(
        "F4", "SIGKILL of the writer before a commit", _COMMIT, "before", 0.1,
    ),
    "fail-after-commit": _failpoint(
        "F4", "SIGKILL of the writer after a commit", _COMMIT, "after", 0.1,
    ),
}  # fmt: skip
"""By name, as `python -m tests.chaos NAME` takes it."""
