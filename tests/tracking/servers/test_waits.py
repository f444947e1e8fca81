"""Limits of connections to PostgreSQL, so that one whose other end has vanished does end."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from tuning.tracking.servers.waits import LIMITS, limit_waits


@pytest.fixture
def connect(monkeypatch):
    """Return what the driver is given for a URL; nothing is connected to."""
    psycopg = pytest.importorskip("psycopg")
    limit_waits()
    limit_waits()

    def words_of(url):
        class Asked(Exception):
            pass

        def asked(*words, **named):
            raise Asked(named)

        monkeypatch.setattr(psycopg, "connect", asked)
        with pytest.raises(Asked) as caught:
            create_engine(url).connect()
        return caught.value.args[0]

    return words_of


def test_a_connection_has_limits_of_its_waits(connect):
    named = connect("postgresql+psycopg://me@nowhere/x")
    assert {name: named[name] for name in LIMITS} == dict(LIMITS)


def test_a_url_has_the_last_word(connect):
    named = connect("postgresql+psycopg://me@nowhere/x?connect_timeout=3")
    assert int(named["connect_timeout"]) == 3
    assert named["keepalives_idle"] == LIMITS["keepalives_idle"]


def test_libpq_knows_each_limit(cluster):
    import psycopg

    with psycopg.connect(f"{cluster.url}/postgres", **LIMITS) as connection:
        assert {name: int(connection.info.get_parameters()[name]) for name in LIMITS} == LIMITS
