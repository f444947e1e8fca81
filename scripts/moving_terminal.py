"""`make pictures`: run a search in a terminal and draw what it shows as a moving picture.

The picture is one SVG without script, font or network: a group of text for each moment, which
CSS shows in its turn. Who has asked for less motion sees the last moment. Pauses are shortened.
"""

from __future__ import annotations

import html
import itertools
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyte

PICTURE = Path(__file__).parents[1] / "docs" / "search.svg"
COLUMNS = 92
ROWS = 30
SHORTEST_S = 0.25
LONGEST_S = 0.7
WHOLE_S = 18.0  # without the last moment, which stands for LAST_S
WAIT_S = 2.0  # for what is shown before the first trial
LAST_S = 6.0
CELL_W = 8.4
CELL_H = 18.0
COLOURS = {
    "default": "#d4d7dd",
    "black": "#5c6370",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#eceff4",
}


@dataclass(frozen=True)
class Moment:
    """What the terminal showed, from a time on.

    Attributes:
        at: Seconds since the beginning, pauses shortened.
        lines: The SVG of each line that is not empty.
    """

    at: float
    lines: tuple[str, ...]


def record(command: list[str], folder: Path) -> list[Moment]:
    """Run a command in a terminal of its own; return what that showed.

    Raises:
        subprocess.CalledProcessError: The command failed.
    """
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    driver, terminal = pty.openpty()
    size = {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **size, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    moments: list[Moment] = []
    for at in _times(driver, stream):
        _keep(moments, at, tuple(_lines(screen, folder)))
    os.close(driver)
    if process.wait() != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return hurried(moments)


def _times(driver: int, stream: pyte.ByteStream) -> Iterator[float]:
    """Feed the screen, and yield the time a few times a second and at the end."""
    began = time.monotonic()
    drawn = began
    while True:
        ready, _, _ = select.select([driver], [], [], SHORTEST_S)
        if ready:
            try:
                data = os.read(driver, 65536)
            except OSError:  # Linux: the other side is closed
                data = b""
            if not data:
                break
            stream.feed(data)
        now = time.monotonic()
        if now - drawn >= SHORTEST_S:
            drawn = now
            yield now - began
    yield time.monotonic() - began


def _keep(moments: list[Moment], at: float, lines: tuple[str, ...]) -> None:
    if lines and (not moments or moments[-1].lines != lines):
        moments.append(Moment(at, lines))


def hurried(moments: list[Moment], whole_s: float = WHOLE_S) -> list[Moment]:
    """Return the moments without long pauses, and all of them within `whole_s`.

    Of moments that would follow one another faster than an eye reads, the last is kept.
    """
    times = [0.0]
    n_waiting = sum(1 for moment in moments if not _shows_trials(moment))
    for before, moment in itertools.pairwise(moments):
        longest_s = LONGEST_S if _shows_trials(moment) else min(LONGEST_S, WAIT_S / n_waiting)
        times.append(times[-1] + min(moment.at - before.at, longest_s))
    factor = min(1.0, whole_s / times[-1]) if times[-1] else 1.0

    kept: list[Moment] = []
    for time_s, moment in zip(times, moments, strict=True):
        at = factor * time_s
        if kept and at - kept[-1].at < SHORTEST_S:
            at = kept.pop().at
        kept.append(Moment(at, moment.lines))
    return kept


def _shows_trials(moment: Moment) -> bool:
    """Whether something stands there but the wait for TensorFlow."""
    return any(" done · " in line or " completed after " in line for line in moment.lines)


def _lines(screen: pyte.Screen, folder: Path) -> Iterator[str]:
    """Yield the SVG of each line, colours kept; paths are shown from the project on."""
    for row in range(ROWS):
        spans: list[tuple[str, str]] = []
        for column in range(COLUMNS):
            cell = screen.buffer[row][column]
            style = _style(cell)
            if spans and spans[-1][0] == style:
                spans[-1] = (style, spans[-1][1] + cell.data)
            else:
                spans.append((style, cell.data))
        text = "".join(data for _, data in spans)
        if not text.strip():
            continue
        y = (row + 1) * CELL_H
        pieces = "".join(f"<tspan{style}>{html.escape(data)}</tspan>" for style, data in spans)
        line = f'<text x="14" y="{y:g}" xml:space="preserve">{pieces}</text>'
        yield line.replace(f"{folder}/", "")


def _style(cell: pyte.screens.Char) -> str:
    colour = COLOURS.get(cell.fg.removeprefix("bright"), f"#{cell.fg}")
    if not re.fullmatch(r"#[0-9a-f]{6}", colour):
        colour = COLOURS["default"]
    parts = [] if colour == COLOURS["default"] else [f' fill="{colour}"']
    if cell.bold:
        parts.append(' font-weight="bold"')
    return "".join(parts)


def drawn(moments: list[Moment], title: str) -> str:
    """Return the moving picture as SVG."""
    total = moments[-1].at + LAST_S
    width = COLUMNS * CELL_W + 28
    height = ROWS * CELL_H + 20
    rules, groups = [], []
    for number, moment in enumerate(moments):
        is_last = number == len(moments) - 1
        begins = 100 * moment.at / total
        ends = 100.0 if is_last else 100 * moments[number + 1].at / total
        before = f"0%{{opacity:0}}{begins:.3f}%{{opacity:1}}" if begins else "0%{opacity:1}"
        after = "" if is_last else f"{ends:.3f}%{{opacity:0}}100%{{opacity:0}}"
        rules.append(f"@keyframes m{number}{{{before}{after}}}")
        rules.append(f"#m{number}{{animation:m{number} {total:.2f}s step-end infinite}}")
        groups.append(f'<g class="m" id="m{number}">{"".join(moment.lines)}</g>')
    still = f".m{{animation:none!important;opacity:0}}#m{len(moments) - 1}{{opacity:1}}"
    style = (
        "text{font:14px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        f"fill:{COLOURS['default']}}}.m{{opacity:0}}{''.join(rules)}"
        f"@media(prefers-reduced-motion:reduce){{{still}}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{html.escape(title)}"><title>{html.escape(title)}</title>'
        f'<style>{style}</style><rect width="100%" height="100%" rx="8" fill="#1e2127"/>'
        f"{''.join(groups)}</svg>\n"
    )


def main() -> int:
    """Make a project with a new study, search it, and write the picture."""
    python = sys.executable
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        os.environ.pop("TUNING_HOME", None)
        # Nobody else's search is waited for: the picture is of one on an idle machine.
        os.environ["TUNING_LEASES"] = str(folder / "leases")
        new = [python, "-m", "tuning", "new", "churn", "--task", "binary"]
        subprocess.run(new, cwd=folder, check=True, capture_output=True)
        moments = record([python, "-m", "tuning", "run", "churn"], folder)
    title = "A search in a terminal: trials run, then the best ones, the winner and its scores."
    PICTURE.write_text(drawn(moments, title), encoding="utf-8")
    print(f"wrote {PICTURE.name}: {len(moments)} moments, {moments[-1].at + LAST_S:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
