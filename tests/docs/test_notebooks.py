"""The notebooks of docs/: they run, and what is kept of them is of nobody's machine."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))
HAS_NBCLIENT = importlib.util.find_spec("nbclient") is not None


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def shown_by(cells):
    """What each cell shows, by kind; without notices, which a busy machine has more of."""
    return [
        [sorted(output["data"]) for output in cell["outputs"] if output["output_type"] != "stream"]
        for cell in cells
    ]


def test_there_are_two():
    assert len(NOTEBOOKS) == 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_as_it_ran_from_top_to_bottom(path):
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert kinds <= {"execute_result", "display_data", "stream"}
    assert cells[-1]["outputs"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_shows_names_no_path_of_a_machine_and_asks_for_nothing(path):
    shown = json.dumps([cell["outputs"] for cell in code_cells(path)])
    assert re.findall(r"(?<![\w.<])/(?:home|root|tmp|work|Users|var)/", shown) == []
    assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", shown) == []
    assert "figure-" in shown


def test_a_notebook_imports_nothing_with_a_star():
    for path in NOTEBOOKS:
        source = "\n".join("".join(cell["source"]) for cell in code_cells(path))
        assert "import *" not in source


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.skipif(not HAS_NBCLIENT, reason="needs the extra docs")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_is_kept_with(path, tmp_path):
    from scripts.notebooks import executed, tidied

    ran = tidied(executed(path, tmp_path), tmp_path).cells
    assert shown_by([cell for cell in ran if cell["cell_type"] == "code"]) == shown_by(
        code_cells(path)
    )
