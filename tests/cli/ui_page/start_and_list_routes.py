"""Runs `tuning` with the arguments after the first, a file for the routes of the server it starts.

Usage: python start_and_list_routes.py ROUTES.json ui --host …
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tuning.cli.main import main
from tuning.cli.ui_page import start

server = start.login_application


def server_with_noted_routes():
    """Return MLflow's server, with a file of every path and method of its two halves."""
    from mlflow.server import app as flask
    from starlette.routing import Mount

    fastapi = server()
    routes = {
        "flask": [[rule.rule, sorted(rule.methods)] for rule in flask.url_map.iter_rules()],
        "fastapi": [
            [path, sorted(route.methods)]
            for path, route in flat(fastapi.routes)
            if not isinstance(route, Mount)  # Flask
        ],
    }
    Path(sys.argv[1]).write_text(json.dumps(routes), encoding="utf-8")
    return fastapi


def flat(routes, prefix=""):
    """Give path and route, those of included routers as well; FastAPI keeps these apart."""
    for route in routes:
        if hasattr(route, "path"):
            yield prefix + route.path, route
        else:
            inner = prefix + route.include_context.prefix
            yield from flat(route.original_router.routes, inner)


if __name__ == "__main__":
    start.login_application = server_with_noted_routes
    sys.exit(main(sys.argv[2:]))
