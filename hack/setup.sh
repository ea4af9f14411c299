#!/usr/bin/env bash
# Makes .venv in the work tree from locks/dev.txt, every package checked against its hash, with this project
# installed editable and without resolving anything. Run it as often as you like: when nothing changed it
# takes a blink. Called by `make setup`, by CI and by people; writes nothing outside .venv and the user's cache.
set -euo pipefail
cd "$(dirname "$0")/.."

lock=locks/dev.txt
stamp=.venv/.modelmend-stamp
cache=${XDG_CACHE_HOME:-$HOME/.cache}/modelmend
began=$SECONDS

say() { printf '%4ds  %s\n' "$((SECONDS - began))" "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# What the environment is made of; a change of any of these makes it again. The Python's own version is in it
# because a venv does not survive an upgrade of the interpreter that it points to.
fingerprint() {
  { cat "$lock" pyproject.toml hack/setup.sh; pwd; .venv/bin/python --version 2>&1; } | sha256sum | cut -d' ' -f1
}

[ -f "$lock" ] || fail "$lock is missing: run 'make lock' first."

mkdir -p "$cache"
# Two set-ups at once would delete each other's files, so the second waits; where flock is missing, be alone.
if command -v flock > /dev/null; then
  exec 9> "$cache/setup.lock"
  flock --nonblock 9 || { say "another set-up is running: waiting for it"; flock 9; }
fi

if [ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then
  say ".venv is up to date"
  exit 0
fi

find_uv() {
  command -v uv && return
  # A Python that belongs to the system refuses `pip install`, so uv gets a small home of its own.
  if [ ! -x "$cache/uv/bin/uv" ]; then
    say "uv is not on the PATH: installing it into the cache" >&2
    rm -rf "$cache/uv"
    python3 -m venv "$cache/uv" || fail "python3 cannot make a virtual environment: install the package python3-venv (or put uv on the PATH)."
    "$cache/uv/bin/python" -m pip install --quiet --disable-pip-version-check uv || fail "pip could not install uv: put uv on the PATH and run this again."
  fi
  echo "$cache/uv/bin/uv"
}
uv=$(find_uv)

if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
  # 3.11 first: it is what the images run, so a type checker and the tests see the same standard library.
  say "making .venv"
  "$uv" venv --quiet --clear --no-python-downloads --python 3.11 .venv 2> /dev/null ||
    "$uv" venv --quiet --clear --no-python-downloads --python '>=3.11' .venv ||
    fail "no Python 3.11 or later was found: install one and run this again."
fi

rm -f "$stamp"
say "installing $(grep -c '==' "$lock") locked packages"
"$uv" pip sync --quiet --python .venv/bin/python --require-hashes "$lock"
say "installing modelmend itself, editable"
"$uv" pip install --quiet --python .venv/bin/python --no-deps --editable .
# Commands of the Makefile find uv beside the other tools even where it came from the cache.
[ -e .venv/bin/uv ] || ln -s "$uv" .venv/bin/uv
fingerprint > "$stamp"
say ".venv is ready: $(.venv/bin/python --version)"
