"""`docs/reference/ledger.md`: the files of a search, and what stands in each."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import tuning.ledger.search
from scripts.reference.docstrings import attributes_of, head_of, table
from tuning.ledger.known import KnownRecord, KnownTrial
from tuning.ledger.placement import PlanRecord
from tuning.ledger.records import Death, LRIntervals, SearchHeader, SearchStatus
from tuning.ledger.usage import AttemptUsage
from tuning.ledger.winner import Evaluation, FinalistOutcome, Standing, WinnerRecord
from tuning.trial import FoldResult, Proposal, TrialResult

_HEAD = """\
# Files of the ledger

The ledger is the truth about a search: JSON files, one of which is written for each thing that
happens, durably and once. MLflow and Optuna's storage are written from it. Nobody need write
here; whoever reads finds what follows. What happens to damaged files, and what a digest is
compared with, is in [state](../state.md).
"""

FILES: dict[str, tuple[type, ...]] = {
    "search.json": (SearchHeader,),
    "status.json": (SearchStatus,),
    "trials/00007/spec.json": (Proposal,),
    "trials/00007/result.json": (TrialResult,),
    "trials/00007/attempt-1/fold-0.json, and `folds` of a result": (FoldResult,),
    "trials/00007/attempt-1/died.json": (Death,),
    "trials/00007/attempt-1/usage.json": (AttemptUsage,),
    "finalists/00007/0.json": (FinalistOutcome,),
    "evaluation.json": (Evaluation,),
    "winner.json": (WinnerRecord, Standing, Evaluation),
    "known.json": (KnownRecord,),
    "`trials` of known.json": (KnownTrial,),
    "plan.json": (PlanRecord,),
    "intervals.json, beside the searches of a benchmark": (LRIntervals,),
}
"""Where a record lies: the classes whose `to_json` write it."""

_KEYS = {
    "schema": "Number of the files' shape; a higher one than a reader knows is refused.",
    "definition": "The definition that holds now.",
    "spaces": "Of each version its space.",
    "validation": "`mean`, `std` and `values` of the objective on the fresh seeds.",
    "proposal_digest": "Of the ask that it belongs to.",
    "asked_at": "When it was asked for, Unix seconds, for display only.",
    "used": "`cpu_s` and `gpu_s` of all evaluations of the search; not there: not measured.",
    "curve": "A mapping of metrics for each epoch.",
}
"""Keys that are named otherwise than the attribute, or that only files have."""

_FURTHER = {SearchHeader: ("objectives",), Proposal: ("digest", "asked_at")}
"""Keys that another function than `to_json` adds."""


def page() -> str:
    """Return the page: the tree of files, then a table of keys for each."""
    tree = (tuning.ledger.search.__doc__ or "").partition("\n\n")[2].strip()
    parts = [_HEAD, f"```\n{tree}\n```\n"]
    for file, records in FILES.items():
        title = (
            file
            if "`" in file
            else f"`{file.partition(',')[0]}`{file[len(file.partition(',')[0]) :]}"
        )
        parts.append(f"## {title}\n")
        parts.append(f"{head_of(records[0])}\n")
        rows = [(f"`{key}`", text) for key, text in keys_of(records).items()]
        parts.append(f"{table(('key', 'what it holds'), rows)}\n")
    return "\n".join(parts)


def _title(file: str) -> str:
    """Return a file's path as code, with what is said of it behind a comma as text."""
    if "`" in file:
        return file
    path, comma, rest = file.partition(",")
    return f"`{path}`{comma}{rest}"


def keys_of(records: tuple[type, ...]) -> dict[str, str]:
    """Return the keys that these records write, with what each holds."""
    texts: dict[str, str] = {}
    for record in records:
        said = attributes_of(record)
        for key in dict.fromkeys((*_written(record), *_FURTHER.get(record, ()))):
            text = said.get(key) or texts.get(key) or _KEYS.get(key) or _kind(record, key)
            texts[key] = text
    return texts


def _kind(record: type, key: str) -> str:
    """Return the type of what explains itself: `study`, `seed`, `number`."""
    kinds = {field.name: str(field.type) for field in dataclasses.fields(record)}
    return f"`{kinds[key]}`" if key in kinds else "–"


def _written(record: type) -> Iterator[str]:
    """Yield the keys of the outermost mappings that `to_json` makes."""
    source = textwrap.dedent(inspect.getsource(record.to_json))  # type: ignore[attr-defined]
    yield from _keys_in(ast.parse(source))


def _keys_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value)
            elif key is None:  # `**(…)`: its keys are of this mapping
                yield from _keys_in(value)
        return
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        yield from _key_of_subscript(node.targets[0])
        return
    for child in ast.iter_child_nodes(node):
        yield from _keys_in(child)


def _key_of_subscript(target: ast.Subscript) -> Iterator[str]:
    """Yield `threshold` of `further["threshold"] = …`."""
    if isinstance(target.slice, ast.Constant):
        yield str(target.slice.value)


def record_types() -> tuple[type, ...]:
    """Return every record that the page explains."""
    kinds: dict[Any, None] = {}
    for records in FILES.values():
        kinds.update(dict.fromkeys(records))
    return tuple(kinds)
