"""Run a study at set times: a systemd service and timer around `python -m tuning run STUDY`, or a
cron line.

A scheduled run needs nothing of its own: it resumes, and its search is guarded by a lock. Where a
run by hand is at work it ends with 75, as it does on a full disk; systemd shows both as failures,
for they cannot be told apart.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from tuning.cli.calendar import check_calendar, to_cron
from tuning.errors import StudyError
from tuning.storage.durable import write_bytes
from tuning.study.study_file import find_study

_KEPT = ("TUNING_HOME", "TUNING_DEVICES")  # not the two that may hold a password
_SECRET = ("MLFLOW_TRACKING_URI", "TUNING_STORAGE")


@dataclass(frozen=True)
class Schedule:
    """What is run, when and where.

    Attributes:
        study: As the command line takes it: a name in `studies/`, or an absolute path.
        calendar: systemd's `OnCalendar=`.
        project: Absolute path of the folder to run in.
        python: Absolute path of the interpreter.
        environment: Variables that the run is given.
        options: Of `run`, as on its command line.
    """

    study: str
    calendar: str
    project: Path
    python: str
    environment: tuple[tuple[str, str], ...] = ()
    options: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The units' name without suffix: `tuning-housing`."""
        return "tuning-" + re.sub(r"[^A-Za-z0-9_-]", "-", Path(self.study).stem)

    @property
    def command(self) -> tuple[str, ...]:
        """The command and its arguments."""
        return (self.python, "-m", "tuning", "run", self.study, *self.options)


def make_schedule(
    study: str, calendar: str, project: Path, options: tuple[str, ...] = ()
) -> Schedule:
    """Return a checked schedule for this interpreter and this environment; `options` are taken as
    they are.

    Raises:
        StudyError: There is no such study, systemd does not take the calendar, or a word holds a
            line break.
    """
    path = find_study(study, project)
    check_calendar(calendar)
    given = str(path) if study.endswith(".py") else study
    kept = tuple(
        (name, _absolute(name, os.environ[name])) for name in _KEPT if os.environ.get(name)
    )
    made = Schedule(
        given, calendar.strip(), project.absolute(), os.path.abspath(sys.executable), kept, options
    )
    if any(
        "\n" in part for part in (*made.command, str(made.project), *(value for _, value in kept))
    ):
        raise StudyError("a line break cannot be put into a systemd unit")
    return made


def _absolute(name: str, value: str) -> str:
    return os.path.abspath(value) if name == "TUNING_HOME" else value


def service_text(schedule: Schedule, user: str | None = None) -> str:
    """Return the service unit; `user` is whom a system unit runs as."""
    settings = [f"Environment={_quoted(f'{name}={value}')}" for name, value in schedule.environment]
    program, *arguments = schedule.command  # in arguments alone a `$` is a variable
    return "\n".join(
        [
            "[Unit]",
            f"Description=Search of {_plain(schedule.study)}",
            "",
            "[Service]",
            "Type=oneshot",
            *([f"User={user}"] if user else []),
            f"WorkingDirectory={_plain(str(schedule.project))}",
            *settings,
            f"ExecStart={' '.join([_quoted(program), *(_quoted(word).replace('$', '$$') for word in arguments)])}",
            "# The driver is asked to stop, keeps what is finished, and ends its workers itself.",
            "KillMode=mixed",
            "UMask=0077",
            "",
        ]
    )


def timer_text(schedule: Schedule) -> str:
    """Return the timer unit; a run missed while the machine was off is made up for at its start."""
    return "\n".join(
        [
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
    )


def write_units(schedule: Schedule, folder: Path) -> tuple[Path, Path]:
    """Write service and timer into `folder`, replacing those of an earlier schedule of this study;
    return both paths.

    In a folder of the system's units (`…/systemd/system`) the service runs as the user who calls
    this.
    """
    user = _login() if is_system(folder) else None
    service, timer = folder / f"{schedule.unit}.service", folder / f"{schedule.unit}.timer"
    write_bytes(service, service_text(schedule, user).encode())
    write_bytes(timer, timer_text(schedule).encode())
    return service, timer


def user_folder() -> Path:
    """Return where systemd looks for this user's units."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def is_system(folder: Path) -> bool:
    """Whether units in `folder` are the system's, not a user's."""
    return folder.absolute().parts[-2:] == ("systemd", "system")


def next_steps(schedule: Schedule, folder: Path) -> str:
    """Return the commands that enable the timer, and the cron line or why there is none."""
    manager = "systemctl" if is_system(folder) else "systemctl --user"
    timer = f"{schedule.unit}.timer"
    lines = [f"  {manager} daemon-reload", f"  {manager} enable --now {timer}"]
    if folder.absolute() != user_folder().absolute() and not is_system(folder):
        service = str(folder / f"{schedule.unit}.service")
        lines.insert(0, f"  {manager} link {shlex.join([service, str(folder / timer)])}")
    if not is_system(folder):
        lines.append("  loginctl enable-linger  # once: run also when you are not logged in")
    lines += [f"  {manager} list-timers {timer}", "", *_cron(schedule)]
    left_out = [name for name in _SECRET if os.environ.get(name)]
    if left_out:
        lines += [
            "",
            f"{' and '.join(left_out)} may hold a password and are not in the unit; to set them there:",
        ]
        lines.append(f"  {manager} edit {schedule.unit}.service")
    return "\n".join(["Enable it:", *lines])


def _cron(schedule: Schedule) -> list[str]:
    fields = to_cron(schedule.calendar)
    if fields is None:
        return [f"cron cannot express {schedule.calendar!r}; use the timer."]
    settings = [f"{name}={shlex.quote(value)}" for name, value in schedule.environment]
    command = " ".join([*settings, shlex.join(schedule.command)])
    line = f"cd {shlex.quote(str(schedule.project))} && umask 077 && {command}"
    return [
        "Or, with cron (crontab -e):",
        f"  {fields} " + line.replace("%", r"\%"),
    ]  # a bare % is cron's line break


def _login() -> str:
    import pwd

    return pwd.getpwuid(int(os.environ.get("SUDO_UID") or os.getuid())).pw_name


def _plain(text: str) -> str:
    return text.replace("%", "%%")  # else a specifier, systemd.unit(5)


def _quoted(text: str) -> str:
    """Quote one word as systemd.syntax(7) has it."""
    word = _plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{word}"'
