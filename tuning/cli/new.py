"""`tuning new`: a study file and its tests, for the user to change."""

from __future__ import annotations

import keyword
import sys
import sysconfig
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

import click

from tuning.cli.new_study.catalog import KINDS
from tuning.cli.new_study.tasks import TASKS
from tuning.errors import StudyError
from tuning.reports.texts import call_here
from tuning.storage.durable import write_bytes
from tuning.study.study_file import NAME


@dataclass(frozen=True, kw_only=True)
class NewFiles:
    """The files of a new study.

    Attributes:
        samples: A folder of data to begin with; None: the study makes its own.
    """

    study: Path
    test: Path
    samples: Path | None = None

    @property
    def all(self) -> list[Path]:
        """Those that there are."""
        return [path for path in (self.study, self.test, self.samples) if path is not None]


def write_new(name: str, root: Path, *, kind: str = "table", task: str | None = None) -> NewFiles:
    """Write `studies/NAME.py` and `tests/studies/test_NAME.py` under `root`.

    Of kind "images" a folder of sample images besides, `studies/NAME-images`.

    Args:
        name: Of the study and its files.
        root: Where `studies/` and `tests/` lie or are made.
        kind: Of `KINDS`.
        task: One that the kind is written for; None: its usual one.

    Raises:
        StudyError: The name is not a study's name, the kind is not written for the task, or one of
            the files is there already.
    """
    check_name(name)
    chosen = KINDS[kind]
    task = task or chosen.tasks[0]
    chosen.check_task(kind, task)

    studies = root / "studies"
    files = NewFiles(
        study=studies / f"{name}.py",
        test=root / "tests" / "studies" / f"test_{name}.py",
        samples=studies / f"{name}-images" if chosen.write_samples else None,
    )
    faults = [
        f"{path} is there already; take another name or remove it"
        for path in files.all
        if path.exists()
    ]
    if faults:
        raise StudyError(faults)

    study, test = chosen.sources(name, task)
    if chosen.write_samples is not None and files.samples is not None:
        chosen.write_samples(files.samples, task)
    _write(files.study, study)
    _write(files.test, test)
    return files


def check_name(name: str) -> None:
    """Check a name for a new study, whose file Python is to import.

    Raises:
        StudyError: It is no study's name, a word of Python's, or that of a module which the file
            would stand in front of, were it run as a script.
    """
    if not NAME.fullmatch(name):
        raise StudyError(
            f"name {name!r} must match [a-z0-9][a-z0-9_-]* and have at most 64 characters"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise StudyError(f"name {name!r} is a word of Python's; take another, as my-{name}")
    if name in sys.stdlib_module_names or _is_installed(name):
        raise StudyError(
            f"name {name!r} is that of a Python module, which studies/{name}.py would hide from "
            f"what is run beside it; take another, as my-{name}"
        )


def _is_installed(name: str) -> bool:
    """Whether a library of this name is installed; what lies in the current folder is none."""
    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return PathFinder.find_spec(name, folders) is not None


def _write(path: Path, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, source.encode())
    path.chmod(0o644)  # source is shared, state is not


@click.command("new")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="table",
    show_default=True,
    help="The kind of data; keras-tuner: a table with a builder of hp.",
)
@click.option(
    "--task",
    type=click.Choice(list(TASKS)),
    help="The kind of prediction. [default: the kind's usual one, of a table regression]",
)
def new(name: str, kind: str, task: str | None) -> None:
    """Write a study file and its tests, which run as they are.

    \b
    Example:
      python -m tuning new churn --task binary
      python -m tuning new pets --kind images
    """
    root = Path.cwd()
    files = write_new(name, root, kind=kind, task=task)
    test = files.test.relative_to(root)
    click.echo(f"wrote {files.study.relative_to(root)} and {test}")
    if files.samples is not None:
        click.echo(f"sample images are in {files.samples.relative_to(root)}; put yours there")
    search = call_here(with_make=f"make tune STUDY={name}", plain=f"python -m tuning run {name}")
    testing = call_here(with_make=f"make test ARGS={test}", plain=f"python -m pytest {test}")
    click.echo(f"search it: {search}")
    click.echo(f"test it: {testing}")
