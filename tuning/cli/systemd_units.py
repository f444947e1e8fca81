"""Run a study at set times: systemd's service and timer, or a cron line.

They call `python -m tuning run STUDY`. A scheduled run needs nothing of its own: it resumes, and
its search is guarded by a lock. Where a run by hand is at work it ends with 75, as it does on a
full disk; systemd shows both as failures, for they cannot be told apart.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tuning.cli.calendar import check_calendar, to_cron
from tuning.errors import StudyError
from tuning.storage.durable import write_bytes
from tuning.storage.secrets import looks_secret
from tuning.study.study_file import find_study

_PREFIX = "TUNING_"
_PATHS = ("TUNING_HOME", "TUNING_LEASES")
_MAY_BE_SECRET = ("MLFLOW_TRACKING_URI", "TUNING_STORAGE")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What is run, when and where.

    Attributes:
        study: As the command line takes it: a name in `studies/`, or an absolute path.
        calendar: systemd's `OnCalendar=`.
        project: Absolute path of the folder to run in.
        python: Absolute path of the interpreter.
        environment: Variables that the run is given.
        options: Of `run`, as on its command line.
        suffix: Of the units' name, where another study has the name alone.
    """

    study: str
    calendar: str
    project: Path
    python: str
    environment: tuple[tuple[str, str], ...] = ()
    options: tuple[str, ...] = ()
    suffix: str = ""

    @property
    def unit(self) -> str:
        """The units' name without their ending: `tuning-housing`."""
        return "tuning-" + re.sub(r"[^A-Za-z0-9_-]", "-", Path(self.study).stem) + self.suffix

    @property
    def study_path(self) -> Path:
        """The study's file."""
        return _study_path(self.study, self.project)

    @property
    def command(self) -> tuple[str, ...]:
        """The command and its arguments."""
        return (self.python, "-m", "tuning", "run", self.study, *self.options)


def make_schedule(
    study: str, calendar: str, project: Path, options: tuple[str, ...] = ()
) -> Schedule:
    """Return a checked schedule for this interpreter and this environment.

    Args:
        study: As on the command line.
        calendar: As systemd writes it.
        project: The folder to run in.
        options: Of `run`; they are taken as they are.

    Raises:
        StudyError: There is no such study, systemd does not take the calendar, or a word holds a
            line break.
    """
    path = find_study(study, project)
    check_calendar(calendar)

    schedule = Schedule(
        study=str(path) if study.endswith(".py") else study,
        calendar=calendar.strip(),
        project=project.absolute(),
        # Not resolved: the link in a virtual environment's `bin` is what leads to its packages.
        python=os.path.abspath(sys.executable),
        environment=_environment(),
        options=options,
    )
    values = [value for _, value in schedule.environment]
    words = [*schedule.command, str(schedule.project), *values]
    if any("\n" in word for word in words):
        raise StudyError("a line break cannot be put into a systemd unit")
    return schedule


def _environment() -> tuple[tuple[str, str], ...]:
    """Return the variables of now that the run shall have, too."""
    variables = []
    for name, value in sorted(os.environ.items()):
        if not name.startswith(_PREFIX) or not value or _is_secret(name):
            continue
        # The run has another working directory.
        absolute = os.path.abspath(value) if name in _PATHS else value
        variables.append((name, absolute))
    return tuple(variables)


def _is_secret(name: str) -> bool:
    return name in _MAY_BE_SECRET or looks_secret(name)


def named_apart(schedule: Schedule, folder: Path) -> Schedule:
    """Return the schedule under a name that no other study has among the units in `folder`.

    The study's file alone decides: `housing` of two projects, and `a/net.py` beside `b/net.py`, are
    two. The digits are those of the path, so the next schedule of the same study replaces this one.
    """
    digest = hashlib.sha256(os.fsencode(schedule.study_path)).hexdigest()[:8]
    apart = replace(schedule, suffix=f"-{digest}")
    if (folder / f"{apart.unit}.service").exists():
        return apart
    try:
        before = (folder / f"{schedule.unit}.service").read_text(errors="replace")
    except FileNotFoundError:
        return schedule
    return schedule if _study_in(before) == schedule.study_path else apart


def _study_in(service: str) -> Path | None:
    """Return the study's file of a service that we wrote; None where it is none of ours."""
    folder = re.search(r"^WorkingDirectory=(.*)$", service, re.M)
    study = re.search(r'^ExecStart=.* "run" "((?:[^"\\\n]|\\.)*)"', service, re.M)
    if folder is None or study is None:
        return None
    word = re.sub(r"\\(.)", r"\1", study[1]).replace("$$", "$")
    return _study_path(word.replace("%%", "%"), Path(folder[1].replace("%%", "%")))


def _study_path(study: str, project: Path) -> Path:
    path = Path(study) if study.endswith(".py") else project / "studies" / f"{study}.py"
    return path.resolve()


