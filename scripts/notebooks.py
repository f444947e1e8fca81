"""`make notebooks`: execute the notebooks of docs/ and keep what they show.

Each runs in an empty folder. What is kept names no path of this machine; pictures of Plotly's are
kept as their figures, and as HTML that needs a page with Plotly's script and asks nobody for it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import plotly.io
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
FIGURE = "application/vnd.plotly.v1+json"
LONGEST_CELL_S = 1200


def executed(path: Path, folder: Path) -> Any:
    """Return a notebook with the outputs of a fresh kernel.

    Args:
        path: The notebook; it is not changed.
        folder: Where it runs.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raises.
    """
    notebook = nbformat.read(path, as_version=4)
    # The kernel is a child of this process.
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", PLOTLY_RENDERER="plotly_mimetype")
    os.environ.pop("TUNING_HOME", None)
    # Nobody else's search is waited for: a notice of that would be kept.
    os.environ["TUNING_LEASES"] = str(folder / "leases")
    client = NotebookClient(
        notebook,
        timeout=LONGEST_CELL_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    return notebook


def tidied(notebook: Any, folder: Path) -> Any:
    """Return the notebook as it is kept: without times, warnings and paths of this machine."""
    for number, cell in enumerate(notebook.cells):
        cell.metadata = {}
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in map(_kept, cell.outputs) if output is not None]
        for index, output in enumerate(cell.outputs):
            _draw_offline(output, f"figure-{number}-{index}")
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    text = nbformat.writes(notebook)
    # As JSON writes it: a path may have signs that are escaped there.
    return nbformat.reads(text.replace(json.dumps(str(folder))[1:-1], "…"), as_version=4)


def _kept(output: Any) -> Any:
    """Return an output without what changes from run to run; None for one that is left out."""
    is_log = output.output_type == "stream" and output.name == "stderr"
    # A view that has vanished at the end of its search.
    is_empty = output.get("data", {}).get("text/html") == ""
    if is_log or is_empty:
        return None
    output.pop("metadata", None)
    if output.output_type != "stream":
        output.metadata = {}
    output.pop("transient", None)
    return output


def _draw_offline(output: Any, name: str) -> None:
    """Give a figure its HTML, which draws it by the script of its page."""
    data = output.get("data", {})
    if FIGURE not in data:
        return
    content = {key: data[FIGURE][key] for key in ("data", "layout")}
    figure = plotly.io.from_json(json.dumps(content), skip_invalid=True)
    data["text/html"] = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name)


def main(names: list[str]) -> int:
    """Execute the notebooks of these names, or all, and write them."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()
            notebook = tidied(executed(path, folder), folder)
        nbformat.write(notebook, path)
        print(f"executed docs/notebooks/{path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
