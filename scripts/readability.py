#!/usr/bin/env python3
"""A mirror of our code: how it reads, in figures, beside codebases of this field that read well.

`python scripts/readability.py` measures `tuning/` and needs only Python. It enforces nothing and
never fails: the figures show where to look, and nothing is written for their sake.

Definitions:
    code line: neither blank, nor only a comment, nor part of a docstring.
    AST nodes: those of `ast.walk`, without docstrings and expression contexts (Load, Store, Del).
    long body: a function's body of 10 lines and more, its docstring left out.
"""

from __future__ import annotations

import ast
import io
import statistics
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

LONG_BODY = 10
LONG_LINE = 100
MOST_POSITIONAL = 5
DENSEST_FILES = 10
LEAST_CODE_LINES = 20  # of a file among the densest
LOOSE_TYPES = ("dict[str, Any]", "Mapping[str, Any]")

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

ANCHORS = ("vizier", "optuna", "syne-tune", "CARP-S", "skorch", "httpx", "equinox")
# Measured once, by the same definitions; "–": not measured.
# fmt: off
ANCHOR_FIGURES = {
    "modules at the root":                  ("2", "15", "12", "3", "17", "17", "23"),
    "file lines, median":                   ("133", "114", "113", "104", "356", "248", "134"),
    "file lines, 95th percentile":          ("743", "637", "490", "412", "1303", "1277", "680"),
    "file lines, longest":                  ("1445", "1712", "1347", "857", "2883", "2019", "1278"),
    "function body, median":                ("5", "7", "4", "8", "5", "5", "4"),
    "function body, 95th percentile":       ("42", "46", "37", "49", "30", "31", "39"),
    "function body, longest":               ("185", "230", "150", "110", "100", "128", "–"),
    "AST nodes a code line":                ("4.4", "4.6", "4.3", "4.9", "4.4", "4.2", "4.4"),
    "comments per 100 code lines":          ("15.5", "6.0", "5.0", "9.8", "13.4", "7.8", "10.9"),
    "blank lines in long bodies, %":        ("7.0", "10.5", "6.4", "9.6", "13.6", "9.8", "–"),
    "conditionals per 100 code lines":      ("0.4", "0.7", "0.7", "0.7", "0.6", "1.4", "0.7"),
    "a, b = x, y per 100 lines":           ("0.05", "0.04", "0.01", "0.07", "0.20", "0.07", "0.03"),
    "fmt: skip":                            ("0", "0", "0", "0", "0", "0", "0"),
    "lines over 100 characters, %":         ("0.1", "0.1", "1.3", "4.0", "0", "0", "0.2"),
    "dict[str, Any] per 1,000 lines":       ("0.3", "3.5", "9.7", "3.7", "–", "1.0", "–"),
}
# fmt: on


@dataclass(frozen=True, kw_only=True)
class FileMeasures:
    """The counts of one file."""

    path: Path
    n_lines: int
    n_code_lines: int
    n_nodes: int
    n_comments: int
    n_fmt_skips: int
    n_long_lines: int
    n_conditionals: int
    n_tuple_assignments: int
    n_long_calls: int
    n_loose_types: int
    bodies: list[Body] = field(default_factory=list)

    @property
    def nodes_a_line(self) -> float:
        """How much stands on a code line."""
        return self.n_nodes / max(self.n_code_lines, 1)


@dataclass(frozen=True)
class Body:
    """The body of one function, its docstring left out, in lines."""

    n_lines: int
    n_blank: int


@dataclass(frozen=True)
class Comments:
    """The comments of one file."""

    count: int
    n_fmt_skips: int
    lines: set[int]  # that hold nothing but a comment


def measure(path: Path) -> FileMeasures:
    """Return the counts of one file."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    tree = ast.parse(text)
    docstrings = list(find_docstrings(tree))
    comments = find_comments(text)

    docstring_lines: set[int] = set()
    docstring_nodes: set[ast.AST] = set()
    for docstring in docstrings:
        docstring_lines.update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
        docstring_nodes.update(ast.walk(docstring))

    n_code_lines = 0
    for number, line in enumerate(lines, start=1):
        if line.strip() and number not in docstring_lines and number not in comments.lines:
            n_code_lines += 1

    nodes = [node for node in ast.walk(tree) if node not in docstring_nodes]
    return FileMeasures(
        path=path,
        n_lines=len(lines),
        n_code_lines=n_code_lines,
        n_nodes=sum(not isinstance(node, ast.expr_context) for node in nodes),
        n_comments=comments.count,
        n_fmt_skips=comments.n_fmt_skips,
        n_long_lines=sum(len(line) > LONG_LINE for line in lines),
        n_conditionals=sum(isinstance(node, ast.IfExp) for node in nodes),
        n_tuple_assignments=sum(is_tuple_assignment(node) for node in nodes),
        n_long_calls=sum(is_long_call(node) for node in nodes),
        n_loose_types=sum(text.count(name) for name in LOOSE_TYPES),
        bodies=[measure_body(node, lines) for node in nodes if isinstance(node, Function)],
    )


def find_docstrings(tree: ast.Module) -> Iterator[ast.Expr]:
    """Yield the docstrings of a module, its classes and its functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and ast.get_docstring(node, clean=False) is not None:
                yield first


