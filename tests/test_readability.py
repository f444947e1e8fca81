"""The mirror that `make check` prints at its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "readability.py"

SAMPLE = '''"""Says nothing."""

# One comment of its own.
def f(a: dict[str, Any]) -> int:
    """Says nothing either."""
    x, y = 1, 2  # fmt: skip

    return g(1, 2, 3, 4, 5, 6) if a else x
'''


@pytest.fixture
def figures(tmp_path):
    """What the script prints of one small file: name → our figure."""
    (tmp_path / "sample.py").write_text(SAMPLE)
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=True
    )
    table, _, _ = done.stdout.partition("\n\n")
    return {line[:33].strip(): line[33:40].strip() for line in table.splitlines()}


def test_one_small_file_is_counted_as_the_definitions_say(figures):
    assert figures["lines"] == "8"
    assert figures["function body, longest"] == "3"
    assert figures["comments per 100 code lines"] == "66.7"  # 2 on 3 code lines
    assert figures["conditionals per 100 code lines"] == "33.33"
    assert figures["a, b = x, y per 100 lines"] == "33.33"
    assert figures["fmt: skip"] == "1"
    assert figures["calls, over 5 by position"] == "1"
    assert figures["dict[str, Any] per 1,000 lines"] == "125.0"


def test_docstrings_are_neither_code_lines_nor_nodes(figures):
    # Module 1; function, its arguments, the argument and its type 9; assignment 7; return 12.
    assert float(figures["AST nodes a code line"]) == pytest.approx(29 / 3, abs=0.01)


def test_the_package_is_measured_beside_the_anchors_in_no_time():
    done = subprocess.run(
        [sys.executable, SCRIPT], capture_output=True, text=True, check=True, timeout=30
    )
    assert "httpx" in done.stdout.splitlines()[0]
    assert "The densest files" in done.stdout
