"""The pages of docs/: every one is in the table of contents, and every link leads somewhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts]
MOST_LINES_OF_THE_README = 150


def links_of(path: Path) -> list[str]:
    """The relative links of a page, without those in code."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in found if not re.match(r"[a-z]+:", link) and not link.startswith("#")]


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES])
def test_every_link_of_a_page_leads_to_a_file(page):
    targets = [link.partition("#")[0] for link in links_of(page)]
    assert [link for link in targets if not (page.parent / link).exists()] == []


def test_every_page_is_in_the_table_of_contents():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\{toctree\}(.*?)```", index, flags=re.DOTALL)
    listed = {
        line for block in blocks for line in block.splitlines() if line and not line.startswith(":")
    }
    pages = [*PAGES, *DOCS.glob("notebooks/*.ipynb")]
    there = {page.relative_to(DOCS).with_suffix("").as_posix() for page in pages}
    assert listed == there - {"index"}


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES_OF_THE_README


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="needs the extra docs")
@pytest.mark.timeout(600)
def test_the_pages_are_made_without_a_warning_and_ask_for_nothing(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "trees"), str(DOCS), str(tmp_path / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    asked_for = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?:https?:)?//")
    pages = list((tmp_path / "html").rglob("*.html"))
    assert len(pages) > 40
    assert [page.name for page in pages if asked_for.search(page.read_text(encoding="utf-8"))] == []
