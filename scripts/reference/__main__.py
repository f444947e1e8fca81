"""`python -m scripts.reference`: write the reference pages; `--check` names what is out of date."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.reference import command_line, engines, ledger, study

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "command-line.md": command_line.page,
    "study.md": study.page,
    "engines.md": engines.page,
    "ledger.md": ledger.page,
}
_NOTE = "<!-- Written by `make reference` from the code; change it there. -->\n\n"


def text_of(page: str) -> str:
    """Return what a page should hold."""
    return _NOTE + PAGES[page]()


def outdated() -> list[str]:
    """Return the pages whose files do not hold what the code says."""
    return [
        page
        for page in PAGES
        if not (FOLDER / page).exists()
        or (FOLDER / page).read_text(encoding="utf-8") != text_of(page)
    ]


def main(arguments: list[str]) -> int:
    """Write the pages that are out of date, or with `--check` only name them; 1 where one is."""
    pages = outdated()
    if "--check" in arguments:
        for page in pages:
            print(f"docs/reference/{page} is out of date; run: make reference")
        return 1 if pages else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for page in pages:
        (FOLDER / page).write_text(text_of(page), encoding="utf-8")
        print(f"wrote docs/reference/{page}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
