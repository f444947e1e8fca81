"""`docs/reference/command-line.md`: each command with its options and examples."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from scripts.reference.docstrings import table
from tuning.cli.main import VERBS, app

_HEAD = """\
# Command line

`make tune STUDY=… ARGS="…"` is `python -m tuning run …`, and likewise for the other commands that
`make help` lists. Every command has `--help`. Where an option takes a TIME write `90m`, `2h`,
`1h30m` or seconds; a SIZE is `4G` or `800M`.
"""


def page() -> str:
    """Return the page: all commands, what each takes, the exit codes."""
    parts = [_HEAD, _overview(), *(_section(name) for name in VERBS), _exit_codes()]
    return "\n".join(parts)


def _overview() -> str:
    rows = [(f"[`{name}`](#tuning-{name})", text) for name, (_, text) in VERBS.items()]
    return f"{table(('command', 'what it does'), rows)}\n"


def _section(name: str) -> str:
    context = click.Context(app, info_name="tuning")
    command = app.get_command(context, name)
    if command is None:
        raise KeyError(name)
    return "\n".join(_of_command(command, click.Context(command, context, info_name=name), 2))


def _of_command(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    """Yield the lines of one command, then of those that it groups."""
    yield f"{'#' * level} `{context.command_path}`\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{context.command_path} {usage}\n```\n"
    yield _help(command)
    options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    records = [option.get_help_record(context) for option in options]
    rows = [(f"`{names}`", text) for names, text in filter(None, records) if "--help" not in names]
    if rows:
        yield f"{table(('option', 'what it says'), rows)}\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _of_command(
                    inner, click.Context(inner, context, info_name=name), level + 1
                )


def _help(command: click.Command) -> str:
    """Return the help text as Markdown: what stands behind Click's `\\b` is kept as it is."""
    parts = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if not paragraph.startswith("\b\n"):
            parts.append(" ".join(paragraph.split()))
            continue
        title, *lines = paragraph.removeprefix("\b\n").splitlines()
        parts.append(f"{title}\n\n```\n{inspect.cleandoc(chr(10).join(lines))}\n```")
    return "\n\n".join(parts) + "\n"


def _exit_codes() -> str:
    """Return the exit codes, those of errors as `tuning.errors` draws them."""
    import tuning.errors

    drawn = re.findall(r"(\w+) +(\d+) +(\S.*)$", tuning.errors.__doc__ or "", flags=re.MULTILINE)
    reasons: dict[int, list[str]] = {}
    for error, code, text in drawn:
        reasons.setdefault(int(code), []).append(f"{text} (`{error}`)")
    rows = [("0", "done")]
    rows += [(str(code), "; ".join(texts)) for code, texts in sorted(reasons.items())]
    rows += [
        ("130", "interrupted (Ctrl-C); the same command goes on"),
        ("143", "terminated (SIGTERM, SIGHUP); the same command goes on"),
    ]
    return f"## Exit codes\n\n{table(('code', 'meaning'), rows)}\n"
