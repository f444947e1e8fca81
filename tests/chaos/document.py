"""`docs/reliability.md`: its tables are written from what was recorded, and from nothing else."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.records import ROOT, Record, processor

DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- chaos: begin, written by `make chaos` -->"
END = "<!-- chaos: end -->"

FAULTS = {
    "F1": "kill of a worker in mid-epoch",
    "F2": "kill of a worker between its durable result and its reply",
    "F3": "kill of the driver",
    "F4": "kill of the writer inside a commit",
    "F5": "MLflow's server killed, down, back",
    "F6": "MLflow's answers lost, 500, hanging",
    "F7": "PostgreSQL killed in mid-write",
    "F8": "SIGTERM; SIGTERM then SIGKILL",
    "F9": "Ctrl-C once, twice",
    "F10": "reboot: everything gone at once",
    "F11": "disk full",
    "F12": "a worker killed for its memory",
    "F13": "GPU out of memory",
    "F14": "NaN or inf",
    "F15": "a part that hangs or is stopped",
    "F16": "a trial that always crashes its process",
    "F17": "a study that is wrong",
    "F18": "a study changed under its search",
    "F19": "a damaged cache of data",
    "F20": "torn results",
    "F21": "damaged files and databases",
    "F22": "ten drivers start the same study at once",
    "F23": "two searches want one device",
    "F24": "the clock steps by ± 1 day",
    "F25": "kills while databases are made, synced, upgraded",
    "F26": "a node of Ray is lost",
    "F27": "a trial that floods its log",
    "F28": "soak: all of it, at random",
}
CONTROLS = {
    "C1": "the page answers this machine alone",
    "C2": "no jobs, telemetry, pickle in the page's server",
    "C3": "shared use behind a password and TLS",
    "C4": "state belongs to its user alone",
    "C5": "nothing is unpickled from files",
    "C6": "model files hold a model and nothing else",
    "C7": "caches of data are compared with their sums",
    "C8": "names and paths stay in their folders",
    "C9": "a queue's entry is no code",
    "C10": "Ray asks for a token",
    "C11": "no secret in any file, store, page",
    "C12": "the report escapes all text",
}
NOT_BUILT = {
    "C9": "the queue is not built",
}
_HEAD = ("", "injected", "times", "lost", "doubled", "else wrong", "recovered in s", "command")


def write_document(records: Sequence[Record], path: Path = DOCUMENT) -> None:
    """Put the tables into the document, between the markers.

    Raises:
        ValueError: The document lacks its markers.
    """
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no {BEGIN} … {END}")
    path.write_text(f"{before}{BEGIN}\n{tables(records)}{END}{after}")


def tables(records: Sequence[Record]) -> str:
    """Return what stands between the markers."""
    return "\n".join(
        [
            _measured_on(records),
            "",
            "## Faults",
            "",
            *_table(FAULTS, records),
            "",
            "## Controls",
            "",
            *_table(CONTROLS, records),
            "",
            *_findings(records),
        ]
    )


def _measured_on(records: Sequence[Record]) -> str:
    if not records:
        return "Nothing was measured yet."
    days = sorted({time.strftime("%Y-%m-%d", time.gmtime(record.at)) for record in records})
    commits = list(dict.fromkeys(record.commit for record in records))
    loads = sorted(record.load for record in records)
    return (
        f"Measured on {processor()}, {' … '.join(dict.fromkeys((days[0], days[-1])))}, "
        f"commits {', '.join(commits)}; {loads[0]:.0f} to {loads[-1]:.0f} processes wanted a core "
        f"(median {statistics.median(loads):.0f})."
    )


def _table(rules: dict[str, str], records: Sequence[Record]) -> list[str]:
    rows = [f"| {' | '.join(_HEAD)} |", "|---|---|--:|--:|--:|--:|---|---|"]
    for rule, words in rules.items():
        rows.append(f"| **{rule}** | **{words}** | | | | | | |")
        ours = [record for record in records if rule in record.rule.split()]
        kinds = dict.fromkeys(record.what for record in ours)
        rows += [_row([record for record in ours if record.what == what]) for what in kinds]
        if not ours:
            rows.append(f"| | {NOT_BUILT.get(rule, 'not measured')} | 0 | | | | | |")
    return rows


def _row(records: Sequence[Record]) -> str:
    recover_s = [seconds for record in records for seconds in record.recover_s]
    cells = (
        "",
        records[0].what,
        sum(record.injected for record in records),
        sum(len(record.lost) for record in records),
        sum(len(record.doubled) for record in records),
        sum(len(record.other) for record in records),
        _spread(recover_s),
        f"`{records[-1].command}`".replace("|", "\\|"),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "–"
    return f"{statistics.median(seconds):.1f}, worst {max(seconds):.1f}"


def _findings(records: Sequence[Record]) -> list[str]:
    """Return the words of all that was wrong."""
    wrong = [record for record in records if not record.is_well]
    if not wrong:
        return ["Nothing was wrong in any of them.", ""]
    lines = ["What was wrong:", ""]
    for record in wrong:
        for kind in ("lost", "doubled", "other"):
            lines += [
                f"- {record.rule}, `{record.campaign}`, {kind}: {_one_line(words)}"
                for words in getattr(record, kind)
            ]
    return [*lines, ""]


def _one_line(words: str) -> str:
    """Return words as a line of the document, without the folders of one machine."""
    text = re.sub(r"/[^ ']*/chaos-\w+/", "…/", " ".join(words.split()))
    return text.replace("|", "\\|")[:300]