def service_text(schedule: Schedule, user: str | None = None) -> str:
    """Return the service unit; `user` is whom a system unit runs as."""
    variables = [f"{name}={value}" for name, value in schedule.environment]
    lines = [
        "[Unit]",
        f"Description=Search of {_plain(schedule.study)}",
        "",
        "[Service]",
        "Type=oneshot",
    ]
    if user:
        lines.append(f"User={user}")

    lines += [
        f"WorkingDirectory={_plain(str(schedule.project))}",
        *(f"Environment={_quoted(variable)}" for variable in variables),
        f"ExecStart={_command_line(schedule.command)}",
        "# The driver is asked to stop, keeps what is finished, and ends its workers itself.",
        "KillMode=mixed",
        "UMask=0077",
        "",
    ]
    return "\n".join(lines)


def _command_line(command: Sequence[str]) -> str:
    """Return a command as `ExecStart=` takes it; in arguments alone a `$` begins a variable."""
    program, *arguments = command
    words = [_quoted(program)]
    words += [_quoted(argument).replace("$", "$$") for argument in arguments]
    return " ".join(words)


def timer_text(schedule: Schedule) -> str:
    """Return the timer unit; a run missed while the machine was off is made up for at its start."""
    lines = [
        "[Unit]",
        f"Description=Search of {_plain(schedule.study)}: {_plain(schedule.calendar)}",
        "",
        "[Timer]",
        f"OnCalendar={schedule.calendar}",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
        "",
    ]
    return "\n".join(lines)


class UnitFiles(NamedTuple):
    """The two units of a schedule."""

    service: Path
    timer: Path


def write_units(schedule: Schedule, folder: Path) -> UnitFiles:
    """Write service and timer into `folder`, in place of those of an earlier schedule of the study.

    In a folder of the system's units (`…/systemd/system`) the service runs as the user who calls
    this.
    """
    user = _login() if is_system(folder) else None
    files = UnitFiles(
        service=folder / f"{schedule.unit}.service",
        timer=folder / f"{schedule.unit}.timer",
    )
    write_bytes(files.service, service_text(schedule, user).encode())
    write_bytes(files.timer, timer_text(schedule).encode())
    return files


def user_folder() -> Path:
    """Return where systemd looks for this user's units."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def is_system(folder: Path) -> bool:
    """Whether units in `folder` are the system's, not a user's."""
    return folder.absolute().parts[-2:] == ("systemd", "system")


def next_steps(schedule: Schedule, folder: Path) -> str:
    """Return the commands that enable the timer, and the cron line or why there is none."""
    manager = "systemctl" if is_system(folder) else "systemctl --user"
    service = f"{schedule.unit}.service"
    timer = f"{schedule.unit}.timer"

    lines = ["Enable it:"]
    if folder.absolute() != user_folder().absolute() and not is_system(folder):
        paths = [str(folder / service), str(folder / timer)]
        lines.append(f"  {manager} link {shlex.join(paths)}")
    lines.append(f"  {manager} daemon-reload")
    lines.append(f"  {manager} enable --now {timer}")
    if not is_system(folder):
        lines.append("  loginctl enable-linger  # once: run also when you are not logged in")
    lines.append(f"  {manager} list-timers {timer}")

    lines += ["", *_cron(schedule)]

    others = [name for name in sorted(os.environ) if name.startswith(_PREFIX)]
    names = dict.fromkeys([*_MAY_BE_SECRET, *filter(_is_secret, others)])
    secrets = [name for name in names if os.environ.get(name)]
    if secrets:
        reason = "may hold a password and is not in the unit"
        if len(secrets) > 1:
            reason = "may hold passwords and are not in the unit"
        lines += ["", f"{' and '.join(secrets)} {reason}; to set it there:"]
        lines.append(f"  {manager} edit {service}")
    return "\n".join(lines)


def _cron(schedule: Schedule) -> list[str]:
    fields = to_cron(schedule.calendar)
    if fields is None:
        return [f"cron cannot express {schedule.calendar!r}; use the timer."]

    variables = [f"{name}={shlex.quote(value)}" for name, value in schedule.environment]
    command = " ".join([*variables, shlex.join(schedule.command)])
    line = f"cd {shlex.quote(str(schedule.project))} && umask 077 && {command}"
    escaped = line.replace("%", r"\%")  # a bare % is cron's line break
    return ["Or, with cron (crontab -e):", f"  {fields} {escaped}"]


def _login() -> str:
    """Return the name of who calls this, also where it is by sudo."""
    import pwd

    return pwd.getpwuid(int(os.environ.get("SUDO_UID") or os.getuid())).pw_name


def _plain(text: str) -> str:
    """Return text in which no % begins a specifier, see systemd.unit(5)."""
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """Quote one word as systemd.syntax(7) has it."""
    word = _plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{word}"'
