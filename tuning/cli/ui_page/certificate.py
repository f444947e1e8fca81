"""A TLS certificate and its key, checked by a handshake with ourselves before anything listens."""

from __future__ import annotations

import shlex
import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ROUNDS = 10  # TLS 1.3 needs three


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Two PEM files: the certificate with its chain, and the private key."""

    certificate: Path
    key: Path


def certificate_faults(pair: Certificate, names: Sequence[str]) -> list[str]:
    """Return why browsers would not take a certificate.

    It may be unreadable, expired, of another key or of another name. That it comes from an
    authority that browsers trust is not checked.

    Args:
        pair: The files.
        names: Hosts without port, each of which the certificate must be for.
    """
    faults = [_file_fault("--tls-certificate", pair.certificate), _key_fault(pair.key)]
    if any(faults):
        return [fault for fault in faults if fault]
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without the function OpenSSL would ask for the passphrase at the terminal.
        server.load_cert_chain(pair.certificate, pair.key, password=_no_passphrase)
        client = _client_that_trusts(pair.certificate)
    except _HasPassphraseError:
        return [f"--tls-key: {pair.key} has a passphrase, and nobody would be there to type it"]
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        return [f"--tls-certificate, --tls-key: no pair of PEM files that fit ({reason})"]
    found = [_name_fault(server, client, name) for name in names]
    return [
        f"--tls-certificate: {pair.certificate}: {fault}" for fault in dict.fromkeys(found) if fault
    ]


class _HasPassphraseError(Exception):
    pass


def _no_passphrase() -> str:
    raise _HasPassphraseError


def _file_fault(option: str, path: Path) -> str:
    try:
        with open(path, "rb"):
            return ""
    except OSError as error:
        return f"{option}: cannot read {path}: {error.strerror}"


def _key_fault(path: Path) -> str:
    fault = _file_fault("--tls-key", path)
    if fault:
        return fault
    # A group may read it: Debian's ssl-cert does.
    if path.stat().st_mode & (stat.S_IWGRP | stat.S_IRWXO):
        return f"--tls-key: others may read or change {path}: chmod 600 {shlex.quote(str(path))}"
    return ""


def _client_that_trusts(certificate: Path) -> ssl.SSLContext:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(certificate)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is the root
    return client


def _name_fault(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """Return what a client finds wrong that asks for `name`, in OpenSSL's words."""
    to_server = ssl.MemoryBIO()
    to_client = ssl.MemoryBIO()
    sides = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    try:
        for _ in range(_ROUNDS):
            have_shaken = [_has_shaken(side) for side in sides]
            if all(have_shaken):
                return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLError as error:
        return str(error.reason or error)
    return "the handshake does not end"


def _has_shaken(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
