"""`make audit`: which of the locked packages have known vulnerabilities, by pip-audit.

Exit codes: 0 none is known, 1 some are (they are listed), 3 nothing could be looked up: no network,
or no pip-audit. It is installed into a folder that is thrown away: it is no part of ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

PIP_AUDIT = "pip-audit>=2.7,<3"
LOCKS = ("requirements/cpu.txt", "requirements/cuda.txt")
NONE_KNOWN = 0
SOME_KNOWN = 1
NOT_LOOKED_UP = 3


def main(locks: Sequence[str]) -> int:
    """Audit each lock, all of this project where none is given; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="tuning-audit-") as folder:
        tool = install(Path(folder) / "tool")
        if tool is None:
            return NOT_LOOKED_UP
        codes = [audit(tool, Path(lock), Path(folder) / "answer.json") for lock in locks or LOCKS]
    # What was not looked up is no good news, whatever the other lock gave.
    return SOME_KNOWN if SOME_KNOWN in codes else max(codes)


def install(folder: Path) -> Path | None:
    """Return pip-audit's program; None where it cannot be installed, which is told."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, PIP_AUDIT], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return folder / "bin" / "pip-audit"
    say(f"pip-audit cannot be installed: {last_line(done.stderr)}")
    return None


def audit(tool: Path, lock: Path, answer: Path) -> int:
    """Look one lock up and print what is known; return its exit code."""
    answer.unlink(missing_ok=True)
    command = [
        str(tool), "--requirement", str(lock), "--require-hashes", "--disable-pip",
        "--progress-spinner", "off", "--format", "json", "--output", str(answer), "--timeout", "30",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # It ends with 1 for what it found and for what it could not do; the answer tells them apart.
    if done.returncode not in (0, 1) or not answer.exists():
        say(f"{lock}: nothing could be looked up: {last_line(done.stderr)}")
        return NOT_LOOKED_UP

    stored = json.loads(answer.read_text(encoding="utf-8"))
    found = list(vulnerabilities(stored))
    for line in found:
        print(f"{lock}: {line}")
    skipped = [package for package in stored["dependencies"] if "skip_reason" in package]
    if skipped:
        names = ", ".join(package["name"] for package in skipped[:5])
        reason = skipped[0]["skip_reason"]
        say(f"{lock}: {len(skipped)} packages were not looked up ({names}, …): {reason}")
    n_packages = len(stored["dependencies"]) - len(skipped)
    print(f"{lock}: {len(found)} known vulnerabilities in {n_packages} packages")
    if found:
        return SOME_KNOWN
    return NOT_LOOKED_UP if skipped else NONE_KNOWN


def vulnerabilities(stored: dict) -> Iterator[str]:
    """Yield a line for each vulnerability in pip-audit's JSON."""
    for package in stored["dependencies"]:
        for known in package.get("vulns", ()):
            fixed = ", ".join(known["fix_versions"])
            cure = f"mended in {fixed}" if fixed else "not mended yet"
            yield f"{package['name']} {package['version']}: {known['id']}, {cure}"


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason")


def say(text: str) -> None:
    """Print what the exit code is about."""
    print(f"audit: {text}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
