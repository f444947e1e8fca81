"""MLflow's page in a real browser: where it opens, and what a study's table shows first."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracking.writer.searches import search as make_search
from tests.tracking.writer.searches import trial
from tuning.tracking.base import SearchRecord
from tuning.tracking.mlflow_store import ensure_database
from tuning.tracking.mlflow_tracker import MlflowTracker

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here"),
]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where `tuning ui` shows a search of three trials."""
    home = tmp_path_factory.mktemp("page")
    uri = f"sqlite:///{home / 'mlflow.db'}"
    ensure_database(uri)
    tracker = MlflowTracker(uri, home)
    tracker.begin(SearchRecord.from_header(make_search(home, "housing").header))
    for number in range(3):
        tracker.record_trial(*trial(number))

    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TUNING_HOME": str(home)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "tuning", "ui"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    port = int(re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())[1])
    # Waits until it answers: the port listens before MLflow is imported.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/health")
    assert connection.getresponse().read() == b"OK"
    connection.close()
    yield f"http://127.0.0.1:{port}"

    process.send_signal(signal.SIGINT)
    with process:
        assert process.wait(20) == 0


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


def test_the_page_opens_on_the_experiments_of_model_training(page, address):
    page.goto(address)
    page.get_by_text("housing", exact=True).first.wait_for()
    assert page.url.endswith("#/experiments")
    assert page.get_by_text("Prompts", exact=True).count() == 0


def test_a_click_on_a_study_shows_its_trials_best_first(page, address):
    page.goto(address)
    page.get_by_text("housing", exact=True).first.click()
    page.get_by_text("trial 0", exact=True).wait_for()
    assert "/runs?workflowType=machine_learning" in page.url
    assert page.get_by_text("Sort: val_rmse").count() == 1
    names = page.get_by_text(re.compile(r"^trial \d$")).all_inner_texts()
    values = {f"trial {number}": trial(number)[1].value for number in range(3)}
    assert names == sorted(values, key=values.get)


def test_what_somebody_has_chosen_on_the_page_stays(page, address):
    page.goto(address)
    page.get_by_text("GenAI", exact=True).click()
    page.goto(f"{address}/#/settings")
    page.reload()
    kept = page.evaluate("localStorage.getItem('mlflow.workflowType_v1')")
    assert kept == '"genai"'


def test_no_request_leaves_the_machine(page, address):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.get_by_text("housing", exact=True).first.click()
    page.get_by_text("trial 0", exact=True).wait_for()
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
