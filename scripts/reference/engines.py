"""`docs/reference/engines.md`: each engine, what it can do, and its own settings."""

from __future__ import annotations

from scripts.reference.docstrings import table
from tuning.study.engine_spec import EngineSpec, engine_specs
from tuning.study.plugins import OWN_PACKAGE

_HEAD = """\
# Engines

An engine proposes trials. Every engine searches the same builder on the same rows, and the same
fault-proof loop runs its trials; what differs is in this table. Which one to take is in [choosing
an engine](../how-to/choosing-an-engine.md). A package of your own adds rows by an entry point of
the group `tuning.engines`.
"""

_MARKS = """
- *ends*: what ends the search besides its budget.
- *learns*: what it proposes depends on results.
- *first points*: `initial=` and `--from` may say where it begins ("known": points alone, no
  sample).
- *prunes*: works with `--pruner median`, `asha` and `hyperband`.
- *several*: searches several objectives.
- *more trials*: `--trials` may be raised later; elsewhere it shapes what is proposed, and another
  number is another search.
"""


def page() -> str:
    """Return the page: a table of the engines of this package, then the settings of each."""
    specs = [spec for spec in engine_specs().values() if spec.package == OWN_PACKAGE]
    head = ("engine", "proposed by", "what", "ends", "learns", "first points", "prunes")
    head += ("several", "more trials", "extra")
    rows = [_row(spec) for spec in specs]
    settings = [
        (f"`{spec.name}`", ", ".join(f"`{name}`" for name in spec.options))
        for spec in specs
        if spec.options
    ]
    return (
        f"{_HEAD}\n{table(head, rows)}\n{_MARKS}\n"
        "## Settings of an engine\n\n"
        "`engine_options={…}` in the study file, `--set engine_options.factor=4` on the command "
        "line: by the\nnames of the engine's own library.\n\n"
        f"{table(('engine', 'settings'), settings)}\n"
    )


def _row(spec: EngineSpec) -> tuple[str, ...]:
    starts = "yes" if spec.takes_initial else "known" if spec.takes_points else "–"
    return (
        f"`{spec.name}`",
        spec.family,
        spec.summary,
        spec.ends.value,
        _yes(spec.learns),
        starts,
        _yes(spec.prunes),
        _yes(spec.several_objectives),
        _yes(not spec.trials_shape_proposals),
        f"`{spec.extra}`" if spec.extra else "–",
    )


def _yes(value: bool) -> str:
    return "yes" if value else "–"
