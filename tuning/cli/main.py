"""The command line: verbs by name, each imported when it is called; errors become exit codes."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Sequence

import click

from tuning import __version__
from tuning.cli.common.home import with_home
from tuning.errors import StudyError, TuningError, did_you_mean
from tuning.search.stop_request import terminated_is_exit
from tuning.storage.secrets import without_secrets

# Verb: where its `click.Command` is, and what it does, for the list of verbs, which imports none.
VERBS = {
    "list": ("tuning.cli.listing:listing", "List the studies of this folder."),
    "run": ("tuning.cli.run:run", "Search one study, or continue its search."),
    "show": (
        "tuning.cli.searches.show:show",
        "Show a search or a trial: its winner, curves, and what to do next.",
    ),
    "predict": (
        "tuning.cli.after.predict:predict",
        "Predict new rows with the winner of a search.",
    ),
    "export": (
        "tuning.cli.after.export:export",
        "Write a search's winner as a folder that predicts by itself.",
    ),
    "reproduce": (
        "tuning.cli.after.reproduce:reproduce",
        "Train a trial or a winner again, and compare it with its record.",
    ),
    "slots": (
        "tuning.cli.running.slots:slots",
        "Show the slots of a running search, or have it work on others.",
    ),
    "bench": ("tuning.cli.bench:bench", "Compare engines on studies, with seeds and statistics."),
    "lr-range": (
        "tuning.cli.lr_range:lr_range",
        "Find which learning rates a study's model can be trained with.",
    ),
    "record": ("tuning.cli.record:record", "Train a grid or a sample fully once, for simulations."),
    "simulate": (
        "tuning.cli.simulate:simulate",
        "Replay engines on a recording: what would more slots bring?",
    ),
    "compare": (
        "tuning.cli.compare:compare",
        "Show two or more searches side by side, and what differs.",
    ),
    "new": ("tuning.cli.new:new", "Write a study file and its tests, which run as they are."),
    "ui": ("tuning.cli.ui:ui", "Show every trial in MLflow, on this machine or behind a login."),
    "dashboard": (
        "tuning.cli.dashboard:dashboard",
        "Show every search in Optuna's dashboard, on this machine only.",
    ),
    "sync": ("tuning.cli.sync:sync", "Write what is missing in MLflow and in Optuna's storage."),
    "devices": (
        "tuning.cli.running.devices:devices",
        "Show the devices of this machine, who uses them and who has leased them.",
    ),
    "doctor": (
        "tuning.cli.doctor:doctor",
        "Check Python, libraries, devices and the state folder.",
    ),
    "schedule": (
        "tuning.cli.schedule:schedule",
        "Run a study at set times: a systemd timer and the cron line.",
    ),
}


class Verbs(click.Group):
    """A group that imports a verb when it is called, so that help and listing start at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of a user's day."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one verb, or None where there is no such verb."""
        if cmd_name not in VERBS:
            return None
        reference, _ = VERBS[cmd_name]
        command: click.Command = pkgutil.resolve_name(reference)
        return with_home(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As Click's, with the nearest verb in the message."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            nearest = did_you_mean(args[0], VERBS)
            ctx.fail(f"no command '{args[0]}'.{nearest} There are: {', '.join(VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs from `VERBS`, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tuning")
def app() -> None:
    """Hyperparameter search and benchmarks for Keras.

    One study, three libraries, every trial in MLflow.

    \b
    Example:
      python -m tuning run housing --trials 5 --devices cpu:2
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: what the verb returned, or that of its error.

    An error of ours is printed in one piece on stderr; any other is a bug and keeps its traceback.
    """
    try:
        with terminated_is_exit():
            code = app.main(
                args=None if arguments is None else list(arguments),
                prog_name="tuning",
                standalone_mode=False,
            )
    except click.ClickException as error:  # unknown verbs and options, bad arguments
        error.show()
        return StudyError.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 130
    except TuningError as error:
        print(without_secrets(str(error)), file=sys.stderr)
        return error.exit_code

    return code if isinstance(code, int) else 0
