"""MLflow's server with its login, and ours in front of it."""

from __future__ import annotations

import os

import click

from tuning.cli.ui_page.accounts import ADMIN, Accounts
from tuning.cli.ui_page.login import Login
from tuning.cli.ui_page.throttle import Throttle
from tuning.tracking.mlflow_internals import (
    ADMIN_PASSWORD,
    FLASK_KEY,
    login_application,
    login_knows,
    set_login_password,
)


def application_with_login(accounts: Accounts, password: str | None) -> Login:
    """Return the application; a password that is given becomes the admin's.

    Args:
        accounts: Of the state folder.
        password: None: the one that the admin has stays.
    """
    os.environ.update(accounts.prepare(password))
    try:
        application = login_application()
    finally:
        # MLflow has read them; what this process starts needs neither.
        for name in (ADMIN_PASSWORD, FLASK_KEY):
            os.environ.pop(name, None)

    if password is not None and not login_knows(ADMIN, password):
        set_login_password(ADMIN, password)
        click.echo(f"The password of '{ADMIN}' was changed.", err=True)
    return Login(application, login_knows, Throttle())
