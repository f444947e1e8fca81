"""What a page needs that others can reach, checked all at once before anything is begun."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tuning.cli.ui_page.accounts import given_password
from tuning.cli.ui_page.certificate import Certificate, certificate_faults
from tuning.errors import MissingError, StudyError

# As browsers send it in `Host`: no user, no path, no pattern.
_NAME = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_EVERY_ADDRESS = ("0.0.0.0", "::")
_HTTPS = 443  # browsers leave it out


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """The options of `tuning ui` that are about others than oneself.

    Attributes:
        host: The address to listen at.
        port: Where the listener is.
        names: By which browsers ask for the page, with a port or without.
        certificate: PEM file, with `key`; None: no TLS here.
        key: PEM file.
        behind_proxy: A proxy in front of this ends TLS.
        password_file: Holds the admin's password; None: the variable, or it has one.
    """

    host: str
    port: int
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False
    password_file: Path | None = None

    @property
    def speak_of_others(self) -> bool:
        """Whether one of the options is given that only a shared page has."""
        files = (self.certificate, self.key, self.password_file)
        return bool(self.names) or self.behind_proxy or any(file is not None for file in files)


@dataclass(frozen=True, kw_only=True)
class SharedPage:
    """A page behind a login, everything about it checked.

    Attributes:
        host: The address to listen at.
        authorities: Values of `Host` that are answered: `tuning.example.org:5000`.
        tls: None: a proxy in front of it ends TLS.
        password: Of the admin; None: none was given.
    """

    host: str
    authorities: tuple[str, ...]
    tls: Certificate | None
    password: str | None = field(repr=False)


def shared_page(wishes: Wishes) -> SharedPage:
    """Return the page that was asked for.

    Raises:
        StudyError: Something is missing or wrong; all of it is listed.
        MissingError: The package that the login needs is not installed.
    """
    password, faults = given_password(wishes.password_file)
    authorities, name_faults = _authorities(wishes)
    tls, tls_faults = _tls(wishes, authorities)
    faults = [*name_faults, *tls_faults, *faults]
    if faults:
        raise StudyError(faults, where=f"--host {wishes.host}, a page that others can reach")
    if find_spec("flask_wtf") is None:
        raise MissingError(
            "the page's login needs the package flask-wtf, which is not installed: "
            "python -m pip install 'tuning[server]'"
        )
    return SharedPage(host=wishes.host, authorities=authorities, tls=tls, password=password)


def _authorities(wishes: Wishes) -> tuple[tuple[str, ...], list[str]]:
    """Return what `Host` may be, and what is wrong with the names."""
    names = [name.lower() for name in wishes.names]
    if not names and not wishes.behind_proxy and wishes.host not in _EVERY_ADDRESS:
        names = [_as_name(wishes.host)]
    if not names:
        return (), [
            "say by which name browsers ask for it, others are refused: --name "
            f"tuning.example.org{'' if wishes.behind_proxy else f':{wishes.port}'}"
        ]
    faults = [
        f"--name {name}: a host as in an address, with a port or without: "
        "tuning.example.org, 192.168.1.5:5000, [fd00::5]"
        for name in names
        if not _NAME.fullmatch(name)
    ]
    return tuple(_authority(name, wishes) for name in names), faults


def _as_name(host: str) -> str:
    """Return an address as it stands in URLs: that of IPv6 in brackets."""
    return f"[{host}]".lower() if ":" in host else host.lower()


def _authority(name: str, wishes: Wishes) -> str:
    host, port = _split(name)
    if not port and not wishes.behind_proxy:
        port = wishes.port
    return host if port in (None, _HTTPS) else f"{host}:{port}"


def _split(name: str) -> tuple[str, int | None]:
    """Return host and port of `host`, `host:port`, `[address]` or `[address]:port`."""
    match = re.fullmatch(r"(.+?):([0-9]+)", name)
    if match is None or name.endswith("]"):
        return name, None
    return match[1], int(match[2])


def _tls(wishes: Wishes, authorities: tuple[str, ...]) -> tuple[Certificate | None, list[str]]:
    certificate, key = wishes.certificate, wishes.key
    if certificate is None and key is None:
        if wishes.behind_proxy:
            return None, []
        return None, [
            "passwords would cross the network in the clear: --tls-certificate FILE --tls-key "
            "FILE, or --behind-proxy where a proxy in front of this ends TLS. For yourself alone "
            f"leave out --host and use ssh -L {wishes.port}:127.0.0.1:{wishes.port} THIS-MACHINE"
        ]
    if wishes.behind_proxy:
        return None, ["--behind-proxy: the proxy ends TLS, so leave out --tls-…, or this one"]
    if certificate is None or key is None:
        return None, ["--tls-certificate and --tls-key are given together"]
    pair = Certificate(certificate=certificate, key=key)
    hosts = [_split(authority)[0].strip("[]") for authority in authorities]
    return pair, certificate_faults(pair, hosts)