def find_comments(text: str) -> Comments:
    """Return the comments of a file."""
    count = 0
    n_fmt_skips = 0
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        count += 1
        n_fmt_skips += "fmt: skip" in token.string
        if token.line.strip().startswith("#"):
            lines.add(token.start[0])
    return Comments(count, n_fmt_skips, lines)


def is_tuple_assignment(node: ast.AST) -> bool:
    """Whether a statement is of the form `a, b = x, y`."""
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Tuple)
        and isinstance(node.value, ast.Tuple)
    )


def is_long_call(node: ast.AST) -> bool:
    """Whether a reader of a call has to count its arguments."""
    return isinstance(node, ast.Call) and len(node.args) > MOST_POSITIONAL


def measure_body(function: Function, lines: Sequence[str]) -> Body:
    """Return the length of a function's body."""
    first = function.body[0]
    if ast.get_docstring(function) and len(function.body) > 1:
        first = function.body[1]
    body = lines[first.lineno - 1 : function.end_lineno]
    return Body(len(body), sum(not line.strip() for line in body))


def summarise(root: Path, files: Sequence[FileMeasures]) -> dict[str, str]:
    """Return our figures by the names of `ANCHOR_FIGURES`, and some that only we have."""
    n_lines = sum(file.n_lines for file in files)
    n_code_lines = sum(file.n_code_lines for file in files)
    file_sizes = [file.n_lines for file in files]
    bodies = [body for file in files for body in file.bodies]
    body_sizes = [body.n_lines for body in bodies]
    long_bodies = [body for body in bodies if body.n_lines >= LONG_BODY]
    rooms = Counter(file.path.parent for file in files if file.path.parent != root)

    def per(amount: int, count: int, total: int) -> float:
        return amount * count / max(total, 1)

    n_blank = sum(body.n_blank for body in long_bodies)
    n_in_long_bodies = sum(body.n_lines for body in long_bodies)
    n_nodes = sum(file.n_nodes for file in files)
    n_comments = sum(file.n_comments for file in files)
    n_conditionals = sum(file.n_conditionals for file in files)
    n_tuple_assignments = sum(file.n_tuple_assignments for file in files)
    n_long_lines = sum(file.n_long_lines for file in files)
    n_loose_types = sum(file.n_loose_types for file in files)
    return {
        "files": str(len(files)),
        "lines": f"{n_lines}",
        "rooms": str(len(rooms)),
        "files a room, most": str(max(rooms.values(), default=0)),
        "modules at the root": str(sum(file.path.parent == root for file in files)),
        "file lines, median": f"{statistics.median(file_sizes):.0f}",
        "file lines, 95th percentile": str(percentile_95(file_sizes)),
        "file lines, longest": str(max(file_sizes)),
        "function body, median": f"{statistics.median(body_sizes):.0f}",
        "function body, 95th percentile": str(percentile_95(body_sizes)),
        "function body, longest": str(max(body_sizes)),
        "AST nodes a code line": f"{per(1, n_nodes, n_code_lines):.2f}",
        "comments per 100 code lines": f"{per(100, n_comments, n_code_lines):.1f}",
        "blank lines in long bodies, %": f"{per(100, n_blank, n_in_long_bodies):.1f}",
        "conditionals per 100 code lines": f"{per(100, n_conditionals, n_code_lines):.2f}",
        "a, b = x, y per 100 lines": f"{per(100, n_tuple_assignments, n_code_lines):.2f}",
        "fmt: skip": str(sum(file.n_fmt_skips for file in files)),
        "lines over 100 characters, %": f"{per(100, n_long_lines, n_lines):.2f}",
        "calls, over 5 by position": str(sum(file.n_long_calls for file in files)),
        "dict[str, Any] per 1,000 lines": f"{per(1000, n_loose_types, n_lines):.1f}",
    }


def percentile_95(values: Sequence[int]) -> int:
    """Return the value that 95 % of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def print_table(figures: dict[str, str]) -> None:
    """Print our figures beside the anchors'."""
    print(f"{'':33}{'ours':>7}", "".join(f"{name:>11}" for name in ANCHORS))
    for name, ours in figures.items():
        anchors = ANCHOR_FIGURES.get(name, ())
        print(f"{name:33}{ours:>7}", "".join(f"{figure:>11}" for figure in anchors))


def print_densest(root: Path, files: Sequence[FileMeasures]) -> None:
    """Print the files with the most on a line."""
    candidates = [file for file in files if file.n_code_lines >= LEAST_CODE_LINES]
    candidates.sort(key=lambda file: file.nodes_a_line, reverse=True)
    print("\nThe densest files, AST nodes a code line:")
    for file in candidates[:DENSEST_FILES]:
        print(f"{file.nodes_a_line:7.1f}  {file.path.relative_to(root)}")


def main(folder: str = "") -> None:
    """Measure a folder, by default `tuning/`, and print the table."""
    root = Path(folder) if folder else Path(__file__).resolve().parents[1] / "tuning"
    files = [measure(path) for path in sorted(root.rglob("*.py"))]
    print_table(summarise(root, files))
    print_densest(root, files)


if __name__ == "__main__":
    main(*sys.argv[1:2])
