"""`FirstVisit`: the script in MLflow's page, and what is passed on as it is."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3

from tuning.cli.ui_page.first_visit import FirstVisit
from tuning.cli.ui_page.studies import first_choices, study_pages
from tuning.tracking.mlflow_internals import PAGE_CHOICES

PAGE = b"<!doctype html><html><head><title>MLflow</title></head></html>"


def answer(path="/", *, status=200, kind=b"text/html", parts=(PAGE,), choices=None, headers=()):
    """Return (headers, body) of what comes out, and the headers that the page's server saw."""
    seen = []
    sent = []

    async def page(scope, receive, send):
        seen.extend(scope["headers"])
        length = str(sum(map(len, parts))).encode()
        start = {"type": "http.response.start", "status": status}
        await send({**start, "headers": [(b"content-type", kind), (b"content-length", length)]})
        for part in parts[:-1]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": parts[-1]})

    async def keep(message):
        sent.append(message)

    app = FirstVisit(page) if choices is None else FirstVisit(page, lambda: choices)
    scope = {"type": "http", "method": "GET", "path": path, "headers": list(headers)}
    asyncio.run(app(scope, None, keep))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return dict(sent[0]["headers"]), body, seen


def chosen(body):
    return json.loads(re.search(rb"Object.entries\((.*)\)\) \{", body)[1])


def test_the_page_opens_on_training_before_it_reads_anything_else():
    headers, body, _ = answer()
    assert body.startswith(b"<!doctype html><html><head><script>")
    assert chosen(body)["mlflow.workflowType_v1"] == '"machine_learning"'
    assert int(headers[b"content-length"]) == len(body)


def test_a_page_that_comes_in_parts_is_put_together():
    assert answer(parts=(PAGE[:20], PAGE[20:]))[1] == answer()[1]


def test_no_value_ends_the_script():
    _, body, _ = answer(choices={"view": "</script><script>alert(1)"})
    assert body.count(b"</script>") == 1
    assert chosen(body)["view"] == "</script><script>alert(1)"


def test_other_answers_stay_as_they_are():
    assert answer("/ajax-api")[1] == PAGE
    assert answer(status=401)[1] == PAGE
    assert answer(kind=b"application/json")[1] == PAGE


def test_a_page_that_the_browser_has_kept_is_sent_anew():
    headers = [(b"if-none-match", b"a"), (b"if-modified-since", b"b"), (b"accept", b"text/html")]
    assert answer(headers=headers)[2] == [(b"accept", b"text/html")]


def test_each_study_has_its_view_in_the_browser_and_in_its_address(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("CREATE TABLE experiments (name, experiment_id, lifecycle_stage)")
        database.execute("CREATE TABLE experiment_tags (experiment_id, key, value)")
        database.execute("INSERT INTO experiments VALUES ('housing', 7, 'active')")
        tag = (7, "mlflow.sharedViewState.tuning", '{"orderByAsc": true}')
        database.execute("INSERT INTO experiment_tags VALUES (?, ?, ?)", tag)

    (page,) = study_pages(uri)
    assert page.path.startswith("/#/experiments/7/runs?workflowType=machine_learning&viewState")
    assert {"orderByAsc": True} in [json.loads(value) for value in first_choices(uri).values()]


def test_a_store_that_cannot_be_read_has_no_choices_of_its_own(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"torn" * 300)
    assert first_choices(f"sqlite:///{tmp_path / 'mlflow.db'}") == {}
    assert first_choices("postgresql://box/db") == {}


def test_all_choices_are_of_the_page():
    assert all(key.startswith("mlflow.") for key in PAGE_CHOICES)
