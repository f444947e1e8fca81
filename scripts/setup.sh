#!/bin/sh
# Makes .venv from the one lock that fits this machine; ends with .venv/ready, or with one line and exit 1.
# PYTHON3=… names the Python to use, LOCK=cpu|cuda the lock.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "set-up: $*" >&2; }

find_python() {  # sets `python`, or says why none of those on PATH will do
    why=
    for python in ${PYTHON3:-python3.13 python3.12 python3.11 python3}; do
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        case $version in
            3.11 | 3.12 | 3.13)
                "$python" -c 'import ensurepip, venv' 2>/dev/null && return
                why="$why; $python has no venv module (Debian, Ubuntu: apt install python$version-venv)" ;;
            *) why="$why; $python is $version" ;;
        esac
    done
    say "needs Python 3.11, 3.12 or 3.13 with venv${why:-; there is none on PATH}. PYTHON3=/path/to/python names another."
    exit 1
}

choose_lock() {  # tensorflow-cpu and tensorflow own the same files: one lock, one environment
    kind=${LOCK:-cpu}
    if [ -z "${LOCK:-}" ] && [ "$(uname -sm)" = "Linux x86_64" ] && nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then
        kind=cuda
    fi
    lock=requirements/$kind.txt
    [ -f "$lock" ] || { say "no $lock; LOCK is cpu or cuda"; exit 1; }
}

quietly() {  # runs a command; where it fails, its reason in one line
    "$@" >"$log" 2>&1 && return
    reason=$(grep -i 'error' "$log" | tail -n 1)
    reason=${reason:-$(tail -n 1 "$log")}
    if grep -q -i -E 'connection (broken|refused|reset)|NewConnection|name resolution|unreachable|timed out|ProxyError' "$log"; then
        reason="the package index cannot be reached. Is there a network? ($reason)"
    fi
    say "could not install $lock: $reason"
    exit 1
}

undo() {  # nothing half-made stays; the environment that was there before does
    rm -f "$log"
    [ -f .venv/ready ] || rm -rf .venv
    if [ -d .venv.old ]; then if [ -d .venv ]; then rm -rf .venv.old; else mv .venv.old .venv; fi; fi
}

# Two makes at once: the second waits for the first. The kernel frees this lock at any death.
if command -v flock >/dev/null; then exec 9<scripts/setup.sh && flock 9; fi

find_python
choose_lock
log=$(mktemp)
trap undo EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if [ -f .venv/ready ] && cmp -s "$lock" .venv/lock.txt; then  # only pyproject.toml is newer
    quietly .venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
    touch .venv/ready
    exit
fi
if [ -f .venv/ready ]; then rm -rf .venv.old && mv .venv .venv.old; else rm -rf .venv; fi
say "installing $(grep -c '==' "$lock") packages from $lock into .venv with Python $version; a few minutes, once"
quietly "$python" -m venv .venv
# Bytecode is compiled afterwards on all cores; pip would do it on one. It does not heed PYTHONDONTWRITEBYTECODE.
quietly .venv/bin/python -m pip install --disable-pip-version-check --require-hashes --no-deps --no-compile -r "$lock"
quietly .venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
# Packages' own tests are left out: a sixth of the time. Some ship templates that are no Python: that is no failure.
.venv/bin/python -m compileall -q -j 0 -x '/tests/' .venv/lib >/dev/null 2>&1 || true
# The epochs in machine code, which the first search would wait for; where there is no room for them it compiles itself.
.venv/bin/python -c "from tuning.trainer.native.epoch import load; load()" >/dev/null 2>&1 || true
cp "$lock" .venv/lock.txt
touch .venv/ready
