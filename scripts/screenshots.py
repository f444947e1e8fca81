"""`make pictures`: search a study, and photograph its report and its page in MLflow.

Needs Playwright and a Chromium; the page's own server is begun, asked and ended here.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "report.png"
MLFLOW = ROOT / "docs" / "mlflow.png"
LONGEST_MS = 60_000


def search(study: str, home: Path) -> Path:
    """Search a study; return the path of its report.

    Raises:
        subprocess.CalledProcessError: The search failed.
    """
    command = [sys.executable, "-m", "tuning", "run", study, "--json", "--quiet"]
    done = subprocess.run(
        command, cwd=ROOT, env=_environment(home), check=True, stdout=subprocess.PIPE, text=True
    )
    return Path(json.loads(done.stdout.splitlines()[-1])["report"])


@contextmanager
def served(home: Path) -> Iterator[str]:
    """Give the address of `tuning ui` over a state folder, which ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tuning", "ui"],
        cwd=ROOT,
        env=_environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            first_line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"127\.0\.0\.1:(\d+)", first_line)
            if found is None:
                raise RuntimeError("tuning ui did not say where it listens")
            # It listens before it answers: MLflow is imported meanwhile.
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=300)
            connection.request("GET", "/health")
            connection.getresponse().read()
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            process.send_signal(signal.SIGINT)


def _environment(home: Path) -> dict[str, str]:
    outside = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return {**outside, "TUNING_HOME": str(home)}


def photograph(browser: Any, study: str, report: Path, address: str) -> None:
    """Write both pictures."""
    page = browser.new_page(viewport={"width": 1280, "height": 1330})
    page.set_default_timeout(LONGEST_MS)
    page.goto(report.as_uri())
    page.wait_for_selector(".main-svg")
    page.screenshot(path=str(REPORT))

    page.set_viewport_size({"width": 1760, "height": 720})
    page.goto(address)
    page.get_by_text(study, exact=True).first.click()
    page.get_by_text(re.compile(r"^trial \d+$")).first.wait_for()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=str(MLFLOW))


def main(names: list[str]) -> int:
    """Photograph the study that is named, or housing."""
    study = names[0] if names else "housing"
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        home = Path(name).resolve() / "mlruns"
        report = search(study, home)
        # Chromium's own sandbox needs rights that containers do not give.
        options = {"executable_path": chromium, "args": ["--no-sandbox"]}
        browser = playwright.chromium.launch(**options)
        with served(home) as address:
            photograph(browser, study, report, address)
        browser.close()
    print(f"wrote docs/{REPORT.name} and docs/{MLFLOW.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
