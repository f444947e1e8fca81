"""A page that others can reach is refused in words until all that it needs is there."""

from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner

from tests.cli.ui_page.certificates import write_pair
from tuning.cli.ui import listen_at, ui
from tuning.cli.ui_page import shared_page as shared_page_module
from tuning.cli.ui_page.shared_page import Wishes, shared_page
from tuning.errors import BusyError, MissingError, StudyError
from tuning.tracking.mlflow_internals import ADMIN_PASSWORD


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    monkeypatch.delenv(ADMIN_PASSWORD, raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(shared_page_module, "find_spec", lambda name: name)


def page(tmp_path, *names, host="0.0.0.0", port=5000, certified=("lab.example.org",), **options):
    pair = write_pair(tmp_path / "tls", *certified)
    files = {"certificate": pair.certificate, "key": pair.key}
    return shared_page(Wishes(host=host, port=port, names=names, **{**files, **options}))


def proxied(*names, **options):
    return shared_page(
        Wishes(
            **{"host": "127.0.0.1", "port": 5000, "behind_proxy": True, "names": names, **options}
        )
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_an_address_alone_is_refused(tmp_path, host):
    with pytest.raises(StudyError, match=r"passwords would cross .* use ssh -L 5000:127\.0\.0\.1"):
        CliRunner().invoke(ui, ["--home", str(tmp_path), "--host", host], catch_exceptions=False)


def test_all_that_is_missing_or_wrong_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv(ADMIN_PASSWORD, "short")
    with pytest.raises(StudyError) as raised:
        shared_page(Wishes(host="0.0.0.0", port=5000))
    name, tls, password = raised.value.faults
    assert "--name tuning.example.org:5000" in name
    assert "--tls-certificate FILE --tls-key FILE, or --behind-proxy" in tls
    assert password == (
        "the password has 5 characters; it needs 12 or more (MLFLOW_AUTH_ADMIN_PASSWORD)"
    )


@pytest.mark.parametrize(
    ("names", "host", "port", "authorities"),
    [
        (["lab.example.org"], "0.0.0.0", 5000, ("lab.example.org:5000",)),
        (["LAB.example.org"], "0.0.0.0", 443, ("lab.example.org",)),
        (["lab.example.org:443"], "0.0.0.0", 5000, ("lab.example.org",)),
        (["lab.example.org:8443"], "::", 5000, ("lab.example.org:8443",)),
        ([], "192.168.1.5", 5000, ("192.168.1.5:5000",)),
        ([], "fd00::5", 5000, ("[fd00::5]:5000",)),
        (["[fd00::5]:8443", "lab.example.org"], "::", 1, ("[fd00::5]:8443", "lab.example.org:1")),
    ],
)
def test_the_names_are_what_browsers_send_as_host(tmp_path, names, host, port, authorities):
    certified = ("lab.example.org", "192.168.1.5", "fd00::5")
    made = page(tmp_path, *names, host=host, port=port, certified=certified)
    assert made.authorities == authorities
    assert made.tls is not None


def test_behind_a_proxy_the_name_is_the_proxys():
    made = proxied("lab.example.org", "lab.example.org:8443")
    assert made.authorities == ("lab.example.org", "lab.example.org:8443")
    assert made.tls is None
    with pytest.raises(StudyError, match="say by which name browsers ask for it"):
        proxied()


@pytest.mark.parametrize(
    "name",
    ["*", "*.example.org", "https://lab.example.org", "lab.example.org/x", "a b", "", "a@b", "x,y"],
)
def test_a_name_that_is_no_host_is_refused(name):
    with pytest.raises(StudyError, match=r"--name .*: a host as in an address"):
        proxied(name)


def test_a_certificate_must_be_for_every_name(tmp_path):
    with pytest.raises(StudyError, match=r"mismatch.*'other\.example\.org'"):
        page(tmp_path, "lab.example.org", "other.example.org")


def test_half_of_tls_or_two_ways_of_it_are_refused(tmp_path):
    with pytest.raises(StudyError, match="are given together"):
        page(tmp_path, "lab.example.org", key=None)
    with pytest.raises(StudyError, match="are given together"):
        page(tmp_path, "lab.example.org", certificate=None)
    with pytest.raises(StudyError, match="the proxy ends TLS, so leave out"):
        page(tmp_path, "lab.example.org", behind_proxy=True)


@pytest.mark.parametrize(
    "options",
    [
        ["--name", "lab.example.org"],
        ["--password-file", "p"],
        ["--tls-key", "k"],
        ["--tls-certificate", "c"],
    ],
)
def test_an_option_of_a_shared_page_is_never_dropped_in_silence(tmp_path, options):
    with pytest.raises(StudyError):
        CliRunner().invoke(ui, ["--home", str(tmp_path), *options], catch_exceptions=False)


def test_a_password_is_in_no_text_of_the_page(monkeypatch):
    monkeypatch.setenv(ADMIN_PASSWORD, "canary-horse-battery")
    made = proxied("lab.example.org")
    assert made.password == "canary-horse-battery"
    assert "canary" not in repr(made)


def test_a_missing_extra_ends_with_3_and_its_command(monkeypatch):
    monkeypatch.setattr(shared_page_module, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"python -m pip install 'tuning\[server\]'") as raised:
        proxied("lab.example.org")
    assert raised.value.exit_code == 3


def test_a_port_that_is_taken_is_not_exchanged_for_another():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BusyError, match=r"port \d+ of 127\.0\.0\.1 is in use"):
            listen_at("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_another_machine_is_refused(host):
    with pytest.raises(StudyError, match=f"--host {host}"):
        listen_at(host, 5000)
