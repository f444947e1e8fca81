"""Certificates that browsers would not take are refused before anything listens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cli.ui_page.certificates import write_pair
from tuning.cli.ui_page.certificate import certificate_faults


def test_a_certificate_with_its_key_and_its_names_is_taken(tmp_path):
    pair = write_pair(tmp_path, "lab.example.org", "192.168.1.5", "fd00::5")
    assert certificate_faults(pair, ["lab.example.org", "192.168.1.5", "fd00::5"]) == []


@pytest.mark.parametrize("name", ["lab.example.com", "192.168.1.6", "fd00::6"])
def test_another_name_is_refused(tmp_path, name):
    pair = write_pair(tmp_path, "lab.example.org", "192.168.1.5", "fd00::5")
    (fault,) = certificate_faults(pair, ["lab.example.org", name])
    assert fault.startswith(f"--tls-certificate: {pair.certificate}: ")
    assert "mismatch" in fault
    assert name in fault


@pytest.mark.parametrize(("valid_days", "words"), [(-1, "has expired"), (5, "not yet valid")])
def test_a_certificate_out_of_its_time_is_refused(tmp_path, valid_days, words):
    pair = write_pair(tmp_path, "lab.example.org", valid_days=valid_days)
    (fault,) = certificate_faults(pair, ["lab.example.org"])
    assert words in fault


def test_the_key_of_another_certificate_is_refused(tmp_path):
    pair = write_pair(tmp_path / "a", "lab.example.org")
    other = write_pair(tmp_path / "b", "lab.example.org")
    (fault,) = certificate_faults(replace(pair, key=other.key), ["lab.example.org"])
    assert fault.startswith("--tls-certificate, --tls-key: no pair of PEM files that fit")


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(tmp_path):
    pair = write_pair(tmp_path, "lab.example.org", passphrase=b"long enough")
    (fault,) = certificate_faults(pair, ["lab.example.org"])
    assert "has a passphrase" in fault


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o620])
def test_a_key_that_others_may_read_or_change_is_refused(tmp_path, mode):
    pair = write_pair(tmp_path, "lab.example.org")
    pair.key.chmod(mode)
    (fault,) = certificate_faults(pair, ["lab.example.org"])
    assert f"chmod 600 {pair.key}" in fault


def test_files_that_are_not_there_are_named_both(tmp_path):
    pair = write_pair(tmp_path, "lab.example.org")
    missing = replace(pair, certificate=tmp_path / "c", key=tmp_path / "k")
    assert certificate_faults(missing, []) == [
        f"--tls-certificate: cannot read {tmp_path / 'c'}: No such file or directory",
        f"--tls-key: cannot read {tmp_path / 'k'}: No such file or directory",
    ]


def test_files_that_are_no_pem_are_refused(tmp_path):
    pair = write_pair(tmp_path, "lab.example.org")
    pair.certificate.write_text("no certificate")
    (fault,) = certificate_faults(pair, ["lab.example.org"])
    assert "no pair of PEM files" in fault
