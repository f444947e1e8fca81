"""`docs/reference/study.md`: each field of a study, its type, its default and its option."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from scripts.reference.docstrings import attributes_of
from tuning.cli.run import _ONLY_IN_THE_FILE, run
from tuning.study.study import Study
from tuning.study.study_fields import NO_OBJECTIVE, StudyFields

_HEAD = """\
# Study fields

A study file holds one `STUDY = Study(…)`; every field is a keyword argument. Whatever is wrong
with one is told when the study is made, all of it at once. `--set name=value` changes a field for
one search; the value is JSON where it can be.
"""

GROUPS = {
    "What is searched": (
        *("name", "builder", "data", "objective", "space", "fixed", "intervals"),
        *("objectives", "constraints", "winner_by"),
    ),
    "Who proposes, and how much": (
        *("engine", "engine_options", "pruner", "trials", "initial", "timeout", "seed"),
    ),
    "Training": (
        *("epochs", "batch_size", "patience", "class_weight", "callbacks", "repeats", "trainer"),
    ),
    "Rows": ("cv", "split", "test_size", "validation_size", "threshold"),
    "The winner": ("top_k", "seeds"),
    "Limits": ("trial_timeout", "no_progress_timeout", "attempts", "max_failures"),
    "Several GPUs": ("gpus_per_trial", "batch_size_is", "scale_lr"),
}
"""Fields by what they are about; what stands in none of these comes last."""

_TYPES = {"space": "Mapping[str, Domain | str] | Space"}
"""Where the annotation is of what the field holds, not of what it takes."""


_PAGE = re.compile(r"`docs/([\w-]+)\.md`")


def page() -> str:
    """Return the page."""
    known = {field.name: field for field in dataclasses.fields(StudyFields)}
    grouped = {name for names in GROUPS.values() for name in names}
    groups = {**GROUPS, "More": tuple(name for name in known if name not in grouped)}
    texts = attributes_of(Study)
    options = _options()
    parts = [_HEAD]
    for title, names in groups.items():
        present = [name for name in names if name in known]
        if present:
            parts.append(f"## {title}\n")
            parts += [_entry(known[name], texts, options) for name in present]
    return "\n".join(parts)


def _entry(field: dataclasses.Field[Any], texts: Mapping[str, str], options: dict[str, str]) -> str:
    kind = _TYPES.get(field.name, str(field.type))
    where = options.get(field.name, f"`--set {field.name}=…`")
    facts = f"`{kind}` · {_default(field)} · {where}"
    text = _PAGE.sub(r"[\1](../\1.md)", texts[field.name])
    return f"### {field.name}\n\n{facts}\n\n{text}\n"


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is NO_OBJECTIVE:
        return "required, or `objectives`"
    if field.default_factory is not dataclasses.MISSING:
        return f"default `{field.default_factory()!r}`"
    if field.default is dataclasses.MISSING:
        return "required"
    return f"default `{field.default!r}`"


def _options() -> dict[str, str]:
    """Return how the command line changes a field, where `--set` is not the way."""
    by_option = {
        param.name: f"`{param.opts[0]}`" for param in run.params if param.opts[0].startswith("--")
    }
    in_file = dict.fromkeys(_ONLY_IN_THE_FILE, "in the study file alone")
    return {str(name): text for name, text in by_option.items()} | in_file
