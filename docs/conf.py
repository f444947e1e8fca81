"""How Sphinx makes the pages of `docs/`: `make docs` writes them to `docs/_build/html`.

Every page is MyST Markdown, readable where it lies. Nothing is fetched while the pages are made or
read: no fonts, no scripts, no inventories of other projects.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import plotly

# Before TensorFlow is imported, for the docstrings of what is made of it: nothing of its start is
# a warning about these pages.
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0", CUDA_VISIBLE_DEVICES="-1")

import tuning

project = "tuning"
author = "the authors of tuning"
release = tuning.__version__
language = "en"

extensions = [
    "myst_nb",  # MyST Markdown, and the notebooks with the outputs that they were kept with
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
nitpicky = False

# Notebooks are executed by the tests and by `make notebooks`, never by the build.
nb_execution_mode = "off"
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]
# Blocks that name no language are terminals and trees.
highlight_language = "none"
# In snippets `…` stands for what is left out. Of a picture of Plotly's the notebook has its data,
# for Jupyter, and HTML, which is what a page shows.
suppress_warnings = ["misc.highlighting_failure", "mystnb.unknown_mime_type"]
copybutton_prompt_text = "$ "

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"tuning {release}"
# The pictures of the notebooks are drawn by the Plotly that is installed, from this machine.
html_static_path = [str(Path(plotly.__file__).parent / "package_data" / "plotly.min.js")]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False


def _load_plotly(app: Any, page: str, template: str, context: Any, tree: Any) -> None:
    """Have Plotly's script in the head of the pages of notebooks alone: it is 5 MB.

    The theme's own scripts stand at a page's end, where the pictures have asked for it already.
    """
    if page.startswith("notebooks/"):
        script = context["pathto"]("_static/plotly.min.js", resource=True)
        context["metatags"] = context.get("metatags", "") + f'<script src="{script}"></script>'


def setup(app: Any) -> None:
    """Register what happens to each page."""
    app.connect("html-page-context", _load_plotly)
